//! What the jitter buffer answers: the fate of a packet, what to play next, what it has counted.

/// What became of a pushed packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// Held.
    Stored,
    /// Its place was already played.
    Late,
    /// Held already.
    Duplicate,
    /// Empty, too long, or not a packet of this codec.
    Malformed,
}

/// What to play next. Ticks are of the RTP clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Decode [`payload`](crate::jitter::JitterBuffer::payload).
    Normal,
    /// The same, then shorten the sound not yet played.
    Accelerate,
    /// The same, then lengthen the sound not yet played.
    Expand,
    /// Rebuild this much lost sound from the FEC in [`payload`](crate::jitter::JitterBuffer::payload), which stays held.
    Fec {
        /// Lost sound.
        ticks: u32,
    },
    /// Make this much sound up: lost, or not there in time.
    Conceal {
        /// Missing sound.
        ticks: u32,
    },
    /// Play this much quiet: nothing was sent, or nothing has begun.
    Dtx {
        /// Silence.
        ticks: u32,
    },
}

/// What a stream has counted since it was made; `reset` keeps it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets decoded.
    pub played: u64,
    /// Packets that came after their place was played.
    pub late: u64,
    /// Packets held twice, refused as malformed, or dropped because the buffer was full.
    pub discarded: u64,
    /// Times the sender started over with old sequence numbers.
    pub restarts: u64,
    /// Sequence numbers passed without a packet.
    pub missing: u64,
    /// Sound made up for loss or lateness, milliseconds. Silence that was announced is not in it.
    pub concealed_ms: u64,
    /// Sound rebuilt from FEC, milliseconds.
    pub fec_ms: u64,
    /// Sound cut out by stretching, milliseconds.
    pub accelerated_ms: u64,
    /// Sound put in by stretching, milliseconds.
    pub expanded_ms: u64,
    /// Sound held now, milliseconds.
    pub buffer_ms: u32,
    /// Delay aimed at now, milliseconds.
    pub target_ms: u32,
}
