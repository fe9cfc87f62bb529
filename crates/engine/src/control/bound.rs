//! Our own ports, which no description may name (MEDIA.md section 9, rule 6): sound would go round in circles between two
//! legs, on whatever shards they are.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use offhook_media::PortPair;
use offhook_media::description::LegRemote;

/// The addresses of all phones' sockets, of all shards.
#[derive(Default)]
pub struct Bound(HashSet<SocketAddr>);

impl Bound {
    /// A pair is a leg's from now on.
    pub fn add(&mut self, pair: &PortPair) {
        self.0.extend(addresses(pair));
    }

    /// It is no longer.
    pub fn remove(&mut self, pair: &PortPair) {
        for address in addresses(pair) {
            self.0.remove(&address);
        }
    }

    /// The address of ours that a peer's half names as its own for media, if it does. Reports make no circles.
    pub fn named(&self, remote: &LegRemote) -> Option<SocketAddr> {
        let video = remote.video.iter();
        let video = video.map(|video| (&video.address, video.port));
        let mut all = std::iter::once((&remote.address, remote.port))
            .chain(video)
            .filter_map(|(host, port)| Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, port)));
        all.find(|address| self.0.contains(address))
    }
}

fn addresses(pair: &PortPair) -> impl Iterator<Item = SocketAddr> {
    let rtcp = pair.rtcp.map(|_| pair.rtcp_port);
    let ports = [Some(pair.address.port()), rtcp].into_iter().flatten();
    let host = pair.address.ip();
    ports.map(move |port| SocketAddr::new(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use offhook_media::SocketId;
    use offhook_media::description::VideoRemote;

    fn remote(host: &str, port: u16) -> LegRemote {
        LegRemote {
            address: host.to_owned(),
            port,
            ..LegRemote::default()
        }
    }

    #[test]
    fn rule_9_6_a_port_of_ours_is_known_while_it_is_ours() {
        let mut bound = Bound::default();
        for (host, rtcp) in [("192.0.2.1", true), ("2001:db8::1", false)] {
            let pair = PortPair {
                rtp: SocketId(7),
                rtcp: rtcp.then_some(SocketId(8)),
                address: SocketAddr::new(host.parse().expect("address"), 41_000),
                rtcp_port: if rtcp { 41_001 } else { 0 },
            };
            bound.add(&pair);
            assert!(bound.named(&remote(host, 41_000)).is_some());
            assert_eq!(bound.named(&remote(host, 41_001)).is_some(), rtcp);
            assert!(bound.named(&remote(host, 41_002)).is_none());
            assert!(bound.named(&remote("192.0.2.2", 41_000)).is_none());
            let video = VideoRemote {
                address: host.to_owned(),
                port: 41_000,
                ..VideoRemote::default()
            };
            let with_video = LegRemote {
                video: Some(Box::new(video)),
                ..remote("192.0.2.9", 9)
            };
            assert!(bound.named(&with_video).is_some());
            bound.remove(&pair);
            assert!(bound.named(&remote(host, 41_000)).is_none());
        }
    }
}
