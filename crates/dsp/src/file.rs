//! Sound files of strangers: WAV, and Ogg Opus (RFC 7845), read whole into mono samples.

use std::io::{Read, Seek};

use ogg::{Packet, PacketReader};

use crate::{Codec, Decoder, MAX_SAMPLES, opus};

/// Longest sound, s: music may be so long; decoded it takes 19 MB.
pub const MAX_SECONDS: usize = 600;
/// Samples before the sound proper that an Opus decoder needs (RFC 7845 section 4.2), at most: 2 s.
const MAX_PRE_SKIP: usize = 96_000;

fn too_long() -> String {
    format!("a sound is {MAX_SECONDS} s long at most")
}

/// Samples of all channels together as one, and their rate, Hz.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn wav(file: impl Read) -> Result<(Vec<i16>, u32), String> {
    let mut reader = hound::WavReader::new(file).map_err(|e| format!("no WAV file: {e}"))?;
    let spec = reader.spec();
    let channels = usize::from(spec.channels.max(1));
    let most = spec.sample_rate as usize * MAX_SECONDS;
    if reader.len() as usize / channels > most {
        return Err(too_long());
    }
    let broken = |error: hound::Error| format!("a broken WAV file: {error}");
    let all: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => reader
            .samples::<f32>()
            .map(|sample| sample.map(|sample| sample * 32_767.0))
            .collect::<Result<_, _>>()
            .map_err(broken)?,
        hound::SampleFormat::Int => {
            let scale = 2f32.powi(16 - i32::from(spec.bits_per_sample));
            reader
                .samples::<i32>()
                .map(|sample| sample.map(|sample| sample as f32 * scale))
                .collect::<Result<_, _>>()
                .map_err(broken)?
        }
    };
    let mono = |frame: &[f32]| {
        let sum: f32 = frame.iter().sum();
        (sum / frame.len() as f32)
            .round()
            .clamp(-32_768.0, 32_767.0) as i16
    };
    Ok((all.chunks(channels).map(mono).collect(), spec.sample_rate))
}

/// The packets of an Ogg Opus file as they are, without decoding, if each holds one channel and `ticks` of 48 kHz; `None` if
/// they have to be made anew. What is cut off at the beginning and the end (RFC 7845 section 4) is heard, some milliseconds.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn ogg_opus_packets(
    file: impl Read + Seek,
    ticks: u32,
) -> Result<Option<Vec<Box<[u8]>>>, String> {
    let mut reader = PacketReader::new(file);
    let mut next = || next_of(&mut reader);
    begin(&mut next)?;
    let most = MAX_SECONDS * (opus::CLOCK / ticks.max(1)) as usize;
    let mut packets: Vec<Box<[u8]>> = Vec::new();
    while let Some(packet) = next()? {
        let data = packet.data;
        if opus::checked_ticks(&data) != Some(ticks) || opus::is_stereo(&data) {
            return Ok(None);
        }
        packets.push(data.into());
        if packets.len() > most {
            return Err(too_long());
        }
    }
    Ok(Some(packets))
}

fn next_of(reader: &mut PacketReader<impl Read + Seek>) -> Result<Option<Packet>, String> {
    let packet = reader.read_packet();
    packet.map_err(|e| format!("a broken Ogg file: {e}"))
}

/// Reads what stands before the sound; how much of that is left out, in samples of 48 kHz.
fn begin(next: &mut impl FnMut() -> Result<Option<Packet>, String>) -> Result<usize, String> {
    let head = next()?.ok_or("an empty file")?.data;
    if !head.starts_with(b"OpusHead") || head.len() < 19 {
        return Err("an Ogg file whose first stream is not Opus".into());
    }
    if head[18] != 0 {
        return Err("an Ogg Opus file of more than two channels".into());
    }
    next()?.ok_or("an Ogg Opus file without comments")?;
    Ok(usize::from(u16::from_le_bytes([head[10], head[11]])).min(MAX_PRE_SKIP))
}

/// The whole sound at a rate that Opus decodes to. RFC 7845: an identification packet, a comment packet, then audio.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn ogg_opus(file: impl Read + Seek, rate: u32) -> Result<Vec<i16>, String> {
    let mut reader = PacketReader::new(file);
    let mut next = || next_of(&mut reader);
    let pre_skip = begin(&mut next)?;
    let mut decoder = Decoder::new(Codec::Opus, rate).map_err(|e| e.to_string())?;
    let (mut samples, mut out) = (Vec::new(), vec![0; MAX_SAMPLES]);
    let mut last = 0;
    while let Some(packet) = next()? {
        let len = decoder
            .decode(&packet.data, &mut out)
            .map_err(|e| format!("a broken Opus packet: {e}"))?;
        samples.extend_from_slice(&out[..len]);
        last = packet.absgp_page();
        if samples.len() > (MAX_SECONDS + 3) * rate as usize {
            return Err(too_long());
        }
    }
    // The last page says where the sound ends (RFC 7845 section 4.4); both are in samples of 48 kHz.
    let at = |position: usize| position * rate as usize / opus::CLOCK as usize;
    let end = at(usize::try_from(last).unwrap_or(usize::MAX).min(1 << 40));
    if end > 0 {
        samples.truncate(end);
    }
    samples.drain(..at(pre_skip).min(samples.len()));
    if samples.len() > MAX_SECONDS * rate as usize {
        return Err(too_long());
    }
    Ok(samples)
}
