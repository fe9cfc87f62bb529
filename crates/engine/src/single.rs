//! One UDP port for browsers in the place of one for each shard (`--single-port`): shard 0 reads it and hands on what is another
//! shard's, through a bounded ring for each. Every shard sends from the port itself.
//!
//! A check names its shard in the user name. Where anything else belongs is known from its source, and of that nothing is kept
//! before the named shard has authenticated a check from there and claimed it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use offhook_media::SocketId;

use crate::handover::shard_in_check;
use crate::links::Arrivals;
use crate::sys::Wake;

/// Datagrams that may wait for one shard: 80 ms of 1,000 calls. Who is further behind stands still, and the sound is late anyway.
pub const RING: usize = 4_096;
/// Claims that may wait to be learnt. One that is lost comes again with the next check.
const CLAIMS: usize = 4_096;
/// Checks from sources that nobody has claimed which are handed on in a second: as many as a shard looks at. What is beyond a
/// flood of strangers must not fill the rings.
const STRANGERS: u32 = 2_000;

/// A datagram on its way from the shard that read it.
pub struct Handed {
    /// The real socket it came to; all shards number it alike.
    pub socket: SocketId,
    /// The address of ours it came to.
    pub local: Option<IpAddr>,
    /// Who sent it.
    pub source: SocketAddr,
    /// What.
    pub bytes: Box<[u8]>,
}

/// A shard has authenticated this source, or knows it no more.
struct Claim {
    shard: usize,
    source: SocketAddr,
    holds: bool,
}

/// Datagrams for a shard that were lost on the way to it.
#[derive(Default)]
struct Lost {
    /// Because its ring was full.
    ring: AtomicU32,
    /// Because the port's buffer was full: of any shard.
    port: AtomicU32,
}

/// What a shard has to do with the port.
pub enum Part {
    /// It has a port of its own.
    Alone,
    /// It reads for all.
    Reader(Reader),
    /// It is handed what is its own.
    Owner(Owner),
}

/// The parts of all shards, by number.
pub fn parts(single: bool, arrivals: &[Arrivals]) -> Vec<Part> {
    if !single || arrivals.len() < 2 {
        return arrivals.iter().map(|_| Part::Alone).collect();
    }
    let (claim, claims) = sync_channel(CLAIMS);
    let (mut rings, mut owners) = (vec![None], Vec::new());
    for (shard, arrivals) in arrivals.iter().enumerate().skip(1) {
        let (queue, handed) = sync_channel(RING);
        let lost = Arc::new(Lost::default());
        rings.push(Some(Ring {
            queue,
            wake: Arc::clone(&arrivals.wake),
            lost: Arc::clone(&lost),
            touched: false,
        }));
        owners.push(Part::Owner(Owner {
            shard,
            handed,
            claim: claim.clone(),
            held: HashMap::new(),
            lost,
        }));
    }
    let reader = Reader {
        rings,
        claims,
        routes: HashMap::new(),
        strangers: 0,
        second: None,
    };
    let mut parts = vec![Part::Reader(reader)];
    parts.append(&mut owners);
    parts
}

struct Ring {
    queue: SyncSender<Handed>,
    wake: Arc<Wake>,
    lost: Arc<Lost>,
    /// Something was handed since the last flush.
    touched: bool,
}

/// Whose a datagram is.
#[derive(Debug, PartialEq, Eq)]
pub enum Whose {
    /// The reader's own, or a stranger's.
    Own,
    /// Another shard's.
    Shard(usize),
    /// One of too many strangers'.
    Nobody,
}

/// The shard that reads.
pub struct Reader {
    /// By shard; the reader has none.
    rings: Vec<Option<Ring>>,
    claims: Receiver<Claim>,
    /// The shard that has authenticated a source last. Bounded by what legs remember of their peers.
    routes: HashMap<SocketAddr, usize>,
    strangers: u32,
    second: Option<Instant>,
}

impl Reader {
    /// Learns what was claimed. Due behind each batch that was read: what answers a check was sent after its claim.
    pub fn learn(&mut self) {
        while let Ok(claim) = self.claims.try_recv() {
            if claim.holds {
                self.routes.insert(claim.source, claim.shard);
            } else if self.routes.get(&claim.source) == Some(&claim.shard) {
                self.routes.remove(&claim.source);
            }
        }
    }

    /// Whose a datagram is that came at this time.
    pub fn whose(&mut self, source: SocketAddr, datagram: &[u8], now: Instant) -> Whose {
        let known = self.routes.get(&source).copied();
        let named = shard_in_check(datagram).filter(|shard| *shard < self.rings.len());
        match (named, known) {
            (Some(0), _) | (None, None) => Whose::Own,
            (Some(shard), Some(_)) | (None, Some(shard)) => Whose::Shard(shard),
            (Some(shard), None) if self.admits_stranger(now) => Whose::Shard(shard),
            (Some(_), None) => Whose::Nobody,
        }
    }

    fn admits_stranger(&mut self, now: Instant) -> bool {
        let over =
            |second: Instant| now.saturating_duration_since(second) >= Duration::from_secs(1);
        if self.second.is_none_or(over) {
            (self.second, self.strangers) = (Some(now), 0);
        }
        self.strangers += 1;
        self.strangers <= STRANGERS
    }

    /// Whether another shard has authenticated this source.
    pub fn routes(&self, source: SocketAddr) -> bool {
        self.routes.contains_key(&source)
    }

    /// The reader's own engine has authenticated it since.
    pub fn keep(&mut self, source: SocketAddr) {
        self.routes.remove(&source);
    }

    /// Hands on; what finds no room is lost and counted.
    pub fn hand(&mut self, shard: usize, datagram: Handed) {
        let Some(Some(ring)) = self.rings.get_mut(shard) else {
            return;
        };
        ring.touched = true;
        if ring.queue.try_send(datagram).is_err() {
            ring.lost.ring.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Wakes those who were handed something.
    pub fn flush(&mut self) {
        for ring in self.rings.iter_mut().flatten() {
            if std::mem::take(&mut ring.touched) {
                ring.wake.wake();
            }
        }
    }

    /// The port's buffer had no room for these, whosever they were.
    pub fn unread(&self, lost: u32) {
        for ring in self.rings.iter().flatten() {
            ring.lost.port.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

/// A shard that is handed what is its own.
pub struct Owner {
    shard: usize,
    handed: Receiver<Handed>,
    claim: SyncSender<Claim>,
    /// What it has claimed, with the number of our address there.
    held: HashMap<SocketAddr, SocketId>,
    lost: Arc<Lost>,
}

impl Owner {
    /// The next datagram.
    pub fn next(&mut self) -> Option<Handed> {
        self.handed.try_recv().ok()
    }

    /// A check of this source was authenticated at this number. Told each time: another shard may have had it meanwhile.
    pub fn claim(&mut self, source: SocketAddr, number: SocketId) {
        if self.tell(source, true) {
            self.held.insert(source, number);
        }
    }

    /// Gives back what nobody knows any more.
    pub fn sweep(&mut self, knows: impl Fn(SocketId, SocketAddr) -> bool) {
        let gone = self.held.iter();
        let gone = gone.filter(|(source, number)| !knows(**number, **source));
        let gone: Vec<SocketAddr> = gone.map(|(source, _)| *source).collect();
        for source in gone {
            if self.tell(source, false) {
                self.held.remove(&source);
            }
        }
    }

    fn tell(&self, source: SocketAddr, holds: bool) -> bool {
        let claim = Claim {
            shard: self.shard,
            source,
            holds,
        };
        self.claim.try_send(claim).is_ok()
    }

    /// What was lost since the last call: in the ring, and at the port for anybody.
    pub fn take_lost(&self) -> (u32, u32) {
        let Lost { ring, port } = &*self.lost;
        (
            ring.swap(0, Ordering::Relaxed),
            port.swap(0, Ordering::Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links;

    const SOCKET: SocketId = SocketId(0);
    const MEDIA: &[u8] = &[0x80, 0, 0, 1];

    fn shards(count: usize) -> (Reader, Vec<Owner>) {
        let (_, arrivals) = links::ways(count).expect("event descriptors");
        let mut parts = parts(true, &arrivals).into_iter();
        let Some(Part::Reader(reader)) = parts.next() else {
            panic!("shard 0 reads")
        };
        let owner = |part| match part {
            Part::Owner(owner) => owner,
            _ => panic!("the others are handed what is theirs"),
        };
        (reader, parts.map(owner).collect())
    }

    fn source(port: u16) -> SocketAddr {
        SocketAddr::new([198, 51, 100, 7].into(), port)
    }

    fn check(shard: u8) -> Vec<u8> {
        crate::handover::check(format!("{shard:02x}000001abcdef:theirs").as_bytes())
    }

    fn handed(port: u16) -> Handed {
        Handed {
            socket: SOCKET,
            local: None,
            source: source(port),
            bytes: MEDIA.into(),
        }
    }

    #[test]
    fn one_shard_or_a_port_for_each_needs_nobody_who_reads_for_others() {
        for (single, count) in [(false, 3), (true, 1)] {
            let (_, arrivals) = links::ways(count).expect("event descriptors");
            let parts = parts(single, &arrivals);
            assert_eq!(parts.len(), count);
            assert!(parts.iter().all(|part| matches!(part, Part::Alone)));
        }
    }

    #[test]
    fn a_check_goes_where_it_names_and_the_rest_where_its_source_was_claimed() {
        let (mut reader, mut owners) = shards(3);
        let now = Instant::now();
        // 1. a check that names nobody of ours is the reader's: a stranger
        assert_eq!(reader.whose(source(1), &check(0), now), Whose::Own);
        assert_eq!(reader.whose(source(1), &check(3), now), Whose::Own);
        assert_eq!(reader.whose(source(1), &check(2), now), Whose::Shard(2));
        // 2. which moves nothing else, until its shard has believed it
        assert_eq!(reader.whose(source(1), MEDIA, now), Whose::Own);
        owners[1].claim(source(1), SOCKET);
        reader.learn();
        assert_eq!(reader.whose(source(1), MEDIA, now), Whose::Shard(2));
        assert_eq!(reader.whose(source(2), MEDIA, now), Whose::Own);
        // 3. the last who believed it has it, and who had it before takes nothing away
        owners[0].claim(source(1), SOCKET);
        owners[1].sweep(|_, _| false);
        reader.learn();
        assert_eq!(reader.whose(source(1), MEDIA, now), Whose::Shard(1));
        // 4. be that the reader
        assert!(reader.routes(source(1)));
        reader.keep(source(1));
        assert_eq!(reader.whose(source(1), MEDIA, now), Whose::Own);
    }

    #[test]
    fn what_nobody_knows_any_more_is_forgotten() {
        let (mut reader, mut owners) = shards(2);
        owners[0].claim(source(1), SOCKET);
        owners[0].claim(source(2), SOCKET);
        owners[0].sweep(|_, one| one == source(2));
        reader.learn();
        assert_eq!(reader.routes.len(), 1);
        assert!(reader.routes(source(2)));
        assert_eq!(owners[0].held.len(), 1);
    }

    #[test]
    fn strangers_leave_nothing_and_too_many_are_not_handed_on() {
        let (mut reader, mut owners) = shards(2);
        let now = Instant::now();
        owners[0].claim(source(1), SOCKET);
        reader.learn();
        for port in 0..2 * STRANGERS as u16 {
            let expected = if u32::from(port) < STRANGERS {
                Whose::Shard(1)
            } else {
                Whose::Nobody
            };
            assert_eq!(reader.whose(source(1_000 + port), &check(1), now), expected);
        }
        // 1. whoever is known is still heard
        assert_eq!(reader.whose(source(1), &check(1), now), Whose::Shard(1));
        assert_eq!(reader.routes.len(), 1);
        // 2. and a second later strangers are again
        let later = now + Duration::from_secs(1);
        assert_eq!(reader.whose(source(9), &check(1), later), Whose::Shard(1));
    }

    #[test]
    fn a_ring_is_bounded_and_what_finds_no_room_is_counted_for_its_shard() {
        let (mut reader, mut owners) = shards(3);
        for port in 0..RING as u16 + 3 {
            reader.hand(1, handed(port));
        }
        reader.flush();
        reader.unread(5);
        assert_eq!(owners[0].take_lost(), (3, 5));
        assert_eq!(owners[0].take_lost(), (0, 0));
        assert_eq!(owners[1].take_lost(), (0, 5));
        let order: Vec<u16> = std::iter::from_fn(|| owners[0].next())
            .map(|one| one.source.port())
            .collect();
        assert_eq!(order, (0..RING as u16).collect::<Vec<_>>());
        assert!(owners[1].next().is_none());
    }

    #[test]
    fn claims_that_find_no_room_come_again() {
        let (mut reader, mut owners) = shards(2);
        for port in 0..=CLAIMS as u16 {
            owners[0].claim(source(port), SOCKET);
        }
        reader.learn();
        let last = source(CLAIMS as u16);
        assert!(!reader.routes(last));
        owners[0].claim(last, SOCKET);
        reader.learn();
        assert!(reader.routes(last));
    }
}
