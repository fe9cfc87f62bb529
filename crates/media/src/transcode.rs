//! Sound that we encode: decoded from another leg, played, or a digit in the audio. One tick is 20 ms.

use std::time::{Duration, Instant};

use offhook_dsp::{Codec, Decoder, Encoder, EncoderOptions, MAX_FRAME_BYTES, Playout, Tone};

use crate::ids::LegId;
use crate::pause::{Made, Pauses};
use crate::receive::Incoming;
use crate::voice::{FULL, WIDE};

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
/// Of Opus at 48 kHz, bits a second: the upper end of what full-band speech wants (RFC 7587 section 3.1.1). Players, and
/// what is transcoded, have less bandwidth.
const FULL_BAND_BITS: u32 = 40_000;
/// Loss from which Opus sends in-band FEC, percent.
const FEC_FROM_PERCENT: u8 = 2;

/// How late the second packet may be where the first is played in a hurry. It delays what the peer hears once, by a tick at
/// most beyond it: less than a phone's buffer holds.
const RESERVE: Duration = Duration::from_millis(10);

/// Packets of the peer's own codec are still transcoded for so long after a change to it.
const SETTLING: Duration = Duration::from_millis(100);

/// Packets amid announced silence may be so much louder than it and still be none of speech, dB.
const LOUDER: u8 = 6;
/// So many ticks of them in a row are speech all the same: the longest packet is 60 ms.
const REFRESH_TICKS: u8 = 3;

/// The rate at which sound of our own is made for a codec.
pub(crate) fn played_rate(codec: Codec) -> u32 {
    codec.native_rate().min(PLAYED_RATE)
}

/// At which packets of the peer's own codec are transcoded until they settle, after those of another codec were at `before`.
/// Opus forgets what it refers to when its speech codec changes its bandwidth: it is the usual one from the beginning, and
/// G.722 has but one.
pub(crate) fn settling_rate(codec: Codec, before: u32) -> u32 {
    match codec {
        Codec::Opus => before.max(WIDE),
        _ => before,
    }
}

/// Whether packets of it refer to those before them.
pub(crate) fn keeps_state(codec: Codec) -> bool {
    matches!(codec, Codec::G722 | Codec::Opus)
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
    /// The level of the present silence, -dBov, and the ticks since that told of it without a word.
    hush: Option<(u8, u8)>,
    /// The level of what was sent last, -dBov.
    background: u8,
    /// Not before.
    begins: Option<Instant>,
    /// Since when the packets could be passed on.
    settling: Option<Instant>,
    #[cfg(feature = "faults")]
    planted: bool,
}

impl Decoding {
    /// `None` when the codec cannot be decoded at that rate: a bug of the tables above it.
    pub(crate) fn new(from: LegId, codec: Codec, rate: u32) -> Option<Self> {
        Some(Self {
            from,
            ssrc: None,
            playout: Playout::new(codec, rate).ok()?,
            hush: None,
            background: 127,
            begins: None,
            settling: None,
            #[cfg(feature = "faults")]
            planted: false,
        })
    }

    pub(crate) fn fits(&self, from: LegId, codec: Codec, rate: u32) -> bool {
        self.from == from && self.playout.codec() == codec && self.playout.output_rate() == rate
    }

    /// Goes on where the decoder before it ended, if that heard the same leg.
    pub(crate) fn follow(&mut self, before: Self) {
        if before.from == self.from && before.ssrc.is_some() {
            self.settling = before.settling;
            self.playout.follow(before.playout);
        }
    }

    /// Decodes the packets after those that a decoder heard.
    pub(crate) fn continue_with(&mut self, decoder: Decoder) {
        self.playout.continue_with(decoder);
    }

    /// Begins in the middle of what was passed on until now: `decoder` heard it.
    pub(crate) fn join(&mut self, decoder: Decoder, heard: Vec<i16>) {
        self.playout.join(decoder, heard);
    }

    /// Takes note whether packets could be passed on.
    pub(crate) fn settle(&mut self, passes: bool, now: Instant) {
        self.settling = self.settling.or(Some(now)).filter(|_| passes);
    }

    /// Whether they could for so long that their encoder has come to refer to what ours does, and the peer may change from
    /// one to the other.
    pub(crate) fn settled(&self, now: Instant) -> bool {
        let long = if keeps_state(self.codec()) {
            SETTLING
        } else {
            Duration::ZERO
        };
        self.settling
            .is_some_and(|since| now.saturating_duration_since(since) >= long)
    }

    /// The peer is in the middle of hearing this leg: what comes is played at the first tick that leaves the next packet a
    /// little time to be late.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.playout.hurry();
        self.begins = Some(now + RESERVE);
    }

    /// Whether it is too soon to play: nothing is sent instead, for the peer's buffer has sound for longer than this.
    pub(crate) fn waits(&self, now: Instant) -> bool {
        self.begins.is_some_and(|begins| now < begins)
    }

    /// Whether it decodes packets of this leg, and some came.
    pub(crate) fn hears(&self, from: LegId) -> bool {
        self.from == from && self.begun()
    }

    /// What is still to be played, as whole packets of the encoder whose place the packets take now.
    pub(crate) fn rest(self, encoding: &Encoding) -> Vec<i16> {
        let (packet, delay) = (encoding.packet_samples(), encoding.encoder.delay());
        self.playout
            .rest_in_frames(packet, encoding.pcm.len(), delay)
    }

    pub(crate) fn rate(&self) -> u32 {
        self.playout.output_rate()
    }

    pub(crate) fn codec(&self) -> Codec {
        self.playout.codec()
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
        #[cfg(feature = "faults")]
        {
            self.planted |= crate::faults::lurks(payload);
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
        #[cfg(feature = "faults")]
        crate::faults::burst(self.planted);
        self.playout.pull(now)
    }

    /// The level of the silence that the last tick was, -dBov; `None`: somebody spoke.
    ///
    /// Opus sends a packet now and then of what its silence sounds like (RFC 6716 section 2.1.9): that is no word.
    pub(crate) fn silence(&mut self) -> Option<u8> {
        let (level, background) = (self.playout.level(), self.background);
        let silent = self.playout.silent();
        if !silent {
            self.background = level;
        }
        self.hush = match self.hush {
            _ if silent => {
                // What a decoder makes up is the end of a word at first; Opus has sent its background before it rests.
                let opus = self.playout.codec() == Codec::Opus;
                let heard = if opus {
                    background
                } else {
                    background.max(level)
                };
                Some((self.playout.noise().unwrap_or(heard), 0))
            }
            Some((before, ticks))
                if ticks < REFRESH_TICKS && level + LOUDER >= before.min(background) =>
            {
                Some((before, ticks + 1))
            }
            _ => None,
        };
        self.hush.map(|(level, _)| level)
    }

    /// Whose packets it decodes, and what it has counted of them.
    pub(crate) fn played(&self) -> (LegId, offhook_dsp::Counters) {
        (self.from, self.counters())
    }

    pub(crate) fn counters(&self) -> offhook_dsp::Counters {
        self.playout.counters()
    }
}

/// What a listener wants to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) codec: Codec,
    /// Length of a packet.
    pub(crate) ms: u32,
    /// Silence may be left unsent: comfort noise is agreed, or the peer asks for DTX.
    pub(crate) pauses: bool,
}

/// The encoding half.
pub(crate) struct Encoding {
    encoder: Encoder,
    complexity: u8,
    packet_ms: u32,
    pauses: Option<Pauses>,
    /// A packet of Opus without sound: the first byte of the last one that had some.
    no_sound: [u8; 1],
    pcm: Vec<i16>,
    payload: [u8; MAX_FRAME_BYTES],
    tone: Option<(u8, Tone)>,
}

impl Encoding {
    /// An encoder of sound at `rate`.
    pub(crate) fn new(wish: Wish, rate: u32, complexity: u8) -> Option<Self> {
        let options = EncoderOptions {
            bitrate: (rate == FULL).then_some(FULL_BAND_BITS),
            complexity,
            dtx: wish.pauses,
            ..EncoderOptions::default()
        };
        Some(Self {
            encoder: Encoder::new(wish.codec, rate, options).ok()?,
            complexity,
            packet_ms: wish.ms,
            pauses: wish.pauses.then(Pauses::default),
            no_sound: [0],
            pcm: Vec::with_capacity(MAX_TICK_SAMPLES * MAX_TICKS_WAITING),
            payload: [0; MAX_FRAME_BYTES],
            tone: None,
        })
    }

    /// Others will go on from here.
    pub(crate) fn shared(mut self) -> Self {
        self.set_loss(0.0);
        self
    }

    /// Goes on where one is of the same codec and rate.
    pub(crate) fn take_over(&mut self, before: &Self) {
        // Of another rate is none.
        let _ = self.encoder.follow(&before.encoder);
        self.pcm.clone_from(&before.pcm);
    }

    /// Goes on where one is that makes the same of the same sound: whoever hears it notices nothing.
    pub(crate) fn follow(&mut self, shared: &Self) {
        self.take_over(shared);
        (self.pauses, self.no_sound) = (shared.pauses, shared.no_sound);
    }

    pub(crate) fn fits(&self, wish: Wish, rate: u32) -> bool {
        self.wish() == wish && self.rate() == rate
    }

    /// Begins in the middle of what the peer hears.
    pub(crate) fn join(&mut self, decoding: &mut Decoding) {
        let lead = decoding.playout.lead(self.encoder.delay());
        // An encoder that refuses begins with silence.
        let _ = self.encoder.lead_in(&lead);
    }

    /// Goes on where the peer's decoder is.
    pub(crate) fn resume(&mut self, decoder: &Decoder) {
        self.encoder.resume(decoder);
    }

    pub(crate) fn wish(&self) -> Wish {
        Wish {
            codec: self.encoder.codec(),
            ms: self.packet_ms,
            pauses: self.pauses.is_some(),
        }
    }

    pub(crate) fn rate(&self) -> u32 {
        self.encoder.input_rate()
    }

    /// How hard Opus works, 0 to 10; nothing of other codecs.
    pub(crate) fn complexity(&self) -> Option<u8> {
        (self.encoder.codec() == Codec::Opus).then_some(self.complexity)
    }

    /// Samples of one tick.
    pub(crate) fn tick_samples(&self) -> usize {
        (self.rate() / TICKS_PER_SECOND) as usize
    }

    /// Samples of one packet.
    fn packet_samples(&self) -> usize {
        (self.rate() / 1_000 * self.packet_ms) as usize
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

    /// Takes one tick of sound; `silence`: it is noise of that level, -dBov, in which nobody speaks.
    pub(crate) fn push(&mut self, tick: &[i16], silence: Option<u8>) {
        self.pcm.extend_from_slice(tick);
        if let Some(pauses) = &mut self.pauses {
            pauses.tick(silence);
        }
    }

    /// What comes of the next full packet: none, one or two of them in each tick.
    pub(crate) fn packet(&mut self) -> Option<Made<'_>> {
        let samples = self.packet_samples();
        let frame = self.pcm.get(..samples)?;
        let opus = self.encoder.codec() == Codec::Opus;
        let instead = self.pauses.as_mut().and_then(|pauses| {
            let made = pauses.instead(self.packet_ms)?;
            Some((made, opus && made == Made::Pause && pauses.begins()))
        });
        match instead {
            // RFC 6716 section 3.4: a frame of no bytes announces the pause.
            Some((_, true)) => {
                self.pcm.drain(..samples);
                return Some(Made::Sound(&self.no_sound));
            }
            // Opus describes its silence by a packet of it.
            Some((Made::Noise(_), _)) if opus => {}
            Some((made, _)) => {
                self.pcm.drain(..samples);
                return Some(made);
            }
            None => {}
        }
        let encoded = self.encoder.encode(frame, &mut self.payload);
        self.pcm.drain(..samples);
        let payload = encoded.ok().and_then(|len| self.payload.get(..len))?;
        let dtx = self.pauses.as_mut().filter(|_| opus);
        if dtx.is_some_and(|pauses| pauses.left_out(payload)) {
            return Some(Made::Pause);
        }
        // The lowest two bits count frames: one.
        self.no_sound = [payload.first().copied().unwrap_or_default() & !3];
        Some(Made::Sound(payload))
    }

    /// How hard Opus works from the next packet on, 0 to 10.
    pub(crate) fn set_complexity(&mut self, complexity: u8) {
        // An encoder that refuses keeps its settings.
        if self.encoder.set_complexity(complexity).is_ok() {
            self.complexity = complexity;
        }
    }

    /// What the peer reports to lose, for Opus' forward error correction.
    pub(crate) fn set_loss(&mut self, percent: f64) {
        // At most 100.
        let percent = match percent as u8 {
            percent if percent > FEC_FROM_PERCENT => percent,
            _ => 0,
        };
        // An encoder that refuses keeps its settings.
        let _ = self.encoder.set_loss_percent(percent);
    }
}
