//! Datagrams that sockets had no room for.

use super::*;

impl Worker {
    /// What buffers that may have been full had no room for. One that never held two datagrams lost none, and is not asked.
    pub(super) fn count_unread(&mut self, now: Now) {
        let mut crowded = std::mem::take(&mut self.crowded);
        for id in crowded.drain(..) {
            let Some(Some(socket)) = self.sockets.get_mut(id.0 as usize) else {
                continue;
            };
            socket.crowded = false;
            let overruns = sys::overruns(&socket.socket);
            let lost = overruns.wrapping_sub(std::mem::replace(&mut socket.overruns, overruns));
            if lost == 0 {
                continue;
            }
            if let (true, Part::Reader(reader)) = (socket.shared, &self.port) {
                reader.unread(lost);
            }
            let port = self.port_number(id);
            *self.unread.entry(port).or_default() += u64::from(lost);
            self.engine.handle(Input::Unread { socket: id, lost }, now);
        }
        self.crowded = crowded;
        self.count_unhanded(now);
    }

    /// The UDP port of a socket.
    pub(super) fn port_number(&self, id: SocketId) -> u16 {
        let socket = self.sockets.get(id.0 as usize).and_then(Option::as_ref);
        let bound = socket.and_then(|one| one.socket.local_addr().ok());
        bound.map_or(0, |bound| bound.port())
    }

    pub(super) fn tell_unread(&mut self) {
        for (port, lost) in std::mem::take(&mut self.unread) {
            self.telling.event(Event::Unread { port, lost });
        }
    }
}
