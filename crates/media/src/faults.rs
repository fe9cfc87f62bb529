//! A planted fault, so that tests see what a panic in one call costs the others. No part of a build that is shipped.

#[cfg(not(debug_assertions))]
compile_error!(
    "the planted fault is for builds with debug assertions: leave the feature `faults` out"
);

/// What a payload begins with that makes the engine panic.
const TRIGGER: &[u8] = b"offhook planted fault";

/// The same, when its turn to be heard comes.
const LATE: &[u8] = b"offhook late fault";

/// Whether a payload asks for a panic once it is decoded.
pub(crate) fn lurks(payload: &[u8]) -> bool {
    payload.starts_with(LATE)
}

/// Panics if a payload asked for it.
#[expect(clippy::panic, reason = "it is the point")]
pub(crate) fn burst(planted: bool) {
    if planted {
        panic!("a planted fault");
    }
}

/// Panics at the packet that asks for it.
#[expect(clippy::panic, reason = "it is the point")]
pub(crate) fn spring(payload: &[u8]) {
    if payload.starts_with(TRIGGER) {
        panic!("a planted fault");
    }
}
