//! Invariant: any bytes are refused with a reason, or have a payload inside the packet, and what is written is read again.

use offhook_rtp::header::{FIXED_LEN, Fields, Header, strip_padding};

pub(crate) fn run(data: &[u8]) {
    let sealed = Header::parse_sealed(data);
    let Ok(header) = Header::parse(data) else {
        return;
    };
    // 1: what opens was well formed while it was sealed.
    let sealed = sealed.expect("the same header");
    assert_eq!(sealed.payload_start, header.payload_start);
    // 2: the payload lies inside.
    assert!((FIXED_LEN..=data.len()).contains(&header.payload_start));
    assert!((header.payload_start..=data.len()).contains(&header.payload_end));
    assert_eq!(
        header.payload(data).len(),
        header.payload_end - header.payload_start
    );
    // 3: padding goes, the payload stays.
    let mut packet = data.to_vec();
    let len = strip_padding(&mut packet).expect("it was parsed");
    packet.truncate(len);
    let again = Header::parse(&packet).expect("it was parsed");
    assert!(!again.padded);
    assert_eq!(again.payload(&packet), header.payload(data));
    // 4: fields that are written are read, and nothing else changes.
    let fields = Fields {
        marker: !header.marker,
        payload_type: header.payload_type ^ 0x7f,
        sequence: !header.sequence,
        timestamp: !header.timestamp,
        ssrc: !header.ssrc,
    };
    fields.rewrite(&mut packet).expect("it is long enough");
    let written = Header::parse(&packet).expect("still a packet");
    assert_eq!(
        (
            written.marker,
            written.payload_type,
            written.sequence,
            written.timestamp,
            written.ssrc
        ),
        (
            fields.marker,
            fields.payload_type,
            fields.sequence,
            fields.timestamp,
            fields.ssrc
        )
    );
    assert_eq!(written.payload(&packet), header.payload(data));
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let plain = [
        &[0x80, 0x6f, 0xff, 0xff, 0, 0, 3, 0xc0, 1, 2, 3, 4][..],
        &[9; 40],
    ]
    .concat();
    let mut padded = plain.clone();
    padded[0] |= 0x20;
    *padded.last_mut().expect("bytes") = 4;
    let mut extended = plain.clone();
    extended[0] |= 0x11;
    extended.splice(
        12..12,
        [
            0, 0, 0, 7, 0xbe, 0xde, 0, 2, 0x10, 0xff, 0x21, 1, 2, 0, 0, 0,
        ],
    );
    vec![plain, padded, extended]
}
