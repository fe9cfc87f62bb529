//! The description of one leg, as it crosses the control socket: twins of `src/offhook/calls/ports.py`.
//!
//! Field order is the Python declaration order, so that both sides encode the same bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::recording::Side;

/// How packets reach the leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// The shard's shared UDP port; the address comes from authenticated STUN.
    WebRtc,
    /// A port pair of its own.
    Port,
}

/// Where the leg's keys come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// DTLS-SRTP (RFC 5764).
    Dtls,
    /// Keys in the descriptions (RFC 4568).
    Sdes,
    /// No keys: plain RTP.
    Plain,
}

/// A side's direction (RFC 3264 section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Sends and receives.
    #[default]
    SendRecv,
    /// Sends only.
    SendOnly,
    /// Receives only.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether a side with this direction sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether a side with this direction receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// How a port leg learns the peer's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Latch {
    /// Only the signalled address.
    Exact,
    /// Also a steady other source.
    #[default]
    Nat,
}

/// What a player plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A steady test tone.
    Tone,
    /// Generated music.
    Music,
    /// The ringback tone of a country.
    Ringback,
}

/// One payload type. `clock` is the RTP clock in Hz (G722: 8000).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Codec {
    /// OPUS, G722, PCMU, PCMA or TELEPHONE-EVENT.
    pub name: String,
    /// 0..=127.
    pub payload_type: u8,
    /// RTP clock, Hz.
    pub clock: u32,
    /// Channels as in the rtpmap line.
    #[serde(default = "one")]
    pub channels: u8,
    /// The fmtp line's parameters, as text.
    #[serde(default)]
    pub fmtp: String,
}

fn one() -> u8 {
    1
}

fn twenty() -> u32 {
    20
}

fn yes() -> bool {
    true
}

/// Our half: what the leg is and what it accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegOffer {
    /// The way packets take.
    pub path: PathKind,
    /// The source of keys.
    pub keys: KeyKind,
    /// Every payload type we receive, events included.
    pub audio: Vec<Codec>,
    /// Local IP address of a port leg's socket; empty for WebRTC.
    #[serde(default)]
    pub address: String,
    /// RTP and RTCP on one port (RFC 5761).
    #[serde(default = "yes")]
    pub rtcp_mux: bool,
    /// Latching policy of a port leg.
    #[serde(default)]
    pub latch: Latch,
    /// We are the DTLS client.
    #[serde(default)]
    pub dtls_active: bool,
    /// Our direction.
    #[serde(default)]
    pub direction: Direction,
    /// Packet time we send, ms.
    #[serde(default = "twenty")]
    pub ptime: u32,
    /// RFC 8285 id of the audio level extension (RFC 6464); 0: none.
    #[serde(default)]
    pub audio_level_id: u8,
    /// RFC 8285 id of the MID extension (RFC 9143); 0: none.
    #[serde(default)]
    pub mid_id: u8,
    /// The media line's identification tag.
    #[serde(default)]
    pub mid: String,
    /// SRTP suites to draw keys for, by their names in SDP; SDES legs only.
    #[serde(default)]
    pub suites: Vec<String>,
    /// Listen for digits in G.711 audio while the peer has agreed no telephone-event.
    #[serde(default)]
    pub detect_digits: bool,
    /// The video line; none: the leg has only sound.
    #[serde(default)]
    pub video: Option<Box<VideoOffer>>,
}

/// One format of video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoCodec {
    /// VP8 or H264.
    pub name: String,
    /// 1..=127.
    pub payload_type: u8,
    /// Payload type of its retransmissions (RFC 4588); 0: none.
    #[serde(default)]
    pub rtx: u8,
    /// What must be equal on both sides of a bridge for packets to be passed on.
    #[serde(default)]
    pub form: String,
}

/// A header extension (RFC 8285) that is passed on to a leg that has it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// 1..=14.
    pub id: u8,
    /// What it is.
    pub uri: String,
}

/// Our half of a video line. On a port leg it has ports and keys of its own, of the same kind as the leg's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoOffer {
    /// Every format we receive.
    pub codecs: Vec<VideoCodec>,
    /// Our direction.
    #[serde(default)]
    pub direction: Direction,
    /// The media line's identification tag.
    #[serde(default)]
    pub mid: String,
    /// Extensions that may cross.
    #[serde(default)]
    pub extensions: Vec<Extension>,
}

/// One key of SDES (RFC 4568): a suite by its name in SDP, and master key and salt in lower-case hex.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crypto {
    /// The suite's name in SDP.
    pub suite: String,
    /// Master key, then master salt, lower-case hex.
    pub key: String,
}

impl std::fmt::Debug for Crypto {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<crypto {}, key redacted>", self.suite)
    }
}

impl Drop for Crypto {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// What the engine chose for a leg.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegLocal {
    /// The leg's id: shard 8 bits, slot 24, generation 32.
    pub leg: u64,
    /// Addresses to announce.
    pub candidates: Vec<(String, u16)>,
    /// RTCP port of a port leg; 0 when multiplexed.
    pub rtcp_port: u16,
    /// ICE user name fragment; empty for port legs.
    pub ufrag: String,
    /// ICE password; empty for port legs.
    pub password: String,
    /// SHA-256 of our certificate, upper-case hex pairs; empty without DTLS.
    pub fingerprint: String,
    /// SSRC of what we send.
    pub ssrc: u32,
    /// CNAME of what we send.
    pub cname: String,
    /// Our keys, one for each suite asked for, in that order; SDES legs only.
    #[serde(default)]
    pub crypto: Vec<Crypto>,
    /// Addresses to announce for TCP: empty here, the signalling process knows its port.
    #[serde(default)]
    pub tcp_candidates: Vec<(String, u16)>,
    /// The video line, if there is one.
    #[serde(default)]
    pub video: Option<VideoLocal>,
}

/// What the engine chose for a video line; addresses and keys of a port leg only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoLocal {
    /// SSRC of what we send.
    pub ssrc: u32,
    /// SSRC of its retransmissions.
    pub rtx_ssrc: u32,
    /// Addresses to announce.
    #[serde(default)]
    pub candidates: Vec<(String, u16)>,
    /// RTCP port; 0 when multiplexed.
    #[serde(default)]
    pub rtcp_port: u16,
    /// Our keys, one for each suite.
    #[serde(default)]
    pub crypto: Vec<Crypto>,
}

impl std::fmt::Debug for LegLocal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<leg {:#x} at {:?}>", self.leg, self.candidates)
    }
}

/// The peer's half. The first speech codec is what we send.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegRemote {
    /// Payload types the peer accepts.
    pub audio: Vec<Codec>,
    /// Its signalled RTP address (port legs).
    #[serde(default)]
    pub address: String,
    /// Its RTP port; 0: none given.
    #[serde(default)]
    pub port: u16,
    /// Its RTCP port; 0: none given.
    #[serde(default)]
    pub rtcp_port: u16,
    /// ICE user name fragment.
    #[serde(default)]
    pub ufrag: String,
    /// ICE password.
    #[serde(default)]
    pub password: String,
    /// (algorithm in lower case, upper-case hex pairs).
    #[serde(default)]
    pub fingerprints: Vec<(String, String)>,
    /// What the peer declared for its own side.
    #[serde(default)]
    pub direction: Direction,
    /// Packet time the peer asked for, ms.
    #[serde(default = "twenty")]
    pub ptime: u32,
    /// Its signalled SSRC; 0: none.
    #[serde(default)]
    pub ssrc: u32,
    /// Its key of the suite in use; SDES legs only, one element.
    #[serde(default)]
    pub crypto: Vec<Crypto>,
    /// It is told of digits by signalling: where no telephone-event is agreed, none goes into its audio.
    #[serde(default)]
    pub digits_elsewhere: bool,
    /// Its video line; none: it takes no video.
    #[serde(default)]
    pub video: Option<Box<VideoRemote>>,
}

/// The peer's half of a video line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoRemote {
    /// Formats the peer accepts.
    pub codecs: Vec<VideoCodec>,
    /// Its signalled RTP address (port legs).
    #[serde(default)]
    pub address: String,
    /// Its RTP port; 0: none given.
    #[serde(default)]
    pub port: u16,
    /// Its RTCP port; 0: none given.
    #[serde(default)]
    pub rtcp_port: u16,
    /// What the peer declared for its own side.
    #[serde(default)]
    pub direction: Direction,
    /// Its signalled SSRC; 0: none.
    #[serde(default)]
    pub ssrc: u32,
    /// Its key of the suite in use; SDES legs only.
    #[serde(default)]
    pub crypto: Vec<Crypto>,
    /// RTCP feedback it understands, as in its rtcp-fb lines: nack, nack pli, ccm fir, goog-remb.
    #[serde(default)]
    pub feedback: Vec<String>,
    /// It takes feedback without a report before it (RFC 5506).
    #[serde(default)]
    pub reduced_size: bool,
}

impl std::fmt::Debug for LegRemote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.audio.iter().map(|c| c.name.as_str()).collect();
        write!(
            f,
            "<remote {names:?} {}:{} {:?}>",
            self.address, self.port, self.direction
        )
    }
}

/// One recording: what, where to, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The name that other commands and the event repeat.
    pub recording: String,
    /// The file's name below the directory of recordings; it ends in .wav or .ogg, which says the format.
    pub file: String,
    /// What is recorded.
    #[serde(default = "both")]
    pub side: Side,
    /// Longest length, s; 0: the engine's own limit.
    #[serde(default)]
    pub max_seconds: u32,
    /// Silence at the end that ends it, ms; 0: none does.
    #[serde(default)]
    pub silence_ms: u32,
}

fn both() -> Side {
    Side::Both
}

/// Which sound of a leg a feed carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Track {
    /// What the leg's peer says.
    Inbound,
    /// What it hears.
    Outbound,
    /// Each by itself.
    Both,
}

/// How a feed's sound is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// G.711 mu-law, 8 kHz.
    Mulaw,
    /// 16-bit samples, low byte first.
    L16,
    /// Opus packets as they came, and back as the receiver made them.
    Opus,
}

/// What only the receiver of a feed is to read: it is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

/// Live sound of a leg to a WebSocket, and back (API.md 13.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// The name that other commands and the event repeat, and its receiver as `streamSid`.
    pub feed: String,
    /// ws:// or wss://.
    pub url: String,
    /// Address and port of the URL's host, looked up and found allowed by signalling: nothing else is connected.
    pub address: String,
    /// What it carries.
    pub track: Track,
    /// How.
    pub encoding: Encoding,
    /// Hz: 8000, 16000 or 24000; the clock of Opus is 48000.
    pub rate: u32,
    /// Sound that comes back is heard by the leg's peer.
    pub two_way: bool,
    /// Bearer token for the receiver; empty for none.
    pub bearer: Hidden,
    /// Whose call it is, and which: told to the receiver.
    pub account: String,
    /// See `account`.
    pub call: String,
    /// Names and values of the user's own, told to the receiver.
    pub parameters: Vec<(String, String)>,
}

/// Measures of one leg at one moment. Milliseconds, percent, packets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quality {
    /// Packets accepted.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Lost on the way to us (RFC 3550 A.3).
    pub lost_in: u64,
    /// Arrived too late to be played; only where we decode.
    pub late_in: u64,
    /// Arrived out of order.
    pub reordered: u64,
    /// Arrived twice.
    pub duplicates: u64,
    /// Loss on the way to us.
    pub loss_percent: f64,
    /// Interarrival jitter (RFC 3550 A.8).
    pub jitter_ms: f64,
    /// Round trip by the peer's receiver reports, else by ICE or DTLS.
    pub rtt_ms: f64,
    /// Loss the peer reports for our stream.
    pub remote_loss_percent: f64,
    /// Jitter the peer reports for our stream.
    pub remote_jitter_ms: f64,
    /// Jitter buffer's present delay.
    pub buffer_ms: u64,
    /// Sound invented to bridge losses.
    pub concealed_ms: u64,
    /// E-model estimate on the narrow-band scale, 1..4.5; 0: not known.
    pub mos: f64,
    /// Digits received.
    pub dtmf_in: u64,
    /// Digits sent.
    pub dtmf_out: u64,
    /// Parts in a million by which the peer's clock is too fast; 0 in the first 70 seconds.
    pub drift_ppm: f64,
    /// What came beside packets: RTCP, and checks of ICE. A peer that sends nothing of it, and no packets, is gone.
    pub signs_in: u64,
    /// Datagrams that this machine dropped before they were read, because it was too busy; at the port that browsers share,
    /// those for any of them.
    #[serde(default)]
    pub unread_in: u64,
}

/// What the engine knows of a leg. Ages in milliseconds, -1 = never.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LegFacts {
    /// The leg.
    pub leg: u64,
    /// Local address and port.
    pub local: String,
    /// Where we send; empty while unknown.
    pub remote: String,
    /// new, checking, connected, disconnected (WebRTC); closed, learning, latched (port).
    pub path_state: String,
    /// none, plain, waiting, handshake, ready, failed.
    pub keys_state: String,
    /// SRTP suite by its RFC name.
    pub suite: String,
    /// Codec last received.
    pub codec_in: String,
    /// Codec we send.
    pub codec_out: String,
    /// Whether what we send is re-encoded.
    pub transcoded: bool,
    /// none, tone, music, ringback, files, feed, leg:ID or room:NUMBER.
    pub source: String,
    /// open, no_address, no_keys, on_hold, no_source, muted.
    pub gate: String,
    /// Age of the first accepted packet.
    pub first_in_ms: i64,
    /// Age of the last accepted packet.
    pub last_in_ms: i64,
    /// Age of the first packet sent.
    pub first_out_ms: i64,
    /// Age of the last packet sent.
    pub last_out_ms: i64,
    /// Why the peer is not heard; empty while sound flows.
    pub verdict_in: String,
    /// Why the peer hears nothing; empty while sound flows.
    pub verdict_out: String,
    /// All other facts as text; those that the verdicts rest on begin with `in.` and `out.`.
    pub evidence: BTreeMap<String, String>,
    /// Measures.
    pub quality: Quality,
    /// The video line, if there is one.
    #[serde(default)]
    pub video: Option<VideoFacts>,
}

/// What the engine knows of a video line. Ages in milliseconds, -1 = never.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoFacts {
    /// Format last received; empty before.
    pub codec_in: String,
    /// Local address and port.
    pub local: String,
    /// Where we send; empty while unknown.
    pub remote: String,
    /// open, no_address, no_keys, on_hold, no_source.
    pub gate: String,
    /// Age of the first accepted packet.
    pub first_in_ms: i64,
    /// Age of the last accepted packet.
    pub last_in_ms: i64,
    /// Age of the last packet sent.
    pub last_out_ms: i64,
    /// Packets accepted, retransmissions apart.
    pub packets_in: u64,
    /// Packets sent, retransmissions apart.
    pub packets_out: u64,
    /// Retransmissions received.
    pub repaired_in: u64,
    /// Retransmissions sent.
    pub repaired_out: u64,
    /// Lost on the way to us.
    pub lost_in: u64,
    /// Loss on the way to us.
    pub loss_percent: f64,
    /// Interarrival jitter.
    pub jitter_ms: f64,
    /// Round trip by the peer's receiver reports.
    pub rtt_ms: f64,
    /// Loss the peer reports for our stream.
    pub remote_loss_percent: f64,
    /// Key frames asked of the peer.
    pub key_frames_asked: u64,
    /// Packets that named a line we do not know.
    pub unknown_mid: u64,
}
