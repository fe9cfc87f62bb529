//! Frames of the control socket: a 4-byte big-endian length and one MessagePack map tagged by `t`.
//!
//! The twin of `src/offhook/media/messages.py`; samples under tests/vectors/media-control hold the two together.

use offhook_media::command::Command;
use offhook_media::event::Reply;
use serde::{Deserialize, Serialize};

/// Spoken by both sides; a difference is refused.
pub const VERSION: u32 = 1;
/// Largest frame in bytes.
pub const MAX_FRAME: usize = 1 << 20;

/// First frame of each side.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum Greeting {
    /// The only greeting.
    Hello {
        /// Protocol version.
        version: u32,
        /// The engine's process id; 0 from signalling.
        #[serde(default)]
        pid: u32,
        /// The engine's ports for browsers.
        #[serde(default)]
        webrtc_ports: Vec<u16>,
    },
}

/// As much of any command as a refusal needs.
#[derive(Deserialize)]
struct Outline {
    t: String,
    #[serde(default)]
    n: u64,
}

const COMMANDS: [&str; 13] = [
    "OpenCall",
    "OpenLeg",
    "Complete",
    "Update",
    "Bridge",
    "Play",
    "Stop",
    "SendDigits",
    "Facts",
    "ListLegs",
    "CloseLeg",
    "CloseCall",
    "Exit",
];

/// A frame of `message`, length first.
pub fn frame<T: Serialize>(message: &T) -> Vec<u8> {
    let body = rmp_serde::to_vec_named(message).unwrap_or_default();
    let mut frame = u32::try_from(body.len())
        .unwrap_or(0)
        .to_be_bytes()
        .to_vec();
    frame.extend(body);
    frame
}

/// Decodes a command. The error is the refusal to answer with, `None` if not even its outline can be read.
pub fn command(body: &[u8]) -> Result<Command, Option<Box<Reply>>> {
    rmp_serde::from_slice::<Command>(body).map_err(|error| {
        let outline = rmp_serde::from_slice::<Outline>(body).ok()?;
        let known = COMMANDS.contains(&outline.t.as_str());
        let (code, text) = if known {
            ("bad_description", error.to_string())
        } else {
            ("unknown_command", format!("{} is not a command", outline.t))
        };
        Some(Box::new(Reply::Refused {
            n: outline.n,
            code: code.into(),
            text,
        }))
    })
}

/// Cuts a byte stream into frames.
#[derive(Default)]
pub struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    /// Takes what was read.
    pub fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next whole frame's body; an error when a frame is too large.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        let Some(head) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let size = u32::from_be_bytes(*head) as usize;
        if size > MAX_FRAME {
            return Err(format!("a frame of {size} bytes; at most {MAX_FRAME}"));
        }
        if self.buffer.len() < 4 + size {
            return Ok(None);
        }
        let rest = self.buffer.split_off(4 + size);
        let mut body = std::mem::replace(&mut self.buffer, rest);
        body.drain(..4);
        Ok(Some(body))
    }
}
