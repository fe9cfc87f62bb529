//! Sealing and opening one packet under a session key, its index given (RFC 3711 4, RFC 7714 8 and 9).
//! No state but the keys: which index is right, and whether it was seen, is the business of `srtp`.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use zeroize::{Zeroize, Zeroizing};

use crate::keys::{Label, MasterKeys, apply_counter_mode, counter_mode};
use crate::wire::{put, u32_at};

/// RTCP header and sender SSRC: the part of a compound packet that stays readable (RFC 3711 3.4).
pub(crate) const RTCP_CLEAR_LEN: usize = 8;
/// E flag and SRTCP index.
pub(crate) const RTCP_WORD_LEN: usize = 4;
const RTCP_ENCRYPTED: u32 = 0x8000_0000;
const GCM_TAG_LEN: usize = 16;
const SHA1_KEY_LEN: usize = 20;

/// The key state of RTP or of RTCP in one direction.
pub(crate) struct Transform {
    cipher: Cipher,
    /// Tag length on the wire.
    pub(crate) tag_len: usize,
}

enum Cipher {
    Gcm {
        key: LessSafeKey,
        salt: [u8; 12],
    },
    /// Two kilobytes, boxed so that the legs of GCM, whose key is a pointer, do not carry them too.
    CounterMode(Box<CounterMode>),
}

struct CounterMode {
    cipher: EncryptingKey,
    salt: [u8; 16],
    mac: hmac::Key,
}

impl Transform {
    pub(crate) fn rtp(keys: &MasterKeys) -> Result<Self, Unspecified> {
        let labels = [
            Label::RtpEncryption,
            Label::RtpAuthentication,
            Label::RtpSalt,
        ];
        Self::derive(keys, labels, keys.suite().rtp_tag_len())
    }

    pub(crate) fn rtcp(keys: &MasterKeys) -> Result<Self, Unspecified> {
        let labels = [
            Label::RtcpEncryption,
            Label::RtcpAuthentication,
            Label::RtcpSalt,
        ];
        Self::derive(keys, labels, keys.suite().rtcp_tag_len())
    }

    fn derive(keys: &MasterKeys, labels: [Label; 3], tag_len: usize) -> Result<Self, Unspecified> {
        let [encryption, authentication, salting] = labels;
        let suite = keys.suite();
        let mut key = Zeroizing::new([0; 32]);
        let key = key.get_mut(..suite.key_len()).ok_or(Unspecified)?;
        keys.derive(encryption, key)?;
        if suite.is_aead() {
            let mut salt = [0; 12];
            keys.derive(salting, &mut salt)?;
            return Self::gcm(key, salt);
        }
        let mut salt = Zeroizing::new([0; 14]);
        keys.derive(salting, salt.as_mut())?;
        let mut mac_key = Zeroizing::new([0; SHA1_KEY_LEN]);
        keys.derive(authentication, mac_key.as_mut())?;
        Self::counter_mode(key, &salt, mac_key.as_ref(), tag_len)
    }

    pub(crate) fn gcm(key: &[u8], salt: [u8; 12]) -> Result<Self, Unspecified> {
        let algorithm = if key.len() == 32 {
            &AES_256_GCM
        } else {
            &AES_128_GCM
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key)?);
        Ok(Self {
            cipher: Cipher::Gcm { key, salt },
            tag_len: GCM_TAG_LEN,
        })
    }

    fn counter_mode(
        key: &[u8],
        salt: &[u8; 14],
        mac_key: &[u8],
        tag_len: usize,
    ) -> Result<Self, Unspecified> {
        let mut block = [0; 16];
        put(&mut block, 0, salt).ok_or(Unspecified)?;
        let mac = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, mac_key);
        let cipher = CounterMode {
            cipher: counter_mode(key)?,
            salt: block,
            mac,
        };
        Ok(Self {
            cipher: Cipher::CounterMode(Box::new(cipher)),
            tag_len,
        })
    }

    /// Seals `buffer[..len]`, an RTP packet with a header of `header_len` bytes; returns the sealed length.
    /// The buffer must have room for the tag. On error the packet's bytes are not to be used.
    pub(crate) fn seal_rtp(
        &self,
        buffer: &mut [u8],
        len: usize,
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, Unspecified> {
        let (packet, rest) = buffer.split_at_mut_checked(len).ok_or(Unspecified)?;
        let tag_room = rest.get_mut(..self.tag_len).ok_or(Unspecified)?;
        match &self.cipher {
            Cipher::Gcm { key, salt } => {
                let (header, body) = packet.split_at_mut_checked(header_len).ok_or(Unspecified)?;
                let nonce = rtp_nonce(salt, ssrc, index);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&*header), body)?;
                tag_room.copy_from_slice(tag.as_ref());
            }
            Cipher::CounterMode(mode) => {
                let CounterMode { cipher, salt, mac } = mode.as_ref();
                let body = packet.get_mut(header_len..).ok_or(Unspecified)?;
                apply_counter_mode(cipher, counter_block(salt, ssrc, index), body)?;
                let tag = authenticate(mac, packet, &roc_of(index));
                tag_room.copy_from_slice(tag.as_ref().get(..self.tag_len).ok_or(Unspecified)?);
            }
        }
        Ok(len + self.tag_len)
    }

    /// Opens an RTP packet in place; returns its length without the tag. After a failure under GCM the payload is gone.
    pub(crate) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, Unspecified> {
        let len = packet.len().checked_sub(self.tag_len).ok_or(Unspecified)?;
        match &self.cipher {
            Cipher::Gcm { key, salt } => {
                let (header, body) = packet.split_at_mut_checked(header_len).ok_or(Unspecified)?;
                key.open_in_place(rtp_nonce(salt, ssrc, index), Aad::from(&*header), body)?;
            }
            Cipher::CounterMode(mode) => {
                let CounterMode { cipher, salt, mac } = mode.as_ref();
                let (sealed, tag) = packet.split_at_mut_checked(len).ok_or(Unspecified)?;
                verify(authenticate(mac, sealed, &roc_of(index)), tag)?;
                let body = sealed.get_mut(header_len..).ok_or(Unspecified)?;
                apply_counter_mode(cipher, counter_block(salt, ssrc, index), body)?;
            }
        }
        Ok(len)
    }

    /// Seals and encrypts `buffer[..len]`, an RTCP compound; returns the sealed length. `index` has 31 bits.
    pub(crate) fn seal_rtcp(
        &self,
        buffer: &mut [u8],
        len: usize,
        index: u32,
    ) -> Result<usize, Unspecified> {
        let total = len + self.tag_len + RTCP_WORD_LEN;
        let buffer = buffer.get_mut(..total).ok_or(Unspecified)?;
        let ssrc = u32_at(buffer, 4).ok_or(Unspecified)?;
        let word = (RTCP_ENCRYPTED | index).to_be_bytes();
        match &self.cipher {
            Cipher::Gcm { key, salt } => {
                let aad = rtcp_aad(buffer, word)?;
                let body = buffer.get_mut(RTCP_CLEAR_LEN..len).ok_or(Unspecified)?;
                let tag = key.seal_in_place_separate_tag(
                    rtcp_nonce(salt, ssrc, index),
                    Aad::from(aad),
                    body,
                )?;
                put(buffer, len, tag.as_ref()).ok_or(Unspecified)?;
                put(buffer, len + self.tag_len, &word).ok_or(Unspecified)?;
            }
            Cipher::CounterMode(mode) => {
                let CounterMode { cipher, salt, mac } = mode.as_ref();
                let body = buffer.get_mut(RTCP_CLEAR_LEN..len).ok_or(Unspecified)?;
                apply_counter_mode(cipher, counter_block(salt, ssrc, u64::from(index)), body)?;
                let tag = authenticate(mac, buffer.get(..len).ok_or(Unspecified)?, &word);
                put(buffer, len, &word).ok_or(Unspecified)?;
                put(
                    buffer,
                    len + RTCP_WORD_LEN,
                    tag.as_ref().get(..self.tag_len).ok_or(Unspecified)?,
                )
                .ok_or(Unspecified)?;
            }
        }
        Ok(total)
    }

    /// The SRTCP index a sealed packet claims; nothing about it is authenticated yet.
    pub(crate) fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        u32_at(packet, self.rtcp_word_at(packet)?).map(|word| word & !RTCP_ENCRYPTED)
    }

    fn rtcp_word_at(&self, packet: &[u8]) -> Option<usize> {
        let behind = match &self.cipher {
            Cipher::Gcm { .. } => RTCP_WORD_LEN,
            Cipher::CounterMode(_) => RTCP_WORD_LEN + self.tag_len,
        };
        packet.len().checked_sub(behind)
    }

    /// Opens an RTCP compound in place; returns its length without trailer. An unset E flag is obeyed: the packet is
    /// authenticated, not decrypted (RFC 3711 3.4).
    pub(crate) fn open_rtcp(&self, packet: &mut [u8]) -> Result<usize, Unspecified> {
        let trailer = self.tag_len + RTCP_WORD_LEN;
        let len = packet
            .len()
            .checked_sub(trailer)
            .filter(|len| *len >= RTCP_CLEAR_LEN)
            .ok_or(Unspecified)?;
        let ssrc = u32_at(packet, 4).ok_or(Unspecified)?;
        let word = self
            .rtcp_word_at(packet)
            .and_then(|at| u32_at(packet, at))
            .ok_or(Unspecified)?;
        let (index, encrypted) = (word & !RTCP_ENCRYPTED, word & RTCP_ENCRYPTED != 0);
        match &self.cipher {
            Cipher::Gcm { key, salt } => {
                let nonce = rtcp_nonce(salt, ssrc, index);
                if encrypted {
                    let aad = rtcp_aad(packet, word.to_be_bytes())?;
                    let body = packet
                        .get_mut(RTCP_CLEAR_LEN..len + self.tag_len)
                        .ok_or(Unspecified)?;
                    key.open_in_place(nonce, Aad::from(aad), body)?;
                } else {
                    // RFC 7714 9.3: everything but the tag is associated data; bring packet and word together.
                    packet
                        .get_mut(len..)
                        .ok_or(Unspecified)?
                        .rotate_right(RTCP_WORD_LEN);
                    let (aad, tag) = packet
                        .split_at_mut_checked(len + RTCP_WORD_LEN)
                        .ok_or(Unspecified)?;
                    key.open_in_place(nonce, Aad::from(&*aad), tag)?;
                }
            }
            Cipher::CounterMode(mode) => {
                let CounterMode { cipher, salt, mac } = mode.as_ref();
                let (sealed, tag) = packet
                    .split_at_mut_checked(len + RTCP_WORD_LEN)
                    .ok_or(Unspecified)?;
                verify(authenticate(mac, sealed, &[]), tag)?;
                if encrypted {
                    let body = sealed.get_mut(RTCP_CLEAR_LEN..len).ok_or(Unspecified)?;
                    apply_counter_mode(cipher, counter_block(salt, ssrc, u64::from(index)), body)?;
                }
            }
        }
        Ok(len)
    }
}

impl Drop for Transform {
    fn drop(&mut self) {
        match &mut self.cipher {
            Cipher::Gcm { salt, .. } => salt.zeroize(),
            Cipher::CounterMode(mode) => mode.salt.zeroize(),
        }
    }
}

/// RFC 3711 4.1.1: (salt << 16) XOR (SSRC << 64) XOR (index << 16), the block counter in the last two bytes.
fn counter_block(salt: &[u8; 16], ssrc: u32, index: u64) -> [u8; 16] {
    let spread = u128::from(ssrc) << 64 | u128::from(index) << 16;
    (u128::from_be_bytes(*salt) ^ spread).to_be_bytes()
}

/// RFC 7714 8.1: two zero bytes, SSRC, ROC, sequence number, XOR salt.
fn rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    nonce(salt, u128::from(ssrc) << 48 | u128::from(index))
}

/// RFC 7714 9.1: two zero bytes, SSRC, two zero bytes, index, XOR salt.
fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> Nonce {
    nonce(salt, u128::from(ssrc) << 48 | u128::from(index))
}

fn nonce(salt: &[u8; 12], value: u128) -> Nonce {
    let [_, _, _, _, bytes @ ..] = value.to_be_bytes();
    let mut nonce: [u8; 12] = bytes;
    nonce
        .iter_mut()
        .zip(salt)
        .for_each(|(byte, salt)| *byte ^= salt);
    Nonce::assume_unique_for_key(nonce)
}

fn rtcp_aad(packet: &[u8], word: [u8; 4]) -> Result<[u8; 12], Unspecified> {
    let mut aad = [0; RTCP_CLEAR_LEN + RTCP_WORD_LEN];
    put(
        &mut aad,
        0,
        packet.get(..RTCP_CLEAR_LEN).ok_or(Unspecified)?,
    )
    .ok_or(Unspecified)?;
    put(&mut aad, RTCP_CLEAR_LEN, &word).ok_or(Unspecified)?;
    Ok(aad)
}

fn roc_of(index: u64) -> [u8; 4] {
    let [_, _, roc @ .., _, _] = index.to_be_bytes();
    roc
}

fn authenticate(mac: &hmac::Key, packet: &[u8], suffix: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(mac);
    context.update(packet);
    context.update(suffix);
    context.sign()
}

fn verify(full: hmac::Tag, tag: &[u8]) -> Result<(), Unspecified> {
    verify_slices_are_equal(full.as_ref().get(..tag.len()).ok_or(Unspecified)?, tag)
}

#[cfg(test)]
mod tests;
