//! The last packets that were passed on untouched, of codecs whose packets refer to those before them.
//!
//! When a codec changes in mid-call, what was passed on must be decoded, or encoded, from the middle (trap 20). A decoder that
//! hears these packets first is where the peer's is; G.711 has no middle, and keeps nothing.

use arrayvec::ArrayVec;
use offhook_dsp::{Codec, Decoder, MAX_SAMPLES};
use std::time::{Duration, Instant};

use crate::ids::LegId;
use crate::receive::Incoming;
use crate::transcode::keeps_state;

/// Octets kept: 180 ms of G.722, after which a decoder is 50 dB right, and more of Opus at what calls use, which is 20 dB right
/// after 160. It is all that a leg has room for (MEDIA.md section 10).
const OCTETS: usize = 1_440;
/// Packets kept: 320 ms of the usual ones.
const PACKETS: usize = 16;
/// What a peer's jitter buffer bridges: sound that ended longer ago is not gone on with.
const HELD: Duration = Duration::from_millis(100);

/// One leg's packets, on their way to another.
pub(crate) struct History {
    from: LegId,
    codec: Codec,
    ssrc: u32,
    sequence: u64,
    at: Instant,
    octets: ArrayVec<u8, OCTETS>,
    lengths: ArrayVec<u16, PACKETS>,
}

const _: () = assert!(size_of::<History>() <= 1_536);

impl History {
    /// Keeps a packet in a leg's place for it.
    #[inline]
    pub(crate) fn keep(
        place: &mut Option<Box<Self>>,
        from: LegId,
        codec: Codec,
        incoming: &Incoming,
        payload: &[u8],
        now: Instant,
    ) {
        if keeps_state(codec) {
            Self::add(place, from, codec, incoming, payload, now);
        } else {
            *place = None;
        }
    }

    fn add(
        place: &mut Option<Box<Self>>,
        from: LegId,
        codec: Codec,
        incoming: &Incoming,
        payload: &[u8],
        now: Instant,
    ) {
        let fresh = || {
            Box::new(Self {
                from,
                codec,
                ssrc: incoming.ssrc,
                sequence: incoming.sequence,
                at: now,
                octets: ArrayVec::new(),
                lengths: ArrayVec::new(),
            })
        };
        let kept = place.get_or_insert_with(fresh);
        let goes_on = kept.from == from
            && kept.codec == codec
            && kept.ssrc == incoming.ssrc
            && !incoming.restarted;
        if !goes_on {
            (kept.from, kept.codec, kept.ssrc) = (from, codec, incoming.ssrc);
            kept.octets.clear();
            kept.lengths.clear();
        } else if incoming.sequence < kept.sequence {
            // Out of order: a decoder would have missed it too.
            return;
        }
        (kept.sequence, kept.at) = (incoming.sequence, now);
        kept.push(payload);
    }

    fn push(&mut self, payload: &[u8]) {
        while self.lengths.is_full() || payload.len() > self.octets.remaining_capacity() {
            let Some(oldest) = self.lengths.pop_at(0) else {
                return;
            };
            self.octets.drain(..usize::from(oldest));
        }
        // It fits, and is no longer than a datagram.
        if self.octets.try_extend_from_slice(payload).is_ok() {
            self.lengths.push(payload.len() as u16);
        }
    }

    /// Whether these are packets of that leg.
    pub(crate) fn is_of(&self, from: LegId) -> bool {
        self.from == from
    }

    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    /// A decoder that heard the packets, and what it heard; silence if the peer hears them no longer.
    pub(crate) fn replay(&self, rate: u32, now: Instant) -> Option<(Decoder, Vec<i16>)> {
        let mut decoder = Decoder::new(self.codec, rate).ok()?;
        let (mut heard, mut pcm) = (Vec::new(), vec![0; MAX_SAMPLES]);
        let mut rest = self.octets.as_slice();
        for length in &self.lengths {
            let (payload, after) = rest.split_at_checked(usize::from(*length))?;
            rest = after;
            // What the peer's codec does not allow is no sound for the far decoder either.
            let samples = decoder.decode(payload, &mut pcm).unwrap_or(0);
            heard.extend_from_slice(pcm.get(..samples)?);
        }
        if now.saturating_duration_since(self.at) > HELD {
            heard.fill(0);
        }
        Some((decoder, heard))
    }
}
