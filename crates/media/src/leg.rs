//! One leg: a path, keys, a receiver and a sender. Code between *open* and *seal* does not know which kind it is.

use std::net::SocketAddr;
use std::time::Instant;

use offhook_rtp::srtp::{SrtpIn, SrtpOut};

use crate::component::Component;
use crate::description::{KeyKind, LegOffer, LegRemote};
use crate::dtls::{self, Handshake, Phase};
use crate::far::Link;
use crate::ice::Ice;
use crate::ids::LegId;
use crate::io::{PortPair, SocketId};
use crate::latch::Latch;
use crate::quality::QualityClock;
use crate::receive::Receiver;
use crate::sdes::Described;
use crate::send::{Sender, Source};
use crate::timers::Deadlines;
use crate::verdict::Supervision;
use crate::video::Video;

/// A port leg's own sockets.
pub(crate) struct PortPath {
    pub(crate) pair: PortPair,
    pub(crate) latch: Latch,
    /// Where RTCP goes when it has a port of its own.
    pub(crate) rtcp: Option<SocketAddr>,
    /// With DTLS that port shakes hands for itself.
    pub(crate) component: Option<Box<Component>>,
}

/// A WebRTC leg's path over the shared sockets.
pub(crate) struct WebRtcPath {
    pub(crate) ice: Ice,
    pub(crate) local: SocketAddr,
    /// The authenticated pair that DTLS came from last: flights are answered there before a nomination.
    pub(crate) dtls_pair: Option<(SocketId, SocketAddr)>,
}

/// How packets reach the leg.
pub(crate) enum Path {
    Port(Box<PortPath>),
    WebRtc(Box<WebRtcPath>),
}

/// Keys of both directions, and the handshake or the descriptions they come from.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) handshake: Option<Box<Handshake>>,
    pub(crate) described: Option<Box<Described>>,
    pub(crate) inbound: Option<Box<SrtpIn>>,
    pub(crate) outbound: Option<Box<SrtpOut>>,
    pub(crate) suite: &'static str,
    /// Nothing was opened yet with keys of a handshake whose association waits for that.
    pub(crate) unproven: bool,
}

impl Keys {
    /// Something was opened.
    pub(crate) fn prove(&mut self) {
        if std::mem::take(&mut self.unproven) {
            self.handshake
                .iter_mut()
                .for_each(|handshake| handshake.proven());
        }
    }

    /// Takes fresh ones of the handshake.
    pub(crate) fn install(&mut self, fresh: dtls::Keys) {
        let mut handshake = self.handshake.iter();
        self.unproven = handshake.any(|handshake| handshake.unproven());
        self.suite = fresh.suite.name();
        self.inbound = Some(Box::new(fresh.inbound));
        self.outbound = Some(Box::new(fresh.outbound));
    }

    /// none, plain, waiting, handshake, ready, failed.
    pub(crate) fn state(&self, secured: bool) -> &'static str {
        match (&self.handshake, self.outbound.is_some()) {
            (_, true) => "ready",
            (None, false) if secured => "waiting",
            (None, false) => "plain",
            (Some(handshake), false) => match handshake.phase() {
                Phase::Waiting => "waiting",
                Phase::Handshake | Phase::Ready => "handshake",
                Phase::WrongFingerprint | Phase::Failed => "failed",
            },
        }
    }

    /// Places among the handshakes in flight.
    pub(crate) fn in_flight(&self) -> usize {
        let handshake = self.handshake.as_ref();
        handshake.map_or(0, |handshake| handshake.in_flight())
    }
}

/// Why nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    OnHold,
    NoAddress,
    NoKeys,
}

impl Gate {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OnHold => "on_hold",
            Self::NoAddress => "no_address",
            Self::NoKeys => "no_keys",
        }
    }
}

/// A leg.
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) call: u64,
    pub(crate) offer: LegOffer,
    pub(crate) remote: Option<LegRemote>,
    pub(crate) cname: String,
    pub(crate) path: Path,
    pub(crate) keys: Keys,
    pub(crate) rx: Receiver,
    pub(crate) tx: Sender,
    /// The leg that hears this one.
    pub(crate) sink: Option<LegId>,
    /// What it has to do with a leg or a room of another shard.
    pub(crate) link: Option<Box<Link>>,
    /// Hears rooms at 48 kHz, if its codec and its peer do.
    pub(crate) full_band: bool,
    /// By so much it is heard louder in its room, dB.
    pub(crate) gain: i8,
    /// Not heard in its room.
    pub(crate) muted: bool,
    /// Recordings that run of it.
    pub(crate) taps: crate::recording::Taps,
    pub(crate) deadlines: Deadlines,
    pub(crate) completed: Option<Instant>,
    /// When what flows last became allowed to: completion, or a change of direction.
    pub(crate) due_since: Option<Instant>,
    pub(crate) supervision: Supervision,
    pub(crate) quality: QualityClock,
    pub(crate) reports: crate::reports::ReportClock,
    pub(crate) video: Option<Box<Video>>,
    /// The leg whose video line uses the ports and keys of this one, which has no line of its own.
    pub(crate) lent_to: Option<LegId>,
}

// What a leg costs (MEDIA.md section 10): rare parts and lists for many are boxed, so that thousands of legs do not carry
// the room for them. One that must grow says why in docs/decisions/0040-memory-of-a-leg.md.
const _: () = assert!(size_of::<Leg>() <= 2_048);
const _: () = assert!(size_of::<Handshake>() <= 320 && size_of::<WebRtcPath>() <= 384);
const _: () = assert!(size_of::<SrtpIn>() <= 256 && size_of::<SrtpOut>() <= 192);

impl Leg {
    /// Whether packets must be sealed.
    pub(crate) fn secured(&self) -> bool {
        self.offer.keys != KeyKind::Plain
    }

    /// We may hear the peer.
    pub(crate) fn may_receive(&self) -> bool {
        self.offer.direction.receives()
            && self
                .remote
                .as_ref()
                .is_none_or(|remote| remote.direction.sends())
    }

    /// The peer may hear us.
    pub(crate) fn may_send(&self) -> bool {
        self.offer.direction.sends()
            && self
                .remote
                .as_ref()
                .is_some_and(|remote| remote.direction.receives())
    }

    /// Where media is sent from and to, when all gates are open.
    pub(crate) fn outlet(&self, now: Instant) -> Result<(SocketId, SocketAddr), Gate> {
        if self.remote.is_some() && !self.may_send() {
            return Err(Gate::OnHold);
        }
        self.transport(now)
    }

    /// The same, whatever the direction of its audio.
    pub(crate) fn transport(&self, now: Instant) -> Result<(SocketId, SocketAddr), Gate> {
        let outlet = self.destination(now).ok_or(Gate::NoAddress)?;
        if self.secured() && self.keys.outbound.is_none() {
            return Err(Gate::NoKeys);
        }
        Ok(outlet)
    }

    /// The peer's address, whatever the other gates say.
    pub(crate) fn destination(&self, now: Instant) -> Option<(SocketId, SocketAddr)> {
        match &self.path {
            Path::Port(port) => port
                .latch
                .destination()
                .map(|address| (port.pair.rtp, address)),
            Path::WebRtc(path) => path.ice.destination(now),
        }
    }

    /// Another source begins with the next packet, for the eye too.
    pub(crate) fn feed_from(&mut self, source: Source) {
        self.tx.set_source(source);
        if let Some(video) = &mut self.video {
            video.tx.switch();
        }
    }

    /// Whether video travels by this leg's transport.
    pub(crate) fn carries_video(&self) -> bool {
        let bundled = |video: &Video| video.carrier.is_none();
        self.lent_to.is_some() || self.video.as_deref().is_some_and(bundled)
    }

    /// Retransmissions come late: keys of a transport with video remember more packets.
    pub(crate) fn widen_windows(&mut self) {
        if self.carries_video() {
            self.keys.inbound.iter_mut().for_each(|keys| keys.widen());
            self.keys.outbound.iter_mut().for_each(|keys| keys.widen());
        }
    }

    /// Where RTCP goes.
    pub(crate) fn report_outlet(&self, now: Instant) -> Option<(SocketId, SocketAddr)> {
        if self.secured() && self.keys.outbound.is_none() {
            return None;
        }
        match &self.path {
            Path::Port(port) => match (&port.component, port.pair.rtcp) {
                (Some(component), _) => component.outlet(),
                (None, Some(socket)) => port.rtcp.map(|address| (socket, address)),
                (None, None) => port
                    .latch
                    .destination()
                    .map(|address| (port.pair.rtp, address)),
            },
            Path::WebRtc(path) => path.ice.destination(now),
        }
    }

    /// Seals a compound for there, where that is needed; its length then.
    pub(crate) fn seal_report(&mut self, packet: &mut [u8], len: usize) -> Option<usize> {
        let secured = self.secured();
        let keys = match &mut self.path {
            Path::Port(port) => port.component.as_mut().map(|component| &mut component.keys),
            Path::WebRtc(_) => None,
        };
        match &mut keys.unwrap_or(&mut self.keys).outbound {
            Some(outbound) => outbound.seal_rtcp(packet, len).ok(),
            // Never plain on a secured leg.
            None => (!secured).then_some(len),
        }
    }

    /// The RTCP port's own handshake, if it has one.
    pub(crate) fn component(&mut self) -> Option<&mut Component> {
        match &mut self.path {
            Path::Port(port) => port.component.as_deref_mut(),
            Path::WebRtc(_) => None,
        }
    }

    /// That of its media, and that of the RTCP port.
    pub(crate) fn handshakes(&mut self) -> impl Iterator<Item = &mut Handshake> {
        let component = match &mut self.path {
            Path::Port(port) => port.component.as_mut().map(|component| &mut component.keys),
            Path::WebRtc(_) => None,
        };
        let both = [Some(&mut self.keys), component];
        both.into_iter()
            .flatten()
            .filter_map(|keys| keys.handshake.as_deref_mut())
    }

    /// Places among the handshakes in flight.
    pub(crate) fn handshakes_in_flight(&self) -> usize {
        let component = match &self.path {
            Path::Port(port) => port.component.as_ref(),
            Path::WebRtc(_) => None,
        };
        self.keys.in_flight() + component.map_or(0, |component| component.keys.in_flight())
    }

    /// Where DTLS over ICE goes: the nominated pair, else where the peer's flight came from. Without ICE each association
    /// knows its address, whether or not the peer has named one.
    pub(crate) fn handshake_outlet(&self, now: Instant) -> Option<(SocketId, Option<SocketAddr>)> {
        match &self.path {
            Path::Port(port) => Some((port.pair.rtp, None)),
            Path::WebRtc(path) => path
                .dtls_pair
                .or_else(|| path.ice.destination(now))
                .map(|(socket, address)| (socket, Some(address))),
        }
    }

    /// Our address, as text.
    pub(crate) fn local_text(&self) -> String {
        match &self.path {
            Path::Port(port) => port.pair.address.to_string(),
            Path::WebRtc(path) => path.local.to_string(),
        }
    }

    /// The peer's address, as text; empty while unknown.
    pub(crate) fn remote_text(&self, now: Instant) -> String {
        let pair = match &self.path {
            Path::Port(_) => self.destination(now),
            Path::WebRtc(path) => path.ice.selected(),
        };
        pair.map(|(_, address)| address.to_string())
            .unwrap_or_default()
    }

    /// The state of its keys, by their names.
    pub(crate) fn keys_state(&self) -> &'static str {
        self.keys.state(self.secured())
    }

    /// The state of the path by its kind's names.
    pub(crate) fn path_state(&self, now: Instant) -> &'static str {
        match &self.path {
            Path::Port(port) => port.latch.state_name(),
            Path::WebRtc(path) => path.ice.state_name(now),
        }
    }

    /// Whether this leg feeds itself.
    pub(crate) fn echoes(&self) -> bool {
        matches!(self.tx.source, Source::Leg(leg) if leg == self.id)
    }
}
