//! One track of a feed: packets in, 20 ms of sound out at every tick, through the jitter buffer of a call.

use std::time::Instant;

use offhook_dsp::{Codec, Playout};

struct Stream {
    ssrc: u32,
    playout: Playout,
    /// Sequence number that came last, extended.
    last: u64,
}

/// What is left of a stream that was extended backwards at its beginning.
const HEAD_ROOM: u64 = 1 << 16;

/// One track.
pub struct Track {
    rate: u32,
    stream: Option<Stream>,
}

impl Track {
    /// A track heard at `rate` Hz.
    pub fn new(rate: u32) -> Self {
        Self { rate, stream: None }
    }

    /// Takes a packet that came at `at`.
    pub fn packet(
        &mut self,
        at: Instant,
        codec: Codec,
        ssrc: u32,
        sequence: u16,
        timestamp: u32,
        payload: &[u8],
    ) {
        let fits = |stream: &Stream| stream.playout.codec() == codec;
        if !self.stream.as_ref().is_some_and(fits) {
            let playout = Playout::new(codec, self.rate).ok();
            self.stream = playout.map(|playout| Stream {
                ssrc,
                playout,
                last: HEAD_ROOM + u64::from(sequence),
            });
        }
        let Some(stream) = &mut self.stream else {
            return;
        };
        if stream.ssrc != ssrc {
            stream.playout.reset();
            (stream.ssrc, stream.last) = (ssrc, HEAD_ROOM + u64::from(sequence));
        }
        // Truncation and sign: the distance on the circle of 16 bits.
        let step = i64::from(sequence.wrapping_sub(stream.last as u16) as i16);
        let extended = stream.last.saturating_add_signed(step);
        stream.last = stream.last.max(extended);
        stream.playout.push(extended, timestamp, payload, at);
    }

    /// The next 20 ms; `None` before anything came.
    pub fn pull(&mut self, at: Instant) -> Option<&[i16]> {
        Some(self.stream.as_mut()?.playout.pull(at))
    }
}
