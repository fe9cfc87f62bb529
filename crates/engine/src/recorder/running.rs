//! One recording that runs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use offhook_dsp::{Codec, level};
use offhook_media::event::Event;
use offhook_media::recording::{Begin, Entry, Piece, Side};

use super::sink::Sink;
use super::track::{LAG_US, Track};
use super::{Listener, Mark, Order, tell};
use crate::names::place;
use crate::queues::Work;
use crate::sys::{self, Wake};

/// How often a header is written anew.
const REFRESH: Duration = Duration::from_secs(5);
/// Longest recording, s: a working day; 4 GB, where WAV ends, is 18 h of stereo at 16 kHz.
const MAX_SECONDS: u32 = 12 * 3_600;
/// Largest file, bytes: a disk is not filled by one call.
const MAX_BYTES: u64 = 2 << 30;
/// Marks told of one recording; later ones are silence without a word.
const MAX_MARKS: usize = 256;
/// Louder than this is no silence, dBov.
const SILENCE: f32 = -50.0;

/// One recording.
pub struct Running {
    begin: Begin,
    entries: Receiver<Entry>,
    work: SyncSender<Work>,
    wake: Arc<Wake>,
    path: PathBuf,
    part: PathBuf,
    sink: Sink,
    tracks: Vec<Track>,
    /// Frames of samples written.
    frames: u64,
    refreshed: Instant,
    paused_us: Option<u64>,
    marks: Vec<Mark>,
    /// The last frame that was no silence.
    loud: u64,
    over: Option<(&'static str, String)>,
    /// The shard has ended it; else it has to hear.
    by_shard: bool,
}

impl Running {
    /// Opens the file. The error is a sentence.
    pub fn new(directory: &Path, order: Order) -> Result<Self, String> {
        let Order {
            begin,
            entries,
            work,
            wake,
        } = order;
        let path = place(directory, &begin.spec.file)?;
        let part = PathBuf::from(format!("{}.part", path.display()));
        if path.exists() || part.exists() {
            return Err(format!("{} exists", begin.spec.file));
        }
        let (tracks, channels) = match begin.spec.side {
            Side::Both => (2, 2),
            Side::Mixed => (2, 1),
            Side::Says | Side::Hears | Side::Room => (1, 1),
        };
        let file = File::create_new(&part).map_err(|e| format!("{}: {e}", part.display()))?;
        // Another engine that starts meanwhile leaves it alone. A file system without locks is no reason not to write.
        let _ = sys::lock(&file);
        let sink = sink(file, &begin, channels).map_err(|e| format!("{}: {e}", part.display()))?;
        let track = match sink {
            Sink::Kept(_) => Track::of_packets,
            Sink::Wav(_) | Sink::Ogg(..) => Track::new,
        };
        Ok(Self {
            tracks: (0..tracks).map(|_| track(begin.rate)).collect(),
            begin,
            entries,
            work,
            wake,
            path,
            part,
            sink,
            frames: 0,
            refreshed: Instant::now(),
            paused_us: None,
            marks: Vec::new(),
            loud: 0,
            over: None,
            by_shard: false,
        })
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Takes what is there and writes what is old enough.
    pub fn drain(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.begin.start).as_micros();
        let mut until = u64::try_from(since)
            .unwrap_or(u64::MAX)
            .saturating_sub(LAG_US);
        loop {
            match self.entries.try_recv() {
                Ok(entry) => {
                    if let Piece::End(reason) = entry.what {
                        self.end(entry.at_us, reason);
                        until = entry.at_us;
                        break;
                    }
                    self.entry(entry);
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.end(until + LAG_US, "ended");
                    until += LAG_US;
                    break;
                }
            }
        }
        let longest = match self.begin.spec.max_seconds {
            0 => MAX_SECONDS,
            seconds => seconds.min(MAX_SECONDS),
        };
        let longest_us = u64::from(longest) * 1_000_000;
        if until >= longest_us {
            self.over.get_or_insert(("length", String::new()));
        }
        if let Err(error) = self.write(until.min(longest_us), now) {
            // The call knows nothing of it; what is there is kept.
            self.fail(format!("{}: {error}", self.part.display()));
        }
        if self.over.is_none() && self.sink.bytes() > MAX_BYTES {
            self.over = Some(("size", String::new()));
        }
    }

    /// Ends it with a reason for people; what is there is kept.
    pub fn fail(&mut self, text: String) {
        self.over = Some(("failed", text));
    }

    fn end(&mut self, at_us: u64, reason: &'static str) {
        self.unpause(at_us);
        self.by_shard = true;
        self.over.get_or_insert((reason, String::new()));
    }

    fn entry(&mut self, entry: Entry) {
        let at_us = entry.at_us;
        match entry.what {
            Piece::Packet {
                channel,
                codec,
                ssrc,
                sequence,
                timestamp,
                payload,
            } => {
                if let Some(track) = self.tracks.get_mut(usize::from(channel)) {
                    track.packet(at_us, codec, ssrc, sequence, timestamp, payload);
                }
            }
            Piece::Sound { rate, samples } => {
                if let Some(track) = self.tracks.first_mut() {
                    track.sound(at_us, rate, &samples);
                }
            }
            Piece::Pause => self.paused_us = Some(at_us),
            Piece::Resume => self.unpause(at_us),
            Piece::Lost(from) => self.mark(from, at_us, "overflow"),
            Piece::End(_) | Piece::Digit(..) | Piece::Mark(_) | Piece::Aside { .. } => {}
        }
    }

    fn unpause(&mut self, at_us: u64) {
        if let Some(from) = self.paused_us.take() {
            self.mark(from, at_us, "pause");
        }
    }

    fn mark(&mut self, from_us: u64, to_us: u64, why: &'static str) {
        if self.marks.len() < MAX_MARKS {
            self.marks.push(Mark {
                from_ms: from_us / 1_000,
                to_ms: to_us / 1_000,
                why,
            });
        }
    }

    fn write(&mut self, until_us: u64, now: Instant) -> io::Result<()> {
        self.tracks
            .iter_mut()
            .for_each(|track| track.advance(until_us));
        if let Sink::Kept(kept) = &mut self.sink {
            while let Some((us, codec, payload)) =
                self.tracks.first_mut().and_then(Track::take_packet)
            {
                kept.packet(us, codec, &payload)?;
            }
            if self.over.is_some() {
                kept.silence(until_us * 48 / 1_000)?;
            }
            return Ok(());
        }
        let end = until_us * u64::from(self.begin.rate) / 1_000_000;
        let ready = self.tracks.iter().map(Track::ready).min().unwrap_or(0);
        // A line may reach beyond the moment by what a packet holds.
        let wanted = usize::try_from(end.saturating_sub(self.frames)).unwrap_or(usize::MAX);
        let count = ready.min(wanted);
        if count > 0 {
            let lines = self
                .tracks
                .iter_mut()
                .map(|track| track.take(count).collect());
            let mut channels: Vec<Vec<i16>> = lines.collect();
            if self.begin.spec.side == Side::Mixed {
                channels = vec![mixed(&channels)];
            }
            self.sink.push(&channels)?;
            self.frames += count as u64;
            self.listen(&channels);
        }
        if now.saturating_duration_since(self.refreshed) >= REFRESH {
            self.refreshed = now;
            self.sink.refresh()?;
        }
        Ok(())
    }

    /// Ends it when the first channel has been silent for so long.
    fn listen(&mut self, channels: &[Vec<i16>]) {
        let limit = u64::from(self.begin.spec.silence_ms) * u64::from(self.begin.rate) / 1_000;
        let Some(samples) = channels.first().filter(|_| limit > 0) else {
            return;
        };
        if level::rms_dbov(samples) >= SILENCE || self.paused_us.is_some() {
            self.loud = self.frames;
        }
        if self.frames - self.loud >= limit {
            self.over.get_or_insert(("silence", String::new()));
        }
    }

    /// Makes the file whole, gives it its name, and tells.
    pub fn finish(mut self, listener: &Listener) {
        if !self.by_shard {
            let _ = self.work.send(Work::RecordingOver(self.begin.number));
            self.wake.wake();
        }
        let (mut reason, mut text) = self.over.take().unwrap_or(("ended", String::new()));
        let whole = self.sink.finish(&self.marks);
        let named = fs::rename(&self.part, &self.path);
        for error in [whole.err(), named.err()].into_iter().flatten() {
            if reason != "failed" {
                (reason, text) = ("failed", format!("{}: {error}", self.part.display()));
            }
        }
        let duration_ms = match &self.sink {
            Sink::Kept(kept) => kept.ms(),
            Sink::Wav(_) | Sink::Ogg(..) => self.frames * 1_000 / u64::from(self.begin.rate),
        };
        let marks = self.marks.iter();
        let event = Event::RecordingFinished {
            leg: self.begin.leg,
            recording: self.begin.spec.recording.clone(),
            file: self.begin.spec.file.clone(),
            reason: reason.to_owned(),
            text,
            duration_ms,
            bytes: fs::metadata(&self.path).map_or(self.sink.bytes(), |facts| facts.len()),
            marks: marks
                .map(|mark| (mark.from_ms, mark.to_ms, mark.why.to_owned()))
                .collect(),
        };
        tell(listener, event);
    }
}

/// Both lines in one; two loud voices at once are cut at full scale.
fn mixed(lines: &[Vec<i16>]) -> Vec<i16> {
    let [one, other] = lines else {
        return Vec::new();
    };
    let pairs = one.iter().zip(other);
    pairs.map(|(a, b)| a.saturating_add(*b)).collect()
}

fn sink(file: File, begin: &Begin, channels: u8) -> io::Result<Sink> {
    let rate = begin.rate;
    // A number that tells streams of one file apart; there is one.
    let serial = u32::try_from(begin.number & 0x7fff_ffff).unwrap_or(0);
    let one_stream = matches!(begin.spec.side, Side::Says | Side::Hears);
    match Path::new(&begin.spec.file)
        .extension()
        .and_then(|it| it.to_str())
    {
        Some("wav") => Sink::wav(file, u16::from(channels), rate),
        // Who waits for silence has to listen to the sound.
        Some("ogg" | "opus")
            if one_stream && begin.codec == Some(Codec::Opus) && begin.spec.silence_ms == 0 =>
        {
            Sink::kept(file, serial)
        }
        Some("ogg" | "opus") => Sink::ogg(file, channels, rate, serial),
        _ => Err(io::Error::other("a recording's name ends in .wav or .ogg")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use offhook_media::description::Recording;

    use super::*;
    use crate::queues::Told;

    #[test]
    fn what_was_lost_on_the_way_is_silence_and_marked() {
        let top = std::env::temp_dir().join(format!("offhook-lost-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        let (entries, other) = sync_channel(400);
        let (work, _work) = sync_channel(8);
        let wake = Arc::new(Wake::new().expect("an eventfd"));
        let start = Instant::now();
        let spec = Recording {
            recording: "r".into(),
            file: "call.wav".into(),
            side: Side::Says,
            max_seconds: 0,
            silence_ms: 0,
        };
        let begin = Begin {
            number: 1,
            leg: 1,
            start,
            codec: Some(Codec::Pcmu),
            rate: 8_000,
            spec,
        };
        let order = Order {
            begin,
            entries: other,
            work,
            wake: Arc::clone(&wake),
        };
        let mut running = Running::new(&top, order).expect("a file");
        // A second of sound, a second that was lost, a second of sound.
        for at in (0..50u64).chain(100..150) {
            let what = Piece::Packet {
                channel: 0,
                codec: Codec::Pcmu,
                ssrc: 1,
                sequence: at as u16,
                timestamp: (at * 160) as u32,
                payload: vec![0x00; 160].into(),
            };
            let at_us = at * 20_000;
            if at == 100 {
                let what = Piece::Lost(1_000_000);
                entries.send(Entry { at_us, what }).expect("room");
            }
            entries.send(Entry { at_us, what }).expect("room");
        }
        let what = Piece::End("stopped");
        let at_us = 3_000_000;
        entries.send(Entry { at_us, what }).expect("room");
        running.drain(start + Duration::from_secs(4));
        let (told, heard) = sync_channel(8);
        running.finish(&Listener { told, wake });
        let Ok(Told::Event(Event::RecordingFinished {
            marks, duration_ms, ..
        })) = heard.try_recv()
        else {
            panic!("nothing was told")
        };
        assert_eq!(marks, [(1_000, 2_000, "overflow".to_owned())]);
        assert_eq!(duration_ms, 3_000);
        let mut file = hound::WavReader::open(top.join("call.wav")).expect("WAV");
        let samples: Vec<i16> = file.samples().map(|one| one.expect("whole")).collect();
        let loud = |from: usize, to: usize| {
            samples[from * 8..to * 8]
                .iter()
                .filter(|one| **one != 0)
                .count()
        };
        assert_eq!(loud(1_000, 2_000), 0);
        assert_eq!((loud(0, 1_000), loud(2_000, 3_000)), (8_000, 8_000));
        let _ = fs::remove_dir_all(top);
    }
}
