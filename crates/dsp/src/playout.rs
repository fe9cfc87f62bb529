//! One decoding stream: jitter buffer, decoder, concealment and stretching behind `push` and `pull`.
//!
//! `push` takes packets as they arrive, `pull` yields exactly 20 ms of PCM, whatever the packets' length, loss or clock drift.

use std::time::Instant;

use crate::codec::{Codec, Decoder};
use crate::conceal::Concealer;
use crate::error::CodecError;
use crate::jitter::{Counters, Decision, JitterBuffer, MAX_PACKET_MS, Pushed};
use crate::level::rms_dbov;
use crate::stretch;

/// Length of a pulled frame, milliseconds.
pub const FRAME_MS: u32 = 20;

/// Comfort noise louder than this, -dBov, is none: a sender gone wrong must not hurt an ear.
const LOUDEST_NOISE: u8 = 30;

/// A decoding stream: one per SSRC that is decoded.
pub struct Playout {
    jitter: JitterBuffer,
    decoder: Decoder,
    concealer: Concealer,
    /// Decoded and not yet pulled.
    pcm: Vec<i16>,
    frame: Vec<i16>,
    scratch: Vec<i16>,
    last: Decision,
    /// State of the noise.
    dice: u32,
}

impl Playout {
    /// A stream of `codec`, heard at `output_rate` (8, 16, 24 or 48 kHz).
    ///
    /// # Errors
    /// [`CodecError::UnsupportedRate`], [`CodecError::Opus`].
    pub fn new(codec: Codec, output_rate: u32) -> Result<Self, CodecError> {
        Ok(Self {
            jitter: JitterBuffer::new(codec),
            decoder: Decoder::new(codec, output_rate)?,
            concealer: Concealer::new(output_rate),
            pcm: Vec::new(),
            frame: vec![0; (output_rate / 1_000 * FRAME_MS) as usize],
            scratch: vec![0; (output_rate / 1_000 * MAX_PACKET_MS) as usize],
            last: Decision::Dtx { ticks: 0 },
            dice: 0x9e37_79b9,
        })
    }

    /// Takes a packet: extended sequence number, RTP time stamp, payload (copied), arrival.
    pub fn push(&mut self, sequence: u64, timestamp: u32, payload: &[u8], now: Instant) -> Pushed {
        self.jitter.push(sequence, timestamp, payload, now)
    }

    /// Takes the sequence number of a packet that carries nothing to decode (telephone-event, comfort noise): not loss.
    pub fn push_gap(&mut self, sequence: u64, now: Instant) -> Pushed {
        self.jitter.push_gap(sequence, None, now)
    }

    /// Takes a packet of comfort noise (RFC 3389): the silence from here on is noise of that level, -dBov.
    pub fn push_noise(&mut self, sequence: u64, level: u8, now: Instant) -> Pushed {
        self.jitter.push_gap(sequence, Some(level), now)
    }

    /// The next 20 ms. Call it every 20 ms of absolute time; before the first packet is due it is silence.
    pub fn pull(&mut self, now: Instant) -> &[i16] {
        let length = self.frame.len();
        while self.pcm.len() < length {
            self.last = self.jitter.tick(now);
            self.perform(self.last, now);
        }
        self.frame.copy_from_slice(&self.pcm[..length]);
        self.pcm.drain(..length);
        &self.frame
    }

    /// Whether the last 20 ms were silence that the sender announced, by comfort noise or by leaving its time out.
    #[must_use]
    pub fn silent(&self) -> bool {
        let left_out = matches!(self.last, Decision::Dtx { .. }) && self.jitter.begun();
        self.jitter.quiet() || left_out
    }

    /// How loud the present silence is by the comfort noise that announced it, -dBov.
    #[must_use]
    pub fn noise(&self) -> Option<u8> {
        self.jitter.noise().filter(|_| self.silent())
    }

    /// How loud the last 20 ms were, -dBov.
    #[must_use]
    pub fn level(&self) -> u8 {
        // The level is 0 to -127: it fits, and its fraction does not matter.
        (-rms_dbov(&self.frame)).clamp(0.0, 127.0) as u8
    }

    /// The counters; `buffer_ms` includes what is decoded and not yet pulled.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.jitter.counters();
        counters.buffer_ms += self.pcm.len() as u32 * 1_000 / self.output_rate();
        counters
    }

    /// The codec.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.decoder.codec()
    }

    /// Rate of the pulled PCM, Hz.
    #[must_use]
    pub fn output_rate(&self) -> u32 {
        self.decoder.output_rate()
    }

    /// Starts over with the next packet (new SSRC or source); counters and the learnt delay stay.
    pub fn reset(&mut self) {
        self.jitter.reset();
        self.decoder.reset();
        self.concealer.reset();
        self.pcm.clear();
    }

    /// Goes on where another stream of the same sender ended, as after a change of codec: what that one had still to play is
    /// played first, and bridges the wait for the first packets of this one.
    pub fn follow(&mut self, before: Self) {
        let (from, to) = (before.output_rate(), self.output_rate());
        let Ok(mut rest) = crate::resample::convert(&before.rest(), from, to) else {
            return;
        };
        self.concealer.real(&mut rest);
        self.pcm = rest;
        self.jitter.hurry();
    }

    /// Plays the first packet as soon as it is asked for: somebody hears this sender already, by another way.
    pub fn hurry(&mut self) {
        self.jitter.hurry();
    }

    /// All that is still to be played, whether it is due or not.
    #[must_use]
    pub fn rest(mut self) -> Vec<i16> {
        while self.jitter.take() {
            self.decode();
        }
        self.pcm
    }

    fn perform(&mut self, decision: Decision, now: Instant) {
        match decision {
            Decision::Normal => self.decode(),
            Decision::Accelerate | Decision::Expand => {
                self.decode();
                self.stretch(decision == Decision::Accelerate, now);
            }
            Decision::Fec { ticks } => self.rebuild(ticks),
            Decision::Conceal { ticks } => self.conceal(ticks),
            Decision::Dtx { ticks } => {
                self.conceal(ticks);
                self.whisper(ticks);
            }
        }
    }

    fn decode(&mut self) {
        match self
            .decoder
            .decode(self.jitter.payload(), &mut self.scratch)
        {
            Ok(length) if length > 0 => {
                self.concealer.real(&mut self.scratch[..length]);
                self.pcm.extend_from_slice(&self.scratch[..length]);
            }
            // The peer sent what its codec does not allow; its length was plausible.
            _ => {
                let ticks = self.codec().payload_ticks(self.jitter.payload());
                self.conceal(ticks.unwrap_or(FRAME_MS * self.codec().ticks_per_ms()));
            }
        }
    }

    fn stretch(&mut self, shorter: bool, now: Instant) {
        let rate = self.output_rate();
        let moved = if shorter {
            stretch::accelerate(&mut self.pcm, rate)
        } else {
            stretch::expand(&mut self.pcm, rate)
        };
        if moved > 0 {
            self.jitter
                .stretched(shorter, moved as i64 * 1_000_000 / i64::from(rate), now);
        }
    }

    fn rebuild(&mut self, ticks: u32) {
        let length = self.samples(ticks);
        if self
            .decoder
            .decode_fec(self.jitter.payload(), &mut self.scratch[..length])
        {
            self.pcm.extend_from_slice(&self.scratch[..length]);
        } else {
            self.conceal(ticks);
        }
    }

    fn conceal(&mut self, ticks: u32) {
        let length = self.samples(ticks);
        let out = &mut self.scratch[..length];
        if !self.decoder.conceal(out) {
            self.concealer.conceal(out);
        }
        self.pcm.extend_from_slice(&self.scratch[..length]);
    }

    /// Adds the noise that the sender described to the silence just written.
    fn whisper(&mut self, ticks: u32) {
        let Some(level) = self.jitter.noise() else {
            return;
        };
        let length = self.samples(ticks);
        let level = f32::from(level.max(LOUDEST_NOISE));
        // Uniform noise has the third of the power of its peak.
        let peak = 32_768.0 * 10f32.powf(-level / 20.0) * 3f32.sqrt();
        let start = self.pcm.len() - length;
        for sample in &mut self.pcm[start..] {
            self.dice ^= self.dice << 13;
            self.dice ^= self.dice >> 17;
            self.dice ^= self.dice << 5;
            let noise = peak * (self.dice as i32 as f32 / 2_147_483_648.0);
            *sample = sample.saturating_add(noise as i16);
        }
    }

    fn samples(&self, ticks: u32) -> usize {
        let samples =
            u64::from(ticks) * u64::from(self.output_rate()) / u64::from(self.codec().rtp_clock());
        (samples as usize).clamp(1, self.scratch.len())
    }
}
