//! The media engine without I/O.
//!
//! **The contract**: `engine.handle(input, now)`, then `engine.poll_output()` until it returns `Output::Timeout`. The engine
//! has no clock, socket, thread or randomness of its own: `now` carries the time, the generator is passed in. What lives
//! here: legs and all that happens to their packets. What never does: SIP and SDP text, and who talks to whom.
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

mod activity;
mod address;
mod certificate;
mod chime;
pub mod clip;
pub mod command;
mod commands;
mod component;
mod datagram;
mod demux;
mod describe;
pub mod description;
mod digits;
mod dtls;
mod effort;
mod engine;
pub mod event;
mod facts;
mod far;
mod farewell;
#[cfg(feature = "faults")]
mod faults;
pub mod feed;
mod feed_source;
mod floor;
mod frame;
mod history;
mod ice;
mod ids;
mod io;
mod latch;
mod leg;
mod links;
mod members;
mod mix;
mod outbox;
mod pause;
mod player;
mod prompt;
mod quality;
mod receive;
pub mod recording;
mod reports;
mod room;
mod route;
mod sdes;
mod send;
mod speaker;
mod tick;
mod timers;
mod transcode;
mod turns;
mod verdict;
mod video;
mod video_facts;
mod video_line;
mod video_route;
mod voice;

pub use dtls::Identity;
pub use engine::Engine;
pub use far::Linked;
pub use ice::shard_of_ufrag;
pub use io::{
    Input, Now, Output, PACKET_SIZE, Packet, PortPair, Random, ReplyToken, Settings, ShardConfig,
    SocketId, Transmit, WebRtcSocket,
};

const _: () = {
    const fn moves_between_threads<T: Send>() {}
    // A shard's engine is built on one thread and runs on another.
    moves_between_threads::<Engine>();
};
