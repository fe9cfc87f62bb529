//! Header extensions: what is written is read, what may not cross does not.

use offhook_rtp::extension::{
    AudioLevel, Element, Elements, ExtensionError, ExtensionWriter, Form, IdMap, parse_mid, replace,
};
use offhook_rtp::header::{FIXED_LEN, Fields, Header};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn element(id: u8, data: &[u8]) -> Element<'_> {
    Element { id, data }
}

#[test]
fn one_byte_form_with_padding_and_stop() {
    // RFC 8285 4.2: padding between elements; id 15 ends the parsing.
    let data = [0x10, 0xaa, 0, 0, 0x21, 1, 2, 0, 0xf0, 0xff, 0x30, 0xbb];
    let read: Vec<_> = Elements::new(Form::OneByte, &data).collect();
    assert_eq!(read, [element(1, &[0xaa]), element(2, &[1, 2])]);
}

#[test]
fn two_byte_form_has_empty_elements_and_large_ids() {
    let data = [200, 0, 0, 0, 15, 3, 1, 2, 3];
    let read: Vec<_> = Elements::new(Form::TwoByte, &data).collect();
    assert_eq!(read, [element(200, &[]), element(15, &[1, 2, 3])]);
    assert_eq!(
        Form::of_profile(0x1007),
        Some(Form::TwoByte),
        "appbits do not matter"
    );
    assert_eq!(Form::of_profile(0x2000), None);
}

#[test]
fn an_element_beyond_the_block_ends_it() {
    let read: Vec<_> = Elements::new(Form::OneByte, &[0x10, 9, 0x2f, 1, 2]).collect();
    assert_eq!(read, [element(1, &[9])]);
}

#[test]
fn the_writer_refuses_what_its_form_cannot_hold() {
    let mut writer = ExtensionWriter::new(Form::OneByte);
    for (id, len) in [(0, 1), (15, 1), (1, 0), (1, 17)] {
        assert_eq!(
            writer.push(id, &[0; 17][..len]),
            Err(ExtensionError::Unrepresentable),
            "{id}, {len}"
        );
    }
    assert!(writer.finish().is_empty());
    let mut writer = ExtensionWriter::new(Form::TwoByte);
    assert_eq!(writer.push(0, &[1]), Err(ExtensionError::Unrepresentable));
    assert_eq!(writer.push(1, &[0; 254]), Ok(()));
    assert_eq!(writer.push(2, &[]), Err(ExtensionError::Full));
    assert_eq!(writer.finish().len(), 4 + 256);
}

#[test]
fn only_mapped_ids_cross_and_ids_are_never_shared() {
    let mut map = IdMap::default();
    assert!(map.allow(1, 4));
    assert!(!map.allow(2, 4), "an outgoing id is used once");
    assert!(!map.allow(1, 5), "an incoming id goes one way");
    let data = [0x10, 0x85, 0x20, 0x61, 0x31, 7, 7];
    let mut writer = ExtensionWriter::new(Form::OneByte);
    map.copy(Elements::new(Form::OneByte, &data), &mut writer);
    assert_eq!(writer.finish(), [0xbe, 0xde, 0, 1, 0x40, 0x85, 0, 0]);
}

#[test]
fn audio_level_and_mid() {
    let level = AudioLevel {
        voice: true,
        level: 30,
    };
    assert_eq!(level.to_byte(), 0x9e);
    assert_eq!(
        AudioLevel::parse(&[0x9e, 0]),
        Some(level),
        "two-byte form pads it"
    );
    assert_eq!(AudioLevel::parse(&[]), None);
    assert_eq!(parse_mid(b"audio0"), Some("audio0"));
    assert_eq!(parse_mid(&[0xff]), None);
    assert_eq!(parse_mid(&[]), None);
}

fn elements(form: Form) -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let (ids, lens) = match form {
        Form::OneByte => (1..=14_u8, 1..17),
        Form::TwoByte => (1..=255_u8, 0..20),
    };
    btree_map(ids, vec(any::<u8>(), lens), 0..10).prop_map(|map| map.into_iter().collect())
}

fn any_form() -> impl Strategy<Value = (Form, Vec<(u8, Vec<u8>)>)> {
    prop_oneof![Just(Form::OneByte), Just(Form::TwoByte)]
        .prop_flat_map(|form| elements(form).prop_map(move |list| (form, list)))
}

fn write(form: Form, list: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ExtensionWriter::new(form);
    list.iter()
        .for_each(|(id, data)| writer.push(*id, data).unwrap());
    writer.finish().to_vec()
}

fn read(packet: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let header = Header::parse(packet).unwrap();
    Elements::of(&header, packet)
        .map(|element| (element.id, element.data.to_vec()))
        .collect()
}

const HEAD_ROOM: usize = 320;

fn with_head_room(packet: &[u8]) -> Vec<u8> {
    [&[0xee; HEAD_ROOM], packet].concat()
}

fn packet(block: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; FIXED_LEN];
    let fields = Fields {
        marker: true,
        payload_type: 9,
        sequence: 5,
        timestamp: 6,
        ssrc: 7,
    };
    fields.write(&mut bytes).unwrap();
    bytes[0] |= if block.is_empty() { 0 } else { 0x10 };
    [&bytes, block, payload].concat()
}

proptest! {
    #[test]
    fn parse_of_write_is_identity((form, list) in any_form(), payload in vec(any::<u8>(), 0..40)) {
        let packet = packet(&write(form, &list), &payload);
        prop_assert_eq!(read(&packet), list);
        prop_assert_eq!(Header::parse(&packet).unwrap().payload(&packet), payload);
    }

    #[test]
    fn replacing_keeps_everything_else(
        (old_form, old) in any_form(), (form, new) in any_form(), payload in vec(any::<u8>(), 0..40),
    ) {
        let before = packet(&write(old_form, &old), &payload);
        let mut buffer = with_head_room(&before);
        let header = Header::parse(&before).unwrap();
        let start = replace(&mut buffer, HEAD_ROOM, &header, &write(form, &new)).unwrap();
        prop_assert_eq!(&buffer[start..], packet(&write(form, &new), &payload));
    }

    #[test]
    fn without_head_room_nothing_is_written((form, list) in any_form()) {
        let before = packet(&[], &[1, 2, 3]);
        let mut buffer = before.clone();
        let header = Header::parse(&before).unwrap();
        let block = write(form, &list);
        let replaced = replace(&mut buffer, 0, &header, &block);
        prop_assert_eq!(replaced.is_some(), block.is_empty());
        prop_assert_eq!(buffer, before);
    }

    #[test]
    fn arbitrary_bytes_never_panic(data in vec(any::<u8>(), 0..300), one: bool) {
        let form = if one { Form::OneByte } else { Form::TwoByte };
        let mut writer = ExtensionWriter::new(form);
        for element in Elements::new(form, &data) {
            prop_assert!(element.id != 0);
            let _ = writer.push(element.id, element.data);
            let _ = (AudioLevel::parse(element.data), parse_mid(element.data));
        }
        let _ = writer.finish();
    }
}
