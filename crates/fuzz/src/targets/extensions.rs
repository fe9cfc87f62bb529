//! Invariant: elements lie inside their block, what is written is read again, and only mapped ids cross, each under its own.

use offhook_rtp::extension::{
    AudioLevel, Elements, ExtensionWriter, Form, IdMap, parse_mid, replace,
};
use offhook_rtp::header::{Fields, Header};

use crate::bytes::Bytes;

pub(crate) fn run(data: &[u8]) {
    let mut script = Bytes(data);
    let form = if script.u8() & 1 == 0 {
        Form::OneByte
    } else {
        Form::TwoByte
    };
    let mut map = IdMap::default();
    for _ in 0..script.u8() % 20 {
        let (from, to) = (script.u8(), script.u8());
        map.allow(from, to);
    }
    let block = script.0;
    let mut written = ExtensionWriter::new(form);
    let mut kept = Vec::new();
    for element in Elements::new(form, block) {
        assert!(element.data.len() <= block.len());
        let _ = (AudioLevel::parse(element.data), parse_mid(element.data));
        if written.push(element.id, element.data).is_ok() {
            kept.push((element.id, element.data.to_vec()));
        }
    }
    let mut crossed = ExtensionWriter::new(form);
    map.copy(Elements::new(form, block), &mut crossed);
    for out in Elements::new(form, crossed.finish().get(4..).unwrap_or_default()) {
        let source = (0..=255).find(|from| map.get(*from) == Some(out.id));
        let source = source.expect("an id that is mapped");
        let same = |element: offhook_rtp::extension::Element<'_>| {
            (element.id, element.data) == (source, out.data)
        };
        assert!(Elements::new(form, block).any(same), "its data is its own");
    }
    round_trip(form, &kept, &mut written);
}

/// The block in a packet, instead of another one.
fn round_trip(form: Form, kept: &[(u8, Vec<u8>)], written: &mut ExtensionWriter) {
    let fields = Fields {
        marker: false,
        payload_type: 96,
        sequence: 1,
        timestamp: 2,
        ssrc: 3,
    };
    let (head, payload) = (512, [5u8; 20]);
    let mut buffer = vec![0; head + 12 + payload.len()];
    fields.write(&mut buffer[head..]);
    buffer[head + 12..].copy_from_slice(&payload);
    let header = Header::parse(&buffer[head..]).expect("a packet");
    let start = replace(&mut buffer, head, &header, written.finish()).expect("room for any block");
    let packet = &buffer[start..];
    let header = Header::parse(packet).expect("still a packet");
    assert_eq!(header.payload(packet), payload);
    let read: Vec<(u8, Vec<u8>)> = Elements::of(&header, packet)
        .map(|element| (element.id, element.data.to_vec()))
        .collect();
    assert_eq!(read, kept, "{form:?}");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![
        vec![
            0, 2, 1, 4, 3, 1, 0x10, 0xff, 0x31, b'a', b'b', 0, 0x22, 1, 2, 3,
        ],
        vec![1, 1, 200, 9, 200, 3, 1, 2, 3, 0, 0, 7, 0, 255, 1, 9],
        [&[1, 1, 5, 5, 5, 255][..], &[1; 255], &[6, 20], &[2; 20]].concat(),
    ]
}
