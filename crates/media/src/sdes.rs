//! Keys that come with the descriptions (RFC 4568): ours are drawn here, one for each suite; the peer's choose among them.

use std::str::FromStr;

use offhook_rtp::keys::MasterKeys;
use offhook_rtp::srtp::SrtpOut;
use offhook_rtp::suite::Suite;
use zeroize::Zeroizing;

use crate::commands::{Refusal, bad_description};
use crate::description::Crypto;

/// Suites one leg may ask keys for: all we know.
const MAX_SUITES: usize = Suite::ALL.len();

/// Fresh keys of one or both directions.
pub(crate) struct Fresh {
    pub(crate) inbound: MasterKeys,
    /// `None`: what we send with stays, the peer alone changed its key.
    pub(crate) outbound: Option<SrtpOut>,
    pub(crate) suite: Suite,
}

/// The SDES part of a leg.
pub(crate) struct Described {
    ours: Vec<(Suite, Zeroizing<Vec<u8>>)>,
    theirs: Option<Crypto>,
    suite: Option<Suite>,
}

impl Described {
    /// Draws a key for each suite.
    pub(crate) fn draw(
        names: &[String],
        random: &mut impl FnMut(&mut [u8]),
    ) -> Result<Self, Refusal> {
        let mut described = Self {
            ours: Vec::new(),
            theirs: None,
            suite: None,
        };
        described.ask(names, random)?;
        Ok(described)
    }

    /// Our half changes: keys of suites named before stay what they are, those of new ones are drawn.
    pub(crate) fn ask(
        &mut self,
        names: &[String],
        random: &mut impl FnMut(&mut [u8]),
    ) -> Result<(), Refusal> {
        if names.is_empty() || names.len() > MAX_SUITES {
            return Err(bad_description("an SDES leg asks for one to six suites"));
        }
        let mut ours = Vec::with_capacity(names.len());
        for name in names {
            let suite = suite_of(name)?;
            let known = self.ours.iter().find(|(known, _)| *known == suite);
            let key = known.map(|(_, key)| key.clone()).unwrap_or_else(|| {
                let mut key = Zeroizing::new(vec![0; suite.key_len() + suite.salt_len()]);
                random(&mut key);
                key
            });
            ours.push((suite, key));
        }
        self.ours = ours;
        Ok(())
    }

    /// What our description says.
    pub(crate) fn ours(&self) -> Vec<Crypto> {
        let line = |(suite, key): &(Suite, Zeroizing<Vec<u8>>)| Crypto {
            suite: suite.name().to_owned(),
            key: hex(key),
        };
        self.ours.iter().map(line).collect()
    }

    /// Takes the peer's key; `None` when it is the one in use.
    pub(crate) fn take(&mut self, theirs: &Crypto) -> Result<Option<Fresh>, Refusal> {
        if self.theirs.as_ref() == Some(theirs) {
            return Ok(None);
        }
        let (suite, inbound) = self.check(theirs)?;
        let outbound = if self.suite == Some(suite) {
            None
        } else {
            let (_, key) = self
                .ours
                .iter()
                .find(|(ours, _)| *ours == suite)
                .ok_or_else(not_asked)?;
            Some(SrtpOut::new(&master(suite, key)?).map_err(|_| unusable())?)
        };
        self.suite = Some(suite);
        self.theirs = Some(theirs.clone());
        Ok(Some(Fresh {
            inbound,
            outbound,
            suite,
        }))
    }

    /// Whether the peer's key can be used, before anything changes.
    pub(crate) fn check(&self, theirs: &Crypto) -> Result<(Suite, MasterKeys), Refusal> {
        let suite = suite_of(&theirs.suite)?;
        if !self.ours.iter().any(|(ours, _)| *ours == suite) {
            return Err(not_asked());
        }
        let key = unhex(&theirs.key).ok_or_else(unusable)?;
        Ok((suite, master(suite, &key)?))
    }
}

fn master(suite: Suite, key: &[u8]) -> Result<MasterKeys, Refusal> {
    MasterKeys::from_inline(suite, key).map_err(|_| unusable())
}

fn suite_of(name: &str) -> Result<Suite, Refusal> {
    Suite::from_str(name).map_err(|_| bad_description(&format!("unknown SRTP suite {name:?}")))
}

fn not_asked() -> Refusal {
    bad_description("the peer's SRTP suite is none of ours")
}

fn unusable() -> Refusal {
    bad_description("the peer's SRTP key does not fit its suite")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs
        .map(|pair| (pair.len() == 2).then(|| byte(pair)).flatten())
        .collect::<Option<Vec<u8>>>()
        .map(Zeroizing::new)
}
