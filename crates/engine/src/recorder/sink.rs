//! What a recording is written into: WAV, Ogg Opus of decoded sound, or one stream of Opus as it came.

use std::collections::VecDeque;
use std::fs::File;
use std::io;

use offhook_dsp::{Codec, Decoder, Encoder, EncoderOptions, MAX_FRAME_BYTES, MAX_SAMPLES, opus};

use super::Mark;
use super::oggopus::{NOTHING, OggOpus, PACKET_TICKS};
use super::wav::Wav;

/// Rate of sound that has to be encoded into a stream of kept packets, Hz.
const OTHER_RATE: u32 = 16_000;

/// One file.
pub enum Sink {
    /// Samples.
    Wav(Wav),
    /// Sound that is encoded: an encoder and what waits for its packet, for each channel.
    Ogg(OggOpus, Vec<(Encoder, Vec<i16>)>),
    /// Packets as they came.
    Kept(Box<Kept>),
}

impl Sink {
    /// A WAV file.
    pub fn wav(file: File, channels: u16, rate: u32) -> io::Result<Self> {
        Wav::new(file, channels, rate).map(Self::Wav)
    }

    /// An Ogg Opus file of decoded sound.
    pub fn ogg(file: File, channels: u8, rate: u32, serial: u32) -> io::Result<Self> {
        let ogg = OggOpus::new(file, channels, rate, serial)?;
        let encoders = (0..channels).map(|_| encoder(rate));
        let encoders: io::Result<Vec<Encoder>> = encoders.collect();
        let with_sound = encoders?.into_iter().map(|one| (one, Vec::new()));
        Ok(Self::Ogg(ogg, with_sound.collect()))
    }

    /// An Ogg Opus file of packets as they come.
    pub fn kept(file: File, serial: u32) -> io::Result<Self> {
        let ogg = OggOpus::new(file, 1, opus::CLOCK, serial)?;
        Ok(Self::Kept(Box::new(Kept {
            ogg,
            ticks: 0,
            other: None,
        })))
    }

    /// Bytes of the file so far.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Wav(wav) => wav.bytes(),
            Self::Ogg(ogg, _) => ogg.bytes(),
            Self::Kept(kept) => kept.ogg.bytes(),
        }
    }

    /// Takes as many samples of each channel.
    pub fn push(&mut self, channels: &[Vec<i16>]) -> io::Result<()> {
        match self {
            Self::Wav(wav) => match channels {
                [one] => wav.push(one),
                [left, right] => {
                    let both = left.iter().zip(right).flat_map(|(l, r)| [*l, *r]);
                    wav.push(&both.collect::<Vec<i16>>())
                }
                _ => Ok(()),
            },
            Self::Ogg(ogg, encoders) => {
                for ((_, waiting), samples) in encoders.iter_mut().zip(channels) {
                    waiting.extend(samples);
                }
                encode(ogg, encoders, false)
            }
            Self::Kept(_) => Ok(()),
        }
    }

    /// Makes the file tell of everything so far; Ogg does by itself.
    pub fn refresh(&mut self) -> io::Result<()> {
        match self {
            Self::Wav(wav) => wav.refresh(),
            Self::Ogg(..) | Self::Kept(_) => Ok(()),
        }
    }

    /// The end.
    pub fn finish(&mut self, marks: &[Mark]) -> io::Result<()> {
        match self {
            Self::Wav(wav) => wav.finish(marks),
            Self::Ogg(ogg, encoders) => {
                encode(ogg, encoders, true)?;
                ogg.finish()
            }
            Self::Kept(kept) => kept.ogg.finish(),
        }
    }
}

fn encoder(rate: u32) -> io::Result<Encoder> {
    Encoder::new(Codec::Opus, rate, EncoderOptions::default()).map_err(io::Error::other)
}

/// Whole packets of 20 ms; at the end the rest is filled up with silence.
fn encode(ogg: &mut OggOpus, encoders: &mut [(Encoder, Vec<i16>)], end: bool) -> io::Result<()> {
    let frame = encoders
        .first()
        .map_or(0, |(it, _)| it.input_rate() as usize / 50);
    loop {
        let there = encoders.iter().map(|(_, it)| it.len()).min().unwrap_or(0);
        if there < frame && (!end || there == 0) || frame == 0 {
            return Ok(());
        }
        let mut packets: Vec<Vec<u8>> = Vec::with_capacity(encoders.len());
        for (encoder, waiting) in encoders.iter_mut() {
            waiting.resize(waiting.len().max(frame), 0);
            let mut packet = vec![0; MAX_FRAME_BYTES];
            let piece: Vec<i16> = waiting.drain(..frame).collect();
            let len = encoder
                .encode(&piece, &mut packet)
                .map_err(io::Error::other)?;
            packet.truncate(len);
            packets.push(packet);
        }
        let slices: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        ogg.push(&slices, PACKET_TICKS)?;
    }
}

/// A stream of packets as they came; what is of another codec is encoded.
pub struct Kept {
    ogg: OggOpus,
    /// Samples of 48 kHz so far.
    ticks: u64,
    other: Option<(Decoder, Encoder, VecDeque<i16>)>,
}

impl Kept {
    /// Length so far, ms.
    pub fn ms(&self) -> u64 {
        self.ticks / 48
    }

    /// Takes a packet whose place is `us`.
    pub fn packet(&mut self, us: i64, codec: Codec, payload: &[u8]) -> io::Result<()> {
        let place = u64::try_from(us).unwrap_or(0) * 48 / 1_000;
        // Half a packet early or late is jitter of the place, not a gap.
        self.silence(place.saturating_sub(PACKET_TICKS / 2))?;
        if self.ticks > place + 2 * PACKET_TICKS {
            return Ok(());
        }
        if codec == Codec::Opus {
            return match opus::packet_ticks(payload) {
                Some(ticks) => self.push(payload, u64::from(ticks)),
                None => Ok(()),
            };
        }
        self.other(codec, payload)
    }

    /// Packets without sound up to that place, samples of 48 kHz.
    pub fn silence(&mut self, until: u64) -> io::Result<()> {
        while self.ticks + PACKET_TICKS <= until {
            self.push(&NOTHING, PACKET_TICKS)?;
        }
        Ok(())
    }

    fn push(&mut self, packet: &[u8], ticks: u64) -> io::Result<()> {
        self.ticks += ticks;
        self.ogg.push(&[packet], ticks)
    }

    fn other(&mut self, codec: Codec, payload: &[u8]) -> io::Result<()> {
        if self
            .other
            .as_ref()
            .is_none_or(|(it, ..)| it.codec() != codec)
        {
            let decoder = Decoder::new(codec, OTHER_RATE).map_err(io::Error::other)?;
            self.other = Some((decoder, encoder(OTHER_RATE)?, VecDeque::new()));
        }
        let mut packets = Vec::new();
        if let Some((decoder, encoder, waiting)) = &mut self.other {
            let mut samples = vec![0; MAX_SAMPLES];
            // What cannot be decoded is silence.
            let len = decoder.decode(payload, &mut samples).unwrap_or(0);
            waiting.extend(samples.get(..len).unwrap_or_default());
            let frame = OTHER_RATE as usize / 50;
            while waiting.len() >= frame {
                let piece: Vec<i16> = waiting.drain(..frame).collect();
                let mut packet = vec![0; MAX_FRAME_BYTES];
                let len = encoder
                    .encode(&piece, &mut packet)
                    .map_err(io::Error::other)?;
                packet.truncate(len);
                packets.push(packet);
            }
        }
        packets
            .iter()
            .try_for_each(|packet| self.push(packet, PACKET_TICKS))
    }
}
