//! What waits to be polled, and the packet buffers that circulate.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::event::Event;
use crate::io::{Output, PACKET_SIZE, Packet, SocketId, Transmit};

/// Free buffers kept, 256 KiB: a batch of 64 for each of two sockets. Of a burst no more is kept, so that a shard takes
/// after a minute at a busy machine what it took before.
const MAX_FREE: usize = 128;
/// Packets that may wait when the next timer is looked at, 512 KiB: a shard that stood still sends what is due in portions.
const MAX_BURST: usize = 256;
/// Events waiting: beyond it log lines and quality are dropped, the rest is state and must go out.
const MAX_EVENTS: usize = 16_384;

/// Outputs in order.
#[derive(Default)]
pub(crate) struct Outbox {
    /// Packets go before all else: a BYE leaves before its socket is released.
    packets: VecDeque<Transmit>,
    queue: VecDeque<Output>,
    free: Vec<Packet>,
    events: usize,
}

impl Outbox {
    /// An empty buffer, of `PACKET_SIZE` bytes.
    pub(crate) fn packet(&mut self) -> Packet {
        let mut packet = self.free.pop().unwrap_or_else(Packet::empty);
        packet.len = PACKET_SIZE;
        packet
    }

    /// A buffer that holds a copy of `bytes`; `None` if they are more than a datagram.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Option<Packet> {
        let mut packet = self.packet();
        match packet.get_mut(..bytes.len()) {
            Some(room) => room.copy_from_slice(bytes),
            None => {
                self.recycle(packet);
                return None;
            }
        }
        packet.len = bytes.len();
        Some(packet)
    }

    pub(crate) fn recycle(&mut self, packet: Packet) {
        if self.free.len() < MAX_FREE {
            self.free.push(packet);
        }
    }

    /// Sends the first `len` bytes of `packet`.
    pub(crate) fn transmit(
        &mut self,
        socket: SocketId,
        destination: SocketAddr,
        mut packet: Packet,
        len: usize,
    ) {
        packet.len = len.min(PACKET_SIZE);
        self.packets.push_back(Transmit {
            socket,
            destination,
            packet,
            video: false,
        });
    }

    /// The same for a packet of video, which has a service class of its own.
    pub(crate) fn transmit_video(
        &mut self,
        socket: SocketId,
        destination: SocketAddr,
        packet: Packet,
        len: usize,
    ) {
        self.transmit(socket, destination, packet, len);
        if let Some(transmit) = self.packets.back_mut() {
            transmit.video = true;
        }
    }

    /// Sends a copy of `bytes`; what does not fit a datagram is not sent.
    pub(crate) fn transmit_bytes(
        &mut self,
        socket: SocketId,
        destination: SocketAddr,
        bytes: &[u8],
    ) {
        let mut packet = self.packet();
        if let Some(room) = packet.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            self.transmit(socket, destination, packet, bytes.len());
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        let droppable = matches!(event, Event::LogLine { .. } | Event::QualityReported { .. });
        if self.events < MAX_EVENTS || !droppable {
            self.events += 1;
            self.queue.push_back(Output::Event(event));
        }
    }

    /// As many packets wait as are to wait at once.
    pub(crate) fn is_full(&self) -> bool {
        self.packets.len() >= MAX_BURST
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.queue.push_back(output);
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        if let Some(transmit) = self.packets.pop_front() {
            return Some(Output::Transmit(transmit));
        }
        let output = self.queue.pop_front();
        if matches!(output, Some(Output::Event(_))) {
            self.events -= 1;
        }
        output
    }
}
