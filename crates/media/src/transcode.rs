//! Sound that we encode: decoded from another leg, played, or a digit in the audio. One tick is 20 ms.

use std::time::Instant;

use offhook_dsp::{Codec, Encoder, EncoderOptions, MAX_FRAME_BYTES, Playout, Tone};

use crate::ids::LegId;
use crate::receive::Incoming;

/// Samples of a tick at the highest rate.
pub(crate) const MAX_TICK_SAMPLES: usize = 960;
/// Ticks of one second.
const TICKS_PER_SECOND: u32 = 50;
/// Opus is fed at this rate by players and digits: speech bandwidth at a third of the cost of 48 kHz.
const PLAYED_RATE: u32 = 16_000;
/// Packets are 10 to 60 ms long.
const SHORTEST_MS: u32 = 10;
const LONGEST_MS: u32 = 60;
/// Ticks whose sound may wait for a packet to be full.
const MAX_TICKS_WAITING: usize = 4;
/// Loss from which Opus sends in-band FEC, percent.
const FEC_FROM_PERCENT: u8 = 2;

/// The rate at which sound of our own is made for a codec.
pub(crate) fn played_rate(codec: Codec) -> u32 {
    codec.native_rate().min(PLAYED_RATE)
}

/// Length of our packets when the peer asks for `ptime`: a multiple of 10 ms from 10 to 60 that the codec allows.
pub(crate) fn packet_ms(codec: Codec, ptime: u32) -> u32 {
    let ms = (ptime / 10 * 10).clamp(SHORTEST_MS, LONGEST_MS);
    match (codec, ms) {
        // RFC 6716 section 2.1.4: Opus frames are 10, 20, 40 or 60 ms.
        (Codec::Opus, 30) => 20,
        (Codec::Opus, 50) => 40,
        _ => ms,
    }
}

/// The decoding half: another leg's packets, as sound.
pub(crate) struct Decoding {
    from: LegId,
    ssrc: Option<u32>,
    playout: Playout,
}

impl Decoding {
    /// `None` when the codec cannot be decoded at that rate: a bug of the tables above it.
    pub(crate) fn new(from: LegId, codec: Codec, rate: u32) -> Option<Self> {
        Some(Self {
            from,
            ssrc: None,
            playout: Playout::new(codec, rate).ok()?,
        })
    }

    pub(crate) fn fits(&self, from: LegId, codec: Codec, rate: u32) -> bool {
        self.from == from && self.playout.codec() == codec && self.playout.output_rate() == rate
    }

    /// Goes on where the decoder before it ended, if that heard the same leg.
    pub(crate) fn follow(&mut self, before: Self) {
        if before.from == self.from && before.ssrc.is_some() {
            self.playout.follow(before.playout);
        }
    }

    pub(crate) fn rate(&self) -> u32 {
        self.playout.output_rate()
    }

    /// Whether a packet ever came: before, nothing is sent.
    pub(crate) fn begun(&self) -> bool {
        self.ssrc.is_some()
    }

    pub(crate) fn push(&mut self, incoming: &Incoming, payload: &[u8], now: Instant) {
        if self.ssrc != Some(incoming.ssrc) || incoming.restarted {
            if self.ssrc.is_some() {
                self.playout.reset();
            }
            self.ssrc = Some(incoming.ssrc);
        }
        self.playout
            .push(incoming.sequence, incoming.timestamp, payload, now);
    }

    /// A packet without sound (event, comfort noise) took this number.
    pub(crate) fn push_gap(&mut self, incoming: &Incoming, now: Instant) {
        if self.ssrc == Some(incoming.ssrc) {
            self.playout.push_gap(incoming.sequence, now);
        }
    }

    /// A packet of comfort noise: its first octet is the level (RFC 3389 section 3).
    pub(crate) fn push_noise(&mut self, incoming: &Incoming, payload: &[u8], now: Instant) {
        match payload.first() {
            Some(level) if self.ssrc == Some(incoming.ssrc) => {
                self.playout
                    .push_noise(incoming.sequence, level & 0x7f, now);
            }
            _ => self.push_gap(incoming, now),
        }
    }

    pub(crate) fn pull(&mut self, now: Instant) -> &[i16] {
        self.playout.pull(now)
    }

    pub(crate) fn counters(&self) -> offhook_dsp::Counters {
        self.playout.counters()
    }
}

/// The encoding half.
pub(crate) struct Encoding {
    encoder: Encoder,
    packet_ms: u32,
    pcm: Vec<i16>,
    payload: [u8; MAX_FRAME_BYTES],
    tone: Option<(u8, Tone)>,
}

impl Encoding {
    /// `ptime`: length of a packet in ms that the peer asks for.
    pub(crate) fn new(codec: Codec, rate: u32, ptime: u32, complexity: u8) -> Option<Self> {
        let options = EncoderOptions {
            complexity,
            ..EncoderOptions::default()
        };
        Some(Self {
            encoder: Encoder::new(codec, rate, options).ok()?,
            packet_ms: packet_ms(codec, ptime),
            pcm: Vec::with_capacity(MAX_TICK_SAMPLES * MAX_TICKS_WAITING),
            payload: [0; MAX_FRAME_BYTES],
            tone: None,
        })
    }

    pub(crate) fn fits(&self, codec: Codec, rate: u32, ptime: u32) -> bool {
        let same = self.encoder.codec() == codec && self.encoder.input_rate() == rate;
        same && self.packet_ms == packet_ms(codec, ptime)
    }

    pub(crate) fn rate(&self) -> u32 {
        self.encoder.input_rate()
    }

    /// Samples of one tick.
    pub(crate) fn tick_samples(&self) -> usize {
        (self.rate() / TICKS_PER_SECOND) as usize
    }

    /// RTP clock units of one packet.
    pub(crate) fn packet_ticks(&self) -> u32 {
        self.encoder.codec().ticks_per_ms() * self.packet_ms
    }

    /// Replaces the tick by the digit's tone.
    pub(crate) fn overlay(&mut self, digit: u8, spec: offhook_dsp::ToneSpec, tick: &mut [i16]) {
        let rate = self.rate();
        if self.tone.as_ref().is_none_or(|(event, _)| *event != digit) {
            self.tone = Some((digit, Tone::new(spec, rate)));
        }
        if let Some((_, tone)) = &mut self.tone {
            tone.fill(tick);
        }
    }

    /// No digit is in the audio now.
    pub(crate) fn end_overlay(&mut self) {
        self.tone = None;
    }

    /// Takes one tick of sound.
    pub(crate) fn push(&mut self, tick: &[i16]) {
        self.pcm.extend_from_slice(tick);
    }

    /// The payload of the next full packet: none, one or two of them in each tick.
    pub(crate) fn packet(&mut self) -> Option<&[u8]> {
        let samples = (self.rate() / 1_000 * self.packet_ms) as usize;
        let frame = self.pcm.get(..samples)?;
        let encoded = self.encoder.encode(frame, &mut self.payload);
        self.pcm.drain(..samples);
        encoded.ok().and_then(|len| self.payload.get(..len))
    }

    /// How hard Opus works from the next packet on, 0 to 10.
    pub(crate) fn set_complexity(&mut self, complexity: u8) {
        // An encoder that refuses keeps its settings.
        let _ = self.encoder.set_complexity(complexity);
    }

    /// What the peer reports to lose, for Opus' forward error correction.
    pub(crate) fn set_loss(&mut self, percent: u8) {
        let percent = if percent > FEC_FROM_PERCENT {
            percent
        } else {
            0
        };
        // An encoder that refuses keeps its settings.
        let _ = self.encoder.set_loss_percent(percent);
    }
}
