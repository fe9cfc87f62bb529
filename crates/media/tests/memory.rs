//! What a leg that passes packets on keeps of the heap (MEDIA.md section 10), and that nothing grows (section 13).
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::kinds::{G722, Kind, PCMU};
use common::webrtc::Peer;
use common::*;
use offhook_media::command::Command;
use offhook_media::description::*;
use str0m::format::Codec as Known;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// Counts the octets that are not given back. What AWS-LC allocates by itself is not seen: of a browser's leg four keys
/// of 592 octets each.
struct Counting;

fn count(octets: usize, sign: isize) {
    LIVE.with(|live| live.set(live.get() + sign * octets as isize));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LEGS: usize = 20;
/// Octets of a leg: of 12 KiB, less AWS-LC's keys, with room for what an allocator adds.
const MOST: isize = 7_168;

/// More, where packets refer to those before them: the last of what is passed on.
const HISTORY: isize = 1_536;

/// The octets for each of the legs that `open` makes, once all that is not the engine's is thrown away.
fn kept(mut open: impl FnMut(&mut World)) -> isize {
    let mut world = World::new();
    // Queues and tables grow to their size once.
    open(&mut world);
    forget(&mut world);
    let before = LIVE.get();
    for _ in 0..LEGS {
        open(&mut world);
    }
    forget(&mut world);
    assert_eq!(world.engine.legs(), LEGS + 1);
    (LIVE.get() - before) / LEGS as isize
}

fn forget(world: &mut World) {
    (world.peers, world.sent, world.events) = Default::default();
}

fn browser(world: &mut World) {
    let offer = LegOffer {
        path: PathKind::WebRtc,
        keys: KeyKind::Dtls,
        address: String::new(),
        ..port_offer(pcmu())
    };
    let (_, legs) = world.open(vec![offer]);
    let address = format!("198.51.100.5:{}", 6_000 + world.engine.legs());
    let mut peer = Peer::new(&address, world.instant());
    peer.describe(&legs[0], true);
    world.complete(legs[0].leg, peer.remote(pcmu()));
    world.bridge(legs[0].leg, legs[0].leg);
    world.peers = vec![peer];
    world.advance_ms(1_500);
    assert!(world.peers[0].connected);
    for _ in 0..10 {
        let now = world.instant();
        world.peers[0].speak(Known::PCMU, &voice(7), 160, now);
        world.advance_ms(20);
    }
    let facts = world.facts(legs[0].leg);
    assert_eq!(facts.keys_state, "ready");
    assert!(facts.quality.packets_out > 0, "it is an echo");
}

fn plain(world: &mut World, kind: Kind) {
    let (_, legs) = world.open(vec![port_offer(kind.audio())]);
    let mut phone = phone(&legs[0], 0);
    phone.payload_type = kind.payload_type;
    world.complete(phone.leg, port_remote(kind.audio(), phone.address));
    world.bridge(phone.leg, phone.leg);
    phone.speak_for(world, 200);
    assert!(
        world.facts(phone.leg).quality.packets_out > 0,
        "it is an echo"
    );
}

#[test]
fn a_browser_whose_media_flows_keeps_no_handshake() {
    let octets = kept(browser);
    assert!((1..=MOST).contains(&octets), "{octets} octets for a leg");
}

#[test]
fn a_plain_leg_is_small() {
    let octets = kept(|world| plain(world, PCMU));
    assert!(
        (1..=MOST / 2).contains(&octets),
        "{octets} octets for a leg"
    );
}

#[test]
fn what_is_kept_for_a_change_of_codec_is_small() {
    let without = kept(|world| plain(world, PCMU));
    let with = kept(|world| plain(world, G722));
    assert!(
        (1..=HISTORY).contains(&(with - without)),
        "{without} and {with} octets for a leg"
    );
}

/// Half an hour in rounds of a minute.
const ROUNDS: usize = 30;
/// Rounds after which queues and tables have the size that they need.
const WARM_ROUNDS: usize = 3;
/// Calls of a round; their phones send packets of 60 ms.
const CALLS: u64 = 12;
const PACKET_MS: u64 = 60;
/// Octets that the last rounds may keep more than the first: room in tables for a few that came in another order.
const SLACK: isize = 4_096;

/// A phone that hears a player, itself, or a phone with another codec; and the one that it talks with.
fn come(world: &mut World, number: u64) -> (u64, Phone) {
    let far = if number % 4 == 3 { opus() } else { pcmu() };
    let (call, legs) = world.open(vec![port_offer(pcmu()), port_offer(far.clone())]);
    let (mut near, other) = (phone(&legs[0], 0), phone(&legs[1], 1));
    near.step = 8 * PACKET_MS as u32;
    world.complete(near.leg, port_remote(pcmu(), near.address));
    world.complete(other.leg, port_remote(far, other.address));
    match number % 4 {
        0 => play(world, near.leg, SourceKind::Music),
        1 => play(world, near.leg, SourceKind::Tone),
        2 => world.bridge(near.leg, near.leg),
        _ => world.bridge(near.leg, other.leg),
    }
    (call, near)
}

fn play(world: &mut World, leg: u64, source: SourceKind) {
    world.command(|n| Command::Play {
        n,
        leg,
        source,
        country: "us".to_owned(),
    });
}

/// A minute of calls: one in four is sent elsewhere in its middle, one packet in fifty is lost.
fn minute(world: &mut World, round: usize, resident: &mut Phone) {
    let mut calls: Vec<(u64, Phone)> = (0..CALLS).map(|number| come(world, number)).collect();
    for step in 0..60_000 / PACKET_MS {
        for (number, (_, phone)) in calls.iter_mut().enumerate() {
            let payload = voice(step as u16).repeat(3);
            let packet = phone.packet(&payload);
            if (step as usize + 7 * number + round) % 50 != 0 {
                world.datagram(phone.socket, phone.address, &packet);
            }
            if step == 300 && number % 4 == 2 {
                play(world, phone.leg, SourceKind::Music);
            }
        }
        resident.speak(world);
        world.advance_ms(PACKET_MS);
        forget(world);
    }
    for (call, _) in calls {
        world.command(|n| Command::CloseCall { n, call });
    }
    // Deadlines of legs that are gone ring into the void.
    world.advance_ms(60_000);
    forget(world);
    world.released = Vec::new();
}

#[test]
#[ignore = "half an hour of media, which takes a minute: LONG=1"]
fn half_an_hour_of_calls_keeps_what_the_first_minutes_kept() {
    let mut world = World::new();
    // It stays, so that nothing is ever thrown away because nobody is there.
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let mut resident = phone(&legs[0], 3);
    world.complete(resident.leg, port_remote(pcmu(), resident.address));
    world.bridge(resident.leg, resident.leg);
    let kept: Vec<isize> = (0..ROUNDS)
        .map(|round| {
            minute(&mut world, round, &mut resident);
            LIVE.get()
        })
        .collect();
    assert_eq!(world.engine.legs(), 1);
    let facts = world.facts(resident.leg);
    assert!(facts.quality.packets_out > 0, "it is an echo");
    let most = kept[WARM_ROUNDS..].iter().max().expect("rounds");
    assert!(most - kept[WARM_ROUNDS - 1] <= SLACK, "{kept:?}");
}

/// Packet buffers that may stay after a burst, 128 of 2 KiB, and what queues take of room for 256 packets.
const BURST: isize = 128 * 2_048 + 64 * 1_024;

#[test]
fn a_shard_that_stood_still_gives_back_what_it_needed_to_catch_up() {
    let mut world = World::new();
    let (_, legs) = world.open((0..20).map(|_| port_offer(pcmu())).collect());
    for (index, leg) in legs.iter().enumerate() {
        let phone = phone(leg, index as u8);
        world.complete(phone.leg, port_remote(pcmu(), phone.address));
        play(&mut world, phone.leg, SourceKind::Tone);
    }
    world.advance_ms(1_000);
    forget(&mut world);
    let before = LIVE.get();
    world.advance_coarsely(std::time::Duration::from_millis(190), 50);
    world.advance_ms(1_000);
    // 1: what was due has gone out, though in portions
    let sent = world.rtp_to(phone(&legs[0], 0).address).len();
    assert!(sent >= 50 * 9, "{sent} packets of 10 s");
    forget(&mut world);
    // 2: the buffers of the burst are not kept
    let grown = LIVE.get() - before;
    assert!(grown <= BURST, "{grown} octets more than before");
}
