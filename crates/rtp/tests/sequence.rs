//! Extended sequence numbers and their map.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use offhook_rtp::sequence::{ExtendedSequence, SeqMap};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn wraps_forwards_and_backwards() {
    let mut sequence = ExtendedSequence::default();
    assert_eq!(sequence.extend(65_534), 0x1_fffe);
    assert_eq!(sequence.extend(1), 0x2_0001);
    assert_eq!(
        sequence.extend(65_535),
        0x1_ffff,
        "late, from before the wrap"
    );
    assert_eq!(sequence.highest(), Some(0x2_0001));
    assert_eq!(sequence.peek(2), 0x2_0002);
    assert_eq!(
        sequence.highest(),
        Some(0x2_0001),
        "peeking changes nothing"
    );
}

#[test]
fn packets_before_the_first_have_a_number() {
    let mut sequence = ExtendedSequence::default();
    assert_eq!(sequence.extend(0), 0x1_0000);
    assert_eq!(sequence.extend(65_535), 0xffff);
}

#[test]
fn a_lost_packet_keeps_its_gap_and_a_removed_one_closes_it() {
    let now = Instant::now();
    let mut map = SeqMap::new(10);
    let low = |map: &mut SeqMap, incoming| map.map(incoming, now).map(|out| out as u16);
    assert_eq!(low(&mut map, 1000), Some(10));
    assert_eq!(low(&mut map, 1002), Some(12), "1001 is lost");
    map.remove(1003, now);
    map.remove(1004, now);
    assert_eq!(low(&mut map, 1005), Some(13));
    assert_eq!(
        low(&mut map, 1001),
        Some(11),
        "late, from before the removal"
    );
    assert_eq!(low(&mut map, 1003), None);
    assert_eq!(low(&mut map, 999), None, "before the first");
}

#[test]
fn the_older_offset_lives_a_second() {
    let start = Instant::now();
    let mut map = SeqMap::new(10);
    map.map(1000, start);
    map.map(1003, start);
    map.remove(1004, start);
    map.map(1005, start);
    assert!(map.map(1001, start + Duration::from_millis(999)).is_some());
    assert_eq!(map.map(1002, start + Duration::from_secs(1)), None);
}

#[test]
fn a_late_removal_leaves_the_gap() {
    let now = Instant::now();
    let mut map = SeqMap::new(0);
    for incoming in [100, 102] {
        map.map(incoming, now);
    }
    map.remove(101, now);
    assert_eq!(map.map(103, now).map(|out| out as u16), Some(3));
}

#[test]
fn another_source_continues_where_the_last_stopped() {
    let now = Instant::now();
    let mut map = SeqMap::new(65_535);
    let low = |map: &mut SeqMap, incoming| map.map(incoming, now).map(|out| out as u16);
    assert_eq!(low(&mut map, 5), Some(65_535));
    assert_eq!(low(&mut map, 9), Some(3));
    map.switch();
    assert_eq!(low(&mut map, 500_000), Some(4));
    assert_eq!(low(&mut map, 499_999), None);
    assert_eq!(map.insert() as u16, 5);
    assert_eq!(low(&mut map, 500_001), Some(6));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A packet so far from the newest, in either direction.
    Map(i64),
    Remove(i64),
    Switch(u32),
    Insert,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (-20..20_i64).prop_map(Step::Map),
        3 => (-5..5_i64).prop_map(Step::Remove),
        1 => any::<u32>().prop_map(Step::Switch),
        1 => Just(Step::Insert),
        1 => (0..1500_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_outgoing_number_is_given_twice(first in 0..0x8000_u16, steps in vec(step(), 1..200)) {
        let mut map = SeqMap::new(first);
        let mut now = Instant::now();
        let (mut source, mut newest) = (0, 1_000_000_u64);
        // Who has each outgoing number: a packet of a source, or one of ours.
        let mut owners: HashMap<u64, Option<(u32, u64)>> = HashMap::new();
        let mut removed = std::collections::HashSet::new();
        for step in steps {
            match step {
                Step::Map(by) => {
                    let incoming = newest.saturating_add_signed(by);
                    newest = newest.max(incoming);
                    if removed.contains(&incoming) {
                        continue;
                    }
                    if let Some(outgoing) = map.map(incoming, now) {
                        let owner = Some((source, incoming));
                        prop_assert_eq!(*owners.entry(outgoing).or_insert(owner), owner);
                    }
                }
                Step::Remove(by) => {
                    let incoming = newest.saturating_add_signed(by);
                    newest = newest.max(incoming);
                    removed.insert(incoming);
                    map.remove(incoming, now);
                }
                Step::Switch(to) => {
                    map.switch();
                    removed.clear();
                    source += 1;
                    newest = 1_000_000 + u64::from(to);
                }
                Step::Insert => {
                    prop_assert!(owners.insert(map.insert(), None).is_none());
                }
                Step::Wait(ms) => now += Duration::from_millis(ms),
            }
        }
    }

    #[test]
    fn extension_follows_any_walk(first: u16, steps in vec(-30_000..30_000_i64, 1..200)) {
        let mut sequence = ExtendedSequence::default();
        let mut highest = 0x1_0000 + i64::from(first);
        prop_assert_eq!(sequence.extend(first) as i64, highest);
        for step in steps {
            let at = highest + step;
            if at < 0 {
                continue;
            }
            prop_assert_eq!(sequence.extend(at as u16) as i64, at);
            highest = highest.max(at);
        }
    }
}

#[test]
fn the_number_behind_an_outgoing_one_is_found_across_removals_and_not_across_switches() {
    let now = Instant::now();
    let mut map = SeqMap::new(65_530);
    assert_eq!(map.source(65_530, now), None, "nothing was sent");
    let sent: Vec<(u16, u64)> = (500..520)
        .map(|incoming| (map.map(incoming, now).unwrap() as u16, incoming))
        .collect();
    map.remove(520, now);
    let after = map.map(521, now).unwrap() as u16;
    for (outgoing, incoming) in sent {
        assert_eq!(map.source(outgoing, now), Some(incoming));
    }
    assert_eq!(map.source(after, now), Some(521));
    map.switch();
    let fresh = map.map(9, now).unwrap() as u16;
    assert_eq!(map.source(fresh, now), Some(9));
    assert_eq!(map.source(after, now), None, "another source's");
}

proptest! {
    /// What was mapped is found again as long as its offset is kept, and never found as another.
    #[test]
    fn source_is_the_inverse_of_map(
        first in any::<u16>(),
        start in 65_536u64..200_000,
        steps in vec((1u64..4, any::<bool>()), 1..200),
    ) {
        let now = Instant::now();
        let mut map = SeqMap::new(first & 0x7fff);
        let mut incoming = start;
        let mut sent = Vec::new();
        let mut removals = 0;
        for (step, removed) in steps {
            incoming += step;
            if removed && !sent.is_empty() {
                map.remove(incoming, now);
                removals += 1;
            } else if let Some(outgoing) = map.map(incoming, now) {
                sent.push((outgoing as u16, incoming));
            }
        }
        for (outgoing, incoming) in sent {
            // Two offsets are kept: that of one removal, and the one before it.
            let found = map.source(outgoing, now);
            prop_assert!(found == Some(incoming) || (found.is_none() && removals > 1));
        }
    }
}
