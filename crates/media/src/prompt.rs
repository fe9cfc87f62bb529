//! Players of files: each packet was encoded before, so that playing costs as much as passing on.
//!
//! A player has a list of files, plays it once, several times or for ever, and gives the leg back to what fed it before.
//! Files are fetched by the shell; until the first is there, nothing is sent.

use std::sync::Arc;

use offhook_dsp::Codec;

use crate::clip::{Clip, Wanted};
use crate::commands::{Refusal, bad_description};
use crate::engine::Engine;
use crate::event::Event;
use crate::ids::LegId;
use crate::io::{Now, Output};
use crate::leg::Leg;
use crate::player::Player;
use crate::route::emit;
use crate::send::Source;
use crate::transcode::packet_ms;

/// Files of one player: a long number in a long sentence; more is a program gone wrong.
pub(crate) const MAX_FILES: usize = 64;
/// Bytes of a file's name below a directory of sounds.
const MAX_NAME: usize = 255;
/// Files that are fetched ahead of the one that is heard: the next must be there when its turn comes.
const AHEAD: usize = 2;
/// The file of the music on hold. Where there is none, music is synthesised.
pub const MUSIC: &str = "music/hold";
/// Length of a tick, ms.
const TICK_MS: u32 = 20;

struct File {
    name: String,
    clip: Option<Arc<Clip>>,
    asked: bool,
}

/// What fed the leg before, and does so again afterwards.
pub(crate) enum Before {
    Nothing,
    Source(Source),
    /// A room, in which the leg's place is kept.
    Room(u64),
}

/// A player of files.
pub(crate) struct Prompt {
    /// The signalling side's name of it.
    play: String,
    number: u64,
    files: Vec<File>,
    /// Rounds to go, this one included; 0: for ever.
    rounds: u32,
    until_digit: bool,
    /// Nobody waits for its end: it is what `Play` asked for, and what replaces it does not come back to it.
    music: bool,
    before: Before,
    /// Codec and packet time that the clips are made for.
    form: Option<(Codec, u32)>,
    file: usize,
    packet: usize,
    /// Sound that is due and was not sent yet, ms.
    due_ms: u32,
    played_ms: u64,
}

/// What `PlayFiles` asks for.
pub(crate) struct Request {
    pub(crate) play: String,
    pub(crate) files: Vec<String>,
    pub(crate) rounds: u32,
    pub(crate) until_digit: bool,
}

enum Step {
    Packet(Arc<Clip>, usize),
    Wait,
    Over,
}

impl Prompt {
    fn new(request: Request, number: u64, before: Before) -> Self {
        let file = |name| File {
            name,
            clip: None,
            asked: false,
        };
        Self {
            play: request.play,
            number,
            files: request.files.into_iter().map(file).collect(),
            rounds: request.rounds,
            until_digit: request.until_digit,
            music: false,
            before,
            form: None,
            file: 0,
            packet: 0,
            due_ms: 0,
            played_ms: 0,
        }
    }

    /// The music on hold, for ever; `synthesised` is played where its file is not.
    pub(crate) fn music(number: u64, synthesised: Player) -> Self {
        let request = Request {
            play: String::new(),
            files: vec![MUSIC.to_owned()],
            rounds: 0,
            until_digit: false,
        };
        let before = Before::Source(Source::Player(synthesised));
        Self {
            music: true,
            ..Self::new(request, number, before)
        }
    }

    /// What it gives the leg back to.
    pub(crate) fn before(&self) -> &Before {
        &self.before
    }

    /// Whether it is the music on hold.
    pub(crate) fn is_music(&self) -> bool {
        self.music
    }

    /// Whether a press of the leg's peer ends it.
    pub(crate) fn until_digit(&self) -> bool {
        self.until_digit
    }

    /// Another codec or packet time: clips are fetched anew, and the place in the sound is kept.
    fn take_form(&mut self, codec: Codec, ms: u32) {
        if self.form == Some((codec, ms)) {
            return;
        }
        if let Some((_, old)) = self.form {
            self.packet = self.packet * old as usize / ms.max(1) as usize;
        }
        self.form = Some((codec, ms));
        for file in &mut self.files {
            (file.clip, file.asked) = (None, false);
        }
    }

    /// Files to fetch now.
    fn wanted(&mut self, leg: LegId) -> Vec<Wanted> {
        let Some((codec, packet_ms)) = self.form else {
            return Vec::new();
        };
        let (number, count) = (self.number, self.files.len());
        // For ever means that the first file follows the last.
        let ahead: Vec<usize> = (self.file..self.file + AHEAD)
            .map(|at| at % count.max(1))
            .collect();
        let files = self.files.iter_mut().enumerate();
        let mut wanted = Vec::new();
        for (index, file) in files.filter(|(at, file)| ahead.contains(at) && !file.asked) {
            file.asked = true;
            wanted.push(Wanted {
                whose: leg.0,
                room: false,
                player: number,
                index,
                file: file.name.clone(),
                codec,
                packet_ms,
            });
        }
        wanted
    }

    /// The packet whose turn it is.
    fn step(&mut self) -> Step {
        // Files without a packet are passed over, at most once around; the end of one and of the list are steps of their own.
        for _ in 0..self.files.len() + 2 {
            let Some(file) = self.files.get(self.file) else {
                if self.rounds == 1 || self.files.is_empty() {
                    return Step::Over;
                }
                self.rounds = self.rounds.saturating_sub(1);
                self.file = 0;
                continue;
            };
            let Some(clip) = &file.clip else {
                return Step::Wait;
            };
            if self.packet < clip.packets.len() {
                let step = Step::Packet(Arc::clone(clip), self.packet);
                self.packet += 1;
                return step;
            }
            self.packet = 0;
            self.file += 1;
        }
        Step::Over
    }
}

impl Engine {
    /// Files become the leg's source until they are over; another player of files before them is over at once.
    pub(crate) fn play_files(
        &mut self,
        id: LegId,
        request: Request,
        now: Now,
    ) -> Result<(), Refusal> {
        if request.files.is_empty() || request.files.len() > MAX_FILES {
            let text = format!("a player takes 1 to {MAX_FILES} files");
            return Err(bad_description(&text));
        }
        if request.files.iter().any(|name| name.len() > MAX_NAME) {
            return Err(bad_description("a file's name has 255 bytes at most"));
        }
        self.next_player += 1;
        let number = self.next_player;
        let before = self.set_aside(id, now);
        if let Some(leg) = self.legs.get_mut(id) {
            let prompt = Prompt::new(request, number, before);
            leg.feed_from(Source::Prompt(Box::new(prompt)));
        }
        self.arm_tick(id, now);
        Ok(())
    }

    /// What feeds the leg now, to come back to: a bridge's link from its source stays.
    pub(crate) fn set_aside(&mut self, id: LegId, now: Now) -> Before {
        let Some(leg) = self.legs.get_mut(id) else {
            return Before::Nothing;
        };
        match std::mem::replace(&mut leg.tx.source, Source::None) {
            Source::Prompt(mut prompt) if !prompt.music => {
                let before = std::mem::replace(&mut prompt.before, Before::Nothing);
                self.tell_finished(id, &prompt, "replaced", String::new());
                before
            }
            Source::Room(room) => {
                self.step_aside(id, room);
                Before::Room(room)
            }
            Source::None => Before::Nothing,
            Source::Feed(mut feed) => {
                // Nothing comes back to it: its receiver takes the leg again with its next sound.
                let before = std::mem::replace(&mut feed.before, Before::Nothing);
                self.played_out(id, *feed, now);
                before
            }
            source => {
                leg.tx.digits.release_all();
                Before::Source(source)
            }
        }
    }

    /// The leg's player of files is over, if there is one; what fed the leg before does so again.
    pub(crate) fn finish_prompt(&mut self, id: LegId, reason: &str, text: String, now: Now) {
        let Some(mut prompt) = self.drop_prompt(id) else {
            return;
        };
        self.tell_finished(id, &prompt, reason, text);
        let before = std::mem::replace(&mut prompt.before, Before::Nothing);
        self.give_back(id, before, now);
    }

    /// What fed the leg before another source does so again.
    pub(crate) fn give_back(&mut self, id: LegId, before: Before, now: Now) {
        match before {
            Before::Nothing => {}
            Before::Room(room) => {
                let muted = self.legs.get(id).is_some_and(|leg| leg.muted);
                self.join(id, room, muted, now);
            }
            Before::Source(before) => self.take_up(id, before, now),
        }
    }

    /// What fed the leg before does so again, if it is still there and for it.
    fn take_up(&mut self, id: LegId, before: Source, now: Now) {
        let there = match &before {
            Source::Leg(source) => {
                let link = self.legs.get(id).and_then(|leg| leg.link.as_ref());
                let heard = self.legs.get(*source);
                heard.is_some_and(|source| source.sink == Some(id))
                    || link.is_some_and(|link| link.fed_by(*source))
            }
            _ => true,
        };
        if let Some(leg) = self.legs.get_mut(id).filter(|_| there) {
            leg.feed_from(before);
        }
        self.compile(id, now);
    }

    /// As `finish_prompt`, when something else becomes the leg's source.
    pub(crate) fn replace_prompt(&mut self, id: LegId) {
        if let Some(prompt) = self.drop_prompt(id) {
            self.tell_finished(id, &prompt, "replaced", String::new());
            self.give_up_place(id, &prompt.before);
        }
    }

    fn drop_prompt(&mut self, id: LegId) -> Option<Box<Prompt>> {
        let leg = self.legs.get_mut(id)?;
        if !matches!(leg.tx.source, Source::Prompt(_)) {
            return None;
        }
        let source = std::mem::replace(&mut leg.tx.source, Source::None);
        leg.feed_from(Source::None);
        match source {
            Source::Prompt(prompt) => Some(prompt),
            _ => None,
        }
    }

    pub(crate) fn tell_finished(&mut self, id: LegId, prompt: &Prompt, reason: &str, text: String) {
        if prompt.music {
            return;
        }
        self.out.event(Event::PlayFinished {
            leg: id.0,
            play: prompt.play.clone(),
            reason: reason.to_owned(),
            text,
            played_ms: prompt.played_ms,
        });
    }

    /// A file that was asked for is there, or why it is not.
    pub(crate) fn fetched(&mut self, wanted: &Wanted, clip: Result<Arc<Clip>, String>, now: Now) {
        if wanted.room {
            return self.chime_fetched(wanted, clip);
        }
        let id = LegId(wanted.whose);
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        self.in_hand = Some(id);
        let Source::Prompt(prompt) = &mut leg.tx.source else {
            return;
        };
        let current =
            prompt.number == wanted.player && prompt.form == Some((wanted.codec, wanted.packet_ms));
        match clip {
            _ if !current => {}
            Ok(clip) => {
                if let Some(file) = prompt.files.get_mut(wanted.index) {
                    file.clip = Some(clip);
                }
            }
            Err(text) => self.finish_prompt(id, "failed", text, now),
        }
    }

    /// One tick of a leg that plays files; false if it does not, or if a digit sounds in its place.
    pub(crate) fn prompt_tick(&mut self, id: LegId, now: Now) -> bool {
        let Some(leg) = self.legs.get_mut(id) else {
            return false;
        };
        let open = leg.outlet(now.instant).is_ok();
        let ptime = leg
            .remote
            .as_ref()
            .map_or(leg.offer.ptime, |remote| remote.ptime);
        let (speech, sounding) = (leg.tx.speech, leg.tx.digits.tone().is_some());
        let Source::Prompt(prompt) = &mut leg.tx.source else {
            return false;
        };
        let Some(speech) = speech else { return true };
        let ms = packet_ms(speech.codec, ptime);
        prompt.take_form(speech.codec, ms);
        for wanted in prompt.wanted(id) {
            self.out.push(Output::Fetch(wanted));
        }
        if sounding {
            return false;
        }
        // Nothing is lost of the beginning: it waits until the peer can hear it.
        if prompt.played_ms == 0 && !open {
            return true;
        }
        prompt.due_ms += TICK_MS;
        while let Some(over) = self.prompt_packet(id, ms, speech.payload_type, now) {
            if over {
                self.finish_prompt(id, "finished", String::new(), now);
                break;
            }
        }
        true
    }

    /// Sends the packet that is due; `None` when none is, `Some(true)` when there is none any more.
    fn prompt_packet(&mut self, id: LegId, ms: u32, payload_type: u8, now: Now) -> Option<bool> {
        let leg = self.legs.get_mut(id)?;
        let ticks = leg.tx.speech?.codec.ticks_per_ms() * ms;
        let Source::Prompt(prompt) = &mut leg.tx.source else {
            return None;
        };
        prompt.due_ms = prompt
            .due_ms
            .checked_sub(ms)
            .filter(|_| prompt.due_ms >= ms)?;
        let (clip, at) = match prompt.step() {
            Step::Packet(clip, at) => (clip, at),
            Step::Wait => {
                leg.tx.skip(ticks);
                return Some(false);
            }
            Step::Over => return Some(true),
        };
        prompt.played_ms += u64::from(ms);
        send(
            leg,
            clip.packets.get(at)?,
            ticks,
            payload_type,
            &mut self.out,
            now,
        );
        Some(false)
    }
}

/// Sends a packet that was encoded before, `ticks` long.
pub(crate) fn send(
    leg: &mut Leg,
    payload: &[u8],
    ticks: u32,
    payload_type: u8,
    out: &mut crate::outbox::Outbox,
    now: Now,
) {
    // A press by telephone-event mutes the sound beside it.
    if leg.tx.digits.active() || leg.outlet(now.instant).is_err() {
        leg.tx.skip(ticks);
        return;
    }
    let fields = leg.tx.generated(ticks, payload_type, now.instant);
    emit(leg, fields, payload, None, out, now);
}
