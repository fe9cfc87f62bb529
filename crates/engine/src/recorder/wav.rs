//! WAV files that are playable at every moment: the header's sizes are written anew while the file grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::Mark;

/// Bytes before the samples.
const HEADER: u32 = 44;

/// Makes the header of a file that was left tell of everything that is there.
pub fn mend(file: &mut File) -> io::Result<()> {
    let mut header = [0u8; HEADER as usize];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut header)?;
    let (channels, rate) = (
        u16::from_le_bytes([header[22], header[23]]),
        u32::from_le_bytes([header[24], header[25], header[26], header[27]]),
    );
    if !header.starts_with(b"RIFF") || !(1..=2).contains(&channels) {
        return Err(io::Error::other("it has no header of ours"));
    }
    let frame = u64::from(channels) * 2;
    let data = (file.metadata()?.len() - u64::from(HEADER)) / frame * frame;
    let wav = Wav {
        file: file.try_clone()?,
        channels,
        rate,
        data: u32::try_from(data).unwrap_or(u32::MAX - HEADER),
        buffer: Vec::new(),
    };
    file.set_len(u64::from(HEADER) + u64::from(wav.data))?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&wav.header(0))
}

/// 16-bit PCM.
pub struct Wav {
    file: File,
    channels: u16,
    rate: u32,
    /// Bytes of samples.
    data: u32,
    buffer: Vec<u8>,
}

impl Wav {
    /// Begins a file; it is a valid one from now on.
    pub fn new(file: File, channels: u16, rate: u32) -> io::Result<Self> {
        let mut wav = Self {
            file,
            channels,
            rate,
            data: 0,
            buffer: Vec::new(),
        };
        let header = wav.header(0);
        wav.file.write_all(&header)?;
        Ok(wav)
    }

    fn header(&self, behind: u32) -> Vec<u8> {
        let frame = self.channels * 2;
        let mut out = Vec::with_capacity(HEADER as usize);
        out.extend(b"RIFF");
        out.extend((HEADER - 8 + self.data + behind).to_le_bytes());
        out.extend(b"WAVEfmt ");
        out.extend(16u32.to_le_bytes());
        out.extend(1u16.to_le_bytes());
        out.extend(self.channels.to_le_bytes());
        out.extend(self.rate.to_le_bytes());
        out.extend((self.rate * u32::from(frame)).to_le_bytes());
        out.extend(frame.to_le_bytes());
        out.extend(16u16.to_le_bytes());
        out.extend(b"data");
        out.extend(self.data.to_le_bytes());
        out
    }

    /// Takes frames, samples of the channels in turn.
    pub fn push(&mut self, samples: &[i16]) -> io::Result<()> {
        self.buffer.clear();
        self.buffer
            .extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        self.file.write_all(&self.buffer)?;
        self.data += u32::try_from(self.buffer.len()).unwrap_or(0);
        Ok(())
    }

    /// Makes the header tell of everything so far.
    pub fn refresh(&mut self) -> io::Result<()> {
        let header = self.header(0);
        self.rewrite(&header)
    }

    fn rewrite(&mut self, header: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(header)?;
        self.file.seek(SeekFrom::End(0)).map(drop)
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        u64::from(HEADER) + u64::from(self.data)
    }

    /// The end: marks become cue points with labels, where players show them.
    pub fn finish(&mut self, marks: &[Mark]) -> io::Result<()> {
        if marks.is_empty() {
            return self.refresh();
        }
        let chunks = self.cues(marks);
        self.file.write_all(&chunks)?;
        let header = self.header(u32::try_from(chunks.len()).unwrap_or(0));
        self.rewrite(&header)
    }

    fn cues(&self, marks: &[Mark]) -> Vec<u8> {
        let (mut cues, mut labels) = (Vec::new(), b"adtl".to_vec());
        for (mark, number) in marks.iter().zip(1u32..) {
            let at = u32::try_from(mark.from_ms * u64::from(self.rate) / 1_000).unwrap_or(0);
            cues.extend(number.to_le_bytes());
            cues.extend(at.to_le_bytes());
            cues.extend(b"data");
            cues.extend([0; 8]);
            cues.extend(at.to_le_bytes());
            let mut text = number.to_le_bytes().to_vec();
            text.extend(format!("{}, {} ms", mark.why, mark.to_ms - mark.from_ms).as_bytes());
            text.push(0);
            labels.extend(chunk(b"labl", &text));
        }
        let count = u32::try_from(marks.len()).unwrap_or(0);
        let mut head = count.to_le_bytes().to_vec();
        head.extend(cues);
        [chunk(b"cue ", &head), chunk(b"LIST", &labels)].concat()
    }
}

/// Chunks begin at even places.
fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = name.to_vec();
    out.extend(u32::try_from(body.len()).unwrap_or(0).to_le_bytes());
    out.extend(body);
    if body.len() % 2 == 1 {
        out.push(0);
    }
    out
}
