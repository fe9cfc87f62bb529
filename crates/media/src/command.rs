//! Commands of the control protocol: the twin of the commands in `src/offhook/media/messages.py`.

use serde::{Deserialize, Serialize};

use crate::description::{Feed, LegOffer, LegRemote, PathKind, Recording, SourceKind};

/// One command. `n` is its number; the reply repeats it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum Command {
    /// Opens a call with its first legs. Reply: `CallOpened`.
    OpenCall {
        /// Number.
        n: u64,
        /// First legs.
        offers: Vec<LegOffer>,
        /// On the shard of this call, where a room is; 0: on the least loaded.
        #[serde(default)]
        near: u64,
    },
    /// Adds a leg to a call. Reply: `LegOpened`.
    OpenLeg {
        /// Number.
        n: u64,
        /// The call.
        call: u64,
        /// Our half.
        offer: LegOffer,
    },
    /// The peer's half, or a renegotiation; the same again has no effect. Reply: `Done`.
    Complete {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
        /// The peer's half.
        remote: LegRemote,
    },
    /// Changes our half. Reply: `LegOpened`.
    Update {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
        /// Our half.
        offer: LegOffer,
        /// New ICE credentials are drawn.
        #[serde(default)]
        restart_ice: bool,
        /// The offer adds video to a port leg without: ports come with the command.
        #[serde(default)]
        opens_video: bool,
    },
    /// Each leg becomes the other's source; a leg with itself echoes. Reply: `Done`.
    Bridge {
        /// Number.
        n: u64,
        /// One leg.
        a: u64,
        /// The other.
        b: u64,
    },
    /// One half of a `Bridge` whose legs are on two shards: the control thread makes a command for each of them. Reply:
    /// `Done`.
    #[serde(skip)]
    Link {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
        /// The leg on the other shard.
        far: u64,
        /// Grows with each link.
        number: u64,
    },
    /// The leg hears the room of that number and is heard in it. Reply: `Done`.
    Join {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
        /// The room, on the shard in its top 8 bits: by custom the call of its first member.
        room: u64,
        /// It hears only.
        #[serde(default)]
        muted: bool,
        /// It hears the room at 48 kHz, if it hears Opus and its peer plays so much.
        #[serde(default)]
        full_band: bool,
    },
    /// The leg is heard in its room, or is not; what it hears goes on. Reply: `Done`.
    Mute {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
        /// It is not.
        muted: bool,
    },
    /// The leg is heard in its room by so much louder or softer, until it leaves it. Reply: `Done`.
    Gain {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
        /// dB, -40 to 12.
        decibels: i32,
    },
    /// Everybody in a room hears a short sound file beside what is said, one a second at most: what is too much is left out,
    /// and so is what cannot be read. Reply: `Done`.
    Chime {
        /// Number.
        n: u64,
        /// The room.
        room: u64,
        /// Its name below the directories of sounds.
        file: String,
    },
    /// A player becomes the leg's source. Reply: `Done`.
    Play {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
        /// What it plays.
        source: SourceKind,
        /// Country of a ringback tone, ISO 3166.
        #[serde(default = "us")]
        country: String,
    },
    /// Sound files become the leg's source until they are over: `PlayFinished` is told then, and what fed the leg before
    /// does so again. Reply: `Done`.
    PlayFiles {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
        /// The name that `PlayFinished` repeats.
        play: String,
        /// Names below the directories of sounds, played in this order.
        files: Vec<String>,
        /// How often the list is played; 0: for ever.
        #[serde(default = "once")]
        rounds: u32,
        /// A press of the leg's peer ends it.
        #[serde(default)]
        until_digit: bool,
    },
    /// Begins a recording. Reply: `Done`; `RecordingFinished` follows in the end, whatever happens.
    RecordStart {
        /// Number.
        n: u64,
        /// The leg, or any leg in the room.
        leg: u64,
        /// What is recorded, and where to.
        spec: Recording,
    },
    /// Silence is written from now on. Reply: `Done`.
    RecordPause {
        /// Number.
        n: u64,
        /// The leg, or any leg in the room.
        leg: u64,
        /// The recording.
        recording: String,
    },
    /// Sound is written again. Reply: `Done`.
    RecordResume {
        /// Number.
        n: u64,
        /// The leg, or any leg in the room.
        leg: u64,
        /// The recording.
        recording: String,
    },
    /// Ends a recording. Reply: `Done`.
    RecordStop {
        /// Number.
        n: u64,
        /// The leg, or any leg in the room.
        leg: u64,
        /// The recording.
        recording: String,
    },
    /// Begins a feed. Reply: `Done`; `FeedChanged` tells the rest.
    FeedStart {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
        /// What is carried where to.
        spec: Feed,
    },
    /// Ends a feed. Reply: `Done`.
    FeedStop {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
        /// The feed.
        feed: String,
    },
    /// Ends the leg's player. Reply: `Done`.
    Stop {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
    },
    /// Nothing feeds the leg, and that is meant: its peer is muted, or on hold by command. Reply: `Done`.
    Hush {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
    },
    /// Whether the leg's peer speaks is told by `VoiceActivity` from now on, or no more. Reply: `Done`.
    WatchVoice {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
        /// It is.
        on: bool,
    },
    /// Digits towards the leg's peer. Reply: `Done`.
    SendDigits {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
        /// 0-9 * # A-D.
        digits: String,
        /// Length of each press, ms.
        #[serde(default = "hundred")]
        each_ms: u32,
    },
    /// The peer of another leg wants a key frame of this one's. Reply: `Done`.
    RequestKeyFrame {
        /// Number.
        n: u64,
        /// The leg whose peer shall send it.
        leg: u64,
    },
    /// Reply: `FactsFound`.
    Facts {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
    },
    /// Reply: `Legs`.
    ListLegs {
        /// Number.
        n: u64,
    },
    /// Closes one leg. Reply: `Closed`.
    CloseLeg {
        /// Number.
        n: u64,
        /// The leg.
        leg: u64,
    },
    /// Closes all legs of a call. Reply: `Closed`.
    CloseCall {
        /// Number.
        n: u64,
        /// The call.
        call: u64,
    },
    /// Closes everything. Reply: `Done`.
    Exit {
        /// Number.
        n: u64,
    },
}

fn us() -> String {
    "US".into()
}

fn once() -> u32 {
    1
}

fn hundred() -> u32 {
    100
}

impl Command {
    /// The command's number.
    pub fn number(&self) -> u64 {
        match *self {
            Self::OpenCall { n, .. }
            | Self::OpenLeg { n, .. }
            | Self::Complete { n, .. }
            | Self::Update { n, .. }
            | Self::Bridge { n, .. }
            | Self::Link { n, .. }
            | Self::Join { n, .. }
            | Self::Mute { n, .. }
            | Self::Gain { n, .. }
            | Self::Chime { n, .. }
            | Self::Play { n, .. }
            | Self::PlayFiles { n, .. }
            | Self::RecordStart { n, .. }
            | Self::RecordPause { n, .. }
            | Self::RecordResume { n, .. }
            | Self::RecordStop { n, .. }
            | Self::FeedStart { n, .. }
            | Self::FeedStop { n, .. }
            | Self::Stop { n, .. }
            | Self::Hush { n, .. }
            | Self::WatchVoice { n, .. }
            | Self::SendDigits { n, .. }
            | Self::RequestKeyFrame { n, .. }
            | Self::Facts { n, .. }
            | Self::ListLegs { n }
            | Self::CloseLeg { n, .. }
            | Self::CloseCall { n, .. }
            | Self::Exit { n } => n,
        }
    }

    /// The leg, call or room the command is about: its top 8 bits are the shard. `None`: any shard, or all of them.
    pub fn subject(&self) -> Option<u64> {
        match *self {
            Self::OpenLeg { call, .. } | Self::CloseCall { call, .. } => Some(call),
            Self::Bridge { a, .. } => Some(a),
            Self::Chime { room, .. } => Some(room),
            Self::Complete { leg, .. }
            | Self::Update { leg, .. }
            | Self::Link { leg, .. }
            | Self::Join { leg, .. }
            | Self::Mute { leg, .. }
            | Self::Gain { leg, .. }
            | Self::Play { leg, .. }
            | Self::PlayFiles { leg, .. }
            | Self::RecordStart { leg, .. }
            | Self::RecordPause { leg, .. }
            | Self::RecordResume { leg, .. }
            | Self::RecordStop { leg, .. }
            | Self::FeedStart { leg, .. }
            | Self::FeedStop { leg, .. }
            | Self::Stop { leg, .. }
            | Self::Hush { leg, .. }
            | Self::WatchVoice { leg, .. }
            | Self::SendDigits { leg, .. }
            | Self::RequestKeyFrame { leg, .. }
            | Self::Facts { leg, .. }
            | Self::CloseLeg { leg, .. } => Some(leg),
            Self::OpenCall { near, .. } => Some(near).filter(|near| *near != 0),
            Self::ListLegs { .. } | Self::Exit { .. } => None,
        }
    }

    /// The port pairs that the command needs, in order: local address, and whether RTCP shares the RTP port.
    pub fn ports(&self) -> Vec<(&str, bool)> {
        let pair = |offer: &'_ LegOffer| offer.path == PathKind::Port;
        match self {
            Self::Update {
                offer,
                opens_video: true,
                ..
            } if pair(offer) => vec![(offer.address.as_str(), offer.rtcp_mux)],
            _ => {
                let offers = self.offers().iter().filter(|offer| pair(offer));
                offers
                    .flat_map(|offer| {
                        let lines = 1 + usize::from(offer.video.is_some());
                        std::iter::repeat_n((offer.address.as_str(), offer.rtcp_mux), lines)
                    })
                    .collect()
            }
        }
    }

    /// The legs the command opens.
    pub fn offers(&self) -> &[LegOffer] {
        match self {
            Self::OpenCall { offers, .. } => offers,
            Self::OpenLeg { offer, .. } => std::slice::from_ref(offer),
            _ => &[],
        }
    }
}

/// The shard in the top 8 bits of a leg's or call's id.
pub fn shard_of(id: u64) -> u8 {
    (id >> 56) as u8
}
