//! The plan of a run: for each leg where it is, where it sends to, and how it is secured.

use offhook_rtp::keys::MasterKeys;
use offhook_rtp::suite::Suite;

use crate::webrtc::Credentials;

/// How a leg is secured.
#[derive(Clone, Debug)]
pub enum Security {
    /// Plain RTP.
    None,
    /// What we send with and what we hear with (SDES, RFC 4568).
    Keys(Box<(MasterKeys, MasterKeys)>),
    /// ICE and DTLS, ours and its.
    WebRtc(Credentials, Credentials),
}

/// Where a leg of ours is, where it sends to, and how it is secured.
#[derive(Clone, Debug)]
pub struct Way {
    /// Our port.
    pub local: u16,
    /// The server's port.
    pub server: u16,
    /// Its security.
    pub security: Security,
}

/// Legs of a plan: `LOCAL_PORT SERVER_PORT` on each line, two lines for each call; a secured leg has `SUITE OUR_KEY ITS_KEY`
/// (master key and salt in hex) or `webrtc OUR_UFRAG OUR_PASSWORD ITS_UFRAG ITS_PASSWORD` behind it.
pub fn read(text: &str) -> Result<Vec<Way>, String> {
    let ways: Option<Vec<_>> = text.lines().map(read_way).collect();
    ways.filter(|ways| !ways.is_empty() && ways.len() % 2 == 0)
        .ok_or_else(|| {
            "the plan needs an even number of lines LOCAL_PORT SERVER_PORT [SUITE OUR_KEY ITS_KEY | webrtc OUR_UFRAG \
             OUR_PASSWORD ITS_UFRAG ITS_PASSWORD]"
                .into()
        })
}

fn read_way(line: &str) -> Option<Way> {
    let mut words = line.split(' ');
    let (local, server) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let security = match words.next() {
        None => Security::None,
        Some("webrtc") => {
            let mut side = || {
                Some(Credentials {
                    ufrag: words.next()?.to_owned(),
                    password: words.next()?.to_owned(),
                })
            };
            Security::WebRtc(side()?, side()?)
        }
        Some(name) => {
            let suite: Suite = name.parse().ok()?;
            let mut read = || MasterKeys::from_inline(suite, &from_hex(words.next()?)?).ok();
            Security::Keys(Box::new((read()?, read()?)))
        }
    };
    Some(Way {
        local,
        server,
        security,
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_two_ports_a_line_and_two_lines_a_call() {
        let plan = read("1 2\n3 4\n").expect("a right plan");
        assert_eq!((plan[1].local, plan[1].server), (3, 4));
        assert!(read("1 2\n").is_err() && read("").is_err());
        assert!(read("1 2\n3 x\n").is_err());
    }

    #[test]
    fn a_secured_leg_names_suite_and_keys() {
        let key = "00".repeat(30);
        let line = |suite: &str| format!("1 2 {suite} {key} {key}\n3 4\n");
        let plan = read(&line("AES_CM_128_HMAC_SHA1_80")).expect("a right plan");
        assert!(matches!(plan[0].security, Security::Keys(_)));
        assert!(matches!(plan[1].security, Security::None));
        // GCM has a salt of 12 octets, not 14.
        assert!(read(&line("AEAD_AES_128_GCM")).is_err());
        assert!(read(&line("ROT13")).is_err());
    }

    #[test]
    fn a_browser_has_credentials_of_both_sides() {
        let plan = read("1 2 webrtc ours secret its hidden\n3 4\n").expect("a right plan");
        assert!(matches!(&plan[0].security, Security::WebRtc(ours, its)
            if ours.ufrag == "ours" && its.password == "hidden"));
        assert!(read("1 2 webrtc ours secret its\n3 4\n").is_err());
    }
}
