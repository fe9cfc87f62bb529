//! From an accepted packet to the leg that hears it: passed on, decoded, or a press.
//!
//! The choice is made per direction: the codec that came equals the codec we send: pass on; else transcode.

use std::time::{Duration, Instant};

use offhook_rtp::event::{Change, Changes, character};
use offhook_rtp::extension::{AudioLevel, ExtensionWriter, Form};
use offhook_rtp::header::Fields;

use crate::engine::Engine;
use crate::event::Event;
use crate::history::History;
use crate::ids::LegId;
use crate::io::Now;
use crate::leg::Leg;
use crate::outbox::Outbox;
use crate::pause::Made;
use crate::receive::{Incoming, Meaning};
use crate::recording;
use crate::send::Source;
use crate::timers::Kind;
use crate::transcode::{Decoding, Encoding, Wish, packet_ms, settling_rate};

/// The X bit of the first header byte.
pub(crate) const EXTENSION_BIT: u8 = 0x10;

/// How a press was made, by the names of the digit event.
pub(crate) const RFC_4733: &str = "rfc4733";
const IN_BAND: &str = "inband";

impl Engine {
    /// Gives an accepted packet to the leg that hears this one.
    pub(crate) fn route(&mut self, from: LegId, incoming: &Incoming, payload: &[u8], now: Now) {
        #[cfg(feature = "faults")]
        crate::faults::spring(payload);
        if let (Meaning::Speech(codec), Some(leg)) = (incoming.meaning, self.legs.get_mut(from)) {
            recording::said(leg, codec, incoming, payload, &mut self.out, now);
        }
        if let Meaning::Event(clock) = incoming.meaning {
            let Some(leg) = self.legs.get_mut(from) else {
                return;
            };
            recording::aside(leg, incoming, &mut self.out, now);
            let changes = leg.rx.event(incoming, clock, payload, now.instant);
            if let Some(deadline) = leg.rx.event_deadline() {
                self.timers
                    .arm(&mut leg.deadlines, from, Kind::Event, deadline);
            }
            self.presses(from, changes, RFC_4733, now);
        }
        if let Meaning::Speech(codec) = incoming.meaning {
            let changes = self
                .legs
                .get_mut(from)
                .map(|leg| leg.rx.in_band(codec, payload));
            if let Some(changes) = changes.filter(|changes| !changes.is_empty()) {
                self.presses(from, changes, IN_BAND, now);
            }
        }
        let room = self.legs.get(from).and_then(|leg| leg.tx.source.room());
        if let Some(room) = room {
            return self.room_packet(from, room, incoming, payload, now);
        }
        match self.sink_of(from) {
            Some(sink) => self.heard(sink, from, incoming, payload, now),
            None => self.sound_across(from, incoming, payload),
        }
    }

    /// A packet of the leg that feeds this one.
    pub(crate) fn heard(
        &mut self,
        sink: LegId,
        from: LegId,
        incoming: &Incoming,
        payload: &[u8],
        now: Now,
    ) {
        let Some(leg) = self.legs.get_mut(sink) else {
            return;
        };
        match incoming.meaning {
            Meaning::Speech(codec) => {
                let Some(speech) = leg.tx.speech else { return };
                let passes = speech.codec == codec && !leg.tx.fills;
                let decoding = leg.tx.decoding.as_deref_mut();
                let decoding = decoding.filter(|decoding| decoding.hears(from));
                let transcoded = decoding.map(|it| it.settle(passes, now.instant)).is_some();
                if passes && !transcoded {
                    forward(
                        leg,
                        from,
                        incoming,
                        speech.payload_type,
                        payload,
                        &mut self.out,
                        now,
                    );
                } else {
                    self.transcode(sink, from, incoming, payload, now);
                }
            }
            Meaning::Event(_) | Meaning::ComfortNoise => {
                let noise = incoming.meaning == Meaning::ComfortNoise && leg.tx.decoding.is_none();
                if let Some(number) = leg.tx.comfort.filter(|_| noise) {
                    return forward(leg, from, incoming, number, payload, &mut self.out, now);
                }
                leg.tx.fills |= noise;
                leg.tx.leave_out(from, incoming, now.instant);
                if let Some(decoding) = &mut leg.tx.decoding {
                    match incoming.meaning {
                        Meaning::ComfortNoise => {
                            decoding.push_noise(incoming, payload, now.instant);
                        }
                        _ => decoding.push_gap(incoming, now.instant),
                    }
                }
            }
            Meaning::Unknown | Meaning::Video => {}
        }
    }

    /// The leg fed by this one.
    pub(crate) fn sink_of(&self, from: LegId) -> Option<LegId> {
        let sink = self.legs.get(from)?.sink?;
        let leg = self.legs.get(sink)?;
        matches!(leg.tx.source, Source::Leg(source) if source == from).then_some(sink)
    }

    /// Tells of presses, and passes them on as presses of our own.
    ///
    /// A press heard in the audio becomes one of ours only where the other side takes events; else it goes on as sound.
    pub(crate) fn presses(
        &mut self,
        from: LegId,
        changes: Changes,
        method: &'static str,
        now: Now,
    ) {
        let began = changes
            .iter()
            .any(|change| matches!(change, Change::Started(_)));
        let interrupts =
            |leg: &Leg| matches!(&leg.tx.source, Source::Prompt(prompt) if prompt.until_digit());
        if began && self.legs.get(from).is_some_and(interrupts) {
            self.finish_prompt(from, "digit", String::new(), now);
        }
        for change in &changes {
            if let Change::Ended(digit) = change {
                if let (Some(leg), Some(name)) = (self.legs.get_mut(from), character(digit.event)) {
                    leg.rx.digits += 1;
                    leg.taps
                        .pressed(name, digit.duration_ms, &mut self.out, now.instant);
                    self.out.event(Event::Digit {
                        leg: from.0,
                        digit: name.to_string(),
                        duration_ms: u64::from(digit.duration_ms),
                        method: method.to_owned(),
                    });
                }
            }
        }
        match self.sink_of(from) {
            Some(sink) => self.press_on(sink, changes, method, now),
            None => self.presses_across(from, changes, method),
        }
    }

    /// Presses of the leg that feeds this one.
    pub(crate) fn press_on(
        &mut self,
        sink: LegId,
        changes: Changes,
        method: &'static str,
        now: Now,
    ) {
        let Some(leg) = self.legs.get_mut(sink) else {
            return;
        };
        let elsewhere = leg.remote.as_ref().is_some_and(|it| it.digits_elsewhere);
        if leg.tx.event.is_none() && (method == IN_BAND || elsewhere) {
            return;
        }
        for change in changes {
            match change {
                Change::Started(event) => leg.tx.digits.press(event, now.instant),
                Change::Ended(digit) => leg
                    .tx
                    .digits
                    .release(Duration::from_millis(u64::from(digit.duration_ms))),
            }
        }
        self.drive_digits(sink, now);
    }

    /// Sends what is due of a leg's presses, and arms the next.
    pub(crate) fn drive_digits(&mut self, id: LegId, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        // Presses wait for the peer's description: it says how they are sent.
        if leg.remote.is_none() {
            return;
        }
        leg.tx.start_clock(now.instant);
        let timestamp = leg.tx.timestamp(now.instant);
        leg.tx.digits.advance(timestamp, now.instant);
        while let Some(packet) = leg.tx.digits.poll(now.instant) {
            let Some(event) = leg.tx.event else { break };
            if leg.outlet(now.instant).is_err() {
                continue;
            }
            let fields = leg
                .tx
                .inserted(packet.timestamp, packet.marker, event.payload_type);
            emit(
                leg,
                fields,
                &packet.payload.to_bytes(),
                None,
                &mut self.out,
                now,
            );
        }
        if let Some(deadline) = leg.tx.digits.deadline(now.instant) {
            self.timers
                .arm(&mut leg.deadlines, id, Kind::Event, deadline);
        }
        self.arm_tick(id, now);
    }

    fn transcode(
        &mut self,
        sink: LegId,
        from: LegId,
        incoming: &Incoming,
        payload: &[u8],
        now: Now,
    ) {
        let complexity = self.effort.complexity();
        let Some(leg) = self.legs.get_mut(sink) else {
            return;
        };
        let (Meaning::Speech(codec), Some(speech)) = (incoming.meaning, leg.tx.speech) else {
            return;
        };
        prepare(leg, from, codec, speech.codec, complexity, now.instant);
        if leg.tx.take_over(from, incoming, now.instant)
            && let Some(decoding) = &mut leg.tx.decoding
        {
            decoding.hurry(now.instant);
        }
        let kept = &mut leg.tx.history;
        History::keep(kept, from, codec, incoming, payload, now.instant);
        if let Some(decoding) = &mut leg.tx.decoding {
            decoding.push(incoming, payload, now.instant);
            if decoding.settled(now.instant) {
                return run_out(leg, &mut self.out, now);
            }
        }
        self.arm_tick(sink, now);
    }
}

/// Makes decoder and encoder for a direction, unless they are there.
pub(crate) fn prepare(
    leg: &mut Leg,
    from: LegId,
    incoming: offhook_dsp::Codec,
    outgoing: offhook_dsp::Codec,
    complexity: u8,
    now: Instant,
) {
    let before = leg.tx.decoding.as_ref().map(|before| before.rate());
    let rate = match before.filter(|_| incoming == outgoing && !leg.tx.fills) {
        Some(before) => settling_rate(outgoing, before),
        None => incoming.common_rate(outgoing),
    };
    if !leg
        .tx
        .decoding
        .as_ref()
        .is_some_and(|decoding| decoding.fits(from, incoming, rate))
    {
        let before = leg.tx.decoding.take();
        leg.tx.decoding = Decoding::new(from, incoming, rate).map(Box::new);
        let history = leg.tx.history.take().filter(|kept| kept.is_of(from));
        match (&mut leg.tx.decoding, before, history) {
            (Some(fresh), Some(before), history) => {
                fresh.follow(*before);
                let history = history.filter(|kept| kept.codec() == incoming);
                let replayed = history.and_then(|kept| kept.replay(rate, now));
                if let Some((decoder, _)) = replayed {
                    fresh.continue_with(decoder);
                }
            }
            (Some(_), None, Some(passed_on)) => {
                return join(leg, &passed_on, outgoing, rate, complexity, now);
            }
            _ => {}
        }
    }
    prepare_encoding(leg, outgoing, rate, complexity);
}

/// Decoder and encoder take the place of packets that were passed on: they begin where those have brought the peer's.
#[cold]
fn join(
    leg: &mut Leg,
    passed_on: &History,
    outgoing: offhook_dsp::Codec,
    rate: u32,
    complexity: u8,
    now: Instant,
) {
    // One that is there belongs to what was sent before the packets were passed on.
    leg.tx.encoding = fresh_encoding(leg, wish(leg, outgoing), rate, complexity);
    let (Some(decoding), Some(encoding)) = (&mut leg.tx.decoding, &mut leg.tx.encoding) else {
        return;
    };
    if let Some((decoder, heard)) = passed_on.replay(rate, now) {
        encoding.resume(&decoder);
        decoding.join(decoder, heard);
        encoding.join(decoding);
    }
}

/// Makes the encoder, unless it is there.
pub(crate) fn prepare_encoding(
    leg: &mut Leg,
    codec: offhook_dsp::Codec,
    rate: u32,
    complexity: u8,
) {
    let wish = wish(leg, codec);
    match leg.tx.encoding.as_deref_mut() {
        Some(encoding) if encoding.fits(wish, rate) => encoding.set_complexity(complexity),
        _ => {
            let before = leg.tx.encoding.take();
            leg.tx.encoding = fresh_encoding(leg, wish, rate, complexity);
            let before = before.filter(|it| it.wish().codec == codec && it.rate() == rate);
            match (&mut leg.tx.encoding, before, &mut leg.tx.decoding) {
                // Its packets only have another length.
                (Some(fresh), Some(before), _) => fresh.take_over(&before),
                (Some(fresh), None, Some(decoding)) => fresh.join(decoding),
                _ => {}
            }
        }
    }
}

fn fresh_encoding(leg: &Leg, wish: Wish, rate: u32, complexity: u8) -> Option<Box<Encoding>> {
    let mut encoding = Encoding::new(wish, rate, complexity)?;
    encoding.set_loss(leg.tx.acknowledged.loss_percent);
    Some(Box::new(encoding))
}

/// How a leg's peer is sent a codec.
pub(crate) fn wish(leg: &Leg, codec: offhook_dsp::Codec) -> Wish {
    let ptime = leg
        .remote
        .as_ref()
        .map_or(leg.offer.ptime, |remote| remote.ptime);
    Wish {
        codec,
        ms: packet_ms(codec, ptime),
        pauses: leg.tx.pauses,
    }
}

/// Sends what was made of `ticks` of sound; `muted`: a press takes its place.
pub(crate) fn deliver(
    leg: &mut Leg,
    made: Made<'_>,
    ticks: u32,
    muted: bool,
    out: &mut Outbox,
    now: Now,
) {
    let Some(speech) = leg.tx.speech else { return };
    if muted || leg.outlet(now.instant).is_err() {
        return leg.tx.skip(ticks);
    }
    let level;
    let (payload_type, payload): (u8, &[u8]) = match (made, leg.tx.comfort) {
        (Made::Sound(payload), _) => (speech.payload_type, payload),
        (Made::Noise(told), Some(number)) => {
            level = [told];
            (number, &level)
        }
        (Made::Noise(_) | Made::Pause, _) => return leg.tx.pause(ticks),
    };
    let mut fields = leg.tx.generated(ticks, payload_type, now.instant);
    if matches!(made, Made::Noise(_)) {
        // RFC 3551 section 4.1: the marker is for the sound after a pause.
        fields.marker = false;
        leg.tx.pause(0);
    }
    emit(leg, fields, payload, None, out, now);
}

/// The source's packets are passed on from the next one: what its decoder had still to play is sent at once, and they follow. The
/// peer's buffer holds it for us.
#[cold]
fn run_out(leg: &mut Leg, out: &mut Outbox, now: Now) {
    let (Some(decoding), Some(mut encoding)) = (leg.tx.decoding.take(), leg.tx.encoding.take())
    else {
        return;
    };
    let (ticks, muted) = (encoding.packet_ticks(), leg.tx.digits.active());
    for tick in decoding.rest(&encoding).chunks(encoding.tick_samples()) {
        encoding.push(tick, None);
        while let Some(made) = encoding.packet() {
            deliver(leg, made, ticks, muted, out, now);
        }
    }
}

fn forward(
    leg: &mut Leg,
    from: LegId,
    incoming: &Incoming,
    payload_type: u8,
    payload: &[u8],
    out: &mut Outbox,
    now: Now,
) {
    // One that nothing came for: another source's, or in vain.
    leg.tx.decoding = None;
    if leg.outlet(now.instant).is_err() {
        return;
    }
    // A press mutes the sound that would come beside it.
    if leg.tx.digits.active() {
        return leg.tx.leave_out(from, incoming, now.instant);
    }
    if let Some(fields) = leg.tx.forward(from, incoming, payload_type, now.instant) {
        if let Some(speech) = leg.tx.speech {
            let kept = &mut leg.tx.history;
            History::keep(kept, from, speech.codec, incoming, payload, now.instant);
        }
        emit(leg, fields, payload, incoming.level, out, now);
    }
}

/// Writes, seals and queues one RTP packet. The caller has asked `outlet`.
pub(crate) fn emit(
    leg: &mut Leg,
    fields: Fields,
    payload: &[u8],
    level: Option<AudioLevel>,
    out: &mut Outbox,
    now: Now,
) {
    let Ok((socket, destination)) = leg.outlet(now.instant) else {
        return;
    };
    let mut packet = out.packet();
    let len = write(leg, fields, payload, level, &mut packet).and_then(|len| {
        match &mut leg.keys.outbound {
            Some(outbound) => outbound.seal(&mut packet, len).ok(),
            // `outlet` is closed on a secured leg without keys; this is the second lock.
            None => (!leg.secured()).then_some(len),
        }
    });
    match len {
        Some(len) => {
            leg.tx.count(payload.len(), now.instant);
            recording::heard(leg, &fields, payload, out, now);
            out.transmit(socket, destination, packet, len);
        }
        None => out.recycle(packet),
    }
}

fn write(
    leg: &Leg,
    fields: Fields,
    payload: &[u8],
    level: Option<AudioLevel>,
    packet: &mut [u8],
) -> Option<usize> {
    let mut len = fields.write(packet)?;
    let mut block = ExtensionWriter::new(Form::OneByte);
    if leg.offer.mid_id != 0 && !leg.offer.mid.is_empty() {
        // An element that does not fit its form was not negotiated by us.
        let _ = block.push(leg.offer.mid_id, leg.offer.mid.as_bytes());
    }
    if let Some(level) = level.filter(|_| leg.offer.audio_level_id != 0) {
        let _ = block.push(leg.offer.audio_level_id, &[level.to_byte()]);
    }
    let block = block.finish();
    if !block.is_empty() {
        *packet.first_mut()? |= EXTENSION_BIT;
        packet
            .get_mut(len..len + block.len())?
            .copy_from_slice(block);
        len += block.len();
    }
    packet
        .get_mut(len..len + payload.len())?
        .copy_from_slice(payload);
    Some(len + payload.len())
}
