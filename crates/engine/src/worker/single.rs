//! What a shard does where all share one port.

use super::*;

impl Worker {
    /// Of the batch that was read, what is another shard's is handed on. False: it is our own.
    pub(super) fn hand_on(&mut self, id: SocketId, index: usize, now: Now) -> bool {
        let Part::Reader(reader) = &mut self.port else {
            return false;
        };
        let local = self.batch.local(index);
        let Some((source, buffer, len)) = self.batch.datagram(index) else {
            return false;
        };
        let datagram = buffer.get(..len).unwrap_or_default();
        match reader.whose(source, datagram, now.instant) {
            Whose::Own => false,
            Whose::Nobody => true,
            Whose::Shard(shard) => {
                let handed = Handed {
                    socket: id,
                    local,
                    source,
                    bytes: datagram.into(),
                };
                reader.hand(shard, handed);
                true
            }
        }
    }

    /// After a datagram of our own: a source that our engine has authenticated is no other shard's any more.
    pub(super) fn keep_own(&mut self, socket: SocketId, source: SocketAddr) {
        if let Part::Reader(reader) = &mut self.port {
            if reader.routes(source) && self.engine.knows(socket, source) {
                reader.keep(source);
            }
        }
    }

    /// What was handed to us, a bounded share of it. True: there may be more.
    pub(super) fn handed(&mut self, now: Now) -> bool {
        for _ in 0..RING {
            let Part::Owner(owner) = &mut self.port else {
                return false;
            };
            let Some(one) = owner.next() else {
                return false;
            };
            self.take_handed(&one, now);
        }
        true
    }

    fn take_handed(&mut self, one: &Handed, now: Now) {
        let len = one.bytes.len();
        let Some(room) = self.single.get_mut(..len) else {
            return;
        };
        room.copy_from_slice(&one.bytes);
        self.packets += 1;
        let local = one.local;
        let socket = local.map_or(one.socket, |local| self.reached(one.socket, local, now));
        let input = Input::Datagram {
            socket,
            source: one.source,
            buffer: &mut self.single[..],
            len,
        };
        self.engine.handle(input, now);
        // Before the answer leaves, so that what comes after it finds the claim.
        if let Part::Owner(owner) = &mut self.port {
            let check = shard_in_check(&one.bytes).is_some();
            if check && self.engine.knows(socket, one.source) {
                owner.claim(one.source, socket);
            }
        }
        self.collect(now);
    }

    /// Gives back sources that no leg of ours knows any more.
    pub(super) fn sweep_claims(&mut self) {
        if let Part::Owner(owner) = &mut self.port {
            owner.sweep(|number, source| self.engine.knows(number, source));
        }
    }

    /// What was lost before it was handed to us: all of it is a fact of our legs, and told is what no other shard tells.
    pub(super) fn count_unhanded(&mut self, now: Now) {
        let Part::Owner(owner) = &self.port else {
            return;
        };
        let (ring, port) = owner.take_lost();
        if ring > 0 {
            let number = self.port_number(SHARED);
            *self.unread.entry(number).or_default() += u64::from(ring);
        }
        let lost = ring.saturating_add(port);
        if lost > 0 {
            let input = Input::Unread {
                socket: SHARED,
                lost,
            };
            self.engine.handle(input, now);
        }
    }
}
