//! Packets as data: RTP, RTCP, SRTP, header extensions, telephone-event.
//!
//! What lives here: parsers, writers and the small machines that need nothing but bytes and the time they are given.
//! What never does: sockets, clocks, threads, randomness, and anything that knows what a call is.
//!
//! Every parser takes bytes of a stranger: it answers with an error or `None`, never with a panic.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod drift;
pub mod event;
pub mod extension;
pub mod framing;
pub mod header;
pub mod keys;
pub mod rtcp;
pub mod sequence;
pub mod srtp;
pub mod statistics;
pub mod suite;
mod transform;
mod window;
mod wire;
