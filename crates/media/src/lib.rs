//! The media engine without I/O.
//!
//! **The contract**: `engine.handle(input, now)`, then `engine.poll_output()` until it returns `Output::Timeout`. The engine
//! has no clock, socket, thread or randomness of its own: `now` carries the time, the generator is passed in. What lives
//! here: legs and all that happens to their packets. What never does: SIP and SDP text, and who talks to whom.
#![forbid(unsafe_code)]

pub mod command;
pub mod description;
mod dtls;
mod engine;
pub mod event;
mod io;

pub use dtls::Identity;
pub use engine::Engine;
pub use io::{
    Input, Now, Output, PACKET_SIZE, Packet, PortPair, Random, ReplyToken, Settings, ShardConfig, SocketId, Transmit,
    WebRtcSocket,
};
