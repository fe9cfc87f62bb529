//! The four audio codecs behind one encoder and one decoder, each at the rate the other side wants.
//!
//! Opus runs at that rate itself; G.711 (8 kHz) and G.722 (16 kHz) are resampled when it is not theirs. No enum arm knows RTP.

use crate::error::CodecError;
use crate::resample::{Resampler, TAPS};
use crate::{g711, g722, opus};

/// Samples of the longest packet (120 ms) at the highest rate (48 kHz): what an output slice must hold.
pub const MAX_SAMPLES: usize = 5_760;
/// Bytes an encoded 20 ms frame may take: what an output slice of [`Encoder::encode`] should hold.
pub const MAX_FRAME_BYTES: usize = 1_275;

/// An audio codec that can be transcoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
    /// G.722 at 64 kbit/s, static payload type 9.
    G722,
    /// Opus, a dynamic payload type.
    Opus,
}

impl Codec {
    /// The codec of an SDP encoding name (any case).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pcmu, Self::Pcma, Self::G722, Self::Opus]
            .into_iter()
            .find(|codec| name.eq_ignore_ascii_case(codec.name()))
    }

    /// The encoding name in SDP.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// RTP clock, Hz. G.722 says 8 000 by a historic error that stays (RFC 3551 4.5.2); Opus is always 48 000 (RFC 7587).
    #[must_use]
    pub fn rtp_clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::Opus => opus::CLOCK,
        }
    }

    /// The codec's own sampling rate, Hz. Opus has many; this is its full band.
    #[must_use]
    pub fn native_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::G722 => 16_000,
            Self::Opus => 48_000,
        }
    }

    /// RTP clock ticks per millisecond.
    #[must_use]
    pub fn ticks_per_ms(self) -> u32 {
        self.rtp_clock() / 1_000
    }

    /// The rate at which a transcode between these two runs: the lower native rate, so Opus follows the other side.
    #[must_use]
    pub fn common_rate(self, other: Self) -> u32 {
        self.native_rate().min(other.native_rate())
    }

    /// Samples at `rate` by which its encoder and decoder make sound later.
    pub(crate) fn delay(self, rate: u32) -> usize {
        match self {
            Self::Pcmu | Self::Pcma => 0,
            Self::G722 => g722::DELAY * rate as usize / self.native_rate() as usize,
            Self::Opus => opus::delay(rate),
        }
    }

    /// Samples at `rate` by which sound is later at its native rate, or the other way round.
    pub(crate) fn resampling_delay(self, rate: u32) -> usize {
        let own = self.native_rate();
        if self == Self::Opus || rate == own {
            return 0;
        }
        // Half of the filter.
        TAPS / 2 * rate as usize / rate.min(own) as usize
    }

    /// RTP clock ticks of sound in a payload; `None` when it is malformed.
    #[must_use]
    pub fn payload_ticks(self, payload: &[u8]) -> Option<u32> {
        match self {
            // One byte is one tick: a sample of G.711, two samples of G.722 on its halved clock.
            Self::Pcmu | Self::Pcma | Self::G722 => {
                u32::try_from(payload.len()).ok().filter(|ticks| *ticks > 0)
            }
            Self::Opus => opus::packet_ticks(payload),
        }
    }

    /// Whether the payload itself announces that nothing was said.
    #[must_use]
    pub fn is_silence_hint(self, payload: &[u8]) -> bool {
        self == Self::Opus && opus::is_dtx(payload)
    }
}

/// Encoder settings; only Opus uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderOptions {
    /// Bits per second; `None` is 20 000 at 8 kHz, else 24 000.
    pub bitrate: Option<u32>,
    /// CPU effort, 0 to 10.
    pub complexity: u8,
    /// Loss the peer reports, percent; above 0 turns in-band FEC on.
    pub loss_percent: u8,
    /// Whether silence may be left unsent.
    pub dtx: bool,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            bitrate: None,
            complexity: 5,
            loss_percent: 0,
            dtx: false,
        }
    }
}

impl EncoderOptions {
    fn opus(self, rate: u32) -> opus::Settings {
        // At 8 kHz 20 kbit/s of complexity 1 sound better than 16 of complexity 5, for less than half the time.
        let default = if rate <= 8_000 { 20_000 } else { 24_000 };
        opus::Settings {
            bitrate: i32::try_from(self.bitrate.unwrap_or(default)).unwrap_or(i32::MAX),
            complexity: self.complexity,
            loss_percent: self.loss_percent,
            dtx: self.dtx,
            alone: false,
        }
    }
}

/// What an Opus encoder that joins in encodes before its first packet.
const LEAD_MS: u32 = 20;

enum EncoderKind {
    Pcmu,
    Pcma,
    G722(Box<g722::Encoder>),
    Opus(OpusEncoder),
}

struct OpusEncoder {
    encoder: opus::Encoder,
    options: EncoderOptions,
    rate: u32,
    /// The next frame is the first of those that are sent, and stands alone.
    joins: bool,
}

impl OpusEncoder {
    fn new(rate: u32, options: EncoderOptions) -> Result<Self, CodecError> {
        Ok(Self {
            encoder: opus::Encoder::new(rate, options.opus(rate))?,
            options,
            rate,
            joins: false,
        })
    }

    fn configure(&mut self) -> Result<(), CodecError> {
        let alone = self.joins;
        self.encoder.configure(opus::Settings {
            alone,
            ..self.options.opus(self.rate)
        })
    }

    fn lead_in(&mut self, heard: &[i16]) -> Result<(), CodecError> {
        let frame = (self.rate / 1_000 * LEAD_MS) as usize;
        let Some(first) = heard.len().checked_sub(frame) else {
            return Ok(());
        };
        self.joins = true;
        self.configure()?;
        self.encoder
            .encode(&heard[first..], &mut [0; MAX_FRAME_BYTES])
            .map(|_| ())
    }

    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        let size = self.encoder.encode(pcm, out);
        if self.joins {
            self.joins = false;
            self.configure()?;
        }
        size
    }
}

/// PCM at one rate in, payloads of one codec out. State crosses frames.
pub struct Encoder {
    kind: EncoderKind,
    rate: u32,
    resampler: Option<Resampler>,
    scratch: Vec<i16>,
}

impl Encoder {
    /// An encoder for `codec` of PCM at `input_rate` (8, 16, 24 or 48 kHz).
    ///
    /// # Errors
    /// [`CodecError::UnsupportedRate`], [`CodecError::Opus`].
    pub fn new(codec: Codec, input_rate: u32, options: EncoderOptions) -> Result<Self, CodecError> {
        let kind = match codec {
            Codec::Pcmu => EncoderKind::Pcmu,
            Codec::Pcma => EncoderKind::Pcma,
            Codec::G722 => EncoderKind::G722(Box::default()),
            Codec::Opus => EncoderKind::Opus(OpusEncoder::new(input_rate, options)?),
        };
        let resampler = bridge(codec, input_rate, codec.native_rate())?;
        Ok(Self {
            kind,
            rate: input_rate,
            resampler,
            scratch: Vec::new(),
        })
    }

    /// The codec.
    #[must_use]
    pub fn codec(&self) -> Codec {
        match self.kind {
            EncoderKind::Pcmu => Codec::Pcmu,
            EncoderKind::Pcma => Codec::Pcma,
            EncoderKind::G722(_) => Codec::G722,
            EncoderKind::Opus(_) => Codec::Opus,
        }
    }

    /// Rate of the PCM it takes, Hz.
    #[must_use]
    pub fn input_rate(&self) -> u32 {
        self.rate
    }

    /// Encodes one frame (10, 20, 40 or 60 ms); the bytes written. [`MAX_FRAME_BYTES`] of room suffice for 20 ms.
    ///
    /// # Errors
    /// [`CodecError::BadFrame`], [`CodecError::OutputTooSmall`].
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        let Self {
            kind,
            resampler,
            scratch,
            ..
        } = self;
        let pcm = own_rate(resampler, scratch, pcm)?;
        match kind {
            EncoderKind::Pcmu => companded(pcm, out, g711::ulaw_encode),
            EncoderKind::Pcma => companded(pcm, out, g711::alaw_encode),
            EncoderKind::G722(encoder) => encoder.encode(pcm, out),
            EncoderKind::Opus(encoder) => encoder.encode(pcm, out),
        }
    }

    /// Tells an Opus encoder what loss the peer reports, percent (0 turns FEC off); others ignore it.
    ///
    /// # Errors
    /// [`CodecError::Opus`].
    pub fn set_loss_percent(&mut self, percent: u8) -> Result<(), CodecError> {
        self.change(|options| options.loss_percent = percent)
    }

    /// Sets the CPU effort of an Opus encoder, 0 to 10; others ignore it.
    ///
    /// # Errors
    /// [`CodecError::Opus`].
    pub fn set_complexity(&mut self, complexity: u8) -> Result<(), CodecError> {
        self.change(|options| options.complexity = complexity)
    }

    fn change(&mut self, change: impl FnOnce(&mut EncoderOptions)) -> Result<(), CodecError> {
        let EncoderKind::Opus(encoder) = &mut self.kind else {
            return Ok(());
        };
        let before = encoder.options;
        change(&mut encoder.options);
        if encoder.options == before {
            return Ok(());
        }
        encoder.configure()
    }

    /// Samples by which sound is later once it went through this and a decoder of the same rate.
    #[must_use]
    pub fn delay(&self) -> usize {
        let codec = self.codec();
        codec.delay(self.rate) + 2 * codec.resampling_delay(self.rate)
    }

    /// Takes sound that the listener need not be sent: the last of it is what this codec delays, and what comes next is heard
    /// from there without a gap. Before the first frame.
    ///
    /// # Errors
    /// [`CodecError::Opus`].
    pub fn lead_in(&mut self, heard: &[i16]) -> Result<(), CodecError> {
        let Self {
            kind,
            resampler,
            scratch,
            ..
        } = self;
        let heard = own_rate(resampler, scratch, heard)?;
        match kind {
            EncoderKind::Pcmu | EncoderKind::Pcma => Ok(()),
            EncoderKind::G722(encoder) => {
                encoder.listen(heard);
                Ok(())
            }
            EncoderKind::Opus(encoder) => encoder.lead_in(heard),
        }
    }

    /// Goes on where the listener's decoder is, which this one heard the same packets as. Opus has no part that could: its
    /// first frame after [`Self::lead_in`] stands alone.
    pub fn resume(&mut self, decoder: &Decoder) {
        if let (EncoderKind::G722(encoder), DecoderKind::G722(decoder)) =
            (&mut self.kind, &decoder.kind)
        {
            encoder.resume(decoder);
        }
    }

    /// Goes on where another encoder of the same codec and rate is, so that a decoder notices nothing; the settings stay.
    ///
    /// # Errors
    /// [`CodecError::UnsupportedRate`] for another rate.
    pub fn follow(&mut self, other: &Self) -> Result<(), CodecError> {
        match (&mut self.kind, &other.kind) {
            (EncoderKind::Opus(encoder), EncoderKind::Opus(before)) => {
                encoder.encoder.follow(&before.encoder)?;
                encoder.joins = before.joins;
                encoder.configure()?;
            }
            (EncoderKind::G722(encoder), EncoderKind::G722(before)) => encoder.clone_from(before),
            _ => {}
        }
        self.resampler.clone_from(&other.resampler);
        Ok(())
    }

    /// Forgets the signal so far: for a source switch.
    pub fn reset(&mut self) {
        match &mut self.kind {
            EncoderKind::Pcmu | EncoderKind::Pcma => {}
            EncoderKind::G722(encoder) => **encoder = g722::Encoder::new(),
            EncoderKind::Opus(encoder) => encoder.encoder.reset(),
        }
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
    }
}

enum DecoderKind {
    Pcmu,
    Pcma,
    G722(Box<g722::Decoder>),
    Opus(opus::Decoder),
}

/// Payloads of one codec in, PCM at one rate out. State crosses frames.
pub struct Decoder {
    kind: DecoderKind,
    rate: u32,
    resampler: Option<Resampler>,
    scratch: Vec<i16>,
}

impl Decoder {
    /// A decoder of `codec` to mono PCM at `output_rate` (8, 16, 24 or 48 kHz).
    ///
    /// # Errors
    /// [`CodecError::UnsupportedRate`], [`CodecError::Opus`].
    pub fn new(codec: Codec, output_rate: u32) -> Result<Self, CodecError> {
        let kind = match codec {
            Codec::Pcmu => DecoderKind::Pcmu,
            Codec::Pcma => DecoderKind::Pcma,
            Codec::G722 => DecoderKind::G722(Box::default()),
            Codec::Opus => DecoderKind::Opus(opus::Decoder::new(output_rate)?),
        };
        let resampler = bridge(codec, codec.native_rate(), output_rate)?;
        Ok(Self {
            kind,
            rate: output_rate,
            resampler,
            scratch: Vec::new(),
        })
    }

    /// The codec.
    #[must_use]
    pub fn codec(&self) -> Codec {
        match self.kind {
            DecoderKind::Pcmu => Codec::Pcmu,
            DecoderKind::Pcma => Codec::Pcma,
            DecoderKind::G722(_) => Codec::G722,
            DecoderKind::Opus(_) => Codec::Opus,
        }
    }

    /// Rate of the PCM it yields, Hz.
    #[must_use]
    pub fn output_rate(&self) -> u32 {
        self.rate
    }

    /// Decodes one payload; the samples written. [`MAX_SAMPLES`] of room always suffice for Opus and for 120 ms of the others.
    ///
    /// # Errors
    /// [`CodecError::BadPacket`], [`CodecError::OutputTooSmall`].
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        let own = match &self.resampler {
            None => return decode_native(&mut self.kind, payload, out),
            Some(_) => {
                payload.len()
                    * if matches!(self.kind, DecoderKind::G722(_)) {
                        2
                    } else {
                        1
                    }
            }
        };
        self.scratch.resize(own, 0);
        let size = decode_native(&mut self.kind, payload, &mut self.scratch)?;
        match &mut self.resampler {
            None => Ok(size),
            Some(resampler) => resampler.process(&self.scratch[..size], out),
        }
    }

    /// Fills all of `out` with what Opus rebuilds from the FEC in the packet after the gap; `false` when the codec has no such
    /// thing or refuses, and `out` is untouched.
    pub fn decode_fec(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        match &mut self.kind {
            DecoderKind::Opus(decoder) => decoder.decode_fec(next, out).is_ok(),
            _ => false,
        }
    }

    /// Fills all of `out` with the codec's own concealment or comfort noise; `false` when it has none ([`crate::conceal`]
    /// then serves), and `out` is untouched.
    pub fn conceal(&mut self, out: &mut [i16]) -> bool {
        match &mut self.kind {
            DecoderKind::Opus(decoder) => decoder.conceal(out).is_ok(),
            _ => false,
        }
    }

    /// Forgets the signal so far: for a source switch.
    pub fn reset(&mut self) {
        match &mut self.kind {
            DecoderKind::Pcmu | DecoderKind::Pcma => {}
            DecoderKind::G722(decoder) => **decoder = g722::Decoder::new(),
            DecoderKind::Opus(decoder) => decoder.reset(),
        }
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
    }
}

/// Sound at an encoder's own rate.
fn own_rate<'a>(
    resampler: &mut Option<Resampler>,
    scratch: &'a mut Vec<i16>,
    pcm: &'a [i16],
) -> Result<&'a [i16], CodecError> {
    let Some(resampler) = resampler else {
        return Ok(pcm);
    };
    scratch.resize(resampler.output_len(pcm.len()), 0);
    let size = resampler.process(pcm, scratch)?;
    Ok(&scratch[..size])
}

fn bridge(codec: Codec, from: u32, to: u32) -> Result<Option<Resampler>, CodecError> {
    if codec == Codec::Opus || from == to {
        Ok(None)
    } else {
        Resampler::new(from, to).map(Some)
    }
}

fn companded(pcm: &[i16], out: &mut [u8], law: fn(i16) -> u8) -> Result<usize, CodecError> {
    let out = out.get_mut(..pcm.len()).ok_or(CodecError::OutputTooSmall)?;
    for (byte, sample) in out.iter_mut().zip(pcm) {
        *byte = law(*sample);
    }
    Ok(pcm.len())
}

fn decode_native(
    kind: &mut DecoderKind,
    payload: &[u8],
    out: &mut [i16],
) -> Result<usize, CodecError> {
    match kind {
        DecoderKind::Pcmu => expanded(payload, out, g711::ulaw_decode),
        DecoderKind::Pcma => expanded(payload, out, g711::alaw_decode),
        DecoderKind::G722(decoder) => decoder.decode(payload, out),
        DecoderKind::Opus(decoder) => decoder.decode(payload, out),
    }
}

fn expanded(payload: &[u8], out: &mut [i16], law: fn(u8) -> i16) -> Result<usize, CodecError> {
    let out = out
        .get_mut(..payload.len())
        .ok_or(CodecError::OutputTooSmall)?;
    for (sample, byte) in out.iter_mut().zip(payload) {
        *sample = law(*byte);
    }
    Ok(payload.len())
}
