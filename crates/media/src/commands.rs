//! Commands: each changes state first, then answers once.

use std::net::SocketAddr;
use std::time::Duration;

use offhook_rtp::event::code;

use crate::command::Command;
use crate::component::Component;
use crate::demux::Owner;
use crate::description::{KeyKind, LegLocal, LegOffer, PathKind};
use crate::dtls::Handshake;
use crate::engine::Engine;
use crate::event::Reply;
use crate::far::What;
use crate::ice::{Credentials, Ice};
use crate::ids::LegId;
use crate::io::{Now, Output, ReplyToken};
use crate::latch::Latch;
use crate::leg::{Keys, Leg, Path, PortPath, WebRtcPath};
use crate::prompt::Request;
use crate::receive::Receiver;
use crate::recording::Piece;
use crate::sdes::Described;
use crate::send::Sender;
use crate::video_line::check_offer;
use crate::{facts, reports, video_facts};

/// Longest press that a command may ask for.
const MAX_PRESS_MS: u32 = 10_000;
/// Shortest press a receiver must accept (ITU-T Q.24: 40 ms).
const MIN_PRESS_MS: u32 = 40;

/// A refusal: one of the codes of `Refused`, and a sentence for people.
pub(crate) type Refusal = (&'static str, String);

pub(crate) fn unknown_leg(leg: u64) -> Refusal {
    ("unknown_leg", format!("there is no leg {leg:#x}"))
}

pub(crate) fn bad_description(text: &str) -> Refusal {
    ("bad_description", text.to_owned())
}

impl Engine {
    pub(crate) fn command(&mut self, command: Command, token: ReplyToken, now: Now) {
        let n = command.number();
        let Some(command) = self.pass_on(command, token) else {
            return;
        };
        match self.perform(command, now) {
            Ok(reply) => self.out.push(Output::Reply { token, reply }),
            Err((code, text)) => self.refuse(token, n, code, &text),
        }
    }

    /// What a room on another shard answers, goes there.
    fn pass_on(&mut self, command: Command, token: ReplyToken) -> Option<Command> {
        match command {
            Command::Join {
                n,
                leg,
                room,
                muted,
                full_band,
            } if self.is_far(room) && self.known(leg).is_ok() => {
                self.hear_full_band(LegId(leg), full_band);
                self.join_far(LegId(leg), room, muted, Some((token, n)));
                None
            }
            other if self.is_far_recording(&other) => {
                if let Some(leg) = other.subject() {
                    self.cross_link(LegId(leg), What::Order(Box::new(other), token));
                }
                None
            }
            other => Some(other),
        }
    }

    fn perform(&mut self, command: Command, now: Now) -> Result<Reply, Refusal> {
        match command {
            Command::OpenCall { n, offers, .. } => self.open_call(n, offers, now),
            Command::OpenLeg { n, call, offer } => self.open_late(n, call, offer),
            Command::ListLegs { n } => Ok(self.list(n, now)),
            Command::CloseCall { n, call } => Ok(Reply::Closed {
                n,
                legs: self.close_call(call, now),
            }),
            Command::Exit { n } => {
                let calls: Vec<u64> = self.calls.keys().copied().collect();
                calls
                    .into_iter()
                    .for_each(|call| drop(self.close_call(call, now)));
                Ok(Reply::Done { n })
            }
            Command::Chime { n, room, file } => {
                self.chime(room, file, now)?;
                Ok(Reply::Done { n })
            }
            Command::Complete { leg, .. }
            | Command::Update { leg, .. }
            | Command::Bridge { a: leg, .. }
            | Command::Link { leg, .. }
            | Command::Join { leg, .. }
            | Command::Mute { leg, .. }
            | Command::Gain { leg, .. }
            | Command::Play { leg, .. }
            | Command::PlayFiles { leg, .. }
            | Command::RecordStart { leg, .. }
            | Command::RecordPause { leg, .. }
            | Command::RecordResume { leg, .. }
            | Command::RecordStop { leg, .. }
            | Command::FeedStart { leg, .. }
            | Command::FeedStop { leg, .. }
            | Command::Stop { leg, .. }
            | Command::Hush { leg, .. }
            | Command::WatchVoice { leg, .. }
            | Command::SendDigits { leg, .. }
            | Command::RequestKeyFrame { leg, .. }
            | Command::Facts { leg, .. }
            | Command::CloseLeg { leg, .. } => {
                let id = self.known(leg)?;
                self.perform_on(id, command, now)
            }
        }
    }

    /// Commands about a leg that is there.
    fn perform_on(&mut self, id: LegId, command: Command, now: Now) -> Result<Reply, Refusal> {
        let n = command.number();
        match command {
            Command::Complete { remote, .. } => self.complete(id, remote, now)?,
            Command::Update {
                offer, restart_ice, ..
            } => {
                let leg = self.update(id, offer, restart_ice, now)?;
                return Ok(Reply::LegOpened { n, leg });
            }
            Command::Bridge { b, .. } => {
                let other = self.known(b)?;
                self.bridge(id, other, now);
            }
            Command::Link { far, number, .. } => self.link(id, LegId(far), number, now),
            Command::Join {
                room,
                muted,
                full_band,
                ..
            } => {
                self.hear_full_band(id, full_band);
                if !self.join(id, room, muted, now) {
                    return Err(crate::room::full());
                }
            }
            Command::Mute { muted, .. } => self.mute(id, muted)?,
            Command::Gain { decibels, .. } => self.set_gain(id, decibels)?,
            Command::Play {
                source, country, ..
            } => self.play(id, source, &country, now),
            Command::PlayFiles {
                play,
                files,
                rounds,
                until_digit,
                ..
            } => {
                let request = Request {
                    play,
                    files,
                    rounds,
                    until_digit,
                };
                self.play_files(id, request, now)?;
            }
            Command::RecordStart { spec, .. } => self.record_start(id, spec, now)?,
            Command::RecordPause { recording, .. } => {
                self.record_change(id, &recording, Piece::Pause, now)?;
            }
            Command::RecordResume { recording, .. } => {
                self.record_change(id, &recording, Piece::Resume, now)?;
            }
            Command::RecordStop { recording, .. } => {
                self.record_change(id, &recording, Piece::End("stopped"), now)?;
            }
            Command::FeedStart { spec, .. } => self.feed_start(id, spec, now)?,
            Command::FeedStop { feed, .. } => self.feed_stop(id, &feed, now)?,
            Command::Stop { .. } => self.stop(id, now),
            Command::Hush { .. } => self.hush(id),
            Command::WatchVoice { on, .. } => self.watch_voice(id, on),
            Command::SendDigits {
                digits, each_ms, ..
            } => self.send_digits(id, &digits, each_ms, now)?,
            Command::RequestKeyFrame { .. } => self.ask_key_frame(id, now),
            Command::Facts { leg, .. } => {
                let facts = self.facts(id, now).ok_or_else(|| unknown_leg(leg))?;
                return Ok(Reply::FactsFound { n, facts });
            }
            Command::CloseLeg { .. } => {
                return Ok(Reply::Closed {
                    n,
                    legs: self.close(id, now).into_iter().collect(),
                });
            }
            Command::OpenCall { .. }
            | Command::OpenLeg { .. }
            | Command::ListLegs { .. }
            | Command::CloseCall { .. }
            | Command::Chime { .. }
            | Command::Exit { .. } => {}
        }
        Ok(Reply::Done { n })
    }

    fn known(&mut self, leg: u64) -> Result<LegId, Refusal> {
        let id = LegId(leg);
        self.legs.get(id).ok_or_else(|| unknown_leg(leg))?;
        self.in_hand = Some(id);
        Ok(id)
    }

    fn open_call(&mut self, n: u64, offers: Vec<LegOffer>, now: Now) -> Result<Reply, Refusal> {
        // 56 bits of calls do not run out.
        let call = u64::from(self.shard) << 56 | self.next_call;
        self.next_call += 1;
        self.calls.insert(call, Vec::new());
        let mut legs = Vec::with_capacity(offers.len());
        for offer in offers {
            match self.open_leg(call, offer) {
                Ok(local) => legs.push(local),
                Err(refusal) => {
                    self.close_call(call, now);
                    return Err(refusal);
                }
            }
        }
        Ok(Reply::CallOpened { n, call, legs })
    }

    fn open_late(&mut self, n: u64, call: u64, offer: LegOffer) -> Result<Reply, Refusal> {
        if !self.calls.contains_key(&call) {
            return Err(("unknown_call", format!("there is no call {call:#x}")));
        }
        let leg = self.open_leg(call, offer)?;
        Ok(Reply::LegOpened { n, leg })
    }

    fn open_leg(&mut self, call: u64, offer: LegOffer) -> Result<LegLocal, Refusal> {
        if offer.audio.is_empty() {
            return Err(bad_description("an offer needs a codec"));
        }
        check_offer(&offer)?;
        let id = self.build_leg(call, offer)?;
        self.calls.entry(call).or_default().push(id);
        self.open_video(id)?;
        let leg = self.legs.get(id).ok_or_else(|| unknown_leg(id.0))?;
        Ok(self.local(leg))
    }

    /// A leg in its place, without its video line; no call lists it yet.
    pub(crate) fn build_leg(&mut self, call: u64, offer: LegOffer) -> Result<LegId, Refusal> {
        let id = self
            .legs
            .next_id()
            .ok_or_else(|| ("engine_busy", "all leg slots are taken".to_owned()))?;
        let keys = self.keys_for(&offer)?;
        let path = self.path_for(id, &offer)?;
        let random = &mut self.random;
        let mut name = [0u8; 8];
        random.fill(&mut name);
        let leg = Leg {
            id,
            call,
            cname: format!("{:016x}", u64::from_be_bytes(name)),
            path,
            keys,
            rx: Receiver::new(&offer.audio, offer.audio_level_id),
            tx: Sender::new(&mut |out| random.fill(out)),
            offer,
            remote: None,
            sink: None,
            link: None,
            muted: false,
            full_band: false,
            gain: 0,
            taps: Default::default(),
            deadlines: Default::default(),
            completed: None,
            due_since: None,
            supervision: Default::default(),
            quality: Default::default(),
            reports: Default::default(),
            video: None,
            lent_to: None,
        };
        self.legs.insert(id, leg);
        Ok(id)
    }

    pub(crate) fn keys_for(&mut self, offer: &LegOffer) -> Result<Keys, Refusal> {
        match offer.keys {
            KeyKind::Plain | KeyKind::Sdes if offer.path == PathKind::WebRtc => {
                return Err(bad_description("a WebRTC leg needs DTLS"));
            }
            KeyKind::Plain => return Ok(Keys::default()),
            KeyKind::Sdes => {
                let random = &mut self.random;
                let described = Described::draw(&offer.suites, &mut |out| random.fill(out))?;
                return Ok(Keys {
                    described: Some(Box::new(described)),
                    ..Keys::default()
                });
            }
            KeyKind::Dtls => {}
        }
        let [over_ice, without] = &self.dtls;
        let config = if offer.path == PathKind::WebRtc {
            over_ice
        } else {
            without
        };
        let config = config
            .clone()
            .ok_or_else(|| bad_description("DTLS is not available"))?;
        let (identity, sha_1) = (self.identity.clone(), self.settings.sha_1_fingerprints);
        let handshake = Handshake::new(config, identity, offer.dtls_active, sha_1);
        Ok(Keys {
            handshake: Some(Box::new(handshake)),
            ..Keys::default()
        })
    }

    fn path_for(&mut self, id: LegId, offer: &LegOffer) -> Result<Path, Refusal> {
        match offer.path {
            PathKind::Port if self.unclaimed.is_empty() => Err((
                "ports_exhausted",
                "no port pair came with the command".to_owned(),
            )),
            PathKind::Port => {
                let keys = self.keys_for(offer)?;
                let pair = self.unclaimed.remove(0);
                let component = pair.rtcp.filter(|_| keys.handshake.is_some());
                let component = component.map(|socket| Component::new(socket, offer, keys));
                self.demux.own(pair.rtp, Owner::Rtp(id));
                pair.rtcp
                    .into_iter()
                    .for_each(|rtcp| self.demux.own(rtcp, Owner::Rtcp(id)));
                Ok(Path::Port(Box::new(PortPath {
                    pair,
                    latch: Latch::new(offer.latch),
                    rtcp: None,
                    component: component.map(Box::new),
                })))
            }
            PathKind::WebRtc => {
                let local = self.webrtc.first().map(|socket| socket.local);
                let local =
                    local.ok_or_else(|| bad_description("the engine has no WebRTC socket"))?;
                let credentials = self.credentials(id);
                let ice = Ice::new(credentials);
                Ok(Path::WebRtc(Box::new(WebRtcPath {
                    ice,
                    local,
                    dtls_pair: None,
                })))
            }
        }
    }

    pub(crate) fn credentials(&mut self, id: LegId) -> Credentials {
        let random = &mut self.random;
        Credentials::draw(self.shard, id.slot(), &mut |out| random.fill(out))
    }

    /// Our addresses as the leg's description names them.
    fn announced(&self, leg: &Leg) -> Vec<SocketAddr> {
        let all = self.webrtc.iter().flat_map(|socket| &socket.candidates);
        match &leg.path {
            Path::Port(port) => vec![port.pair.address],
            Path::WebRtc(_) => all.copied().collect(),
        }
    }

    /// What is announced of a leg.
    pub(crate) fn local(&self, leg: &Leg) -> LegLocal {
        let announce = |address: SocketAddr| (address.ip().to_string(), address.port());
        let candidates = self.announced(leg).into_iter().map(announce).collect();
        let (rtcp_port, credentials) = match &leg.path {
            Path::Port(port) => (port.pair.rtcp_port, None),
            Path::WebRtc(path) => (0, Some(path.ice.credentials().clone())),
        };
        let (ufrag, password) = credentials
            .map(|known| (known.ufrag, known.password))
            .unwrap_or_default();
        let crypto = leg.keys.described.as_ref();
        let crypto = crypto.map(|keys| keys.ours()).unwrap_or_default();
        let fingerprint = if leg.keys.handshake.is_some() {
            self.identity.fingerprint().to_owned()
        } else {
            String::new()
        };
        LegLocal {
            leg: leg.id.0,
            candidates,
            rtcp_port,
            ufrag,
            password,
            fingerprint,
            ssrc: leg.tx.ssrc,
            cname: leg.cname.clone(),
            crypto,
            tcp_candidates: Vec::new(),
            video: self.video_local(leg),
        }
    }

    fn send_digits(
        &mut self,
        id: LegId,
        digits: &str,
        each_ms: u32,
        now: Now,
    ) -> Result<(), Refusal> {
        let events: Option<Vec<u8>> = digits.chars().map(code).collect();
        let events = events.ok_or_else(|| bad_description("digits are 0-9 * # A-D"))?;
        let held = Duration::from_millis(u64::from(each_ms.clamp(MIN_PRESS_MS, MAX_PRESS_MS)));
        if let Some(leg) = self.legs.get_mut(id) {
            // Beyond the bound presses are dropped and counted in the facts.
            events
                .into_iter()
                .for_each(|event| leg.tx.digits.ask(event, held));
        }
        self.drive_digits(id, now);
        Ok(())
    }

    fn facts(&self, id: LegId, now: Now) -> Option<crate::description::LegFacts> {
        let leg = self.legs.get(id)?;
        let around = facts::Around {
            announced: self.announced(leg),
            playout: self.playout_of(leg),
            source: self.verdict_of_source(leg, now).map(|found| found.name),
            overruns: self.overruns_of(leg),
        };
        let mut facts = facts::of(leg, &around, now.instant);
        let carrier = leg.video.as_ref().and_then(|video| video.carrier);
        let carrier = carrier
            .and_then(|carrier| self.legs.get(carrier))
            .unwrap_or(leg);
        facts.video = video_facts::of(leg, carrier, now.instant);
        Some(facts)
    }

    fn list(&self, n: u64, now: Now) -> Reply {
        let line = |leg: &Leg| {
            (
                leg.call,
                leg.id.0,
                leg.local_text(),
                leg.remote_text(now.instant),
            )
        };
        Reply::Legs {
            n,
            legs: self
                .legs
                .iter()
                .filter(|leg| leg.lent_to.is_none())
                .map(line)
                .collect(),
        }
    }

    fn close(&mut self, id: LegId, now: Now) -> Option<crate::description::LegFacts> {
        let facts = self.facts(id, now)?;
        let leg = self.legs.get_mut(id)?;
        let call = leg.call;
        if leg.tx.packets > 0 {
            reports::send(leg, true, &mut self.out, now);
        }
        let shown = leg.video.as_ref().is_some_and(|v| v.tx.packets > 0);
        if shown {
            self.report_video(id, true, now);
        }
        self.remove(id);
        if let Some(legs) = self.calls.get_mut(&call) {
            legs.retain(|leg| *leg != id);
        }
        Some(facts)
    }

    fn close_call(&mut self, call: u64, now: Now) -> Vec<crate::description::LegFacts> {
        let legs = self.calls.get(&call).cloned().unwrap_or_default();
        let closed = legs
            .into_iter()
            .filter_map(|leg| self.close(leg, now))
            .collect();
        self.calls.remove(&call);
        closed
    }
}
