//! Legs and rooms of other shards. A leg is linked with at most one of them; what crosses is packets that are opened
//! already, presses, and what peers ask of each other.
//!
//! What each side has to know of the other (its verdict, how well it is heard, its formats) is said four times a second,
//! so that a message that is lost heals by itself. A plain packet of a call on one shard meets none of this.

use std::time::Instant;

use offhook_dsp::{Codec, Counters};
use offhook_rtp::event::Changes;

use crate::command::{Command, shard_of};
use crate::description::VideoOffer;
use crate::engine::Engine;
use crate::event::Reply;
use crate::ids::LegId;
use crate::io::{Now, Output, Packet, ReplyToken};
use crate::members::kept_place;
use crate::pause::Made;
use crate::receive::Incoming;
use crate::send::Source;
use crate::verdict::Verdict;
use crate::video::Seen;
use crate::voice::Ear;

/// A leg or a room, here or on another shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Leg(LegId),
    Room(u64),
}

/// Something that crosses to another shard; the shell carries it.
#[derive(Debug)]
pub struct Linked {
    to: Place,
    from: u64,
    link: u64,
    what: What,
}

impl Linked {
    /// `from`: a leg, or a room.
    pub(crate) fn new(to: Place, from: u64, link: u64, what: What) -> Self {
        Self {
            to,
            from,
            link,
            what,
        }
    }

    /// The shard it goes to.
    pub fn shard(&self) -> u8 {
        let (Place::Leg(LegId(id)) | Place::Room(id)) = self.to;
        shard_of(id)
    }

    /// Whether it is media: worth nothing later.
    pub fn is_media(&self) -> bool {
        matches!(
            self.what,
            What::Sound { .. } | What::Picture { .. } | What::Mixed { .. }
        )
    }
}

/// What crosses.
#[derive(Debug)]
pub(crate) enum What {
    /// Sound of the leg that it comes from.
    Sound { incoming: Incoming, packet: Packet },
    /// Video of that leg: the opened packet, and what a retransmission repeats.
    Picture {
        seen: Seen,
        original: Option<u64>,
        packet: Packet,
    },
    /// Presses of that leg's peer, and how they were made.
    Presses(Changes, &'static str),
    /// What the other side has to know.
    Known(Box<Known>),
    /// The peer of that leg wants a key frame.
    KeyFrame,
    /// It has lost these packets, as entries of a NACK.
    Lost(Vec<(u16, u16)>),
    /// It can take so many bits a second.
    Rate(u64),
    /// That leg no longer hears this one, no longer feeds it, or both.
    Parted { hears: bool, feeds: bool },
    /// That leg is in this room.
    Attend(Attend),
    /// It is not any more.
    Leave,
    /// A packet of the room's sound.
    Mixed {
        codec: Codec,
        ticks: u32,
        kind: Kind,
        packet: Packet,
    },
    /// The room has as many members as it may.
    Full,
    /// A command about a recording of the room.
    Order(Box<Command>, ReplyToken),
}

/// What a packet of the room's sound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sound,
    /// Comfort noise of the level in the packet.
    Noise,
    /// Silence that is not sent.
    Pause,
}

/// What a leg's partner knows of it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// What its peer sends.
    pub(crate) codec: Option<Codec>,
    /// Why its peer is not heard.
    pub(crate) verdict: Option<Verdict>,
    /// How it decodes its partner.
    pub(crate) counters: Counters,
    /// Our half of its video line.
    pub(crate) video: Option<VideoOffer>,
    /// RTP time of its peer's video by the last report, and when that came.
    pub(crate) clock: Option<(u32, Instant)>,
}

/// A member of a room on another shard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attend {
    /// How it hears.
    pub(crate) hears: Option<Ear>,
    pub(crate) muted: bool,
    /// How much louder it is heard, dB.
    pub(crate) gain: i8,
    /// The command that is answered.
    pub(crate) answer: Option<(ReplyToken, u64)>,
}

/// A leg's link.
pub(crate) struct Link {
    /// Told by the control thread to both sides: tells late messages of an earlier link apart.
    pub(crate) number: u64,
    pub(crate) far: Place,
    /// The far side still feeds this leg, and still hears it.
    feeds: bool,
    hears: bool,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Packets that found no room on the way.
    pub(crate) dropped: u64,
    pub(crate) known: Known,
    met: bool,
}

impl Link {
    fn new(number: u64, far: Place) -> Box<Self> {
        Box::new(Self {
            number,
            far,
            feeds: true,
            hears: true,
            sent: 0,
            received: 0,
            dropped: 0,
            known: Known::default(),
            met: false,
        })
    }

    /// Whether this leg of another shard feeds the leg.
    pub(crate) fn fed_by(&self, far: LegId) -> bool {
        self.feeds && self.far == Place::Leg(far)
    }
}

impl Engine {
    /// Whether a leg, a call or a room is another shard's.
    pub(crate) fn is_far(&self, id: u64) -> bool {
        shard_of(id) != self.shard
    }

    /// Says something to another shard.
    pub(crate) fn cross(&mut self, to: Place, from: u64, link: u64, what: What) {
        self.out
            .push(Output::Linked(Linked::new(to, from, link, what)));
    }

    /// Says something to the far side of a leg's link.
    pub(crate) fn cross_link(&mut self, id: LegId, what: What) {
        let link = self.legs.get(id).and_then(|leg| leg.link.as_ref());
        if let Some((number, far)) = link.map(|link| (link.number, link.far)) {
            self.cross(far, id.0, number, what);
        }
    }

    /// The far leg that hears this one, if one does.
    fn far_sink(&self, id: LegId) -> bool {
        let leg = self.legs.get(id);
        leg.is_some_and(|leg| leg.sink.is_some_and(|sink| self.is_far(sink.0)))
    }

    /// Media for the far side: counted, and copied because the buffer it came in is the socket's.
    pub(crate) fn cross_media(
        &mut self,
        id: LegId,
        bytes: &[u8],
        what: impl FnOnce(Packet) -> What,
    ) {
        let Some(packet) = self.out.copy(bytes) else {
            return;
        };
        if let Some(link) = self.legs.get_mut(id).and_then(|leg| leg.link.as_mut()) {
            link.sent += 1;
        }
        self.cross_link(id, what(packet));
    }

    /// A packet for whoever hears this leg elsewhere.
    pub(crate) fn sound_across(&mut self, from: LegId, incoming: &Incoming, payload: &[u8]) {
        if self.far_sink(from) {
            let incoming = *incoming;
            self.cross_media(from, payload, |packet| What::Sound { incoming, packet });
        }
    }

    /// Video for whoever sees this leg elsewhere.
    pub(crate) fn picture_across(
        &mut self,
        from: LegId,
        seen: &Seen,
        original: Option<u64>,
        opened: &[u8],
    ) {
        if self.far_sink(from) {
            let seen = *seen;
            self.cross_media(from, opened, |packet| What::Picture {
                seen,
                original,
                packet,
            });
        }
    }

    /// Presses for whoever hears this leg elsewhere.
    pub(crate) fn presses_across(&mut self, from: LegId, changes: Changes, method: &'static str) {
        if self.far_sink(from) && !changes.is_empty() {
            self.cross_link(from, What::Presses(changes, method));
        }
    }

    /// Half of a bridge whose other half is on another shard, which gets a command of the same number.
    pub(crate) fn link(&mut self, id: LegId, far: LegId, number: u64, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let fed = matches!(leg.tx.source, Source::Leg(source) if source == far);
        let heard = leg.sink == Some(far);
        if let Some(link) = leg.link.as_mut().filter(|link| link.feeds && link.hears) {
            if fed && heard {
                link.number = number;
                return;
            }
        }
        self.unlink(id);
        if let Some(leg) = self.legs.get_mut(id) {
            leg.feed_from(Source::Leg(far));
            leg.sink = Some(far);
            leg.link = Some(Link::new(number, Place::Leg(far)));
        }
        self.compile(id, now);
        if self.legs.get(id).is_some_and(|leg| leg.video.is_some()) {
            self.cross_link(id, What::KeyFrame);
        }
    }

    /// The leg no longer hears its far partner (`hears`), or no longer feeds it (`feeds`).
    pub(crate) fn part(&mut self, id: LegId, hears: bool, feeds: bool) {
        let link = self.legs.get(id).and_then(|leg| leg.link.as_ref());
        if !link.is_some_and(|link| matches!(link.far, Place::Leg(_))) {
            return;
        }
        self.cross_link(id, What::Parted { hears, feeds });
        self.loosen(id, hears, feeds);
    }

    fn loosen(&mut self, id: LegId, fed_no_more: bool, heard_no_more: bool) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        if let Some(link) = &mut leg.link {
            link.feeds &= !fed_no_more;
            link.hears &= !heard_no_more;
            if !link.feeds && !link.hears {
                leg.link = None;
            }
        }
    }

    /// The leg goes into a room of another shard, or is muted there; `answer`: the command that the room answers.
    pub(crate) fn join_far(
        &mut self,
        id: LegId,
        number: u64,
        muted: bool,
        answer: Option<(ReplyToken, u64)>,
    ) {
        if self.legs.get(id).and_then(kept_place) == Some(number) {
            self.come_back(id, number);
        }
        let inside = self
            .legs
            .get(id)
            .is_some_and(|leg| leg.tx.source.room() == Some(number));
        if !inside {
            self.unlink(id);
            self.next_link += 1;
            let link = Link::new(self.next_link, Place::Room(number));
            if let Some(leg) = self.legs.get_mut(id) {
                leg.feed_from(Source::Room(number));
                leg.link = Some(link);
                leg.gain = 0;
            }
        }
        if let Some(leg) = self.legs.get_mut(id) {
            leg.muted = muted;
        }
        self.attend(id, answer);
    }

    pub(crate) fn attend(&mut self, id: LegId, answer: Option<(ReplyToken, u64)>) {
        let Some(leg) = self.legs.get(id) else { return };
        // Who hears something else keeps its place.
        let inside = leg.tx.source.room().is_some();
        let attend = Attend {
            hears: crate::room::wanted(leg).filter(|_| inside),
            muted: leg.muted || !inside,
            gain: leg.gain,
            answer,
        };
        self.cross_link(id, What::Attend(attend));
    }

    /// Tells the far side what it has to know of a leg.
    pub(crate) fn tell_far(&mut self, id: LegId, now: Now) {
        let far = self
            .legs
            .get(id)
            .and_then(|leg| Some(leg.link.as_ref()?.far));
        match far {
            None => {}
            Some(Place::Room(_)) => self.attend(id, None),
            Some(Place::Leg(far)) => {
                let known = self.described(id, far, now);
                self.cross_link(id, What::Known(Box::new(known)));
            }
        }
    }

    fn described(&self, id: LegId, far: LegId, now: Now) -> Known {
        let Some(leg) = self.legs.get(id) else {
            return Known::default();
        };
        let stopped_after = self.settings.stopped_after;
        let decoding = match leg.tx.source {
            Source::Leg(from) if from == far => leg.tx.decoding.as_ref(),
            _ => None,
        };
        Known {
            codec: leg.rx.codec.or(leg.tx.speech.map(|speech| speech.codec)),
            verdict: crate::verdict::inward(leg, stopped_after, now.instant),
            counters: decoding
                .map(|decoding| decoding.counters())
                .unwrap_or_default(),
            video: leg.video.as_ref().map(|video| video.offer.clone()),
            clock: leg.video.as_ref().and_then(|video| video.rx.source_clock()),
        }
    }

    /// Takes what has crossed from another shard.
    pub(crate) fn linked(&mut self, message: Linked, now: Now) {
        match message.to {
            Place::Room(number) => self.linked_room(number, message, now),
            Place::Leg(id) if self.legs.get(id).is_some() => self.linked_leg(id, message, now),
            Place::Leg(id) => self.linked_nobody(id, message),
        }
    }

    /// The leg is gone; who does not know it yet is told.
    fn linked_nobody(&mut self, id: LegId, message: Linked) {
        let Linked { from, link, .. } = message;
        match message.what {
            What::Known(_) => {
                let parted = What::Parted {
                    hears: true,
                    feeds: true,
                };
                self.cross(Place::Leg(LegId(from)), id.0, link, parted);
            }
            What::Mixed { packet, .. } => {
                self.out.recycle(packet);
                self.cross(Place::Room(from), id.0, link, What::Leave);
            }
            What::Sound { packet, .. } | What::Picture { packet, .. } => self.out.recycle(packet),
            _ => {}
        }
    }

    fn linked_leg(&mut self, id: LegId, message: Linked, now: Now) {
        self.in_hand = Some(id);
        let Linked { from, link, .. } = message;
        let far = LegId(from);
        match message.what {
            What::Sound { incoming, packet } => {
                if self.takes_from(id, far) {
                    self.heard(id, far, &incoming, &packet, now);
                }
                self.out.recycle(packet);
            }
            What::Picture {
                seen,
                original,
                packet,
            } => {
                if self.takes_from(id, far) {
                    self.seen(id, far, &seen, original, &packet, now);
                }
                self.out.recycle(packet);
            }
            What::Presses(changes, method) => {
                if self.takes_from(id, far) {
                    self.press_on(id, changes, method, now);
                }
            }
            What::Known(known) => self.learn_far(id, far, *known, now),
            What::KeyFrame => self.ask_key_frame(id, now),
            What::Lost(pairs) => self.ask_again(id, &pairs, now),
            What::Rate(bits) => self.limit_rate(id, bits, now),
            What::Parted { hears, feeds } => self.parted(id, far, link, hears, feeds),
            What::Mixed {
                codec,
                ticks,
                kind,
                packet,
            } => {
                let made = match (kind, packet.first()) {
                    (Kind::Sound, _) => Made::Sound(&packet),
                    (Kind::Noise, Some(level)) => Made::Noise(*level),
                    (Kind::Noise | Kind::Pause, _) => Made::Pause,
                };
                self.mixed(id, from, codec, ticks, made, now);
                self.out.recycle(packet);
            }
            What::Full => self.turned_away(id, from, link),
            What::Attend(_) | What::Leave | What::Order(..) => {}
        }
    }

    /// Whether this leg of another shard feeds the leg; what comes from it is counted.
    fn takes_from(&mut self, id: LegId, far: LegId) -> bool {
        let Some(leg) = self.legs.get_mut(id) else {
            return false;
        };
        let fed = matches!(leg.tx.source, Source::Leg(source) if source == far);
        if let Some(link) = leg.link.as_mut().filter(|_| fed) {
            link.received += 1;
        }
        fed
    }

    fn learn_far(&mut self, id: LegId, far: LegId, known: Known, now: Now) {
        let link = self.legs.get_mut(id).and_then(|leg| leg.link.as_mut());
        let Some(link) = link.filter(|link| link.far == Place::Leg(far)) else {
            return;
        };
        let sound = link.known.codec.is_none() && known.codec.is_some();
        let video = link.known.video != known.video;
        link.known = known;
        // Whoever was linked first has said it to nobody.
        let first = !std::mem::replace(&mut link.met, true);
        if sound {
            self.compile_source(id, now);
        }
        if video {
            self.compile_video(id);
        }
        if first {
            self.tell_far(id, now);
        }
    }

    fn parted(&mut self, id: LegId, far: LegId, number: u64, hears: bool, feeds: bool) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let current = leg.link.as_ref().map(|link| (link.number, link.far));
        if current != Some((number, Place::Leg(far))) {
            return;
        }
        if hears {
            leg.sink = None;
        }
        if feeds && matches!(leg.tx.source, Source::Leg(source) if source == far) {
            leg.feed_from(Source::None);
        }
        self.loosen(id, feeds, hears);
    }

    /// A packet of the leg's room, if it is still in it and hears by that codec.
    fn mixed(&mut self, id: LegId, room: u64, codec: Codec, ticks: u32, made: Made<'_>, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let hears = leg.tx.speech.is_some_and(|speech| speech.codec == codec);
        if leg.tx.source.room() != Some(room) || !hears {
            return;
        }
        leg.link.iter_mut().for_each(|link| link.received += 1);
        crate::room::deliver(leg, made, ticks, &mut self.out, now);
    }

    fn turned_away(&mut self, id: LegId, room: u64, number: u64) {
        let leg = self.legs.get_mut(id);
        let Some(leg) = leg.filter(|leg| leg.tx.source.room() == Some(room)) else {
            return;
        };
        if leg.link.as_ref().is_some_and(|link| link.number == number) {
            leg.feed_from(Source::None);
            leg.link = None;
        }
    }

    fn linked_room(&mut self, number: u64, message: Linked, now: Now) {
        let Linked { from, link, .. } = message;
        let leg = LegId(from);
        match message.what {
            What::Sound { incoming, packet } => {
                self.room_sound(leg, number, &incoming, &packet, now);
                self.out.recycle(packet);
            }
            What::Attend(attend) => self.attended(number, leg, link, attend, now),
            What::Leave => self.leave(leg, number),
            What::Order(command, token) => self.recording_order(leg, *command, token, now),
            _ => {}
        }
    }

    fn attended(&mut self, number: u64, leg: LegId, link: u64, attend: Attend, now: Now) {
        let joined = self.join_from_afar(number, leg, link, attend, now);
        if !joined {
            self.cross(Place::Leg(leg), number, link, What::Full);
        }
        let Some((token, n)) = attend.answer else {
            return;
        };
        if joined {
            let reply = Reply::Done { n };
            self.out.push(Output::Reply { token, reply });
        } else {
            let (code, text) = crate::room::full();
            self.refuse(token, n, code, &text);
        }
    }

    /// Something found no room on the way to its shard, or there is no such shard.
    pub(crate) fn unlinked(&mut self, message: Linked) {
        let leg = LegId(message.from);
        match message.what {
            What::Sound { packet, .. } | What::Picture { packet, .. } => {
                self.out.recycle(packet);
                let link = self.legs.get_mut(leg).and_then(|leg| leg.link.as_mut());
                link.into_iter().for_each(|link| link.dropped += 1);
            }
            What::Mixed { packet, .. } => self.out.recycle(packet),
            What::Attend(Attend {
                answer: Some((token, n)),
                ..
            }) => self.refuse_busy(token, n),
            What::Order(command, token) => self.refuse_busy(token, command.number()),
            _ => {}
        }
    }

    fn refuse_busy(&mut self, token: ReplyToken, n: u64) {
        self.refuse(
            token,
            n,
            "engine_busy",
            "the shard of that room takes no more",
        );
    }
}
