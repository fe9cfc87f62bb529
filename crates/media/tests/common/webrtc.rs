//! An independent WebRTC peer: str0m in RTP mode, with full ICE.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_media::description::*;
use str0m::format::Codec as RtcCodec;
use str0m::media::{MediaKind, Mid, Pt};
use str0m::net::{DatagramRecv, Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite, Ssrc};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc};

use super::{Sent, WEBRTC_ADDRESS, codec, port_offer};

/// A leg for a browser.
pub fn webrtc_offer(audio: Vec<Codec>) -> LegOffer {
    LegOffer {
        path: PathKind::WebRtc,
        keys: KeyKind::Dtls,
        address: String::new(),
        ..port_offer(audio)
    }
}

/// What phones and browsers both speak.
pub fn both() -> Vec<Codec> {
    vec![codec("PCMU", 0, 8_000), codec("OPUS", 111, 48_000)]
}

pub struct Peer {
    pub rtc: Rtc,
    pub addresses: Vec<SocketAddr>,
    pub received: Vec<(Instant, RtpPacket)>,
    pub connected: bool,
    /// Hears nothing that is sent to it.
    pub deaf: bool,
    /// Sends nothing.
    pub mute: bool,
    spoken: VecDeque<(SocketAddr, Vec<u8>)>,
    timeout: Option<Instant>,
    pub sequence: u64,
    time: u32,
}

pub const SSRC: u32 = 0x5555_0001;

impl Peer {
    pub fn new(address: &str, now: Instant) -> Self {
        let rtc = Rtc::builder()
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true)
            .enable_pcmu(true)
            .build(now);
        let address: SocketAddr = address.parse().expect("address");
        let mut peer = Self {
            rtc,
            addresses: vec![address],
            received: Vec::new(),
            connected: false,
            deaf: false,
            mute: false,
            spoken: VecDeque::new(),
            timeout: None,
            sequence: 40_000,
            time: 0xffff_f000,
        };
        peer.rtc
            .add_local_candidate(Candidate::host(address, "udp").expect("candidate"));
        peer.rtc.direct_api().set_ice_controlling(true);
        peer
    }

    /// What its SDP says.
    pub fn remote(&mut self, audio: Vec<Codec>) -> LegRemote {
        let api = self.rtc.direct_api();
        let creds = api.local_ice_credentials();
        let fingerprint = api.local_dtls_fingerprint().clone();
        let pairs: Vec<String> = fingerprint
            .bytes
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        LegRemote {
            audio,
            ufrag: creds.ufrag,
            password: creds.pass,
            fingerprints: vec![(fingerprint.hash_func, pairs.join(":"))],
            ptime: 20,
            ..LegRemote::default()
        }
    }

    /// Takes the engine's description: credentials, candidate, fingerprint, SSRC.
    pub fn describe(&mut self, local: &LegLocal, dtls_active: bool) {
        let candidate: SocketAddr = WEBRTC_ADDRESS.parse().expect("address");
        self.rtc
            .add_remote_candidate(Candidate::host(candidate, "udp").expect("candidate"));
        let bytes = local
            .fingerprint
            .split(':')
            .map(|pair| u8::from_str_radix(pair, 16).expect("hex"))
            .collect();
        let mut api = self.rtc.direct_api();
        api.set_remote_ice_credentials(IceCreds {
            ufrag: local.ufrag.clone(),
            pass: local.password.clone(),
        });
        api.set_remote_fingerprint(str0m::config::Fingerprint {
            hash_func: "sha-256".to_owned(),
            bytes,
        });
        let mid: Mid = "0".into();
        api.declare_media(mid, MediaKind::Audio);
        api.declare_stream_tx(Ssrc::from(SSRC), None, mid, None);
        api.expect_stream_rx(Ssrc::from(local.ssrc), None, mid, None);
        api.start_dtls(dtls_active).expect("dtls");
    }

    pub fn payload_type(&self, codec: RtcCodec) -> Pt {
        let found = self
            .rtc
            .codec_config()
            .params()
            .iter()
            .find(|params| params.spec().codec == codec);
        found.expect("codec").pt()
    }

    pub fn receive(&mut self, sent: &Sent, now: Instant) {
        let Ok(contents) = DatagramRecv::try_from(sent.bytes.as_slice()) else {
            panic!("not for a browser: {sent:?}")
        };
        let source = WEBRTC_ADDRESS.parse().expect("address");
        let receive = Receive {
            proto: Protocol::Udp,
            source,
            destination: sent.destination,
            contents,
        };
        self.rtc
            .handle_input(Input::Receive(now, receive))
            .expect("input");
        self.pump();
    }

    /// Sends an RTP packet of `codec` with so many clock units.
    pub fn speak(&mut self, codec: RtcCodec, payload: &[u8], ticks: u32, now: Instant) {
        let payload_type = self.payload_type(codec);
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx(&Ssrc::from(SSRC)).expect("stream");
        stream.write_rtp(RtpWrite::new(
            payload_type,
            self.sequence.into(),
            self.time,
            now,
            payload.to_vec(),
        ));
        self.sequence += 1;
        self.time = self.time.wrapping_add(ticks);
        self.rtc.handle_input(Input::Timeout(now)).expect("input");
        self.pump();
    }

    /// Lets time pass; what it says meanwhile.
    pub fn poll(&mut self, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
        if self.timeout.is_none_or(|at| at <= now) {
            self.timeout = Some(now + Duration::from_secs(1));
            self.rtc.handle_input(Input::Timeout(now)).expect("input");
            self.pump();
        }
        let spoken = self.spoken.drain(..).collect();
        if self.mute { Vec::new() } else { spoken }
    }

    fn pump(&mut self) {
        loop {
            match self.rtc.poll_output().expect("output") {
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return;
                }
                Output::Transmit(transmit) => self
                    .spoken
                    .push_back((transmit.source, transmit.contents.to_vec())),
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::RtpPacket(packet)) => {
                    self.received.push((packet.timestamp, packet))
                }
                Output::Event(_) => {}
            }
        }
    }
}
