//! The forward path allocates nothing.
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::kinds::G722;
use common::*;
use offhook_media::{Input, Now, Output, PACKET_SIZE};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_forwarded_packet_allocates_nothing() {
    let mut world = World::new();
    let (_, a, b) = two_phones(&mut world);
    forward(&mut world, a, &b);
}

#[test]
fn a_packet_that_is_kept_for_a_change_of_codec_allocates_nothing() {
    let mut world = World::new();
    let (_, legs) = world.open(vec![port_offer(G722.audio()), port_offer(G722.audio())]);
    let (mut a, b) = (phone(&legs[0], 0), phone(&legs[1], 1));
    a.payload_type = G722.payload_type;
    world.complete(a.leg, port_remote(G722.audio(), a.address));
    world.complete(b.leg, port_remote(G722.audio(), b.address));
    world.bridge(a.leg, b.leg);
    forward(&mut world, a, &b);
}

fn forward(world: &mut World, mut a: Phone, b: &Phone) {
    a.speak_for(world, 200);
    let packets: Vec<Vec<u8>> = (0..1_000u16).map(|i| a.packet(&voice(i))).collect();
    let now = Now {
        instant: world.instant(),
        ntp: world.ntp(),
    };
    let mut buffer = [0u8; PACKET_SIZE];
    let mut forwarded = 0;
    let before = COUNT.get();
    for packet in &packets {
        buffer[..packet.len()].copy_from_slice(packet);
        let len = packet.len();
        world.engine.handle(
            Input::Datagram {
                socket: a.socket,
                source: a.address,
                buffer: &mut buffer,
                len,
            },
            now,
        );
        while let Output::Transmit(transmit) = world.engine.poll_output() {
            assert_eq!(transmit.destination, b.address);
            forwarded += 1;
            world.engine.recycle(transmit.packet);
        }
    }
    let allocated = COUNT.get() - before;
    assert_eq!((forwarded, allocated), (1_000, 0));
}
