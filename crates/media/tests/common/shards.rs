//! Two engines side by side: calls of two shards that meet (MEDIA.md section 3).

use offhook_media::command::Command;
use offhook_media::description::*;
use offhook_media::event::Reply;

use super::*;

/// Two shards and the way between them.
pub struct Shards {
    pub of: [World; 2],
    links: u64,
}

impl Shards {
    pub fn new() -> Self {
        Self {
            of: World::pair(),
            links: 0,
        }
    }

    /// Carries what crosses until nothing does.
    pub fn carry(&mut self) {
        loop {
            let [one, other] = &mut self.of;
            let crossed: Vec<_> = one
                .crossed
                .drain(..)
                .chain(other.crossed.drain(..))
                .collect();
            if crossed.is_empty() {
                return;
            }
            for message in crossed {
                let shard = usize::from(message.shard());
                self.of[shard].linked(message);
            }
        }
    }

    pub fn advance_ms(&mut self, ms: u64) {
        for _ in 0..ms {
            self.of.iter_mut().for_each(|world| world.advance_ms(1));
            self.carry();
        }
    }

    /// A phone whose call is on this shard.
    pub fn phone(&mut self, shard: usize, audio: Vec<Codec>) -> Phone {
        let (_, legs) = self.of[shard].open(vec![port_offer(audio.clone())]);
        let index = shard * 100 + self.of[shard].engine.legs() % 100;
        let mut phone = phone(&legs[0], index as u8);
        if audio[0].name == "OPUS" {
            (phone.payload_type, phone.step) = (111, 960);
        }
        self.of[shard].complete(phone.leg, port_remote(audio, phone.address));
        phone
    }

    pub fn send(&mut self, from: &Phone, packet: &[u8]) {
        self.of[shard_of(from.leg)].datagram(from.socket, from.address, packet);
        self.carry();
    }

    pub fn command(&mut self, leg: u64, make: impl FnOnce(u64) -> Command) -> Reply {
        self.of[shard_of(leg)].order(make);
        self.carry();
        let mut replies: Vec<Reply> = self.of.iter_mut().flat_map(World::replies).collect();
        assert_eq!(replies.len(), 1, "one command, one reply: {replies:?}");
        replies.remove(0)
    }

    pub fn done(&mut self, leg: u64, make: impl FnOnce(u64) -> Command) {
        let reply = self.command(leg, make);
        assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    }

    /// What the control thread makes of a bridge.
    pub fn bridge(&mut self, a: u64, b: u64) {
        self.links += 1;
        let number = self.links;
        for (leg, far) in [(a, b), (b, a)] {
            self.done(leg, |n| Command::Link {
                n,
                leg,
                far,
                number,
            });
        }
    }

    pub fn join(&mut self, leg: u64, room: u64, muted: bool) -> Reply {
        self.command(leg, |n| Command::Join {
            n,
            leg,
            room,
            muted,
            full_band: false,
        })
    }

    pub fn facts(&mut self, leg: u64) -> LegFacts {
        self.of[shard_of(leg)].facts(leg)
    }

    pub fn heard(&self, phone: &Phone) -> Vec<&Sent> {
        self.of[shard_of(phone.leg)].rtp_to(phone.address)
    }
}

pub fn shard_of(leg: u64) -> usize {
    (leg >> 56) as usize
}

pub fn phones_apart() -> (Shards, Phone, Phone) {
    let mut shards = Shards::new();
    let (a, b) = (shards.phone(0, pcmu()), shards.phone(1, pcmu()));
    shards.bridge(a.leg, b.leg);
    (shards, a, b)
}

/// Both speak for so many packets.
pub fn talk(shards: &mut Shards, a: &mut Phone, b: &mut Phone, packets: u16) {
    for seed in 0..packets {
        for phone in [&mut *a, &mut *b] {
            let packet = phone.packet(&voice(seed));
            shards.send(phone, &packet);
        }
        shards.advance_ms(20);
    }
}

pub fn level(pcm: &[i16], hertz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in pcm.iter().enumerate() {
        let phase = std::f64::consts::TAU * hertz * at as f64 / 8_000.0;
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    let size = 2.0 * (re * re + im * im).sqrt() / pcm.len() as f64 / 32_768.0;
    20.0 * (size + 1e-9).log10()
}
