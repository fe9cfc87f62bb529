//! A short sound that everybody in a room hears, mixed into what is said: somebody came, somebody went.
//!
//! One sounds at a time, at most once a second: a hundred who come at once are one tone, and a room of five hundred pays one
//! small decoder for it, as long as it sounds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use offhook_dsp::{Codec, Decoder};

use crate::clip::{Clip, Wanted};
use crate::commands::{Refusal, bad_description};
use crate::engine::Engine;
use crate::io::{Now, Output};
use crate::transcode::MAX_TICK_SAMPLES;
use crate::voice::{Rates, Voice};

/// From one chime to the next: more of them in a second is noise.
const REST: Duration = Duration::from_secs(1);
/// The longest, packets of 20 ms: two seconds. What is longer is cut there: a chime is no announcement.
const MAX_PACKETS: usize = 100;
/// Bytes of a file's name.
const MAX_NAME: usize = 255;
const PACKET_MS: u32 = 20;
/// As which it is fetched: wide-band, and cheaper to decode than Opus.
const CODEC: Codec = Codec::G722;

/// The chimes of one room.
#[derive(Default)]
pub(crate) struct Chimes {
    /// When the last one was asked for.
    began: Option<Instant>,
    number: u64,
    sounding: Option<Box<Sounding>>,
}

struct Sounding {
    decoder: Decoder,
    voice: Voice,
    clip: Arc<Clip>,
    at: usize,
}

impl Chimes {
    /// The next 20 ms, for listeners at these rates, if one sounds; whether it does.
    pub(crate) fn take(&mut self, rates: &Rates) -> bool {
        if let Some(sounding) = &mut self.sounding {
            if !sounding.next(rates) {
                self.sounding = None;
            }
        }
        self.sounding.is_some()
    }

    /// What sounds.
    pub(crate) fn voice(&self) -> Option<&Voice> {
        self.sounding.as_ref().map(|sounding| &sounding.voice)
    }
}

impl Sounding {
    /// False when it is over.
    fn next(&mut self, rates: &Rates) -> bool {
        let Some(packet) = self
            .clip
            .packets
            .get(self.at)
            .filter(|_| self.at < MAX_PACKETS)
        else {
            return false;
        };
        let mut pcm = [0i16; MAX_TICK_SAMPLES];
        let Ok(length) = self.decoder.decode(packet, &mut pcm) else {
            return false;
        };
        self.voice
            .take(pcm.get(..length).unwrap_or_default(), rates);
        self.at += 1;
        true
    }
}

impl Engine {
    /// Everybody in the room hears a file, if there is one and no other chime sounded just now.
    pub(crate) fn chime(&mut self, number: u64, file: String, now: Now) -> Result<(), Refusal> {
        if file.is_empty() || file.len() > MAX_NAME {
            return Err(bad_description("a file's name has 1 to 255 bytes"));
        }
        self.next_player += 1;
        let player = self.next_player;
        let Some(room) = self.rooms.get_mut(&number) else {
            return Ok(());
        };
        let chimes = &mut room.chimes;
        let rests = |began: Instant| now.instant.saturating_duration_since(began) < REST;
        if chimes.began.is_some_and(rests) {
            return Ok(());
        }
        (chimes.began, chimes.number) = (Some(now.instant), player);
        self.out.push(Output::Fetch(Wanted {
            whose: number,
            room: true,
            player,
            index: 0,
            file,
            codec: CODEC,
            packet_ms: PACKET_MS,
        }));
        Ok(())
    }

    /// The file of a chime is there, or is not: then nothing sounds.
    pub(crate) fn chime_fetched(&mut self, wanted: &Wanted, clip: Result<Arc<Clip>, String>) {
        let Some(room) = self.rooms.get_mut(&wanted.whose) else {
            return;
        };
        let chimes = &mut room.chimes;
        let rate = wanted.codec.native_rate();
        let decoder = Decoder::new(wanted.codec, rate);
        let newest = chimes.number == wanted.player;
        if let (Ok(clip), Ok(decoder), true) = (clip, decoder, newest) {
            chimes.sounding = Some(Box::new(Sounding {
                decoder,
                voice: Voice::new(rate),
                clip,
                at: 0,
            }));
        }
    }
}
