//! The two halves of a leg's description: the peer's comes, ours changes.

use std::net::SocketAddr;

use offhook_rtp::srtp::SrtpIn;

use crate::address::{Named, named};
use crate::commands::{Refusal, bad_description, unknown_leg};
use crate::description::{Codec, KeyKind, LegLocal, LegOffer, LegRemote};
use crate::engine::Engine;
use crate::event::Event;
use crate::ids::LegId;
use crate::io::Now;
use crate::leg::{Keys, Leg, Path};
use crate::video_line::check_offer;

impl Engine {
    /// The peer's half; the same again has no effect. Refused descriptions change nothing.
    pub(crate) fn complete(
        &mut self,
        id: LegId,
        remote: LegRemote,
        now: Now,
    ) -> Result<(), Refusal> {
        let Some(leg) = self.legs.get_mut(id) else {
            return Ok(());
        };
        if leg.remote.as_ref() == Some(&remote) {
            return Ok(());
        }
        let signalled = check_remote(leg, &remote)?;
        self.check_video(id, &remote)?;
        if let Named::At(address) = signalled {
            if self.is_ours(address) {
                return Err(("bad_address", format!("{address} is a port of this engine")));
            }
        }
        let reports = self.reports_to(signalled, &remote);
        let random = &mut self.random;
        let Some(leg) = self.legs.get_mut(id) else {
            return Ok(());
        };
        let before = (leg.completed.is_some(), leg.may_send(), leg.may_receive());
        leg.tx.configure(&remote.audio, &mut |out| random.fill(out));
        leg.remote = Some(remote);
        listen_for_digits(leg);
        leg.completed.get_or_insert(now.instant);
        if before != (true, leg.may_send(), leg.may_receive()) {
            leg.due_since = Some(now.instant);
        }
        self.complete_path(id, signalled, reports, now);
        self.arm_completed(id, now);
        if let Some(remote) = self.legs.get(id).and_then(|leg| leg.remote.clone()) {
            self.complete_video(id, &remote, now);
        }
        self.feeds_follow(id, now);
        self.compile(id, now);
        Ok(())
    }

    /// Whether this is a port of ours: a phone's, or the one for browsers. The shell knows those of other shards.
    fn is_ours(&self, address: SocketAddr) -> bool {
        let mut shared = self.webrtc.iter();
        address.port() != 0
            && (shared
                .any(|socket| socket.candidates.contains(&address) || socket.local == address)
                || self.legs.iter().any(|leg| is_port(leg, address)))
    }

    /// Where reports go: the port that was named, or the one beside the media's (RFC 3550 section 11). A phone on this
    /// machine may have got a port beside one of ours without a wish to: it gets no reports.
    fn reports_to(&self, signalled: Named, remote: &LegRemote) -> Option<SocketAddr> {
        let Named::At(address) = signalled else {
            return None;
        };
        let port = if remote.rtcp_port == 0 {
            remote.port.checked_add(1)?
        } else {
            remote.rtcp_port
        };
        let reports = SocketAddr::new(address.ip(), port);
        (!self.is_ours(reports)).then_some(reports)
    }

    fn complete_path(
        &mut self,
        id: LegId,
        signalled: Named,
        reports: Option<SocketAddr>,
        now: Now,
    ) {
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
                port.rtcp = reports;
                if let Some(component) = &mut port.component {
                    component.latch.signal(leg.offer.latch, port.rtcp);
                }
            }
            Path::WebRtc(path) => {
                selected = path
                    .ice
                    .set_remote(&remote.ufrag, &remote.password, now.instant)
            }
        }
        let port_moved = matches!(leg.path, Path::Port(_)) && leg.destination(now.instant) != old;
        if port_moved && leg.lent_to.is_none() {
            let (local, remote) = (leg.local_text(), leg.remote_text(now.instant));
            self.out.event(Event::PathChanged {
                leg: id.0,
                local,
                remote,
                reason: "signalled".to_owned(),
            });
        }
        self.take_described(id, &remote, port_moved);
        self.expect_certificate(id, &remote, now);
        match selected {
            Some(pair) => self.path_selected(id, pair, now),
            None => self.start_handshake(id, now),
        }
    }

    /// SDES: both keys are known now; `check_remote` has found them usable. A new key from the same address goes on with
    /// the rollover counters of its streams, one from a new address starts them anew (MEDIA.md trap 4).
    fn take_described(&mut self, id: LegId, remote: &LegRemote, moved: bool) {
        let Some(keys) = self.legs.get_mut(id).map(|leg| &mut leg.keys) else {
            return;
        };
        let (Some(described), Some(theirs)) = (&mut keys.described, remote.crypto.first()) else {
            return;
        };
        let Ok(Some(fresh)) = described.take(theirs) else {
            return;
        };
        let kept = keys
            .inbound
            .as_mut()
            .filter(|old| !moved && old.suite() == fresh.suite);
        let rekeyed = kept.is_some_and(|old| old.rekey(&fresh.inbound).is_ok());
        if !rekeyed {
            keys.inbound = SrtpIn::new(&fresh.inbound).ok().map(Box::new);
        }
        if let Some(outbound) = fresh.outbound {
            keys.outbound = Some(Box::new(outbound));
        }
        keys.suite = fresh.suite.name();
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        leg.widen_windows();
        if leg.lent_to.is_none() {
            self.out.event(Event::KeysReady {
                leg: id.0,
                suite: fresh.suite.name().to_owned(),
            });
        }
    }

    fn expect_certificate(&mut self, id: LegId, remote: &LegRemote, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let before = leg.handshakes_in_flight();
        let believed = leg.destination(now.instant).map(|(_, address)| address);
        let expect = |keys: &mut Keys, believed| {
            if let Some(handshake) = &mut keys.handshake {
                handshake.expect(&remote.fingerprints);
                handshake.release_held(believed, now.instant);
            }
        };
        expect(&mut leg.keys, believed);
        if let Some(component) = leg.component() {
            expect(&mut component.keys, component.latch.destination());
        }
        self.pump_dtls(id, before, now);
    }

    /// Our half changes; path and keys stay what they are. Gives what is announced from now on.
    pub(crate) fn update(
        &mut self,
        id: LegId,
        offer: LegOffer,
        restart_ice: bool,
        now: Now,
    ) -> Result<LegLocal, Refusal> {
        let credentials = self.credentials(id);
        let leg = self.legs.get(id).ok_or_else(|| unknown_leg(id.0))?;
        let other_keys = offer.keys != leg.offer.keys;
        let shakes_hands = [offer.keys, leg.offer.keys].contains(&KeyKind::Dtls);
        let silent = offer.audio.is_empty() && leg.lent_to.is_none();
        if offer.path != leg.offer.path || other_keys && shakes_hands || silent {
            return Err(bad_description(
                "path and handshake of a leg do not change, and it needs a codec",
            ));
        }
        check_offer(&offer)?;
        // A phone may begin or cease to encrypt in mid-call (RFC 8643, or a re-INVITE with another profile).
        let fresh = other_keys.then(|| self.keys_for(&offer)).transpose()?;
        let leg = self.legs.get_mut(id).ok_or_else(|| unknown_leg(id.0))?;
        if let Some(keys) = fresh {
            leg.keys = keys;
        }
        if let Some(described) = &mut leg.keys.described {
            let random = &mut self.random;
            described.ask(&offer.suites, &mut |out| random.fill(out))?;
        }
        let before = (leg.may_send(), leg.may_receive());
        leg.rx.renegotiate(&offer.audio, offer.audio_level_id);
        leg.handshakes()
            .for_each(|handshake| handshake.set_active(offer.dtls_active));
        if let (Path::WebRtc(path), true) = (&mut leg.path, restart_ice) {
            path.ice.restart(credentials);
        }
        leg.offer = offer;
        listen_for_digits(leg);
        if leg.completed.is_some() && before != (leg.may_send(), leg.may_receive()) {
            leg.due_since = Some(now.instant);
        }
        self.update_video(id, now)?;
        self.compile(id, now);
        let leg = self.legs.get(id).ok_or_else(|| unknown_leg(id.0))?;
        Ok(self.local(leg))
    }
}

/// Digits are looked for in the audio only while the peer cannot send them as events (SIGNALLING.md DTMF-1).
fn listen_for_digits(leg: &mut Leg) {
    let event = |codec: &Codec| codec.name.eq_ignore_ascii_case("telephone-event");
    let agreed =
        |remote: &LegRemote| remote.audio.iter().any(event) && leg.offer.audio.iter().any(event);
    let wanted =
        leg.offer.detect_digits && leg.remote.as_ref().is_some_and(|remote| !agreed(remote));
    leg.rx.detect(wanted);
}

fn is_port(leg: &Leg, address: SocketAddr) -> bool {
    let Path::Port(port) = &leg.path else {
        return false;
    };
    let own = port.pair.address;
    let ports = [own.port(), port.pair.rtcp_port];
    own.ip() == address.ip() && ports.contains(&address.port())
}

/// Whether the peer's half can be used; the address it names.
pub(crate) fn check_remote(leg: &Leg, remote: &LegRemote) -> Result<Named, Refusal> {
    let speech = remote
        .audio
        .iter()
        .any(|codec| offhook_dsp::Codec::from_name(&codec.name).is_some());
    if !speech && leg.lent_to.is_none() {
        return Err(bad_description("the peer accepts no speech codec we know"));
    }
    if leg.keys.handshake.is_some() && remote.fingerprints.is_empty() {
        return Err(bad_description("a secured peer must give a fingerprint"));
    }
    if let Some(described) = &leg.keys.described {
        let theirs = remote.crypto.first();
        described.check(theirs.ok_or_else(|| bad_description("an SDES peer must give a key"))?)?;
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
