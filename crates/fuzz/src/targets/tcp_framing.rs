//! Invariant: however a stream is cut, it gives the same frames, and no more is kept than one frame and what was read at once.

use offhook_rtp::framing::{Frames, Next, framed};

use crate::bytes::Bytes;

const ROOM: usize = 2_048;
const KEPT: usize = ROOM + 2 + 16 * 1024;

pub(crate) fn run(data: &[u8]) {
    let mut script = Bytes(data);
    let cuts = script.take(8);
    let stream = script.0;
    let (whole, whole_end) = frames(stream, &[]);
    let (cut, cut_end) = frames(stream, cuts);
    assert_eq!(cut_end, whole_end);
    assert_eq!(cut, whole);
    let again: Vec<u8> = whole
        .iter()
        .flat_map(|frame| framed(frame).expect("short"))
        .collect();
    assert!(stream.starts_with(&again));
}

fn frames(stream: &[u8], cuts: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let (mut frames, mut found, mut rest, mut turn) = (Frames::default(), Vec::new(), stream, 0);
    let mut buffer = [0; ROOM];
    while !rest.is_empty() {
        let size = cuts
            .get(turn % cuts.len().max(1))
            .map_or(rest.len(), |cut| usize::from(*cut) + 1);
        turn += 1;
        let (part, after) = rest.split_at(size.min(rest.len()).min(16 * 1024));
        rest = after;
        let read = frames.read(|place| {
            place[..part.len()].copy_from_slice(part);
            Ok(part.len())
        });
        assert_eq!(read.expect("no error"), part.len());
        loop {
            match frames.next(&mut buffer) {
                Next::Frame(len) => found.push(buffer[..len].to_vec()),
                Next::Wait => break,
                Next::TooLarge => return (found, true),
            }
        }
        assert!(frames.len() <= KEPT);
    }
    (found, false)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let cuts = [0, 3, 0, 40, 1, 1, 255, 7];
    let two = [framed(&[1; 30]), framed(&[2; 700]), framed(&[])]
        .map(Option::unwrap_or_default)
        .concat();
    vec![
        [&cuts[..], &two].concat(),
        [&cuts[..], &[0, 4, 1, 2, 3]].concat(),
        [&cuts[..], &[255, 255, 1]].concat(),
    ]
}
