//! What a leg that passes packets on keeps of the heap (MEDIA.md section 10).
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::webrtc::Peer;
use common::*;
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

fn plain(world: &mut World) {
    let (_, legs) = world.open(vec![port_offer(pcmu())]);
    let mut phone = phone(&legs[0], 0);
    world.complete(phone.leg, port_remote(pcmu(), phone.address));
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
    let octets = kept(plain);
    assert!(
        (1..=MOST / 2).contains(&octets),
        "{octets} octets for a leg"
    );
}
