//! SRTP protection suites: names, lengths, parts (RFC 4568 6.2, RFC 6188, RFC 7714).

use core::fmt;
use core::str::FromStr;

/// A protection suite. `Display` and `FromStr` use the names of the SDP `crypto` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// RFC 7714, 16-byte tag.
    AeadAes128Gcm,
    /// RFC 7714, 16-byte tag.
    AeadAes256Gcm,
    /// RFC 4568 6.2.1, 10-byte tag.
    AesCm128HmacSha1_80,
    /// RFC 4568 6.2.2, 4-byte tag on RTP, 10 on RTCP.
    AesCm128HmacSha1_32,
    /// RFC 6188, 10-byte tag.
    Aes256CmHmacSha1_80,
    /// RFC 6188, 4-byte tag on RTP, 10 on RTCP.
    Aes256CmHmacSha1_32,
}

/// A suite name this crate does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSuite;

impl fmt::Display for UnknownSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown SRTP suite")
    }
}

impl std::error::Error for UnknownSuite {}

impl Suite {
    /// All suites, in the order we prefer and offer them.
    pub const ALL: [Self; 6] = [
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
        Self::Aes256CmHmacSha1_80,
        Self::Aes256CmHmacSha1_32,
    ];

    /// The name in SDP (RFC 4568 9.2, RFC 6188 7, RFC 7714 14.2).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Aes256CmHmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::Aes256CmHmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
        }
    }

    /// Length of the master key and of the derived encryption key, in bytes.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 16,
            Self::AeadAes256Gcm | Self::Aes256CmHmacSha1_80 | Self::Aes256CmHmacSha1_32 => 32,
        }
    }

    /// Length of the master salt and of the derived salt, in bytes.
    #[must_use]
    pub fn salt_len(self) -> usize {
        if self.is_aead() { 12 } else { 14 }
    }

    /// Length of the authentication tag of an RTP packet, in bytes.
    #[must_use]
    pub fn rtp_tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::AesCm128HmacSha1_80 | Self::Aes256CmHmacSha1_80 => 10,
            Self::AesCm128HmacSha1_32 | Self::Aes256CmHmacSha1_32 => 4,
        }
    }

    /// Length of the authentication tag of an RTCP packet, in bytes; the short suites keep 80 bits here
    /// (RFC 4568 6.2.2).
    #[must_use]
    pub fn rtcp_tag_len(self) -> usize {
        if self.is_aead() { 16 } else { 10 }
    }

    /// Whether encryption and authentication are one algorithm (GCM).
    #[must_use]
    pub fn is_aead(self) -> bool {
        matches!(self, Self::AeadAes128Gcm | Self::AeadAes256Gcm)
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Suite {
    type Err = UnknownSuite;

    /// Case-sensitive, as RFC 4568 6.2 has it.
    fn from_str(name: &str) -> Result<Self, UnknownSuite> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.name() == name)
            .ok_or(UnknownSuite)
    }
}
