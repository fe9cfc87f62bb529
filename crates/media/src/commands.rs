//! Commands: each changes state first, then answers once.

use std::net::SocketAddr;
use std::time::Duration;

use offhook_rtp::event::code;

use crate::address::{Named, named};
use crate::command::Command;
use crate::demux::Owner;
use crate::description::{KeyKind, LegLocal, LegOffer, LegRemote, PathKind, SourceKind};
use crate::dtls::Handshake;
use crate::engine::Engine;
use crate::event::{Event, Reply};
use crate::ice::{Credentials, Ice};
use crate::ids::LegId;
use crate::io::{Now, Output, ReplyToken};
use crate::latch::Latch;
use crate::leg::{Keys, Leg, Path, PortPath, WebRtcPath};
use crate::player::Player;
use crate::receive::Receiver;
use crate::send::{Sender, Source};
use crate::{facts, reports, route};

/// Longest press that a command may ask for.
const MAX_PRESS_MS: u32 = 10_000;
/// Shortest press a receiver must accept (ITU-T Q.24: 40 ms).
const MIN_PRESS_MS: u32 = 40;

/// A refusal: one of the codes of `Refused`, and a sentence for people.
type Refusal = (&'static str, String);

fn unknown_leg(leg: u64) -> Refusal {
    ("unknown_leg", format!("there is no leg {leg:#x}"))
}

fn bad_description(text: &str) -> Refusal {
    ("bad_description", text.to_owned())
}

impl Engine {
    pub(crate) fn command(&mut self, command: Command, token: ReplyToken, now: Now) {
        let n = command.number();
        match self.perform(command, now) {
            Ok(reply) => self.out.push(Output::Reply { token, reply }),
            Err((code, text)) => self.refuse(token, n, code, &text),
        }
    }

    fn perform(&mut self, command: Command, now: Now) -> Result<Reply, Refusal> {
        match command {
            Command::OpenCall { n, offers } => self.open_call(n, offers, now),
            Command::OpenLeg { n, call, offer } => self.open_late(n, call, offer, now),
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
            Command::Complete { leg, .. }
            | Command::Update { leg, .. }
            | Command::Bridge { a: leg, .. }
            | Command::Play { leg, .. }
            | Command::Stop { leg, .. }
            | Command::SendDigits { leg, .. }
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
            Command::Play {
                source, country, ..
            } => self.play(id, source, &country, now),
            Command::Stop { .. } => self.stop(id),
            Command::SendDigits {
                digits, each_ms, ..
            } => self.send_digits(id, &digits, each_ms, now)?,
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
            match self.open_leg(call, offer, now) {
                Ok(local) => legs.push(local),
                Err(refusal) => {
                    self.close_call(call, now);
                    return Err(refusal);
                }
            }
        }
        Ok(Reply::CallOpened { n, call, legs })
    }

    fn open_late(
        &mut self,
        n: u64,
        call: u64,
        offer: LegOffer,
        now: Now,
    ) -> Result<Reply, Refusal> {
        if !self.calls.contains_key(&call) {
            return Err(("unknown_call", format!("there is no call {call:#x}")));
        }
        let leg = self.open_leg(call, offer, now)?;
        Ok(Reply::LegOpened { n, leg })
    }

    fn open_leg(&mut self, call: u64, offer: LegOffer, now: Now) -> Result<LegLocal, Refusal> {
        if offer.audio.is_empty() {
            return Err(bad_description("an offer needs a codec"));
        }
        let id = self
            .legs
            .next_id()
            .ok_or_else(|| ("engine_busy", "all leg slots are taken".to_owned()))?;
        let keys = self.keys_for(&offer)?;
        let path = self.path_for(id, &offer, now)?;
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
            deadlines: Default::default(),
            completed: None,
            due_since: None,
            supervision: Default::default(),
            quality: Default::default(),
            reports: Default::default(),
        };
        let local = self.local(&leg);
        self.legs.insert(id, leg);
        self.calls.entry(call).or_default().push(id);
        Ok(local)
    }

    fn keys_for(&self, offer: &LegOffer) -> Result<Keys, Refusal> {
        if offer.keys == KeyKind::Plain {
            if offer.path == PathKind::WebRtc {
                return Err(bad_description("a WebRTC leg needs DTLS"));
            }
            return Ok(Keys::default());
        }
        let config = self
            .dtls
            .clone()
            .ok_or_else(|| bad_description("DTLS is not available"))?;
        let handshake = Handshake::new(config, self.identity.clone(), offer.dtls_active);
        Ok(Keys {
            handshake: Some(Box::new(handshake)),
            ..Keys::default()
        })
    }

    fn path_for(&mut self, id: LegId, offer: &LegOffer, now: Now) -> Result<Path, Refusal> {
        match offer.path {
            PathKind::Port if self.unclaimed.is_empty() => Err((
                "ports_exhausted",
                "no port pair came with the command".to_owned(),
            )),
            PathKind::Port => {
                let pair = self.unclaimed.remove(0);
                self.demux.own(pair.rtp, Owner::Rtp(id));
                pair.rtcp
                    .into_iter()
                    .for_each(|rtcp| self.demux.own(rtcp, Owner::Rtcp(id)));
                Ok(Path::Port(Box::new(PortPath {
                    pair,
                    latch: Latch::new(offer.latch),
                    rtcp: None,
                })))
            }
            PathKind::WebRtc => {
                let local = self.webrtc.first().map(|socket| socket.local);
                let local =
                    local.ok_or_else(|| bad_description("the engine has no WebRTC socket"))?;
                let credentials = self.credentials(id);
                let ice = Ice::new(credentials, &self.webrtc, now.instant);
                Ok(Path::WebRtc(Box::new(WebRtcPath {
                    ice,
                    local,
                    dtls_pair: None,
                })))
            }
        }
    }

    fn credentials(&mut self, id: LegId) -> Credentials {
        let random = &mut self.random;
        Credentials::draw(id.slot(), &mut |out| random.fill(out))
    }

    /// What is announced of a leg.
    fn local(&self, leg: &Leg) -> LegLocal {
        let announce = |address: &SocketAddr| (address.ip().to_string(), address.port());
        let (candidates, rtcp_port, credentials) = match &leg.path {
            Path::Port(port) => (
                vec![announce(&port.pair.address)],
                port.pair.rtcp_port,
                None,
            ),
            Path::WebRtc(path) => {
                let all = self
                    .webrtc
                    .iter()
                    .flat_map(|socket| &socket.candidates)
                    .map(announce)
                    .collect();
                (all, 0, Some(path.ice.credentials().clone()))
            }
        };
        let (ufrag, password) = credentials
            .map(|known| (known.ufrag, known.password))
            .unwrap_or_default();
        let fingerprint = if leg.secured() {
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
        }
    }

    fn complete(&mut self, id: LegId, remote: LegRemote, now: Now) -> Result<(), Refusal> {
        let Some(leg) = self.legs.get_mut(id) else {
            return Ok(());
        };
        if leg.remote.as_ref() == Some(&remote) {
            return Ok(());
        }
        let signalled = check_remote(leg, &remote)?;
        if let (Named::At(address), true) = (signalled, matches!(leg.path, Path::Port(_))) {
            if self.legs.iter().any(|other| is_port(other, address)) {
                return Err(("bad_address", format!("{address} is a port of this engine")));
            }
        }
        let random = &mut self.random;
        let Some(leg) = self.legs.get_mut(id) else {
            return Ok(());
        };
        let before = (leg.completed.is_some(), leg.may_send(), leg.may_receive());
        leg.tx.configure(&remote.audio, &mut |out| random.fill(out));
        leg.remote = Some(remote);
        leg.completed.get_or_insert(now.instant);
        if before != (true, leg.may_send(), leg.may_receive()) {
            leg.due_since = Some(now.instant);
        }
        self.complete_path(id, signalled, now);
        self.arm_completed(id, now);
        self.compile(id, now);
        Ok(())
    }

    fn complete_path(&mut self, id: LegId, signalled: Named, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let Some(remote) = leg.remote.clone() else {
            return;
        };
        let old = leg.destination(now.instant);
        let mut selected = None;
        match &mut leg.path {
            Path::Port(port) => {
                let address = match signalled {
                    Named::At(address) => Some(address),
                    Named::Nothing | Named::Forbidden => None,
                };
                port.latch.signal(leg.offer.latch, address);
                let rtcp_port = if remote.rtcp_port == 0 {
                    remote.port.checked_add(1)
                } else {
                    Some(remote.rtcp_port)
                };
                port.rtcp = address
                    .zip(rtcp_port)
                    .map(|(address, port)| SocketAddr::new(address.ip(), port));
            }
            Path::WebRtc(path) => {
                selected = path
                    .ice
                    .set_remote(&remote.ufrag, &remote.password, now.instant)
            }
        }
        let port_moved = matches!(leg.path, Path::Port(_)) && leg.destination(now.instant) != old;
        if port_moved {
            let (local, remote) = (leg.local_text(), leg.remote_text(now.instant));
            self.out.event(Event::PathChanged {
                leg: id.0,
                local,
                remote,
                reason: "signalled".to_owned(),
            });
        }
        self.flush_ice(id, now);
        self.expect_certificate(id, &remote, now);
        match selected {
            Some(pair) => self.path_selected(id, pair, now),
            None => self.start_handshake(id, now),
        }
    }

    fn expect_certificate(&mut self, id: LegId, remote: &LegRemote, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let Some(handshake) = leg.keys.handshake.as_mut() else {
            return;
        };
        let before = handshake.in_flight();
        handshake.expect(&remote.fingerprints);
        handshake.release_held(now.instant);
        self.pump_dtls(id, before, now);
    }

    fn update(
        &mut self,
        id: LegId,
        offer: LegOffer,
        restart_ice: bool,
        now: Now,
    ) -> Result<LegLocal, Refusal> {
        let credentials = self.credentials(id);
        let webrtc = &self.webrtc;
        let leg = self.legs.get_mut(id).ok_or_else(|| unknown_leg(id.0))?;
        if (offer.path, offer.keys) != (leg.offer.path, leg.offer.keys) || offer.audio.is_empty() {
            return Err(bad_description(
                "path and keys of a leg do not change, and it needs a codec",
            ));
        }
        let before = (leg.may_send(), leg.may_receive());
        leg.rx.renegotiate(&offer.audio, offer.audio_level_id);
        if let Some(handshake) = &mut leg.keys.handshake {
            handshake.set_active(offer.dtls_active);
        }
        if let (Path::WebRtc(path), true) = (&mut leg.path, restart_ice) {
            path.ice.restart(credentials, webrtc, now.instant);
        }
        leg.offer = offer;
        if leg.completed.is_some() && before != (leg.may_send(), leg.may_receive()) {
            leg.due_since = Some(now.instant);
        }
        self.compile(id, now);
        let leg = self.legs.get(id).ok_or_else(|| unknown_leg(id.0))?;
        Ok(self.local(leg))
    }

    fn bridge(&mut self, a: LegId, b: LegId, now: Now) {
        let feeds = |leg: Option<&Leg>, source: LegId| {
            leg.is_some_and(|leg| matches!(leg.tx.source, Source::Leg(known) if known == source))
        };
        if feeds(self.legs.get(a), b) && feeds(self.legs.get(b), a) {
            return;
        }
        for id in [a, b] {
            self.unlink_source(id);
            self.unlink_sink(id);
        }
        for (id, source) in [(a, b), (b, a)] {
            if let Some(leg) = self.legs.get_mut(id) {
                leg.tx.set_source(Source::Leg(source));
                leg.sink = Some(source);
            }
        }
        self.compile(a, now);
        self.compile(b, now);
    }

    fn play(&mut self, id: LegId, kind: SourceKind, country: &str, now: Now) {
        let playing = self.legs.get(id).is_some_and(|leg| match &leg.tx.source {
            Source::Player(player) => player.plays(kind, country),
            Source::None | Source::Leg(_) => false,
        });
        if playing {
            return;
        }
        self.unlink_source(id);
        if let Some(leg) = self.legs.get_mut(id) {
            leg.tx
                .set_source(Source::Player(Player::new(kind, country)));
        }
        self.arm_tick(id, now);
    }

    fn stop(&mut self, id: LegId) {
        if let Some(leg) = self.legs.get_mut(id) {
            if matches!(leg.tx.source, Source::Player(_)) {
                leg.tx.set_source(Source::None);
            }
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
                .for_each(|event| leg.tx.digits.press(event, Some(held)));
        }
        self.drive_digits(id, now);
        Ok(())
    }

    fn facts(&self, id: LegId, now: Now) -> Option<crate::description::LegFacts> {
        let leg = self.legs.get(id)?;
        Some(facts::of(
            leg,
            leg.sink.and_then(|sink| self.legs.get(sink)),
            now.instant,
        ))
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
            legs: self.legs.iter().map(line).collect(),
        }
    }

    fn close(&mut self, id: LegId, now: Now) -> Option<crate::description::LegFacts> {
        let facts = self.facts(id, now)?;
        let leg = self.legs.get_mut(id)?;
        let call = leg.call;
        if leg.tx.packets > 0 {
            reports::send(leg, true, &mut self.out, now);
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

    /// Makes what a direction needs before its first packet, on both sides of a leg.
    fn compile(&mut self, id: LegId, now: Now) {
        let sink = self.sink_of(id);
        for leg in [Some(id), sink].into_iter().flatten() {
            self.compile_source(leg);
            self.arm_tick(leg, now);
            self.drive_digits(leg, now);
        }
    }

    fn compile_source(&mut self, id: LegId) {
        let complexity = self.settings.opus_complexity;
        let Some(Source::Leg(from)) = self.legs.get(id).map(|leg| &leg.tx.source) else {
            return;
        };
        let from = *from;
        // A peer sends, as a rule, the codec it prefers to hear.
        let incoming = self
            .legs
            .get(from)
            .and_then(|leg| leg.rx.codec.or(leg.tx.speech.map(|speech| speech.codec)));
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        match (incoming, leg.tx.speech) {
            (Some(incoming), Some(speech)) if incoming != speech.codec => {
                route::prepare(leg, from, incoming, speech.codec, complexity);
            }
            _ => leg.tx.decoding = None,
        }
    }

    /// The leg's source no longer feeds it.
    fn unlink_source(&mut self, id: LegId) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        if let Source::Leg(source) = leg.tx.source {
            leg.tx.set_source(Source::None);
            if let Some(source) = self
                .legs
                .get_mut(source)
                .filter(|source| source.sink == Some(id))
            {
                source.sink = None;
            }
        }
    }

    /// The leg no longer feeds another.
    fn unlink_sink(&mut self, id: LegId) {
        if let Some(sink) = self.sink_of(id) {
            self.unlink_source(sink);
        }
    }

    /// A leg that is gone feeds nobody and is fed by nobody.
    pub(crate) fn unlink_removed(&mut self, id: LegId, gone: &Leg) {
        if let Source::Leg(source) = gone.tx.source {
            if let Some(source) = self
                .legs
                .get_mut(source)
                .filter(|source| source.sink == Some(id))
            {
                source.sink = None;
            }
        }
        if let Some(sink) = gone.sink.and_then(|sink| self.legs.get_mut(sink)) {
            if matches!(sink.tx.source, Source::Leg(source) if source == id) {
                sink.tx.set_source(Source::None);
            }
        }
    }
}

fn is_port(leg: &Leg, address: SocketAddr) -> bool {
    matches!(&leg.path, Path::Port(port) if port.pair.address == address)
}

/// Whether the peer's half can be used; the address it names.
fn check_remote(leg: &Leg, remote: &LegRemote) -> Result<Named, Refusal> {
    let speech = remote
        .audio
        .iter()
        .any(|codec| offhook_dsp::Codec::from_name(&codec.name).is_some());
    if !speech {
        return Err(bad_description("the peer accepts no speech codec we know"));
    }
    if leg.secured() && remote.fingerprints.is_empty() {
        return Err(bad_description("a secured peer must give a fingerprint"));
    }
    match &leg.path {
        Path::WebRtc(_) if remote.ufrag.is_empty() || remote.password.is_empty() => {
            Err(bad_description("a WebRTC peer must give ICE credentials"))
        }
        Path::WebRtc(_) => Ok(Named::Nothing),
        Path::Port(port) => match named(&remote.address, remote.port, port.pair.address.ip()) {
            Named::Forbidden => Err((
                "bad_address",
                format!("media must not go to {}", remote.address),
            )),
            usable => Ok(usable),
        },
    }
}
