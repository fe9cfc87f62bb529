//! The way of a datagram: classify, find its leg, authenticate, open, count, route.
//!
//! Nothing of a leg but counters changes before the packet is authenticated (plain RTP: before the latch believes it).

use std::net::SocketAddr;
use std::time::Duration;

use is::stun::StunMessage;
use offhook_rtp::header::Header;

use crate::demux::{Class, Owner, classify};
use crate::description::KeyKind;
use crate::dtls::Peer;
use crate::engine::Engine;
use crate::event::Event;
use crate::ice::{self, Check, Pair};
use crate::ids::LegId;
use crate::io::{Now, SocketId};
use crate::latch::{Claim, Judgement, Latch};
use crate::leg::{Leg, Path};
use crate::outbox::Outbox;
use crate::receive::{Dropped, Meaning};
use crate::reports;
use crate::timers::Kind;

/// Handshakes at work in one shard: each costs up to 60 KB, and this is 30 s of a shard's CPU at most.
const MAX_HANDSHAKES: usize = 512;

/// Resolution of timers.
const TIMER_STEP: Duration = Duration::from_millis(1);

impl Engine {
    pub(crate) fn datagram(
        &mut self,
        socket: SocketId,
        source: SocketAddr,
        buffer: &mut [u8],
        len: usize,
        now: Now,
    ) {
        let Some(bytes) = buffer.get_mut(..len) else {
            return;
        };
        let class = classify(bytes);
        let owner = self.demux.owner(socket);
        let leg = match owner {
            Some(Owner::Rtp(leg) | Owner::Rtcp(leg)) => Some(leg),
            Some(Owner::WebRtc(index)) if class == Class::Stun => {
                return self.stun(index, source, bytes, now);
            }
            Some(Owner::WebRtc(_)) => self.demux.leg_of(socket, source),
            None => None,
        };
        let Some(id) = leg else {
            return self.demux.count_dropped();
        };
        self.in_hand = Some(id);
        let on_rtcp_port = matches!(owner, Some(Owner::Rtcp(_)));
        match class {
            Class::Rtp if !on_rtcp_port => self.rtp(id, source, bytes, now),
            Class::Rtcp => self.rtcp(id, source, on_rtcp_port, bytes, now),
            Class::Dtls => self.dtls_datagram(id, (socket, source), on_rtcp_port, bytes, now),
            _ => self.demux.count_dropped(),
        }
    }

    fn stun(&mut self, index: usize, source: SocketAddr, bytes: &[u8], now: Now) {
        let known = self
            .webrtc
            .get(index)
            .is_some_and(|socket| self.demux.leg_of(socket.id, source).is_some());
        if !known && !self.demux.admits_stranger(now.instant) {
            return self.demux.count_dropped();
        }
        let Ok(message) = StunMessage::parse(bytes) else {
            return self.demux.count_stranger();
        };
        if !message.is_binding_request() {
            // A lite agent sends no requests, so nothing is an answer.
            return self.demux.count_dropped();
        }
        let slot = message
            .split_username()
            .and_then(|(ours, _)| ice::slot_of(ours));
        let Some(id) = slot
            .and_then(|slot| self.legs.at_slot(slot))
            .map(|leg| leg.id)
        else {
            return self.demux.count_stranger();
        };
        self.in_hand = Some(id);
        let (Some(leg), Some(socket)) = (self.legs.get_mut(id), self.webrtc.get(index)) else {
            return;
        };
        let Path::WebRtc(path) = &mut leg.path else {
            return self.demux.count_stranger();
        };
        let checked = path.ice.check(socket.id, source, &message, now.instant);
        if checked.check != Check::Valid {
            return self.demux.count_stranger();
        }
        leg.rx.reached(source, now.instant);
        let entered = path.ice.enter((socket.id, source));
        entered
            .leave
            .into_iter()
            .for_each(|(socket, source)| self.demux.leave(socket, source, id));
        entered
            .enter
            .into_iter()
            .for_each(|(socket, source)| self.demux.enter(socket, source, id));
        if let Some(answer) = &checked.answer {
            self.out.transmit_bytes(socket.id, source, answer);
        }
        if let Some(pair) = checked.selected {
            self.path_selected(id, pair, now);
        }
    }

    /// A pair was nominated: media goes there from now on, and a handshake of ours may begin.
    pub(crate) fn path_selected(&mut self, id: LegId, pair: Pair, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let mut reason = "ice";
        if let Path::WebRtc(path) = &mut leg.path {
            path.dtls_pair = Some(pair);
            if let Some(socket) = self.webrtc.iter().find(|socket| socket.id == pair.0) {
                path.local = socket.local;
                reason = if socket.tcp { "ice-tcp" } else { "ice" };
            }
        }
        let (local, remote) = (leg.local_text(), pair.1.to_string());
        self.out.event(Event::PathChanged {
            leg: id.0,
            local,
            remote,
            reason: reason.to_owned(),
        });
        self.start_handshake(id, now);
    }

    /// Begins the handshake if it is ours to begin and the path is up.
    pub(crate) fn start_handshake(&mut self, id: LegId, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let destination = leg.destination(now.instant);
        let destination = destination.filter(|_| self.handshakes < MAX_HANDSHAKES);
        let peer = destination.map(|(_, address)| match leg.path {
            Path::WebRtc(_) => Peer::Checked,
            Path::Port(_) => Peer::Believed(address),
        });
        let before = leg.handshakes_in_flight();
        if let (Some(handshake), Some(peer)) = (leg.keys.handshake.as_mut(), peer) {
            handshake.start(peer, now.instant);
        }
        if let Some(component) = leg.component().filter(|_| peer.is_some()) {
            component.start(now.instant);
        }
        self.pump_dtls(id, before, now);
    }

    fn dtls_datagram(&mut self, id: LegId, pair: Pair, on_rtcp_port: bool, bytes: &[u8], now: Now) {
        let full = self.handshakes >= MAX_HANDSHAKES;
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let before = leg.handshakes_in_flight();
        if !on_rtcp_port {
            leg.rx.datagrams += 1;
            leg.rx.reached(pair.1, now.instant);
        }
        let (peer, keys) = match &mut leg.path {
            Path::WebRtc(path) => {
                path.dtls_pair = Some(pair);
                (Some(Peer::Checked), &mut leg.keys)
            }
            Path::Port(port) if !on_rtcp_port => {
                let peer = peer_at(&mut port.latch, pair.1, now);
                (peer, &mut leg.keys)
            }
            Path::Port(port) => {
                let Some(component) = port.component.as_mut() else {
                    return self.demux.count_dropped();
                };
                let peer = peer_at(&mut component.latch, pair.1, now);
                (peer, &mut component.keys)
            }
        };
        let (Some(peer), Some(handshake)) = (peer, keys.handshake.as_mut()) else {
            return;
        };
        if full && handshake.would_associate(bytes, peer) {
            return;
        }
        handshake.datagram(bytes, peer, now.instant);
        self.pump_dtls(id, before, now);
    }

    /// Sends flights, takes keys, arms the retransmission timer.
    pub(crate) fn pump_dtls(&mut self, id: LegId, before: usize, now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let outlet = leg.handshake_outlet(now.instant);
        let out = &mut self.out;
        let Some(handshake) = leg.keys.handshake.as_mut() else {
            return;
        };
        let keys = handshake.poll(now.instant, |address, record| {
            if let Some((socket, over_ice)) = outlet {
                let destination = address.or(over_ice);
                destination.into_iter().for_each(|destination| {
                    out.transmit_bytes(socket, destination, record);
                });
            }
        });
        // Never at once: a machine that asks for the present moment would be asked for ever.
        if let Some(deadline) = handshake
            .deadline()
            .map(|at| at.max(now.instant + TIMER_STEP))
        {
            self.timers
                .arm(&mut leg.deadlines, id, Kind::Dtls, deadline);
        }
        let component = leg.component();
        let deadline = component.and_then(|component| component.pump(out, now.instant));
        if let Some(deadline) = deadline.map(|at| at.max(now.instant + TIMER_STEP)) {
            self.timers
                .arm(&mut leg.deadlines, id, Kind::Dtls, deadline);
        }
        self.handshakes = (self.handshakes + leg.handshakes_in_flight()).saturating_sub(before);
        if let Some(keys) = keys {
            believe_certificate(leg, id, keys.peer, out);
            let suite = keys.suite.name();
            leg.keys.install(keys);
            leg.widen_windows();
            if leg.lent_to.is_none() {
                self.out.event(Event::KeysReady {
                    leg: id.0,
                    suite: suite.to_owned(),
                });
            }
        }
    }

    fn rtp(&mut self, id: LegId, source: SocketAddr, bytes: &mut [u8], now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        leg.rx.datagrams += 1;
        leg.rx.reached(source, now.instant);
        let Ok(header) = Header::parse_sealed(bytes) else {
            leg.rx.bad_headers += 1;
            return;
        };
        if header.ssrc == leg.tx.ssrc || is_own_address(leg, source) {
            leg.rx.loops += 1;
            return;
        }
        let Some((latched, len)) = believe(leg, source, &header, bytes, now) else {
            return;
        };
        let Some(opened) = bytes.get(..len) else {
            return;
        };
        let Ok(header) = Header::parse(opened) else {
            leg.rx.bad_headers += 1;
            return;
        };
        if latched && leg.lent_to.is_none() {
            let (local, remote) = (leg.local_text(), source.to_string());
            self.out.event(Event::PathChanged {
                leg: id.0,
                local,
                remote,
                reason: "latch".to_owned(),
            });
        }
        let heard_before = leg.rx.first.is_some();
        let incoming = match leg.rx.accept(&header, opened, now.instant) {
            Ok(incoming) => incoming,
            Err(Dropped::Video) => return self.video_rtp(id, &header, opened, now),
            Err(Dropped::UnknownPayloadType | Dropped::Duplicate | Dropped::Stray) => return,
        };
        if !heard_before {
            let since = leg.completed.map_or(Duration::ZERO, |at| {
                now.instant.saturating_duration_since(at)
            });
            let after_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            self.out.event(Event::FirstMedia {
                leg: id.0,
                after_ms,
            });
        }
        if std::mem::take(&mut leg.supervision.stopped) {
            self.out.event(Event::MediaResumed { leg: id.0 });
        }
        if leg.supervision.inward.current.is_some() {
            self.timers
                .arm(&mut leg.deadlines, id, Kind::Supervise, now.instant);
        }
        if leg.may_receive() {
            self.route(id, &incoming, header.payload(opened), now);
        }
    }

    fn rtcp(&mut self, id: LegId, source: SocketAddr, own_port: bool, bytes: &mut [u8], now: Now) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let shaken = leg.component().filter(|_| own_port);
        let len = match shaken {
            Some(component) => component.open(source, bytes),
            None => open_rtcp(leg, source, own_port, bytes, now),
        };
        let Some(len) = len else {
            return;
        };
        let Some(opened) = bytes.get(..len) else {
            return;
        };
        let with_video = leg.carries_video();
        leg.rx.reports += 1;
        reports::receive(leg, opened, now);
        if with_video {
            self.video_rtcp(id, opened, now);
        }
    }
}

/// Who shakes hands with a port; none who may be heard.
fn peer_at(latch: &mut Latch, source: SocketAddr, now: Now) -> Option<Peer> {
    if latch.destination() == Some(source) {
        return Some(Peer::Believed(source));
    }
    // A peer behind NAT comes from an address nobody told of; its certificate says who it is.
    if latch.may_move() {
        return Some(Peer::Stranger(source));
    }
    latch.refuse(source, now.instant);
    None
}

/// Length of a compound that is the peer's, opened if the leg is secured.
fn open_rtcp(
    leg: &mut Leg,
    source: SocketAddr,
    own_port: bool,
    bytes: &mut [u8],
    now: Now,
) -> Option<usize> {
    let believed = leg
        .destination(now.instant)
        .map(|(_, address)| address.ip());
    if let Path::Port(port) = &mut leg.path {
        // RTCP never latches RTP; its own address follows the host RTP is believed from.
        if believed != Some(source.ip()) || (!own_port && port.latch.destination() != Some(source))
        {
            return None;
        }
    }
    let len = match (&mut leg.keys.inbound, leg.offer.keys) {
        (Some(inbound), _) => inbound.open_rtcp(bytes).ok()?,
        (None, KeyKind::Plain) => bytes.len(),
        (None, _) => return None,
    };
    leg.keys.prove();
    if let (Path::Port(port), true) = (&mut leg.path, own_port) {
        port.rtcp = Some(source);
    }
    Some(len)
}

/// Whose certificate matched is the peer of a port leg, wherever it sends from.
fn believe_certificate(leg: &mut Leg, id: LegId, peer: Option<SocketAddr>, out: &mut Outbox) {
    let (Path::Port(port), Some(peer)) = (&mut leg.path, peer) else {
        return;
    };
    if port.latch.believe(peer) && leg.lent_to.is_none() {
        out.event(Event::PathChanged {
            leg: id.0,
            local: leg.local_text(),
            remote: peer.to_string(),
            reason: "dtls".to_owned(),
        });
    }
}

/// A leg that hears its own socket is a loop.
fn is_own_address(leg: &Leg, source: SocketAddr) -> bool {
    match &leg.path {
        Path::Port(port) => port.pair.address == source,
        Path::WebRtc(path) => path.local == source,
    }
}

/// Judges and opens the packet: whether its source is believed from this one on, and its length then.
///
/// A plain packet is judged by its source first. With keys of the descriptions the packet opens first: only one that
/// authenticates may move the latch (a phone behind NAT sends from another address than it announces).
fn believe(
    leg: &mut Leg,
    source: SocketAddr,
    header: &Header,
    bytes: &mut [u8],
    now: Now,
) -> Option<(bool, usize)> {
    if leg.keys.described.is_some() {
        let len = open(leg, bytes, now)?;
        return Some((admit(leg, source, header, now)?, len));
    }
    let latched = admit(leg, source, header, now)?;
    Some((latched, open(leg, bytes, now)?))
}

/// Whether the source may be heard; `Some(true)`: it is believed from this packet on.
fn admit(leg: &mut Leg, source: SocketAddr, header: &Header, now: Now) -> Option<bool> {
    let known = leg.rx.meaning(header.payload_type) != Meaning::Unknown;
    let shakes_hands = leg.keys.handshake.is_some();
    // Authenticated STUN entered the address; there is nothing to latch.
    let Path::Port(port) = &mut leg.path else {
        return Some(false);
    };
    if shakes_hands {
        if port.latch.destination() == Some(source) {
            return Some(false);
        }
        port.latch.refuse(source, now.instant);
        return None;
    }
    let claim = Claim {
        ssrc: header.ssrc,
        sequence: header.sequence,
        known,
    };
    match port.latch.judge(source, claim, now.instant) {
        Judgement::Accept => Some(false),
        Judgement::Latched => Some(true),
        Judgement::Refuse => None,
    }
}

/// Opens the packet if the leg is secured; its length then.
fn open(leg: &mut Leg, bytes: &mut [u8], now: Now) -> Option<usize> {
    if !leg.secured() {
        return Some(bytes.len());
    }
    let Some(inbound) = &mut leg.keys.inbound else {
        leg.rx.without_keys += 1;
        return None;
    };
    let len = inbound.open(bytes, now.instant).ok()?;
    leg.keys.prove();
    Some(len)
}
