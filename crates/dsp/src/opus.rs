//! Opus (RFC 6716, RFC 7587) by libopus, and what a packet says about itself.
//!
//! The only file of this crate with `unsafe`. Every pointer given to libopus comes from a slice whose length goes with it, and
//! the states are owned, never shared and freed once. Everything is mono: libopus mixes a stereo sender down.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use opusic_sys as ffi;

use crate::error::CodecError;

/// Opus counts time in 48 kHz samples, whatever rate it runs at (RFC 7587 4.1).
pub const CLOCK: u32 = 48_000;
/// The longest packet, 120 ms, in ticks of 48 kHz (RFC 6716 3.2.5).
pub const MAX_TICKS: u32 = 5_760;
/// The most frames of one packet: 120 ms of 2.5 ms each (RFC 6716 3.2.5).
const MAX_FRAMES: usize = 48;
/// A frame of at most this many bytes carries no sound (RFC 6716 2.1.9: DTX).
const DTX_BYTES: usize = 2;
/// At our bit rates libopus spends nothing on FEC below this expected loss, even when told to.
const FEC_LOSS_PERCENT: u8 = 10;
/// Of frames that stand alone, bits a second: libopus codes by transform what has so many and is no voice.
const ALONE_BITS: i32 = 64_000;

/// How an encoder is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Bits per second.
    pub bitrate: i32,
    /// CPU effort, 0 to 10.
    pub complexity: u8,
    /// Expected loss in percent; above 0 turns in-band FEC on.
    pub loss_percent: u8,
    /// Whether silence may be left unsent.
    pub dtx: bool,
    /// Frames that any decoder hears right, whatever it heard before: by transform alone, none refers to another. libopus
    /// then goes over to its speech codec by a frame of its own, after which both ends begin afresh (RFC 6716 4.5).
    pub alone: bool,
}

/// A mono VoIP encoder.
pub struct Encoder {
    state: NonNull<ffi::OpusEncoder>,
    rate: u32,
}

/// A decoder to mono.
pub struct Decoder {
    state: NonNull<ffi::OpusDecoder>,
    rate: u32,
}

// SAFETY: libopus keeps no thread-local or global mutable state; a state may move between threads while nobody else uses it,
// and the owners are not Clone and not Sync.
unsafe impl Send for Encoder {}
// SAFETY: as above.
unsafe impl Send for Decoder {}

impl Encoder {
    /// An encoder of PCM at `rate` (8, 12, 16, 24 or 48 kHz).
    ///
    /// # Errors
    /// [`CodecError::UnsupportedRate`]; [`CodecError::Opus`] when a setting is refused.
    pub fn new(rate: u32, settings: Settings) -> Result<Self, CodecError> {
        check_rate(rate)?;
        let mut code: c_int = 0;
        // SAFETY: `code` is a valid pointer for the call; the arguments are plain numbers.
        let state = unsafe {
            ffi::opus_encoder_create(rate as i32, 1, ffi::OPUS_APPLICATION_VOIP, &mut code)
        };
        let state = NonNull::new(state).ok_or(CodecError::Opus(code))?;
        let mut encoder = Self { state, rate };
        encoder.configure(settings)?;
        Ok(encoder)
    }

    /// Changes the settings in place, between frames.
    ///
    /// # Errors
    /// [`CodecError::Opus`] when a value is out of range.
    pub fn configure(&mut self, settings: Settings) -> Result<(), CodecError> {
        let Settings { alone, dtx, .. } = settings;
        let (signal, bitrate, expected) = if alone {
            (ffi::OPUS_SIGNAL_MUSIC, ALONE_BITS, 0)
        } else {
            let Settings { bitrate, .. } = settings;
            (ffi::OPUS_SIGNAL_VOICE, bitrate, settings.loss_percent)
        };
        let loss = match expected {
            0 => 0,
            percent => percent.clamp(FEC_LOSS_PERCENT, 100),
        };
        let complexity = c_int::from(settings.complexity.min(10));
        for (request, value) in [
            (ffi::OPUS_SET_BITRATE_REQUEST, bitrate),
            (ffi::OPUS_SET_COMPLEXITY_REQUEST, complexity),
            (ffi::OPUS_SET_SIGNAL_REQUEST, signal),
            (ffi::OPUS_SET_INBAND_FEC_REQUEST, c_int::from(expected > 0)),
            (ffi::OPUS_SET_PACKET_LOSS_PERC_REQUEST, c_int::from(loss)),
            (ffi::OPUS_SET_DTX_REQUEST, c_int::from(dtx && !alone)),
            (
                ffi::OPUS_SET_PREDICTION_DISABLED_REQUEST,
                c_int::from(alone),
            ),
        ] {
            self.ctl(request, value)?;
        }
        Ok(())
    }

    /// Encodes one frame of 2.5, 5, 10, 20, 40 or 60 ms; the bytes written.
    ///
    /// # Errors
    /// [`CodecError::BadFrame`] for another length, [`CodecError::OutputTooSmall`].
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        let tenths = pcm.len() as u64 * 10_000 / u64::from(self.rate);
        if !matches!(tenths, 25 | 50 | 100 | 200 | 400 | 600) {
            return Err(CodecError::BadFrame(pcm.len()));
        }
        let room = i32::try_from(out.len()).unwrap_or(i32::MAX);
        // SAFETY: `pcm` holds the `pcm.len()` mono samples announced, `out` the `room` bytes announced; the state is ours.
        let size = unsafe {
            ffi::opus_encode(
                self.state.as_ptr(),
                pcm.as_ptr(),
                pcm.len() as c_int,
                out.as_mut_ptr(),
                room,
            )
        };
        length(size)
    }

    /// Forgets the signal so far, keeps the settings: for a source switch.
    pub fn reset(&mut self) {
        // SAFETY: the state is valid; this request takes no argument.
        unsafe { ffi::opus_encoder_ctl(self.state.as_ptr(), ffi::OPUS_RESET_STATE) };
    }

    /// Goes on where another encoder is, with the settings of that one; only of the same rate.
    ///
    /// # Errors
    /// [`CodecError::UnsupportedRate`] for another rate, and nothing is changed.
    pub fn follow(&mut self, other: &Self) -> Result<(), CodecError> {
        if other.rate != self.rate {
            let (from, to) = (other.rate, self.rate);
            return Err(CodecError::UnsupportedRate { from, to });
        }
        // SAFETY: both are states of one channel, which libopus keeps in one piece of this size that a plain copy is enough
        // for (opus.h, "Opus Encoder"); they are two.
        unsafe {
            let size = usize::try_from(ffi::opus_encoder_get_size(1)).unwrap_or(0);
            let from = other.state.as_ptr().cast::<u8>();
            ptr::copy_nonoverlapping(from, self.state.as_ptr().cast::<u8>(), size);
        }
        Ok(())
    }

    fn ctl(&mut self, request: c_int, value: c_int) -> Result<(), CodecError> {
        // SAFETY: the state is valid; every request used here takes exactly one int by value.
        let code = unsafe { ffi::opus_encoder_ctl(self.state.as_ptr(), request, value) };
        length(code).map(|_| ())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: created by opus_encoder_create, freed only here.
        unsafe { ffi::opus_encoder_destroy(self.state.as_ptr()) }
    }
}

impl Decoder {
    /// A decoder to mono PCM at `rate` (8, 12, 16, 24 or 48 kHz).
    ///
    /// # Errors
    /// [`CodecError::UnsupportedRate`]; [`CodecError::Opus`] when memory is short.
    pub fn new(rate: u32) -> Result<Self, CodecError> {
        check_rate(rate)?;
        let mut code: c_int = 0;
        // SAFETY: `code` is a valid pointer for the call; the arguments are plain numbers.
        let state = unsafe { ffi::opus_decoder_create(rate as i32, 1, &mut code) };
        let state = NonNull::new(state).ok_or(CodecError::Opus(code))?;
        Ok(Self { state, rate })
    }

    /// Decodes a packet; the samples written. `out` should hold 120 ms.
    ///
    /// # Errors
    /// [`CodecError::BadPacket`], [`CodecError::OutputTooSmall`].
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        if packet.is_empty() {
            return Err(CodecError::BadPacket);
        }
        self.run(packet, out, false)
    }

    /// Rebuilds the frame before `next` from its in-band FEC, filling all of `out` (the lost time, a multiple of 2.5 ms).
    /// Without FEC in the packet libopus conceals.
    ///
    /// # Errors
    /// [`CodecError::BadPacket`], [`CodecError::BadFrame`].
    pub fn decode_fec(&mut self, next: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        if next.is_empty() {
            return Err(CodecError::BadPacket);
        }
        self.check_gap(out.len())?;
        self.run(next, out, true)
    }

    /// Fills all of `out` (a multiple of 2.5 ms) with the decoder's own concealment, or comfort noise after DTX.
    ///
    /// # Errors
    /// [`CodecError::BadFrame`].
    pub fn conceal(&mut self, out: &mut [i16]) -> Result<usize, CodecError> {
        self.check_gap(out.len())?;
        self.run(&[], out, false)
    }

    /// Forgets the signal so far: for a source switch.
    pub fn reset(&mut self) {
        // SAFETY: the state is valid; this request takes no argument.
        unsafe { ffi::opus_decoder_ctl(self.state.as_ptr(), ffi::OPUS_RESET_STATE) };
    }

    fn check_gap(&self, samples: usize) -> Result<(), CodecError> {
        let unit = self.rate as usize / 400;
        if samples == 0 || samples % unit != 0 {
            Err(CodecError::BadFrame(samples))
        } else {
            Ok(())
        }
    }

    fn run(&mut self, packet: &[u8], out: &mut [i16], fec: bool) -> Result<usize, CodecError> {
        let data = if packet.is_empty() {
            ptr::null()
        } else {
            packet.as_ptr()
        };
        let size = i32::try_from(packet.len()).map_err(|_| CodecError::BadPacket)?;
        let room = c_int::try_from(out.len()).unwrap_or(c_int::MAX);
        // SAFETY: `data` is null with size 0, or holds `size` bytes; `out` holds `room` mono samples; the state is ours.
        let samples = unsafe {
            ffi::opus_decode(
                self.state.as_ptr(),
                data,
                size,
                out.as_mut_ptr(),
                room,
                c_int::from(fec),
            )
        };
        length(samples)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: created by opus_decoder_create, freed only here.
        unsafe { ffi::opus_decoder_destroy(self.state.as_ptr()) }
    }
}

/// Samples at `rate` by which encoder and decoder make sound later: 2.5 ms of overlap and 4 of what libopus looks ahead.
#[must_use]
pub fn delay(rate: u32) -> usize {
    rate as usize * 13 / 2_000
}

/// Ticks of 48 kHz in one frame of this packet, from the TOC byte (RFC 6716 3.1).
#[must_use]
pub fn frame_ticks(toc: u8) -> u32 {
    let config = toc >> 3;
    match config {
        0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        12..=15 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    }
}

/// Frames in the packet (RFC 6716 3.2); `None` when it is empty, truncated or announces none.
#[must_use]
pub fn frame_count(packet: &[u8]) -> Option<u32> {
    match packet.first()? & 3 {
        0 => Some(1),
        1 | 2 => Some(2),
        _ => packet
            .get(1)
            .map(|byte| u32::from(byte & 0x3F))
            .filter(|count| *count > 0),
    }
}

/// Ticks of 48 kHz in the packet; `None` when it is malformed or longer than 120 ms.
#[must_use]
pub fn packet_ticks(packet: &[u8]) -> Option<u32> {
    let ticks = frame_ticks(*packet.first()?) * frame_count(packet)?;
    (ticks <= MAX_TICKS).then_some(ticks)
}

/// As [`packet_ticks`], of a packet whose frames are all there (RFC 6716 3.4): libopus judges.
#[must_use]
pub fn checked_ticks(packet: &[u8]) -> Option<u32> {
    let size = i32::try_from(packet.len()).ok()?;
    let mut sizes = [0; MAX_FRAMES];
    // SAFETY: the pointer and length come from one slice, `sizes` has room for the frames of any packet, and libopus leaves
    // out what it is given no place for.
    let frames = unsafe {
        ffi::opus_packet_parse(
            packet.as_ptr(),
            size,
            ptr::null_mut(),
            ptr::null_mut(),
            sizes.as_mut_ptr(),
            ptr::null_mut(),
        )
    };
    packet_ticks(packet).filter(|_| frames > 0)
}

/// Whether the sender is stereo (RFC 6716 3.1).
#[must_use]
pub fn is_stereo(packet: &[u8]) -> bool {
    packet.first().is_some_and(|toc| toc & 4 != 0)
}

/// Whether the packet announces silence: nothing, or at most a byte, beyond its TOC byte.
#[must_use]
pub fn is_dtx(packet: &[u8]) -> bool {
    packet.len() <= DTX_BYTES
}

/// Whether the packet carries in-band FEC for the frame before it.
#[must_use]
pub fn has_fec(packet: &[u8]) -> bool {
    let size = i32::try_from(packet.len()).unwrap_or(0);
    // SAFETY: the pointer and length come from one slice; libopus checks the rest of the packet.
    size > 0 && unsafe { ffi::opus_packet_has_lbrr(packet.as_ptr(), size) } == 1
}

fn check_rate(rate: u32) -> Result<(), CodecError> {
    match rate {
        8_000 | 12_000 | 16_000 | 24_000 | 48_000 => Ok(()),
        _ => Err(CodecError::UnsupportedRate {
            from: rate,
            to: rate,
        }),
    }
}

fn length(code: c_int) -> Result<usize, CodecError> {
    usize::try_from(code).map_err(|_| match code {
        ffi::OPUS_BUFFER_TOO_SMALL => CodecError::OutputTooSmall,
        ffi::OPUS_INVALID_PACKET => CodecError::BadPacket,
        other => CodecError::Opus(other),
    })
}
