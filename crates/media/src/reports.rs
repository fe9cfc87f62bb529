//! RTCP: our reports, and what the peer's say (RFC 3550 section 6). Nothing of the other leg's is passed on.

use std::time::{Duration, Instant};

use offhook_rtp::rtcp::{
    Compound, CompoundBuilder, Packet as Report, ReportBlock, SenderInfo, ntp_middle,
};
use offhook_rtp::srtp::MAX_OVERHEAD;

use crate::io::{Now, PACKET_SIZE};
use crate::leg::Leg;
use crate::outbox::Outbox;

/// The first report comes so soon, so that RTT and loss are known early.
const FIRST: Duration = Duration::from_secs(1);
const FIRST_SPREAD: Duration = Duration::from_millis(1_500);
/// RFC 3550 section 6.2: 5 s, times 0.5..1.5.
const SHORTEST: Duration = Duration::from_millis(2_500);
const SPREAD: Duration = Duration::from_secs(5);
/// A compound of ours is far smaller; the rest is the SRTCP trailer's.
const ROOM: usize = PACKET_SIZE - MAX_OVERHEAD;

/// What reports need to remember.
#[derive(Debug, Default)]
pub(crate) struct ReportClock {
    last: Option<Instant>,
    /// Packets sent up to the last report: an SR needs new ones.
    sent: u64,
    begun: bool,
}

impl ReportClock {
    /// When the next report goes out. `random`: 0..=255.
    pub(crate) fn next(&mut self, random: u8, now: Instant) -> Instant {
        let share = f64::from(random) / 255.0;
        if std::mem::replace(&mut self.begun, true) {
            now + SHORTEST + SPREAD.mul_f64(share)
        } else {
            now + FIRST + FIRST_SPREAD.mul_f64(share)
        }
    }
}

/// Sends a report with what was sent and heard since the last one. `bye`: our stream ends.
pub(crate) fn send(leg: &mut Leg, bye: bool, out: &mut Outbox, now: Now) {
    let Some((socket, destination)) = leg.report_outlet(now.instant) else {
        return;
    };
    let since = leg.reports.last.or(leg.completed).unwrap_or(now.instant);
    let blocks = leg.rx.report(since, now.instant);
    let mut packet = out.packet();
    let Some(len) = packet
        .get_mut(..ROOM)
        .and_then(|room| build(leg, &blocks, bye, room, now))
    else {
        return out.recycle(packet);
    };
    leg.reports.last = Some(now.instant);
    leg.reports.sent = leg.tx.packets;
    match leg.seal_report(&mut packet, len) {
        Some(len) => out.transmit(socket, destination, packet, len),
        None => out.recycle(packet),
    }
}

fn build(leg: &Leg, blocks: &[ReportBlock], bye: bool, room: &mut [u8], now: Now) -> Option<usize> {
    let mut compound = CompoundBuilder::new(room);
    let tx = &leg.tx;
    if tx.packets > leg.reports.sent {
        let info = SenderInfo {
            ssrc: tx.ssrc,
            ntp: now.ntp,
            rtp: tx.timestamp(now.instant),
            // Truncation: the fields wrap.
            packets: tx.packets as u32,
            octets: tx.octets as u32,
        };
        compound.sender_report(&info, blocks).ok()?;
    } else {
        compound.receiver_report(tx.ssrc, blocks).ok()?;
    }
    compound.cname(tx.ssrc, &leg.cname).ok()?;
    if bye {
        compound.goodbye(&[tx.ssrc]).ok()?;
    }
    Some(compound.finish())
}

/// Takes an authenticated compound of the peer.
pub(crate) fn receive(leg: &mut Leg, bytes: &[u8], now: Now) {
    let Ok(compound) = Compound::parse(bytes) else {
        leg.rx.bad_headers += 1;
        return;
    };
    for report in compound.packets() {
        match report {
            Report::SenderReport(info, blocks) => {
                leg.rx
                    .sender_report(info.ssrc, ntp_middle(info.ntp), now.instant);
                blocks.for_each(|block| acknowledge(leg, &block, now));
            }
            Report::ReceiverReport(_, blocks) => {
                blocks.for_each(|block| acknowledge(leg, &block, now))
            }
            _ => {}
        }
    }
}

fn acknowledge(leg: &mut Leg, block: &ReportBlock, now: Now) {
    if block.ssrc != leg.tx.ssrc {
        return;
    }
    let clock = leg
        .tx
        .speech
        .map_or(8_000, |speech| speech.codec.rtp_clock());
    let sent = leg.tx.packets;
    let known = &mut leg.tx.acknowledged;
    known.take(block.extended_highest, sent, now.instant);
    known.loss_percent = f64::from(block.fraction_lost) * 100.0 / 256.0;
    known.jitter_ms = f64::from(block.jitter) * 1_000.0 / f64::from(clock);
    if let Some(encoding) = &mut leg.tx.encoding {
        encoding.set_loss(known.loss_percent);
    }
    if let Some(delay) = block.round_trip(ntp_middle(now.ntp)) {
        leg.quality.rtt_ms = Some(f64::from(delay) * 1_000.0 / 65_536.0);
    }
}
