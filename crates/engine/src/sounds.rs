//! Sound files for players: decoded once, encoded once for each codec, kept while there is room. A thread of its own, because
//! disks may be slow.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::SystemTime;

use offhook_dsp::resample::convert;
use offhook_dsp::{Codec, Encoder, EncoderOptions, MAX_FRAME_BYTES, file};
use offhook_media::clip::{Clip, Wanted};

use crate::names::find;
use crate::queues::Work;
use crate::sys::Wake;

/// Sounds that may wait to be read: as many as all players of a busy second ask for.
const QUEUE: usize = 4_096;
/// Largest file, bytes: ten minutes of the widest WAV are 115 MB, a prompt is a thousandth of it.
const MAX_FILE: u64 = 128 << 20;
/// Encoded and decoded sound that is kept, bytes (MEDIA.md section 6).
const KEPT: usize = 64 << 20;
/// Endings that are tried when a name has none, in this order.
const ENDINGS: [&str; 3] = ["wav", "opus", "ogg"];

/// One sound that a shard wants.
pub struct Job {
    /// Which.
    pub wanted: Wanted,
    /// Whose.
    pub work: SyncSender<Work>,
    /// Wakes the shard.
    pub wake: Arc<Wake>,
}

/// Starts the thread; it ends with the last sender.
pub fn start(directories: Vec<PathBuf>) -> std::io::Result<SyncSender<Job>> {
    let (jobs, queue) = sync_channel(QUEUE);
    std::thread::Builder::new()
        .name("sounds".into())
        .spawn(move || serve(&directories, &queue))?;
    Ok(jobs)
}

fn serve(directories: &[PathBuf], queue: &Receiver<Job>) {
    let mut library = Library::new(directories.to_vec());
    while let Ok(job) = queue.recv() {
        // A file that breaks the decoder costs itself; what was kept may be half done and is forgotten.
        let clip = catch_unwind(AssertUnwindSafe(|| library.clip(&job.wanted)));
        let clip = clip.unwrap_or_else(|_| {
            library = Library::new(directories.to_vec());
            Err(format!("{}: the decoder failed", job.wanted.file))
        });
        // A shard that is gone needs no sound.
        let _ = job.work.send(Work::Sound(Box::new(job.wanted), clip));
        job.wake.wake();
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Form {
    Samples(u32),
    Packets(Codec, u32),
}

#[derive(Clone)]
enum Sound {
    Samples(Arc<[i16]>),
    Clip(Arc<Clip>),
}

impl Sound {
    fn bytes(&self) -> usize {
        match self {
            Self::Samples(samples) => samples.len() * 2,
            Self::Clip(clip) => clip.packets.iter().map(|packet| packet.len() + 16).sum(),
        }
    }
}

struct Kept {
    sound: Sound,
    /// Of the file when it was read: a changed file is read again.
    stamp: (SystemTime, u64),
    used: u64,
}

/// All sounds, as far as they are kept.
struct Library {
    directories: Vec<PathBuf>,
    kept: HashMap<(PathBuf, Form), Kept>,
    bytes: usize,
    clock: u64,
}

impl Library {
    fn new(directories: Vec<PathBuf>) -> Self {
        Self {
            directories,
            kept: HashMap::new(),
            bytes: 0,
            clock: 0,
        }
    }

    fn clip(&mut self, wanted: &Wanted) -> Result<Arc<Clip>, String> {
        let path = find(&self.directories, &wanted.file, &ENDINGS)?;
        let name = &wanted.file;
        let facts = fs::metadata(&path).map_err(|e| format!("{name}: {e}"))?;
        if facts.len() > MAX_FILE {
            return Err(format!("{name}: a sound file has {MAX_FILE} bytes at most"));
        }
        let modified = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let stamp = (modified, facts.len());
        let form = Form::Packets(wanted.codec, wanted.packet_ms);
        if let Some(Sound::Clip(clip)) = self.known(&path, &form, stamp) {
            return Ok(clip);
        }
        if let Some(packets) = as_it_is(&path, wanted) {
            let clip = Arc::new(Clip { packets });
            self.keep(path, form, Sound::Clip(Arc::clone(&clip)), stamp);
            return Ok(clip);
        }
        let rate = rate_for(wanted.codec);
        let samples = match self.known(&path, &Form::Samples(rate), stamp) {
            Some(Sound::Samples(samples)) => samples,
            _ => {
                let read = decode(&path, rate).map_err(|text| format!("{name}: {text}"))?;
                let samples: Arc<[i16]> = read.into();
                let sound = Sound::Samples(Arc::clone(&samples));
                self.keep(path.clone(), Form::Samples(rate), sound, stamp);
                samples
            }
        };
        let clip = encode(&samples, wanted.codec, rate, wanted.packet_ms)
            .map_err(|text| format!("{name}: {text}"))?;
        let clip = Arc::new(clip);
        self.keep(path, form, Sound::Clip(Arc::clone(&clip)), stamp);
        Ok(clip)
    }

    fn known(&mut self, path: &Path, form: &Form, stamp: (SystemTime, u64)) -> Option<Sound> {
        self.clock += 1;
        let key = (path.to_path_buf(), form.clone());
        let kept = self.kept.get_mut(&key)?;
        if kept.stamp != stamp {
            let old = self.kept.remove(&key)?;
            self.bytes -= old.sound.bytes();
            return None;
        }
        kept.used = self.clock;
        Some(kept.sound.clone())
    }

    /// The longest unused go first; a sound that is too large for all is not kept.
    fn keep(&mut self, path: PathBuf, form: Form, sound: Sound, stamp: (SystemTime, u64)) {
        let size = sound.bytes();
        if size > KEPT {
            return;
        }
        while self.bytes + size > KEPT {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            if let Some(gone) = self.kept.remove(&key) {
                self.bytes -= gone.sound.bytes();
            }
        }
        let used = self.clock;
        self.bytes += size;
        self.kept.insert((path, form), Kept { sound, stamp, used });
    }
}

/// Opus for who hears Opus, if its packets are as long as they shall be: nothing has to be decoded, encoded or waited for.
fn as_it_is(path: &Path, wanted: &Wanted) -> Option<Vec<Box<[u8]>>> {
    let ending = path.extension()?.to_str()?;
    if wanted.codec != Codec::Opus || !matches!(ending, "opus" | "ogg") {
        return None;
    }
    let file = BufReader::new(File::open(path).ok()?);
    // What is wrong with it is said when it is decoded.
    file::ogg_opus_packets(file, wanted.codec.ticks_per_ms() * wanted.packet_ms)
        .ok()
        .flatten()
}

/// Opus is made of 16 kHz sound: speech bandwidth at a third of the cost of 48 kHz.
fn rate_for(codec: Codec) -> u32 {
    codec.native_rate().min(16_000)
}

fn encode(samples: &[i16], codec: Codec, rate: u32, packet_ms: u32) -> Result<Clip, String> {
    let mut encoder =
        Encoder::new(codec, rate, EncoderOptions::default()).map_err(|error| error.to_string())?;
    let size = (rate / 1_000 * packet_ms) as usize;
    let mut packets = Vec::with_capacity(samples.len() / size + 1);
    let (mut frame, mut payload) = (vec![0; size], [0u8; MAX_FRAME_BYTES]);
    for piece in samples.chunks(size) {
        frame.fill(0);
        frame[..piece.len()].copy_from_slice(piece);
        let len = encoder
            .encode(&frame, &mut payload)
            .map_err(|error| error.to_string())?;
        packets.push(payload[..len].into());
    }
    Ok(Clip { packets })
}

/// The whole sound at `rate`, mono. The error says what is wrong with the file.
fn decode(path: &Path, rate: u32) -> Result<Vec<i16>, String> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let opened = || {
        File::open(path)
            .map(BufReader::new)
            .map_err(|e| e.to_string())
    };
    let (samples, from) = match ending {
        Some("wav") => file::wav(opened()?)?,
        Some("opus" | "ogg") => (file::ogg_opus(opened()?, rate)?, rate),
        _ => return Err("a sound file is WAV (.wav) or Ogg Opus (.opus, .ogg)".into()),
    };
    convert(&samples, from, rate).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("offhook-sounds-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    fn tone(path: &Path, rate: u32, seconds: f32) {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = hound::WavWriter::create(path, spec).expect("a file");
        for at in 0..(rate as f32 * seconds) as usize {
            let phase = std::f32::consts::TAU * 1_000.0 * at as f32 / rate as f32;
            for _ in 0..2 {
                file.write_sample((phase.sin() * 10_000.0) as i16)
                    .expect("written");
            }
        }
        file.finalize().expect("closed");
    }

    fn wanted(file: &str, codec: Codec, packet_ms: u32) -> Wanted {
        Wanted {
            whose: 1,
            room: false,
            player: 1,
            index: 0,
            file: file.into(),
            codec,
            packet_ms,
        }
    }

    #[test]
    fn a_file_of_any_rate_is_encoded_once_for_each_codec_and_packet_time() {
        let top = scratch("once");
        let mut library = Library::new(vec![top.clone()]);
        for rate in [8_000, 11_025, 16_000, 22_050, 44_100, 48_000] {
            tone(&top.join(format!("tone-{rate}.wav")), rate, 0.5);
            for (codec, ms) in [(Codec::Pcmu, 20), (Codec::Opus, 20), (Codec::G722, 40)] {
                let wanted = wanted(&format!("tone-{rate}"), codec, ms);
                let clip = library.clip(&wanted).expect("a clip");
                let count = clip.packets.len() as u32 * ms;
                assert!((500..=540).contains(&count), "{rate} {codec:?}: {count} ms");
                let again = library.clip(&wanted).expect("a clip");
                assert!(
                    Arc::ptr_eq(&clip, &again),
                    "{rate} {codec:?} was encoded twice"
                );
            }
        }
        let _ = fs::remove_dir_all(top);
    }

    #[test]
    fn every_shipped_sound_is_decoded_and_loud_enough() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/offhook/sounds");
        let mut library = Library::new(vec![top.clone()]);
        let mut count = 0;
        for folder in fs::read_dir(&top).expect("the sounds").flatten() {
            for file in fs::read_dir(folder.path()).expect("a language").flatten() {
                let path = file.path();
                let name = path
                    .strip_prefix(&top)
                    .expect("below")
                    .display()
                    .to_string();
                let clip = library
                    .clip(&wanted(&name, Codec::Pcmu, 20))
                    .expect("a clip");
                let samples = decode(&path, 8_000).expect("sound");
                let level = offhook_dsp::level::rms_dbov(&samples);
                assert!((-30.0..-12.0).contains(&level), "{name}: {level} dBov");
                assert!(clip.packets.len() >= 10, "{name}");
                count += 1;
            }
        }
        assert!(count >= 90, "{count}");
        assert!(library.bytes <= KEPT);
    }

    #[test]
    fn a_file_of_opus_is_played_as_it_is_where_its_packets_are_as_long_as_they_shall_be() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/offhook/sounds");
        let mut library = Library::new(vec![top.clone()]);
        for name in ["music/hold", "en/goodbye"] {
            let path = top.join(format!("{name}.opus"));
            let stored = fs::read(&path).expect("read");
            let whole = decode(&path, 16_000).expect("sound");
            for ms in [20, 40] {
                let clip = library.clip(&wanted(name, Codec::Opus, ms)).expect("clip");
                // 1. its packets are those of the file, or new ones
                let found = |packet: &[u8]| stored.windows(packet.len()).any(|it| it == packet);
                let same = clip.packets.iter().take(20).all(|packet| found(packet));
                assert_eq!(same, ms == 20, "{name}, {ms} ms");
                // 2. and hold the same sound, as long and as loud
                let mut decoder = offhook_dsp::Decoder::new(Codec::Opus, 16_000).expect("Opus");
                let (mut out, mut heard) = (vec![0; offhook_dsp::MAX_SAMPLES], Vec::new());
                for packet in &clip.packets {
                    let len = decoder.decode(packet, &mut out).expect("a packet");
                    assert_eq!(len as u32, 16 * ms);
                    heard.extend_from_slice(&out[..len]);
                }
                let longer = heard.len().abs_diff(whole.len());
                assert!(longer <= 16 * 60, "{name}, {ms} ms: {longer} samples");
                let level = offhook_dsp::level::rms_dbov;
                assert!((level(&heard) - level(&whole)).abs() < 1.0, "{name}");
            }
        }
    }

    #[test]
    fn no_file_however_broken_makes_the_decoder_panic() {
        let top = scratch("broken");
        tone(&top.join("tone.wav"), 8_000, 0.1);
        let wav = fs::read(top.join("tone.wav")).expect("read");
        let shipped =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/offhook/sounds/en/1.opus");
        let opus = fs::read(shipped).expect("read");
        let mut state = 0x2545_f491_4f6c_dd1du64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 16) as usize % below
        };
        for (ending, good) in [("wav", &wav), ("opus", &opus)] {
            let path = top.join(format!("broken.{ending}"));
            for _ in 0..1_500 {
                let mut bytes = good.clone();
                for _ in 0..=random(8) {
                    // The heads hold what is worth breaking.
                    let within = if random(2) == 0 { 64 } else { bytes.len() };
                    let at = random(within.min(bytes.len()));
                    bytes[at] = random(256) as u8;
                }
                bytes.truncate(bytes.len() - random(bytes.len() / 2));
                fs::write(&path, &bytes).expect("written");
                // Right or wrong is the file's affair.
                let _ = decode(&path, 8_000);
            }
        }
        let _ = fs::remove_dir_all(top);
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let top = scratch("changed");
        let mut library = Library::new(vec![top.clone()]);
        tone(&top.join("tone.wav"), 8_000, 0.5);
        let first = library
            .clip(&wanted("tone", Codec::Pcmu, 20))
            .expect("a clip");
        tone(&top.join("tone.wav"), 8_000, 1.0);
        let second = library
            .clip(&wanted("tone", Codec::Pcmu, 20))
            .expect("a clip");
        assert_eq!((first.packets.len(), second.packets.len()), (25, 50));
        let _ = fs::remove_dir_all(top);
    }

    #[test]
    fn what_is_kept_has_a_bound_and_the_longest_unused_go_first() {
        let mut library = Library::new(Vec::new());
        let stamp = (SystemTime::UNIX_EPOCH, 0);
        let third: Arc<[i16]> = vec![0; KEPT / 2 / 3].into();
        for name in ["a", "b", "c", "d"] {
            if name == "d" {
                assert!(
                    library
                        .known(Path::new("a"), &Form::Samples(8_000), stamp)
                        .is_some()
                );
            }
            library.clock += 1;
            let sound = Sound::Samples(Arc::clone(&third));
            library.keep(name.into(), Form::Samples(8_000), sound, stamp);
        }
        assert!(library.bytes <= KEPT);
        let mut there = |name: &str| {
            library
                .known(Path::new(name), &Form::Samples(8_000), stamp)
                .is_some()
        };
        assert_eq!(
            ["a", "b", "c", "d"].map(&mut there),
            [true, false, true, true]
        );
    }

    #[test]
    fn a_bad_file_is_named_and_no_panic() {
        let top = scratch("bad");
        let mut library = Library::new(vec![top.clone()]);
        let mut cut = Vec::new();
        tone(&top.join("good.wav"), 8_000, 0.2);
        cut.extend(&fs::read(top.join("good.wav")).expect("read")[..30]);
        let files: [(&str, &[u8]); 5] = [
            ("empty.wav", b""),
            ("text.wav", b"no sound at all"),
            ("cut.wav", &cut),
            ("text.opus", b"no sound at all"),
            ("head.ogg", b"OggS\0\x02\0\0\0\0\0\0\0\0"),
        ];
        for (name, content) in files {
            fs::write(top.join(name), content).expect("written");
            let error = library
                .clip(&wanted(name, Codec::Pcmu, 20))
                .expect_err(name);
            assert!(error.starts_with(name), "{error}");
        }
        let error = library
            .clip(&wanted("nowhere", Codec::Pcmu, 20))
            .expect_err("missing");
        assert!(error.contains("nowhere"), "{error}");
        let _ = fs::remove_dir_all(top);
    }
}
