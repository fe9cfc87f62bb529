//! The RTP header in place.

use offhook_rtp::header::{self, ExtensionSpan, Fields, Header, HeaderError};
use proptest::collection::vec;
use proptest::prelude::*;

/// Two sources, a one-byte extension of one word, three bytes of payload, padding of two.
fn full() -> Vec<u8> {
    let mut packet = vec![
        0xb2,
        0x80 | 96,
        0x12,
        0x34,
        0,
        0,
        0,
        1,
        0xde,
        0xad,
        0xbe,
        0xef,
    ];
    packet.extend([0; 8]);
    packet.extend([0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
    packet.extend([1, 2, 3, 0, 2]);
    packet
}

#[test]
fn every_part_is_found() {
    let packet = full();
    let header = Header::parse(&packet).unwrap();
    let expected = Header {
        marker: true,
        payload_type: 96,
        sequence: 0x1234,
        timestamp: 1,
        ssrc: 0xdead_beef,
        csrc_count: 2,
        padded: true,
        extension: Some(ExtensionSpan {
            profile: 0xbede,
            start: 24,
            end: 28,
        }),
        payload_start: 28,
        payload_end: 31,
    };
    assert_eq!(header, expected);
    assert_eq!(header.payload(&packet), [1, 2, 3]);
    assert_eq!(header.extension_data(&packet), [0x10, 0xff, 0, 0]);
    // Sealed, the padding count is not readable yet.
    assert_eq!(Header::parse_sealed(&packet).unwrap().payload_end, 33);
}

#[test]
fn stripped_padding_is_gone_from_header_and_length() {
    let mut packet = full();
    let len = header::strip_padding(&mut packet).unwrap();
    packet.truncate(len);
    let header = Header::parse(&packet).unwrap();
    assert!(!header.padded);
    assert_eq!(header.payload(&packet), [1, 2, 3]);
    assert_eq!(
        header::strip_padding(&mut packet),
        Ok(len),
        "a second time changes nothing"
    );
}

#[test]
fn damaged_headers_are_named() {
    let packet = full();
    for len in 0..28 {
        assert_eq!(
            Header::parse_sealed(&packet[..len]),
            Err(HeaderError::TooShort),
            "{len} bytes"
        );
    }
    let mut version = packet.clone();
    version[0] &= 0x7f;
    assert_eq!(Header::parse(&version), Err(HeaderError::Version));
    for count in [0, 6, 255] {
        let mut padding = packet.clone();
        *padding.last_mut().unwrap() = count;
        assert_eq!(
            Header::parse(&padding),
            Err(HeaderError::Padding),
            "count {count}"
        );
        assert_eq!(
            header::strip_padding(&mut padding),
            Err(HeaderError::Padding)
        );
    }
}

proptest! {
    #[test]
    fn written_fields_are_read(
        marker: bool, payload_type in 0..128_u8, sequence: u16, timestamp: u32, ssrc: u32,
    ) {
        let fields = Fields { marker, payload_type, sequence, timestamp, ssrc };
        let mut packet = [0; 12];
        prop_assert_eq!(fields.write(&mut packet), Some(12));
        let header = Header::parse(&packet).unwrap();
        let read = Fields {
            marker: header.marker,
            payload_type: header.payload_type,
            sequence: header.sequence,
            timestamp: header.timestamp,
            ssrc: header.ssrc,
        };
        prop_assert_eq!(read, fields);

        // Rewriting sets the same, and leaves everything else alone.
        let mut whole = full();
        fields.rewrite(&mut whole).unwrap();
        prop_assert_eq!(&whole[1..12], &packet[1..12]);
        prop_assert_eq!(whole[0], full()[0]);
        prop_assert_eq!(&whole[12..], &full()[12..]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut packet in vec(any::<u8>(), 0..80), version: bool) {
        if let (true, Some(first)) = (version, packet.first_mut()) {
            *first = *first & 0x3f | 0x80;
        }
        if let Ok(header) = Header::parse(&packet) {
            prop_assert!(header.payload_end <= packet.len());
            let stripped = header::strip_padding(&mut packet).unwrap();
            prop_assert_eq!(stripped, header.payload_end);
        }
    }
}
