//! Invariant: any file is refused in words, or is sound of ten minutes at most, of whole packets where they are kept; pages of Ogg have their checksum set right first.

use std::io::Cursor;

use offhook_dsp::file::{MAX_SECONDS, ogg_opus, ogg_opus_packets, wav};
use offhook_dsp::opus::checked_ticks;
use offhook_dsp::resample::convert;

use crate::bytes::Bytes;

pub(crate) fn run(data: &[u8]) {
    let mut script = Bytes(data);
    let how = script.u8();
    let rate = [8_000u32, 16_000][usize::from(how >> 1 & 1)];
    let read = if how & 1 == 0 {
        wav(script.0)
    } else {
        let mut file = script.0.to_vec();
        seal(&mut file);
        if let Ok(Some(packets)) = ogg_opus_packets(Cursor::new(&file), 960) {
            assert!(packets.len() <= MAX_SECONDS * 50);
            let whole = |packet: &[u8]| checked_ticks(packet) == Some(960);
            assert!(packets.iter().all(|packet| whole(packet)));
        }
        ogg_opus(Cursor::new(file), rate).map(|samples| (samples, rate))
    };
    match read {
        Ok((samples, from)) => {
            assert!(samples.len() <= MAX_SECONDS * from as usize);
            if let Ok(converted) = convert(&samples, from, rate) {
                assert!(converted.len() <= MAX_SECONDS * rate as usize + rate as usize);
            }
        }
        Err(words) => assert!(words.len() > 5),
    }
}

/// Sets the checksum of every page (RFC 3533 section 6): without it no damage would get past the first look.
fn seal(file: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = file
        .get(at..)
        .and_then(|rest| rest.windows(4).position(|four| four == b"OggS"))
    {
        at += found;
        let Some(&segments) = file.get(at + 26) else {
            return;
        };
        let table = file
            .get(at + 27..at + 27 + usize::from(segments))
            .unwrap_or_default();
        let size = 27 + table.len() + table.iter().map(|size| usize::from(*size)).sum::<usize>();
        let Some(page) = file.get_mut(at..at + size) else {
            return;
        };
        page[22..26].fill(0);
        let sum = page.iter().fold(0u32, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
                if sum >> 31 == 1 {
                    sum << 1 ^ 0x04c1_1db7
                } else {
                    sum << 1
                }
            })
        });
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        at += size;
    }
}

fn page(flags: u8, position: u64, number: u32, packet: &[u8]) -> Vec<u8> {
    let mut bytes = b"OggS\0".to_vec();
    bytes.push(flags);
    bytes.extend(position.to_le_bytes());
    bytes.extend(7u32.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend([1, packet.len() as u8]);
    bytes.extend_from_slice(packet);
    bytes
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let head = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
    let ogg = [
        page(2, 0, 0, head),
        page(0, 0, 1, b"OpusTags\0\0\0\0\0\0\0\0"),
        page(4, 1_920, 2, &[0x48, 1, 2, 3]),
    ]
    .concat();
    let wav = |bits: u16, channels: u16, format: u16| {
        let mut bytes = b"RIFF\x34\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        bytes.extend(format.to_le_bytes());
        bytes.extend(channels.to_le_bytes());
        bytes.extend(8_000u32.to_le_bytes());
        bytes.extend((8_000 * u32::from(channels * bits / 8)).to_le_bytes());
        bytes.extend((channels * bits / 8).to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(b"data\x10\0\0\0");
        bytes.extend([0x11; 16]);
        [vec![0], bytes].concat()
    };
    vec![
        [vec![1], ogg].concat(),
        wav(16, 1, 1),
        wav(8, 2, 1),
        wav(32, 1, 3),
        wav(24, 1, 1),
    ]
}
