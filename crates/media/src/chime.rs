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

/// From one chime to the next: more of them in a second is noise.
const REST: Duration = Duration::from_secs(1);
/// The longest, packets of 20 ms: two seconds. What is longer is cut there: a chime is no announcement.
const MAX_PACKETS: usize = 100;
/// Bytes of a file's name.
const MAX_NAME: usize = 255;
const PACKET_MS: u32 = 20;

/// The chimes of one room.
#[derive(Default)]
pub(crate) struct Chimes {
    /// When the last one was asked for.
    began: Option<Instant>,
    number: u64,
    sounding: Option<Box<Sounding>>,
}

struct Sounding {
    rate: u32,
    decoder: Decoder,
    clip: Arc<Clip>,
    at: usize,
}

impl Chimes {
    /// Adds the next 20 ms to the sum, if one sounds at this rate; whether it does.
    pub(crate) fn add(&mut self, rate: u32, total: &mut [i32]) -> bool {
        let Some(sounding) = self.sounding.as_mut().filter(|one| one.rate == rate) else {
            // The room's rate has changed: the rest of it is left out.
            self.sounding = None;
            return false;
        };
        let mut pcm = [0i16; MAX_TICK_SAMPLES];
        let packet = sounding.clip.packets.get(sounding.at);
        let decoded = packet.map(|packet| sounding.decoder.decode(packet, &mut pcm));
        let Some(Ok(length)) = decoded else {
            self.sounding = None;
            return false;
        };
        let heard = pcm.get(..length).unwrap_or_default();
        total
            .iter_mut()
            .zip(heard)
            .for_each(|(sum, one)| *sum += i32::from(*one));
        sounding.at += 1;
        if sounding.at >= MAX_PACKETS {
            self.sounding = None;
        }
        true
    }
}

/// How a chime is fetched for a room that is mixed at this rate.
fn codec(rate: u32) -> Codec {
    if rate > 8_000 {
        Codec::G722
    } else {
        Codec::Pcmu
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
        let rate = room.rate();
        let chimes = room.chimes();
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
            codec: codec(rate),
            packet_ms: PACKET_MS,
        }));
        Ok(())
    }

    /// The file of a chime is there, or is not: then nothing sounds.
    pub(crate) fn chime_fetched(&mut self, wanted: &Wanted, clip: Result<Arc<Clip>, String>) {
        let Some(room) = self.rooms.get_mut(&wanted.whose) else {
            return;
        };
        let rate = room.rate();
        let chimes = room.chimes();
        let fits = chimes.number == wanted.player && codec(rate) == wanted.codec;
        let decoder = Decoder::new(wanted.codec, rate);
        if let (Ok(clip), Ok(decoder), true) = (clip, decoder, fits) {
            chimes.sounding = Some(Box::new(Sounding {
                rate,
                decoder,
                clip,
                at: 0,
            }));
        }
    }
}
