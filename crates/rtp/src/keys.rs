//! Master keys and the key derivation (RFC 3711 4.3, RFC 6188 3, RFC 7714 11).

use core::fmt;

use arrayvec::ArrayVec;
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroize;

use crate::suite::Suite;

const MAX_KEY_LEN: usize = 32;
const MAX_SALT_LEN: usize = 14;

/// Keying material of the wrong length for its suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKeyLength;

impl fmt::Display for BadKeyLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SRTP keying material has the wrong length for its suite")
    }
}

impl std::error::Error for BadKeyLength {}

/// Master key and master salt of one direction. Zeroed on drop, redacted in `Debug`.
#[derive(Clone)]
pub struct MasterKeys {
    suite: Suite,
    key: ArrayVec<u8, MAX_KEY_LEN>,
    salt: ArrayVec<u8, MAX_SALT_LEN>,
}

impl MasterKeys {
    /// # Errors
    /// `BadKeyLength` unless key and salt have the lengths of the suite.
    pub fn new(suite: Suite, key: &[u8], salt: &[u8]) -> Result<Self, BadKeyLength> {
        if key.len() != suite.key_len() || salt.len() != suite.salt_len() {
            return Err(BadKeyLength);
        }
        let key = ArrayVec::try_from(key).map_err(|_| BadKeyLength)?;
        let salt = ArrayVec::try_from(salt).map_err(|_| BadKeyLength)?;
        Ok(Self { suite, key, salt })
    }

    /// Key and salt one after the other, as SDES carries them (`inline:`, base64 already decoded; RFC 4568 6.1).
    ///
    /// # Errors
    /// `BadKeyLength` unless the length is that of the suite's key plus salt.
    pub fn from_inline(suite: Suite, material: &[u8]) -> Result<Self, BadKeyLength> {
        let (key, salt) = material
            .split_at_checked(suite.key_len())
            .ok_or(BadKeyLength)?;
        Self::new(suite, key, salt)
    }

    /// Splits DTLS-SRTP exporter output into the keys of the DTLS client and of the DTLS server, in that order
    /// (RFC 5764 4.2: client key, server key, client salt, server salt). Each side sends with its own.
    ///
    /// # Errors
    /// `BadKeyLength` when the material is not exactly two keys and two salts.
    pub fn from_exporter(suite: Suite, material: &[u8]) -> Result<(Self, Self), BadKeyLength> {
        let (client_key, rest) = material
            .split_at_checked(suite.key_len())
            .ok_or(BadKeyLength)?;
        let (server_key, rest) = rest.split_at_checked(suite.key_len()).ok_or(BadKeyLength)?;
        let (client_salt, server_salt) = rest
            .split_at_checked(suite.salt_len())
            .ok_or(BadKeyLength)?;
        Ok((
            Self::new(suite, client_key, client_salt)?,
            Self::new(suite, server_key, server_salt)?,
        ))
    }

    /// The suite these keys belong to.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Derives one session key into `out` (RFC 3711 4.3.1 with a key derivation rate of zero).
    pub(crate) fn derive(&self, label: Label, out: &mut [u8]) -> Result<(), Unspecified> {
        let mut iv = [0; 16];
        iv.iter_mut()
            .zip(&self.salt)
            .for_each(|(byte, salt)| *byte = *salt);
        // key_id = label || r; with r = 0 only the label meets the salt, at the eighth of its 14 bytes. A salt of 12
        // bytes is extended by two zeros (RFC 7714 11).
        iv[7] ^= label as u8;
        out.fill(0);
        apply_counter_mode(&counter_mode(&self.key)?, iv, out)
    }
}

/// What a session key is for (RFC 3711 4.3.2).
#[derive(Clone, Copy)]
pub(crate) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// AES in counter mode, keyed; the key's length chooses AES-128 or AES-256.
pub(crate) fn counter_mode(key: &[u8]) -> Result<EncryptingKey, Unspecified> {
    let algorithm = if key.len() == MAX_KEY_LEN {
        &AES_256
    } else {
        &AES_128
    };
    EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key)?)
}

/// XORs the key stream that begins at the counter block `iv` onto `data`; encrypts and decrypts alike.
pub(crate) fn apply_counter_mode(
    cipher: &EncryptingKey,
    iv: [u8; 16],
    data: &mut [u8],
) -> Result<(), Unspecified> {
    cipher.less_safe_encrypt(data, EncryptionContext::Iv128(FixedLength::from(iv)))?;
    Ok(())
}

impl Drop for MasterKeys {
    fn drop(&mut self) {
        self.key.as_mut_slice().zeroize();
        self.salt.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKeys({}, redacted)", self.suite)
    }
}
