//! Recordings: copies of what a leg says and hears, or of a room's mix, for a thread that writes them to a file.
//!
//! Here are the taps and which recording runs where; decoding, alignment and files are the shell's.

use std::time::Instant;

use offhook_dsp::Codec;
use offhook_rtp::header::Fields;

use crate::activity::{self, Activity};
use crate::command::Command;
use crate::commands::{Refusal, bad_description};
use crate::description::Recording;
use crate::engine::Engine;
use crate::event::Reply;
use crate::feed::Form;
use crate::ids::LegId;
use crate::io::{Now, Output, ReplyToken};
use crate::leg::Leg;
use crate::members::room_of;
use crate::outbox::Outbox;
use crate::receive::Incoming;
use crate::room::Room;

/// Taps on one leg or room, recordings and feeds together (MEDIA.md section 9).
pub(crate) const MAX_TAPS: usize = 4;
/// Bytes of a recording's name and of its file's.
const MAX_NAME: usize = 255;
/// Rate of a recording in which anybody is wide-band, Hz; more would only store what telephony has not carried.
const WIDE: u32 = 16_000;
const NARROW: u32 = 8_000;

/// What of a leg is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Two channels: left what the leg's peer says, right what it hears.
    Both,
    /// One channel: both together.
    Mixed,
    /// One channel: what the peer says.
    Says,
    /// One channel: what the peer hears.
    Hears,
    /// One channel: the mix of the room in which the leg is.
    Room,
}

/// How to begin a recording; entries follow.
#[derive(Debug, Clone, PartialEq)]
pub struct Begin {
    /// The number under which entries come.
    pub number: u64,
    /// The leg that it belongs to.
    pub leg: u64,
    /// When its time begins.
    pub start: Instant,
    /// The leg's codec: the one of a single channel that may be kept as it comes.
    pub codec: Option<Codec>,
    /// Rate of decoded sound, Hz.
    pub rate: u32,
    /// What was asked for.
    pub spec: Recording,
}

/// One piece of a recording, in the order it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When, since the recording's start, microseconds.
    pub at_us: u64,
    /// What.
    pub what: Piece,
}

/// What an entry holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A packet of speech of one channel.
    Packet {
        /// 0 left, 1 right.
        channel: u8,
        /// Its codec.
        codec: Codec,
        /// Its stream.
        ssrc: u32,
        /// The low half of its number.
        sequence: u16,
        /// Time on the codec's clock.
        timestamp: u32,
        /// Encoded sound.
        payload: Box<[u8]>,
    },
    /// A packet without sound took this number of a stream; only feeds of Opus hear of it.
    Aside {
        /// As of packets.
        channel: u8,
        /// Its stream.
        ssrc: u32,
        /// The low half of its number.
        sequence: u16,
    },
    /// 20 ms of a room's mix.
    Sound {
        /// Hz.
        rate: u32,
        /// Mono.
        samples: Box<[i16]>,
    },
    /// From here on silence is written.
    Pause,
    /// From here on sound is written again.
    Resume,
    /// A press of the leg's peer, and its length in ms; only feeds hear of it.
    Digit(char, u32),
    /// The place of a mark that a feed's receiver set has been played.
    Mark(String),
    /// There was no room for entries since this time (microseconds since the start).
    Lost(u64),
    /// It is over: stopped or ended.
    End(&'static str),
}

/// What a tap is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Recording,
    /// What it carries, and whether its receiver is heard.
    Feed(Form, bool),
}

/// A tap on a leg or room.
pub(crate) struct Tap {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) start: Instant,
    pub(crate) says: Option<u8>,
    pub(crate) hears: Option<u8>,
    pub(crate) paused: bool,
    pub(crate) what_for: Use,
}

impl Tap {
    pub(crate) fn entry(&self, what: Piece, now: Instant) -> Output {
        let since = now.saturating_duration_since(self.start).as_micros();
        let at_us = u64::try_from(since).unwrap_or(u64::MAX);
        Output::Record(self.number, Entry { at_us, what })
    }
}

/// Taps, none as a rule.
#[derive(Default)]
pub(crate) struct Taps {
    pub(crate) copies: Vec<Tap>,
    /// Whether the leg's peer speaks is told.
    pub(crate) voice: Option<Box<Activity>>,
}

impl Taps {
    pub(crate) fn is_empty(&self) -> bool {
        self.copies.is_empty() && self.voice.is_none()
    }

    /// A packet that the leg's peer said.
    pub(crate) fn said(
        &self,
        codec: Codec,
        incoming: &Incoming,
        payload: &[u8],
        out: &mut Outbox,
        now: Instant,
    ) {
        for tap in self.copies.iter().filter(|tap| !tap.paused) {
            let Some(channel) = tap.says else { continue };
            let piece = Piece::Packet {
                channel,
                codec,
                ssrc: incoming.ssrc,
                // Truncation: the reader extends it again.
                sequence: incoming.sequence as u16,
                timestamp: incoming.timestamp,
                payload: payload.into(),
            };
            out.push(tap.entry(piece, now));
        }
    }

    /// A packet that the leg's peer hears.
    pub(crate) fn heard(
        &self,
        codec: Codec,
        fields: &Fields,
        payload: &[u8],
        out: &mut Outbox,
        now: Instant,
    ) {
        for tap in self.copies.iter().filter(|tap| !tap.paused) {
            let Some(channel) = tap.hears else { continue };
            let piece = Piece::Packet {
                channel,
                codec,
                ssrc: fields.ssrc,
                sequence: fields.sequence,
                timestamp: fields.timestamp,
                payload: payload.into(),
            };
            out.push(tap.entry(piece, now));
        }
    }

    /// A packet without sound that the leg's peer said, or hears.
    pub(crate) fn aside(
        &self,
        heard: bool,
        ssrc: u32,
        sequence: u16,
        out: &mut Outbox,
        now: Instant,
    ) {
        let opus = |tap: &&Tap| matches!(tap.what_for, Use::Feed(Form::Opus, _));
        for tap in self.copies.iter().filter(opus) {
            let channel = if heard { tap.hears } else { tap.says };
            let Some(channel) = channel else { continue };
            let piece = Piece::Aside {
                channel,
                ssrc,
                sequence,
            };
            out.push(tap.entry(piece, now));
        }
    }

    /// 20 ms of a room.
    pub(crate) fn mixed(&self, rate: u32, sound: &[i16], out: &mut Outbox, now: Instant) {
        for tap in self.copies.iter().filter(|tap| !tap.paused) {
            let piece = Piece::Sound {
                rate,
                samples: sound.into(),
            };
            out.push(tap.entry(piece, now));
        }
    }

    fn named(&mut self, name: &str) -> Option<&mut Tap> {
        let of_it = |tap: &&mut Tap| tap.name == name && tap.what_for == Use::Recording;
        self.copies.iter_mut().find(of_it)
    }

    /// All recordings here are over.
    pub(crate) fn end(&mut self, reason: &'static str, out: &mut Outbox, now: Instant) {
        for tap in self.copies.drain(..) {
            out.push(tap.entry(Piece::End(reason), now));
        }
    }
}

impl Engine {
    /// Begins a recording; why its file cannot be written is told by `RecordingFinished`.
    pub(crate) fn record_start(
        &mut self,
        id: LegId,
        spec: Recording,
        now: Now,
    ) -> Result<(), Refusal> {
        check(&spec)?;
        let number = self.next_tap + 1;
        let (says, hears) = match spec.side {
            Side::Both | Side::Mixed => (Some(0), Some(1)),
            Side::Says => (Some(0), None),
            Side::Hears => (None, Some(0)),
            Side::Room => (None, None),
        };
        let codec = self
            .legs
            .get(id)
            .and_then(|leg| leg.rx.codec.or(leg.tx.speech.map(|speech| speech.codec)));
        let wide = codec.is_none_or(|codec| codec.native_rate() > NARROW);
        let rate = if spec.side == Side::Room || wide {
            WIDE
        } else {
            NARROW
        };
        let taps = self
            .taps(id, spec.side == Side::Room)
            .ok_or_else(|| bad_description("the leg is in no room"))?;
        if taps.copies.len() >= MAX_TAPS {
            let text = format!("{MAX_TAPS} recordings and feeds run here, as many as may");
            return Err(("too_many_taps", text));
        }
        if taps.named(&spec.recording).is_some() {
            return Err(bad_description("a recording of that name runs here"));
        }
        taps.copies.push(Tap {
            number,
            name: spec.recording.clone(),
            start: now.instant,
            says,
            hears,
            paused: false,
            what_for: Use::Recording,
        });
        self.next_tap = number;
        self.out.push(Output::RecordBegin(Box::new(Begin {
            number,
            leg: id.0,
            start: now.instant,
            codec,
            rate,
            spec,
        })));
        Ok(())
    }

    /// Pauses, resumes or stops one; unknown ones are refused.
    pub(crate) fn record_change(
        &mut self,
        id: LegId,
        name: &str,
        piece: Piece,
        now: Now,
    ) -> Result<(), Refusal> {
        let mut told = None;
        for room in [false, true] {
            let Some(taps) = self.taps(id, room) else {
                continue;
            };
            let Some(tap) = taps.named(name) else {
                continue;
            };
            let before = tap.paused;
            tap.paused = matches!(piece, Piece::Pause);
            let ends = matches!(piece, Piece::End(_));
            // The same again has no effect.
            let changes = ends || before != tap.paused;
            told = Some(changes.then(|| tap.entry(piece.clone(), now.instant)));
            if ends {
                taps.copies
                    .retain(|tap| tap.name != name || tap.what_for != Use::Recording);
            }
            break;
        }
        let unknown = || {
            (
                "unknown_recording",
                format!("no recording {name:?} runs here"),
            )
        };
        told.ok_or_else(unknown)?
            .into_iter()
            .for_each(|entry| self.out.push(entry));
        Ok(())
    }

    /// The writer has ended a recording by itself: its file is full, or cannot be written.
    pub(crate) fn recording_over(&mut self, number: u64) {
        let gone = |taps: &mut Taps| taps.copies.retain(|tap| tap.number != number);
        self.legs.iter_mut().for_each(|leg| gone(&mut leg.taps));
        self.rooms.values_mut().for_each(|room| gone(room.taps()));
    }

    fn taps(&mut self, id: LegId, room: bool) -> Option<&mut Taps> {
        if !room {
            return self.legs.get_mut(id).map(|leg| &mut leg.taps);
        }
        if self.is_far(id.0) {
            let mut rooms = self.rooms.values_mut();
            return rooms.find(|room| room.has_far(id)).map(Room::taps);
        }
        let number = self.legs.get(id).and_then(room_of)?;
        self.rooms.get_mut(&number).map(Room::taps)
    }

    /// Whether a command is about a recording that another shard makes: of the room there that the leg is in.
    pub(crate) fn is_far_recording(&self, command: &Command) -> bool {
        let (leg, own) = match command {
            Command::RecordStart { leg, spec, .. } => (leg, spec.side != Side::Room),
            Command::RecordPause { leg, recording, .. }
            | Command::RecordResume { leg, recording, .. }
            | Command::RecordStop { leg, recording, .. } => {
                let taps = self.legs.get(LegId(*leg)).map(|leg| &leg.taps.copies);
                let known = |taps: &Vec<Tap>| taps.iter().any(|tap| tap.name == *recording);
                (leg, taps.is_some_and(known))
            }
            _ => return false,
        };
        let room = self.legs.get(LegId(*leg)).and_then(room_of);
        !own && room.is_some_and(|room| self.is_far(room))
    }

    /// A command of another shard about a recording of a room here, in which the leg is.
    pub(crate) fn recording_order(
        &mut self,
        leg: LegId,
        command: Command,
        token: ReplyToken,
        now: Now,
    ) {
        let n = command.number();
        let done = match command {
            Command::RecordStart { spec, .. } => self.record_start(leg, spec, now),
            Command::RecordPause { recording, .. } => {
                self.record_change(leg, &recording, Piece::Pause, now)
            }
            Command::RecordResume { recording, .. } => {
                self.record_change(leg, &recording, Piece::Resume, now)
            }
            Command::RecordStop { recording, .. } => {
                self.record_change(leg, &recording, Piece::End("stopped"), now)
            }
            _ => Err(bad_description("only recordings are ordered from afar")),
        };
        match done {
            Ok(()) => {
                let reply = Reply::Done { n };
                self.out.push(Output::Reply { token, reply });
            }
            Err((code, text)) => self.refuse(token, n, code, &text),
        }
    }
}

/// Copies what was said, if anybody listens.
pub(crate) fn said(
    leg: &mut Leg,
    codec: Codec,
    incoming: &Incoming,
    payload: &[u8],
    out: &mut Outbox,
    now: Now,
) {
    if leg.taps.is_empty() {
        return;
    }
    leg.taps.said(codec, incoming, payload, out, now.instant);
    let watched = leg.taps.voice.as_mut();
    if watched.is_some_and(|one| one.packet(codec, incoming, payload, now.instant)) {
        out.event(activity::voice(leg.id, true));
    }
}

/// Notes the number of a packet without sound, if anybody listens.
pub(crate) fn aside(leg: &Leg, incoming: &Incoming, out: &mut Outbox, now: Now) {
    // Truncation: the reader extends it again.
    let sequence = incoming.sequence as u16;
    leg.taps
        .aside(false, incoming.ssrc, sequence, out, now.instant);
}

/// Copies what is sent, if it is speech and anybody listens.
pub(crate) fn heard(leg: &Leg, fields: &Fields, payload: &[u8], out: &mut Outbox, now: Now) {
    if leg.taps.is_empty() {
        return;
    }
    let speech = leg.tx.speech;
    match speech.filter(|one| one.payload_type == fields.payload_type) {
        Some(speech) => leg
            .taps
            .heard(speech.codec, fields, payload, out, now.instant),
        None => leg
            .taps
            .aside(true, fields.ssrc, fields.sequence, out, now.instant),
    }
}

fn check(spec: &Recording) -> Result<(), Refusal> {
    if spec.recording.is_empty() || spec.recording.len() > MAX_NAME {
        return Err(bad_description(
            "a recording needs a name of 255 bytes at most",
        ));
    }
    if spec.file.is_empty() || spec.file.len() > MAX_NAME {
        return Err(bad_description(
            "a recording's file needs a name of 255 bytes at most",
        ));
    }
    Ok(())
}
