//! The published vectors: RFC 3711 B.2 and B.3, RFC 7714 16, whole packets at the edges of the rollover counter.

use serde_json::Value;

use super::*;
use crate::header::Header;
use crate::suite::Suite;

fn vectors() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/srtp/vectors.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn b3_keys(vectors: &Value, suite: Suite) -> MasterKeys {
    let b3 = &vectors["rfc3711"]["B.3-kdf"];
    MasterKeys::new(suite, &hex(&b3["master_key"]), &hex(&b3["master_salt"])).unwrap()
}

#[test]
fn rfc3711_b2_key_stream() {
    let vectors = vectors();
    let b2 = &vectors["rfc3711"]["B.2-aes-cm"];
    let cipher = counter_mode(&hex(&b2["session_key"])).unwrap();
    let salt: [u8; 16] = hex(&b2["session_salt"]).try_into().unwrap();
    for (counter, block) in b2["keystream_blocks"].as_object().unwrap() {
        let mut iv = counter_block(&salt, 0, 0);
        let counter = u16::from_str_radix(counter, 16).unwrap();
        iv[14..].copy_from_slice(&counter.to_be_bytes());
        let mut stream = [0; 16];
        apply_counter_mode(&cipher, iv, &mut stream).unwrap();
        assert_eq!(stream.as_slice(), hex(block), "block {counter:04x}");
    }
}

#[test]
fn rfc3711_b3_key_derivation() {
    let vectors = vectors();
    let b3 = &vectors["rfc3711"]["B.3-kdf"];
    let keys = b3_keys(&vectors, Suite::AesCm128HmacSha1_80);
    let rows = [
        (Label::RtpEncryption, &b3["srtp"]["cipher_key"]),
        (Label::RtpSalt, &b3["srtp"]["cipher_salt"]),
        (Label::RtpAuthentication, &b3["srtp"]["auth_key_94"]),
        (Label::RtcpEncryption, &b3["srtcp"]["cipher_key"]),
        (Label::RtcpSalt, &b3["srtcp"]["cipher_salt"]),
        (Label::RtcpAuthentication, &b3["srtcp"]["auth_key_20"]),
    ];
    for (label, expected) in rows {
        let expected = hex(expected);
        let mut derived = vec![0; expected.len()];
        keys.derive(label, &mut derived).unwrap();
        assert_eq!(derived, expected, "label {}", label as u8);
    }
}

/// RFC 6188 7.2.
#[test]
fn rfc6188_key_derivation_with_aes_256() {
    let text = |hex_text: &str| hex(&Value::from(hex_text));
    let key = text("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6");
    let salt = text("3b04803de51ee7c96423ab5b78d2");
    let keys = MasterKeys::new(Suite::Aes256CmHmacSha1_80, &key, &salt).unwrap();
    let rows = [
        (
            Label::RtpEncryption,
            "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
        ),
        (Label::RtpSalt, "fa31791685ca444a9e07c6c64e93"),
        (
            Label::RtpAuthentication,
            "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05",
        ),
    ];
    for (label, expected) in rows {
        let expected = text(expected);
        let mut derived = vec![0; expected.len()];
        keys.derive(label, &mut derived).unwrap();
        assert_eq!(derived, expected, "label {}", label as u8);
    }
}

/// protect(plain) == protected; unprotect gives plain; one flipped bit anywhere is refused.
fn check_rtp(name: &str, transform: &Transform, index: u64, plain: &[u8], protected: &[u8]) {
    let header = Header::parse_sealed(plain).unwrap();
    let mut buffer = [0; 256];
    buffer[..plain.len()].copy_from_slice(plain);
    let len = transform.seal_rtp(
        &mut buffer,
        plain.len(),
        header.payload_start,
        header.ssrc,
        index,
    );
    assert_eq!(&buffer[..len.unwrap()], protected, "{name}: seal");

    let mut packet = protected.to_vec();
    let len = transform
        .open_rtp(&mut packet, header.payload_start, header.ssrc, index)
        .unwrap();
    assert_eq!(&packet[..len], plain, "{name}: open");

    for bit in 0..protected.len() * 8 {
        let mut packet = protected.to_vec();
        packet[bit / 8] ^= 1 << (bit % 8);
        let ssrc = u32_at(&packet, 8).unwrap();
        let opened = transform.open_rtp(&mut packet, header.payload_start, ssrc, index);
        assert!(opened.is_err(), "{name}: bit {bit} flipped");
    }
}

#[test]
fn rfc7714_gcm_packets() {
    let vectors = vectors();
    for (name, row) in vectors["rfc7714"].as_object().unwrap() {
        let salt: [u8; 12] = hex(&row["session_salt"]).try_into().unwrap();
        let transform = Transform::gcm(&hex(&row["session_key"]), salt).unwrap();
        let plain = hex(&row["plain"]);
        let header = Header::parse_sealed(&plain).unwrap();
        let index = row["roc"].as_u64().unwrap() << 16 | u64::from(header.sequence);
        assert_eq!(
            rtp_nonce(&salt, header.ssrc, index).as_ref().as_slice(),
            hex(&row["iv"])
        );
        check_rtp(name, &transform, index, &plain, &hex(&row["protected"]));
    }
}

#[test]
fn whole_packets_at_the_rollover_edges() {
    let vectors = vectors();
    let mut seen = 0;
    for row in vectors["packets"].as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        let suite: Suite = row["suite"].as_str().unwrap().parse().unwrap();
        let keys = b3_keys(&vectors, suite);
        let (plain, protected) = (hex(&row["plain"]), hex(&row["protected"]));
        if let Some(roc) = row["roc"].as_u64() {
            let sequence = Header::parse_sealed(&plain).unwrap().sequence;
            let index = roc << 16 | u64::from(sequence);
            check_rtp(
                name,
                &Transform::rtp(&keys).unwrap(),
                index,
                &plain,
                &protected,
            );
        } else {
            let index = u32::try_from(row["srtcp_index"].as_u64().unwrap()).unwrap();
            check_rtcp(
                name,
                &Transform::rtcp(&keys).unwrap(),
                index,
                &plain,
                &protected,
            );
        }
        seen += 1;
    }
    assert_eq!(seen, 9);
}

fn check_rtcp(name: &str, transform: &Transform, index: u32, plain: &[u8], protected: &[u8]) {
    let mut buffer = [0; 256];
    buffer[..plain.len()].copy_from_slice(plain);
    let len = transform
        .seal_rtcp(&mut buffer, plain.len(), index)
        .unwrap();
    assert_eq!(&buffer[..len], protected, "{name}: seal");
    assert_eq!(transform.rtcp_index(protected), Some(index));

    let mut packet = protected.to_vec();
    let len = transform.open_rtcp(&mut packet).unwrap();
    assert_eq!(&packet[..len], plain, "{name}: open");
    for bit in 0..protected.len() * 8 {
        let mut packet = protected.to_vec();
        packet[bit / 8] ^= 1 << (bit % 8);
        assert!(
            transform.open_rtcp(&mut packet).is_err(),
            "{name}: bit {bit} flipped"
        );
    }
}

/// RFC 3711 3.4, RFC 7714 9.3: with the E flag unset a packet is authenticated only.
#[test]
fn unencrypted_srtcp_is_authenticated() {
    let plain = [0x81, 200, 0, 1, 0xca, 0xfe, 0xba, 0xbe, 1, 2, 3, 4];
    let word = 7_u32.to_be_bytes();
    for suite in Suite::ALL {
        let (key, salt) = (vec![3; suite.key_len()], vec![4; suite.salt_len()]);
        let transform = Transform::rtcp(&MasterKeys::new(suite, &key, &salt).unwrap()).unwrap();
        let mut packet = plain.to_vec();
        match &transform.cipher {
            Cipher::Gcm { key, salt } => {
                let aad = [plain.as_slice(), &word].concat();
                let nonce = rtcp_nonce(salt, 0xcafe_babe, 7);
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(aad), &mut [])
                    .unwrap();
                packet.extend_from_slice(tag.as_ref());
                packet.extend_from_slice(&word);
            }
            Cipher::CounterMode(mode) => {
                packet.extend_from_slice(&word);
                let tag = authenticate(&mode.mac, &packet, &[]);
                packet.extend_from_slice(&tag.as_ref()[..10]);
            }
        }
        let mut changed = packet.clone();
        changed[9] ^= 1;
        assert!(transform.open_rtcp(&mut changed).is_err(), "{suite}");
        assert_eq!(transform.open_rtcp(&mut packet), Ok(plain.len()), "{suite}");
        assert_eq!(&packet[..plain.len()], plain, "{suite}");
    }
}
