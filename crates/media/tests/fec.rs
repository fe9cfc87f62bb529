//! Forward error correction of Opus (MEDIA.md section 6): sent to a peer that reports loss, for as long as it does, and of use.

mod common;

use common::*;
use offhook_dsp::{Codec as Dsp, Decoder, MAX_SAMPLES, Tone, ToneSpec, g711, opus as wire};
use offhook_media::description::*;
use offhook_rtp::rtcp::{CompoundBuilder, ReportBlock};

/// A voice that begins and ends words: what was lost cannot be guessed from what came before.
const VOICE: ToneSpec = ToneSpec {
    hertz: [150.0, 450.0],
    dbfs: -12.0,
    on_ms: 90,
    off_ms: 50,
};
const RATE: u32 = 8_000;
const FRAME: usize = 160;

struct Call {
    world: World,
    speaker: Phone,
    listener: Phone,
    voice: Tone,
    seen: usize,
}

impl Call {
    /// A phone with G.711 speaks to one with Opus.
    fn new() -> Self {
        let mut world = World::new();
        let (_, legs) = world.open(vec![port_offer(pcmu()), port_offer(opus())]);
        let (speaker, listener) = (phone(&legs[0], 0), phone(&legs[1], 1));
        world.complete(speaker.leg, port_remote(pcmu(), speaker.address));
        world.complete(listener.leg, port_remote(opus(), listener.address));
        world.bridge(speaker.leg, listener.leg);
        Self {
            world,
            speaker,
            listener,
            voice: Tone::new(VOICE, RATE),
            seen: 0,
        }
    }

    /// Speaks for so many packets; what the listener was sent meanwhile.
    fn speak(&mut self, packets: usize) -> Vec<Vec<u8>> {
        for _ in 0..packets {
            let mut pcm = [0i16; FRAME];
            self.voice.fill(&mut pcm);
            let payload: Vec<u8> = pcm.iter().map(|one| g711::ulaw_encode(*one)).collect();
            let packet = self.speaker.packet(&payload);
            let (socket, from) = (self.speaker.socket, self.speaker.address);
            self.world.datagram(socket, from, &packet);
            self.world.advance_ms(20);
        }
        let sent = self.world.rtp_to(self.listener.address);
        let fresh: Vec<Vec<u8>> = sent[self.seen..]
            .iter()
            .map(|sent| sent.payload().to_vec())
            .collect();
        self.seen = sent.len();
        fresh
    }

    /// The listener reports to lose so much of what we send.
    fn reports(&mut self, percent: u32) {
        let sent = self.world.rtp_to(self.listener.address);
        let last = sent.last().expect("sent").header();
        let block = ReportBlock {
            ssrc: last.ssrc,
            fraction_lost: (percent * 256 / 100) as u8,
            cumulative_lost: 0,
            extended_highest: u32::from(last.sequence),
            jitter: 0,
            lsr: 0,
            dlsr: 0,
        };
        let mut buffer = [0; 256];
        let mut compound = CompoundBuilder::new(&mut buffer);
        compound.receiver_report(77, &[block]).unwrap();
        let len = compound.finish();
        let (socket, from) = (self.listener.socket, self.listener.address);
        self.world.datagram(socket, from, &buffer[..len]);
    }
}

fn protected(packets: &[Vec<u8>]) -> usize {
    packets.iter().filter(|one| wire::has_fec(one)).count()
}

/// How much of the sound is wrong, dB below it, when every fifth packet is lost and made up from what follows or, if that is
/// not done, from what came before.
fn damage(packets: &[Vec<u8>], rebuilds: bool) -> f64 {
    let mut whole = Decoder::new(Dsp::Opus, RATE).unwrap();
    let mut holed = Decoder::new(Dsp::Opus, RATE).unwrap();
    let (mut all, mut wrong) = (0.0, 0.0);
    for (at, packet) in packets.iter().enumerate() {
        let (mut truth, mut heard) = ([0; MAX_SAMPLES], [0; MAX_SAMPLES]);
        whole.decode(packet, &mut truth).unwrap();
        let next = packets.get(at + 1).filter(|_| at % 5 == 4);
        match next {
            Some(next) => {
                let rebuilt = rebuilds && holed.decode_fec(next, &mut heard[..FRAME]);
                if !rebuilt {
                    assert!(holed.conceal(&mut heard[..FRAME]));
                }
            }
            None => drop(holed.decode(packet, &mut heard).unwrap()),
        }
        for (truth, heard) in truth[..FRAME].iter().zip(&heard[..FRAME]) {
            let (truth, heard) = (f64::from(*truth), f64::from(*heard));
            all += truth * truth;
            wrong += (truth - heard) * (truth - heard);
        }
    }
    10.0 * (wrong / all).log10()
}

#[test]
fn section_6_a_peer_that_loses_packets_is_sent_what_rebuilds_them() {
    let mut call = Call::new();
    // 1. nobody loses anything
    assert_eq!(protected(&call.speak(200)), 0);
    call.reports(2);
    assert_eq!(protected(&call.speak(100)), 0, "2 % are borne without");
    // 2. 10 % are lost: what was lost can be told from the packet behind it, and sounds more like what was said
    call.reports(10);
    let packets = call.speak(300);
    let most = protected(&packets);
    assert!(most > 150, "{most} of {}", packets.len());
    let (rebuilt, guessed) = (damage(&packets, true), damage(&packets, false));
    assert!(
        rebuilt < guessed - 3.0,
        "{rebuilt:.1} dB, {guessed:.1} without"
    );
    // 3. an encoder that takes the place of this one knows it from its first packet on
    let leg = call.listener.leg;
    let longer = LegRemote {
        ptime: 40,
        ..port_remote(opus(), call.listener.address)
    };
    call.world.complete(leg, longer);
    let packets = call.speak(50);
    assert_eq!(wire::packet_ticks(packets.last().unwrap()), Some(1_920));
    let most = protected(&packets);
    assert!(most > 10, "{most} of {}", packets.len());
    // 4. and nothing is spent on it any more when nothing is lost
    call.reports(0);
    let _ = call.speak(10);
    assert_eq!(protected(&call.speak(100)), 0);
}
