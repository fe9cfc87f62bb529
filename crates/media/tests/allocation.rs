//! The forward path allocates nothing.
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

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
    let (_, mut a, b) = two_phones(&mut world);
    a.speak_for(&mut world, 200);
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
