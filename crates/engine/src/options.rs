//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What the engine is told when it starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Path of the control socket.
    pub control: PathBuf,
    /// UDP port for browsers, one more for each further shard; 0 takes any free one.
    pub webrtc_port: u16,
    /// First and last port for phones.
    pub rtp_ports: (u16, u16),
    /// Addresses to announce beside those of the interfaces.
    pub public_addresses: Vec<IpAddr>,
    /// Announce 127.0.0.1 too.
    pub offer_loopback: bool,
    /// Believe SHA-1 fingerprints, too.
    pub sha_1_fingerprints: bool,
    /// One UDP port for browsers, whatever the number of shards.
    pub single_port: bool,
    /// Shard threads.
    pub shards: usize,
    /// Each on a processor of its own.
    pub pin: bool,
    /// How long legs run without anybody who commands.
    pub grace: Duration,
    /// Where sounds are, the first one that has a name counts.
    pub sounds: Vec<PathBuf>,
    /// Where recordings go; empty: nowhere.
    pub recordings: PathBuf,
}

/// Most shards: the id has eight bits for it.
const MAX_SHARDS: usize = 64;

impl Options {
    /// Reads the arguments; the error is a sentence.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            control: PathBuf::new(),
            webrtc_port: 40_000,
            rtp_ports: (41_000, 44_999),
            public_addresses: Vec::new(),
            offer_loopback: false,
            sha_1_fingerprints: false,
            single_port: false,
            shards: 0,
            pin: false,
            grace: Duration::from_secs(60),
            sounds: Vec::new(),
            recordings: PathBuf::new(),
        };
        let mut arguments = arguments.peekable();
        while let Some(name) = arguments.next() {
            if options.switch(&name) {
                continue;
            }
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))?;
            options.set(&name, &value)?;
        }
        if options.control.as_os_str().is_empty() {
            return Err("--control PATH is needed".into());
        }
        if options.shards == 0 {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            options.shards = cores.saturating_sub(1).clamp(1, MAX_SHARDS);
        }
        Ok(options)
    }

    /// Sets an option that takes no value; false if it is none.
    fn switch(&mut self, name: &str) -> bool {
        match name {
            "--offer-loopback" => self.offer_loopback = true,
            "--single-port" => self.single_port = true,
            "--pin" => self.pin = true,
            "--sha-1-fingerprints" => self.sha_1_fingerprints = true,
            _ => return false,
        }
        true
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let bad = |what: &str| format!("{name} {value}: {what}");
        match name {
            "--control" => self.control = value.into(),
            "--webrtc-port" => {
                self.webrtc_port = value.parse().map_err(|_| bad("a port is needed"))?
            }
            "--rtp-ports" => {
                let ports = value
                    .split_once('-')
                    .and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)))
                    .filter(|(low, high): &(u16, u16)| *low >= 1024 && low < high);
                self.rtp_ports = ports.ok_or_else(|| bad("two ports, low-high, are needed"))?;
            }
            "--public-address" => {
                let address = value.parse().map_err(|_| bad("an IP address is needed"))?;
                self.public_addresses.push(address);
            }
            "--shards" => {
                let shards = value.parse().map_err(|_| bad("a number is needed"))?;
                self.shards = Some(shards)
                    .filter(|n| *n <= MAX_SHARDS)
                    .ok_or_else(|| bad("at most 64"))?;
            }
            "--sounds" => self.sounds.push(value.into()),
            "--recordings" => self.recordings = value.into(),
            "--grace" => {
                let seconds = value.parse().map_err(|_| bad("seconds are needed"))?;
                self.grace = Duration::from_secs(seconds);
            }
            _ => return Err(format!("{name} is not an option of this program")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_whole_line_is_read() {
        let options = parse(
            "--control c --webrtc-port 0 --rtp-ports 41000-41009 --public-address 192.0.2.9 --offer-loopback --shards 2 --single-port --pin --grace 5 --sha-1-fingerprints",
        )
        .expect("a right line");
        assert_eq!(options.rtp_ports, (41_000, 41_009));
        assert_eq!(options.shards, 2);
        assert!(options.offer_loopback && options.sha_1_fingerprints);
        assert!(options.pin && options.single_port);
        assert_eq!(options.grace, Duration::from_secs(5));
    }

    #[test]
    fn a_wrong_line_says_which_part_is_wrong() {
        assert_eq!(parse("--control").unwrap_err(), "--control needs a value");
        assert!(parse("").unwrap_err().contains("--control PATH"));
        assert!(
            parse("--control c --rtp-ports 9-8")
                .unwrap_err()
                .contains("low-high")
        );
        assert!(
            parse("--control c --colour red")
                .unwrap_err()
                .contains("--colour")
        );
    }
}
