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

const COMMANDS: &[&str] = &[
    "OpenCall",
    "OpenLeg",
    "Complete",
    "Update",
    "Bridge",
    "Join",
    "Mute",
    "Gain",
    "Chime",
    "Play",
    "PlayFiles",
    "RecordStart",
    "RecordPause",
    "RecordResume",
    "RecordStop",
    "FeedStart",
    "FeedStop",
    "Stop",
    "Hush",
    "WatchVoice",
    "SendDigits",
    "RequestKeyFrame",
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
    /// Frames before this are taken.
    start: usize,
}

impl Frames {
    /// Takes what was read.
    pub fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next whole frame's body; an error when a frame is too large.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        let waiting = self.buffer.get(self.start..).unwrap_or_default();
        if let Some((head, rest)) = waiting.split_first_chunk::<4>() {
            let size = u32::from_be_bytes(*head) as usize;
            if size > MAX_FRAME {
                return Err(format!("a frame of {size} bytes; at most {MAX_FRAME}"));
            }
            if let Some(body) = rest.get(..size) {
                self.start += 4 + size;
                return Ok(Some(body.to_vec()));
            }
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_however_they_are_cut() {
        let stream = [frame(&3u8), frame(&"four"), frame(&vec![5u8; 300])].concat();
        for cut in 1..stream.len() {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for part in stream.chunks(cut) {
                frames.push(part);
                while let Some(body) = frames.next().expect("small enough") {
                    found.push(body.len());
                }
            }
            assert_eq!(found, [1, 5, 303]);
        }
    }

    #[test]
    fn a_frame_too_large_is_refused_by_its_length() {
        let mut frames = Frames::default();
        frames.push(&(MAX_FRAME as u32 + 1).to_be_bytes());
        assert!(frames.next().unwrap_err().contains("1048577"));
    }

    #[test]
    fn an_unknown_command_is_refused_by_name_and_number() {
        #[derive(Serialize)]
        struct Dance {
            t: &'static str,
            n: u64,
        }
        let body = rmp_serde::to_vec_named(&Dance { t: "Dance", n: 7 }).expect("encodes");
        let Err(Some(refusal)) = command(&body) else {
            panic!("it was taken")
        };
        let Reply::Refused { n, code, text } = *refusal else {
            panic!("it was not refused")
        };
        assert_eq!((n, code.as_str()), (7, "unknown_command"));
        assert!(text.contains("Dance"));
        assert!(matches!(command(b"\xc1 no map"), Err(None)));
    }
}
