//! One decoding stream: jitter buffer, decoder, concealment and stretching behind `push` and `pull`.
//!
//! `push` takes packets as they arrive, `pull` yields exactly 20 ms of PCM, whatever the packets' length, loss or clock drift.

use std::time::Instant;

use crate::codec::{Codec, Decoder, Encoder, EncoderOptions};
use crate::conceal::Concealer;
use crate::error::CodecError;
use crate::jitter::{Counters, Decision, JitterBuffer, MAX_PACKET_MS, Pushed};
use crate::level::rms_dbov;
use crate::pitch::{self, blend};
use crate::resample::{TAPS, convert};
use crate::stretch;

/// Length of a pulled frame, milliseconds.
pub const FRAME_MS: u32 = 20;

/// Comfort noise louder than this, -dBov, is none: a sender gone wrong must not hurt an ear.
const LOUDEST_NOISE: u8 = 30;

/// Sound that is left out is faded over so long, microseconds.
const JOINT_US: usize = 5_000;
/// So much quieter than what follows is the beginning that an encoder makes of no sound.
const NOTHING_DB: f32 = 12.0;

/// A decoding stream: one per SSRC that is decoded.
pub struct Playout {
    jitter: JitterBuffer,
    decoder: Decoder,
    concealer: Concealer,
    /// Codes what conceals, for a decoder that must have heard it; none while the sound is real.
    made_up: Option<Encoder>,
    /// Decoded and not yet pulled.
    pcm: Vec<i16>,
    frame: Vec<i16>,
    scratch: Vec<i16>,
    last: Decision,
    /// State of the noise.
    dice: u32,
    /// What was heard last is another stream's: this one has nothing to go on from.
    elsewhere: bool,
    /// Samples of its beginning that may be left out, should its encoder have had no sound for them.
    start: usize,
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
            made_up: None,
            pcm: Vec::new(),
            frame: vec![0; (output_rate / 1_000 * FRAME_MS) as usize],
            scratch: vec![0; (output_rate / 1_000 * MAX_PACKET_MS) as usize],
            last: Decision::Dtx { ticks: 0 },
            dice: 0x9e37_79b9,
            elsewhere: false,
            start: 0,
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
        self.made_up = None;
        self.pcm.clear();
    }

    /// Goes on where another stream of the same sender ended, as after a change of codec: what that one had still to play is
    /// played first, and bridges the wait for the first packets of this one.
    pub fn follow(&mut self, before: Self) {
        let from = before.output_rate();
        let later = before.pcm.len();
        let mut sound = before.concealer.heard(later).to_vec();
        let heard = sound.len();
        sound.extend(before.rest());
        let Some((mut sound, heard)) = self.converted(sound, heard, from) else {
            return;
        };
        self.concealer.real(&mut sound);
        let rest = sound.split_off(heard);
        self.elsewhere = true;
        let (codec, rate) = (self.codec(), self.output_rate());
        // Without what is left the first frame would have to wait for a second packet.
        let start = codec.delay(rate) + codec.resampling_delay(rate);
        self.start = if rest.len() >= start { start } else { 0 };
        self.pcm = rest;
        self.jitter.hurry();
    }

    /// Sound of another rate, of which the first `heard` samples are over, at this one's; and how many those are then.
    fn converted(&self, mut sound: Vec<i16>, heard: usize, from: u32) -> Option<(Vec<i16>, usize)> {
        let to = self.output_rate();
        if from == to {
            return Some((sound, heard));
        }
        // The resampler is late by half its filter: it is given as much beyond the end, and begins so much too early.
        let late = |rate: u32| TAPS / 2 * rate as usize / from.min(to) as usize;
        let mut beyond = vec![0; late(from)];
        let mut concealer = Concealer::new(from);
        concealer.real(&mut sound);
        concealer.conceal(&mut beyond);
        sound.extend(beyond);
        let mut sound = convert(&sound, from, to).ok()?;
        sound.drain(..late(to).min(sound.len()));
        let heard = heard * to as usize / from as usize;
        let heard = heard.min(sound.len());
        Some((sound, heard))
    }

    /// Begins in the middle of what is heard already, by another way: `decoder` heard its packets, which were `heard`. Those
    /// of another codec end here.
    pub fn join(&mut self, decoder: Decoder, mut heard: Vec<i16>) {
        self.elsewhere = decoder.codec() != self.codec();
        self.concealer.real(&mut heard);
        if !self.elsewhere {
            self.continue_with(decoder);
        }
    }

    /// Goes on with a decoder that heard what came before.
    pub fn continue_with(&mut self, decoder: Decoder) {
        (self.decoder, self.elsewhere, self.start) = (decoder, false, 0);
    }

    /// Sound for an encoder that begins now and delays `delay` samples: what was heard last, and how it goes on for so long.
    /// Nothing: there was none.
    ///
    /// The stream itself goes on after that. To fit, what goes before it is whole periods: what those are longer than the delay
    /// is played first.
    pub fn lead(&mut self, delay: usize) -> Vec<i16> {
        let mut lead = self.concealer.heard(self.pcm.len()).to_vec();
        if lead.is_empty() || delay == 0 {
            return Vec::new();
        }
        let mut beside = Concealer::new(self.output_rate());
        beside.real(&mut lead);
        let length = if self.elsewhere {
            delay
        } else {
            beside.whole_periods(delay)
        };
        let mut bridge = vec![0; length];
        beside.conceal(&mut bridge);
        if self.pcm.is_empty() {
            self.concealer = beside;
        } else {
            beside.real(&mut self.pcm);
        }
        lead.extend_from_slice(&bridge[..delay]);
        self.pcm.splice(0..0, bridge.drain(delay..));
        lead
    }

    /// Plays the first packet as soon as it is asked for: somebody hears this sender already, by another way.
    pub fn hurry(&mut self) {
        self.jitter.hurry();
    }

    /// All that is still to be played, whether it is due or not.
    #[must_use]
    pub fn rest(mut self) -> Vec<i16> {
        self.take_rest();
        self.pcm
    }

    /// The same, made to end with a whole frame of an encoder that has `waiting` samples of one and delays `delay`: the last
    /// of those frames says all of it, so that the stream itself can follow. What is too long for that is left out in the
    /// beginning, at most a frame.
    #[must_use]
    pub fn rest_in_frames(mut self, frame: usize, waiting: usize, delay: usize) -> Vec<i16> {
        self.take_rest();
        let too_long = (waiting + self.pcm.len() + delay) % frame;
        let Some(kept) = self.pcm.len().checked_sub(too_long) else {
            return self.pcm;
        };
        let joint = kept.min(pitch::samples(self.output_rate(), JOINT_US));
        for i in 0..joint {
            let share = i as f32 / joint as f32;
            self.pcm[i] = blend(self.pcm[i], self.pcm[i + too_long], share);
        }
        self.pcm.drain(joint..joint + too_long);
        let mut beyond = vec![0; delay];
        self.concealer.conceal(&mut beyond);
        self.pcm.extend(beyond);
        self.pcm
    }

    fn take_rest(&mut self) {
        while self.jitter.take() {
            self.decode();
        }
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
                (self.elsewhere, self.made_up) = (false, None);
                let start = std::mem::take(&mut self.start);
                let nothing = begins_with_nothing(&self.scratch[..length], start);
                let pcm = &mut self.scratch[if nothing { start } else { 0 }..length];
                self.concealer.real(pcm);
                self.pcm.extend_from_slice(pcm);
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
        if !self.decoder.conceal(&mut self.scratch[..length]) {
            if self.codec() == Codec::G722 && self.made_up.is_none() {
                self.made_up = self.encoder_of_what_is_made_up();
            }
            self.concealer.conceal(&mut self.scratch[..length]);
            self.hear_what_was_made_up(length);
        }
        self.pcm.extend_from_slice(&self.scratch[..length]);
    }

    /// A decoder of G.722 that was not fed for a packet refers to another moment than the next one: it is fed with what takes
    /// the lost packet's place. The encoder begins where it is.
    fn encoder_of_what_is_made_up(&self) -> Option<Encoder> {
        let rate = self.output_rate();
        let mut encoder = Encoder::new(self.codec(), rate, EncoderOptions::default()).ok()?;
        let mut lead = self.concealer.heard(0).to_vec();
        lead.extend(self.concealer.ahead(encoder.delay()));
        encoder.lead_in(&lead).ok()?;
        encoder.resume(&self.decoder);
        Some(encoder)
    }

    fn hear_what_was_made_up(&mut self, length: usize) {
        let Some(encoder) = &mut self.made_up else {
            return;
        };
        // It is ahead by its delay: so much of this was told it before.
        let delay = encoder.delay();
        let mut sound = self.scratch[..length].to_vec();
        sound.extend(self.concealer.ahead(delay));
        let mut codes = vec![0; sound.len()];
        let coded = encoder.encode(&sound[delay.min(length)..], &mut codes);
        let Ok(size) = coded else { return };
        // Nobody hears it twice.
        let mut unheard = vec![0; 2 * sound.len()];
        let _ = self.decoder.decode(&codes[..size], &mut unheard);
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

/// Whether the first `start` samples are next to nothing beside as many after them: an encoder that began with these had no
/// sound before.
fn begins_with_nothing(pcm: &[i16], start: usize) -> bool {
    match (pcm.get(..start), pcm.get(start..2 * start)) {
        (Some(first), Some(second)) if start > 0 => rms_dbov(first) + NOTHING_DB < rms_dbov(second),
        _ => false,
    }
}
