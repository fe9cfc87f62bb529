//! A sound file in one codec: packets ready to send.

use offhook_dsp::Codec;

/// The packets of a sound, each `packet_ms` long; the last one is padded with silence.
#[derive(Debug, PartialEq, Eq)]
pub struct Clip {
    /// Payloads in order.
    pub packets: Vec<Box<[u8]>>,
}

/// A sound that a leg or a room wants to hear; the shell answers with `Input::Fetched`, soon or late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The leg or the room that waits.
    pub whose: u64,
    /// It is a room.
    pub room: bool,
    /// Its player, so that an answer for an earlier one is known as such.
    pub player: u64,
    /// The place of the file in the player's list.
    pub index: usize,
    /// Its name below one of the shell's directories of sounds.
    pub file: String,
    /// How it is wanted.
    pub codec: Codec,
    /// Length of a packet, ms.
    pub packet_ms: u32,
}
