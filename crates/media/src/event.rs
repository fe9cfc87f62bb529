//! Replies and events of the control protocol: twins of those in `src/offhook/media/messages.py`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::description::{LegFacts, LegLocal, Quality};

/// The answer to one command; `n` is the command's number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
#[expect(clippy::large_enum_variant, reason = "a few per call, moved once")]
pub enum Reply {
    /// One `LegLocal` for each offer, in order.
    CallOpened {
        /// Number.
        n: u64,
        /// The call.
        call: u64,
        /// Its legs.
        legs: Vec<LegLocal>,
    },
    /// A leg was opened or updated.
    LegOpened {
        /// Number.
        n: u64,
        /// The leg.
        leg: LegLocal,
    },
    /// The command was carried out.
    Done {
        /// Number.
        n: u64,
    },
    /// What is known of a leg.
    FactsFound {
        /// Number.
        n: u64,
        /// Its facts.
        facts: LegFacts,
    },
    /// (call, leg, local, remote) for each live leg.
    Legs {
        /// Number.
        n: u64,
        /// The legs.
        legs: Vec<(u64, u64, String, String)>,
    },
    /// Final measures of each closed leg.
    Closed {
        /// Number.
        n: u64,
        /// The legs.
        legs: Vec<LegFacts>,
    },
    /// Not carried out. `code`: unknown_command, unknown_leg, unknown_call, ports_exhausted, engine_busy,
    /// bad_description, bad_address, room_full, too_many_taps, unknown_recording, unknown_feed.
    Refused {
        /// Number.
        n: u64,
        /// One of the codes above.
        code: String,
        /// For people.
        text: String,
    },
}

/// Something that happened to a leg.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum Event {
    /// The peer's address was selected or changed. `reason`: ice, latch, signalled.
    PathChanged {
        /// The leg.
        leg: u64,
        /// Our address.
        local: String,
        /// Its address.
        remote: String,
        /// Why.
        reason: String,
    },
    /// SRTP keys are agreed.
    KeysReady {
        /// The leg.
        leg: u64,
        /// RFC name.
        suite: String,
    },
    /// The first accepted packet.
    FirstMedia {
        /// The leg.
        leg: u64,
        /// Since the leg was completed.
        after_ms: u64,
    },
    /// Nothing accepted for a while.
    MediaStopped {
        /// The leg.
        leg: u64,
        /// Since the last packet.
        silent_ms: u64,
    },
    /// Packets are accepted again.
    MediaResumed {
        /// The leg.
        leg: u64,
    },
    /// One press.
    Digit {
        /// The leg.
        leg: u64,
        /// 0-9 * # A-D.
        digit: String,
        /// Length of the press.
        duration_ms: u64,
        /// rfc4733.
        method: String,
    },
    /// Every 5 s while media flows.
    QualityReported {
        /// The leg.
        leg: u64,
        /// Its measures.
        quality: Quality,
    },
    /// Why one side hears nothing. `direction`: in (peer not heard) or out (peer hears nothing); or why there are no reports
    /// of sound that flows (reports).
    SilenceFound {
        /// The leg.
        leg: u64,
        /// in, out or reports.
        direction: String,
        /// The verdict's name.
        verdict: String,
        /// Facts it rests on.
        evidence: BTreeMap<String, String>,
    },
    /// Another member is the loudest of a room, or nobody speaks there any more.
    RoomSpeaker {
        /// The room.
        room: u64,
        /// The member's leg; 0: nobody.
        leg: u64,
    },
    /// A peer that is watched begins to speak, or ceases.
    VoiceActivity {
        /// The leg.
        leg: u64,
        /// It speaks.
        active: bool,
    },
    /// Ends the silence of that direction.
    Heard {
        /// The leg.
        leg: u64,
        /// in, out or reports.
        direction: String,
    },
    /// Sound files are over. `reason`: finished, digit, stopped, replaced, ended (with its leg), failed.
    PlayFinished {
        /// The leg.
        leg: u64,
        /// The name given.
        play: String,
        /// Why.
        reason: String,
        /// For people, when it failed.
        text: String,
        /// Sound that was played.
        played_ms: u64,
    },
    /// A recording is over, and its file has its name. `reason`: stopped, ended (with its leg or room), length, size,
    /// silence, failed.
    RecordingFinished {
        /// The leg.
        leg: u64,
        /// The recording.
        recording: String,
        /// Its file.
        file: String,
        /// Why.
        reason: String,
        /// For people, when it failed.
        text: String,
        /// Length.
        duration_ms: u64,
        /// Of the file.
        bytes: u64,
        /// (from ms, to ms, pause or overflow): silence that was not silent in the call.
        marks: Vec<(u64, u64, String)>,
    },
    /// A feed. `state`: streaming, lost (its socket is tried again), finished; `reason` when it is finished: stopped,
    /// ended (with its leg), closed (by the receiver), failed.
    FeedChanged {
        /// The leg.
        leg: u64,
        /// The feed.
        feed: String,
        /// Where it is.
        state: String,
        /// Why it is over; else empty.
        reason: String,
        /// For people, when something failed.
        text: String,
        /// Messages of sound that were sent.
        sent: u64,
        /// Those that were dropped, because the receiver was too slow or away.
        dropped: u64,
    },
    /// The leg is gone by a fault of its own: one of `Refused`'s codes, or panic.
    LegFailed {
        /// The leg.
        leg: u64,
        /// The cause.
        cause: String,
    },
    /// The peer should send a key frame and understands no RTCP that asks for one.
    KeyFrameWanted {
        /// The leg.
        leg: u64,
    },
    /// Datagrams for one of our UDP ports came faster than they were read, and the machine dropped them.
    Unread {
        /// The port.
        port: u16,
        /// How many, since this was told last.
        lost: u64,
    },
    /// A line for the log.
    LogLine {
        /// info, warning, error.
        level: String,
        /// For people.
        text: String,
    },
}
