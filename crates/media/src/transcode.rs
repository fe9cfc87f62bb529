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
/// Packets of up to 60 ms: three ticks.
const MAX_TICKS_PER_PACKET: usize = 3;
/// Loss from which Opus sends in-band FEC, percent.
const FEC_FROM_PERCENT: u8 = 2;

/// The rate at which sound of our own is made for a codec.
pub(crate) fn played_rate(codec: Codec) -> u32 {
    codec.native_rate().min(PLAYED_RATE)
}

/// Ticks of a packet of so many milliseconds: one, two or three.
pub(crate) fn ptime_ticks(ptime: u32) -> usize {
    usize::try_from(ptime / 20)
        .unwrap_or(1)
        .clamp(1, MAX_TICKS_PER_PACKET)
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
    ticks_per_packet: usize,
    pcm: Vec<i16>,
    payload: [u8; MAX_FRAME_BYTES],
    tone: Option<(u8, Tone)>,
}

impl Encoding {
    /// `ptime`: length of a packet in ms; taken as 20, 40 or 60.
    pub(crate) fn new(codec: Codec, rate: u32, ptime: u32, complexity: u8) -> Option<Self> {
        let options = EncoderOptions {
            complexity,
            ..EncoderOptions::default()
        };
        let ticks_per_packet = ptime_ticks(ptime);
        Some(Self {
            encoder: Encoder::new(codec, rate, options).ok()?,
            ticks_per_packet,
            pcm: Vec::with_capacity(MAX_TICK_SAMPLES * MAX_TICKS_PER_PACKET),
            payload: [0; MAX_FRAME_BYTES],
            tone: None,
        })
    }

    pub(crate) fn fits(&self, codec: Codec, rate: u32) -> bool {
        self.encoder.codec() == codec && self.encoder.input_rate() == rate
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
        self.encoder.codec().ticks_per_ms() * 20 * u32::try_from(self.ticks_per_packet).unwrap_or(1)
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

    /// Takes one tick of sound; gives a packet's payload when one is full.
    pub(crate) fn push(&mut self, tick: &[i16]) -> Option<&[u8]> {
        self.pcm.extend_from_slice(tick);
        if self.pcm.len() < self.tick_samples() * self.ticks_per_packet {
            return None;
        }
        let encoded = self.encoder.encode(&self.pcm, &mut self.payload);
        self.pcm.clear();
        encoded.ok().and_then(|len| self.payload.get(..len))
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
