//! Invariant: whatever packets come, presses begin and end in turn, and none is left once the stream is over.

use std::time::Duration;

use offhook_rtp::event::{Change, EventPayload, EventReceiver};

use crate::bytes::Bytes;

#[allow(clippy::disallowed_methods)]
pub(crate) fn run(data: &[u8]) {
    let mut script = Bytes(data);
    let clock = [8_000, 48_000, 16_000, 1, u32::MAX][usize::from(script.u8() % 5)];
    let mut receiver = EventReceiver::new(clock);
    let (mut now, mut timestamp, mut pressed) = (std::time::Instant::now(), script.u32(), None);
    let mut take = |change: Change| match change {
        Change::Started(event) => {
            assert_eq!(pressed, None, "a press begins in another");
            pressed = Some(event);
        }
        Change::Ended(digit) => assert_eq!(
            pressed.take(),
            Some(digit.event),
            "an end without its beginning"
        ),
    };
    while !script.is_empty() {
        let how = script.u8();
        match how & 3 {
            0 => timestamp = timestamp.wrapping_add(u32::from(script.u16())),
            1 => timestamp = script.u32(),
            2 => now += Duration::from_millis(script.u8().into()),
            _ => {}
        }
        if let Some(payload) = EventPayload::parse(script.take(4)) {
            assert_eq!(EventPayload::parse(&payload.to_bytes()), Some(payload));
            let changes = receiver.packet(timestamp, how & 4 != 0, payload, now);
            changes.into_iter().for_each(&mut take);
        }
        receiver.timeout(now).into_iter().for_each(&mut take);
    }
    receiver.finish().into_iter().for_each(&mut take);
    assert_eq!(pressed, None, "a press without an end");
    assert_eq!(receiver.deadline(), None);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let begin = [7, 5, 10, 0, 160];
    let goes_on = [2, 20, 5, 10, 3, 32];
    let end = [3, 5, 0x8a, 3, 192];
    let next = [0, 10, 0, 6, 10, 0, 160];
    let long = [3, 5, 10, 0xff, 0xff];
    let head = [0, 0xff, 0xff, 0xff, 0];
    vec![
        [&head[..], &begin, &goes_on, &end, &end, &end, &next, &end].concat(),
        [
            &head[..],
            &begin,
            &long,
            &[0, 0xff, 0xff, 5, 10, 0, 160],
            &goes_on,
        ]
        .concat(),
        [&[1, 0, 0, 0, 1][..], &begin, &[2, 255, 5, 10, 0, 1], &next].concat(),
    ]
}
