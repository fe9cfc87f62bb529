//! Messages of a feed (API.md 13.4): text JSON, numbers as text, as the hosted platforms write them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use offhook_dsp::g711;
use offhook_media::description::{Encoding, Feed, Track};
use offhook_media::feed::{Frame, MAX_BYTES};
use serde::Deserialize;
use serde_json::{Value, json};

/// Version of the format.
const VERSION: &str = "1.0.0";
/// Bytes of a mark's name that is echoed.
const MAX_MARK: usize = 256;
const TRACKS: [&str; 2] = ["inbound", "outbound"];

/// Writes what we say; numbers go on when a socket is replaced by another.
pub struct Wire {
    spec: Feed,
    sequence: u64,
    chunks: [u64; 2],
}

/// What a receiver says.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// Sound.
    Sound(Vec<i16>),
    /// A packet of Opus.
    Frame(Frame),
    /// No sound of the form that was agreed: why.
    Wrong(String),
    /// To be echoed when its place is played.
    Mark(String),
    /// What waits is to be forgotten.
    Clear,
    /// Something else.
    Other,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    media: Option<Media<'a>>,
    #[serde(borrow)]
    mark: Option<Mark<'a>>,
}

#[derive(Deserialize)]
struct Media<'a> {
    #[serde(borrow, default)]
    payload: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Mark<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
}

impl Wire {
    /// For one feed.
    pub fn new(spec: Feed) -> Self {
        Self {
            spec,
            sequence: 0,
            chunks: [0; 2],
        }
    }

    /// The first message of a socket.
    pub fn connected(&mut self) -> String {
        let mut message = self.message("connected");
        (message["protocol"], message["version"]) = (json!("Call"), json!(VERSION));
        message.to_string()
    }

    /// The second one.
    pub fn start(&mut self) -> String {
        let spec = &self.spec;
        let tracks: &[&str] = match spec.track {
            Track::Both => &TRACKS,
            Track::Inbound => &TRACKS[..1],
            Track::Outbound => &TRACKS[1..],
        };
        let encoding = match spec.encoding {
            Encoding::Mulaw => "audio/x-mulaw",
            Encoding::L16 => "audio/x-L16",
            Encoding::Opus => "audio/opus",
        };
        // RFC 7587 section 4.1: Opus is announced as stereo, whatever its packets hold.
        let channels = if spec.encoding == Encoding::Opus {
            2
        } else {
            1
        };
        let parameters: serde_json::Map<String, Value> = spec
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        let start = json!({
            "streamSid": spec.feed,
            "accountSid": spec.account,
            "callSid": spec.call,
            "tracks": tracks,
            "customParameters": parameters,
            "mediaFormat": {"encoding": encoding, "sampleRate": spec.rate, "channels": channels},
        });
        self.with("start", start)
    }

    /// 20 ms of one track.
    pub fn media(&mut self, track: usize, timestamp_ms: u64, samples: &[i16]) -> String {
        let bytes = encode(self.spec.encoding, samples);
        let media = self.piece(track, timestamp_ms, &bytes);
        self.with("media", media)
    }

    /// A packet of Opus of one track, as it came; its number and its time on the clock of Opus.
    pub fn frame(
        &mut self,
        track: usize,
        timestamp_ms: u64,
        (number, time): (u64, u64),
        payload: &[u8],
    ) -> String {
        let mut media = self.piece(track, timestamp_ms, payload);
        media["rtp"] = json!({
            "sequenceNumber": number.to_string(),
            "timestamp": time.to_string(),
        });
        self.with("media", media)
    }

    fn piece(&mut self, track: usize, timestamp_ms: u64, bytes: &[u8]) -> Value {
        self.chunks[track] += 1;
        json!({
            "track": TRACKS[track],
            "chunk": self.chunks[track].to_string(),
            "timestamp": timestamp_ms.to_string(),
            "payload": STANDARD.encode(bytes),
        })
    }

    /// What is wrong, for people.
    pub fn error(&mut self, code: &str, text: &str) -> String {
        self.with("error", json!({ "code": code, "text": text }))
    }

    /// A press of the leg's peer.
    pub fn dtmf(&mut self, digit: char, duration_ms: u32) -> String {
        let dtmf = json!({
            "track": TRACKS[0], "digit": digit.to_string(), "duration": duration_ms.to_string(),
        });
        self.with("dtmf", dtmf)
    }

    /// The echo of a mark.
    pub fn mark(&mut self, name: &str) -> String {
        self.with("mark", json!({ "name": name }))
    }

    /// The last message.
    pub fn stop(&mut self) -> String {
        let stop = json!({"accountSid": self.spec.account, "callSid": self.spec.call});
        self.with("stop", stop)
    }

    fn with(&mut self, event: &str, content: Value) -> String {
        let mut message = self.message(event);
        message[event] = content;
        message.to_string()
    }

    fn message(&mut self, event: &str) -> Value {
        self.sequence += 1;
        json!({
            "event": event,
            "sequenceNumber": self.sequence.to_string(),
            "streamSid": self.spec.feed,
        })
    }

    /// Reads what the receiver said; what is no message of the format is `Other`.
    pub fn read(&self, text: &str) -> Heard {
        let Ok(message) = serde_json::from_str::<Message>(text) else {
            return Heard::Other;
        };
        match (message.event.as_ref(), message.media, message.mark) {
            ("media", Some(media), _) => decode(self.spec.encoding, &media.payload),
            ("mark", _, Some(mark)) if mark.name.len() <= MAX_MARK => {
                Heard::Mark(mark.name.into_owned())
            }
            ("clear", _, _) => Heard::Clear,
            _ => Heard::Other,
        }
    }
}

/// Samples as bytes; of Opus there are none.
fn encode(encoding: Encoding, samples: &[i16]) -> Vec<u8> {
    match encoding {
        Encoding::Mulaw => samples.iter().map(|one| g711::ulaw_encode(*one)).collect(),
        Encoding::L16 => samples.iter().flat_map(|one| one.to_le_bytes()).collect(),
        Encoding::Opus => Vec::new(),
    }
}

fn decode(encoding: Encoding, payload: &str) -> Heard {
    if encoding == Encoding::Opus {
        return frame(payload);
    }
    let Ok(bytes) = STANDARD.decode(payload) else {
        return Heard::Other;
    };
    Heard::Sound(match encoding {
        Encoding::Mulaw => bytes.iter().map(|byte| g711::ulaw_decode(*byte)).collect(),
        Encoding::L16 => bytes
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect(),
        Encoding::Opus => Vec::new(),
    })
}

fn frame(payload: &str) -> Heard {
    // Base64 takes four bytes for three: what is longer still is not decoded first.
    if payload.len() > 2 * MAX_BYTES {
        let text =
            format!("the payload is no single Opus packet: {MAX_BYTES} bytes at most are sent");
        return Heard::Wrong(text);
    }
    let Ok(bytes) = STANDARD.decode(payload) else {
        return Heard::Wrong("the payload is not base64".to_owned());
    };
    match Frame::new(&bytes) {
        Ok(frame) => Heard::Frame(frame),
        Err(text) => Heard::Wrong(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offhook_media::description::Hidden;

    fn wire(encoding: Encoding, rate: u32, track: Track) -> Wire {
        Wire::new(Feed {
            feed: "s1".into(),
            url: "ws://127.0.0.1/".into(),
            address: "127.0.0.1:80".into(),
            track,
            encoding,
            rate,
            two_way: true,
            bearer: Hidden("secret".into()),
            account: "a".into(),
            call: "c".into(),
            parameters: vec![("name".into(), "va\"lue".into())],
        })
    }

    #[test]
    fn what_is_said_is_as_the_format_demands() {
        let mut wire = wire(Encoding::Mulaw, 8_000, Track::Both);
        let said: Vec<Value> = [
            wire.connected(),
            wire.start(),
            wire.media(1, 20, &[0; 160]),
            wire.dtmf('#', 100),
            wire.mark("m"),
            wire.stop(),
        ]
        .iter()
        .map(|text| serde_json::from_str(text).expect("JSON"))
        .collect();
        let first = json!({
            "event": "connected", "sequenceNumber": "1", "streamSid": "s1", "protocol": "Call", "version": "1.0.0",
        });
        assert_eq!(said[0], first);
        assert_eq!(said[1]["start"]["tracks"], json!(["inbound", "outbound"]));
        assert_eq!(
            said[1]["start"]["customParameters"],
            json!({"name": "va\"lue"})
        );
        let format = json!({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1});
        assert_eq!(said[1]["start"]["mediaFormat"], format);
        assert_eq!(
            (
                &said[2]["media"]["track"],
                &said[2]["media"]["chunk"],
                &said[2]["media"]["timestamp"]
            ),
            (&json!("outbound"), &json!("1"), &json!("20"))
        );
        let silence = STANDARD.encode([0xff; 160]);
        assert_eq!(said[2]["media"]["payload"], json!(silence));
        assert_eq!(
            said[3]["dtmf"],
            json!({"track": "inbound", "digit": "#", "duration": "100"})
        );
        assert_eq!(said[4]["mark"], json!({"name": "m"}));
        assert_eq!(said[5]["stop"], json!({"accountSid": "a", "callSid": "c"}));
        let numbers: Vec<&str> = said
            .iter()
            .filter_map(|one| one["sequenceNumber"].as_str())
            .collect();
        assert_eq!(numbers, ["1", "2", "3", "4", "5", "6"]);
    }

    #[test]
    fn opus_packets_go_as_they_are_with_number_and_time_and_only_whole_ones_come_back() {
        let mut wire = wire(Encoding::Opus, 48_000, Track::Inbound);
        let read = |text: String| -> Value { serde_json::from_str(&text).expect("JSON") };
        let start = read(wire.start());
        let format = json!({"encoding": "audio/opus", "sampleRate": 48_000, "channels": 2});
        assert_eq!(start["start"]["mediaFormat"], format);
        let said = read(wire.frame(0, 41, (3, 1_920), &[0x08, 1, 2]));
        let media = json!({
            "track": "inbound", "chunk": "1", "timestamp": "41", "payload": STANDARD.encode([0x08, 1, 2]),
            "rtp": {"sequenceNumber": "3", "timestamp": "1920"},
        });
        assert_eq!(
            (&said["media"], &said["sequenceNumber"]),
            (&media, &json!("2"))
        );
        let error = json!({"code": "bad_frame", "text": "no"});
        assert_eq!(read(wire.error("bad_frame", "no"))["error"], error);

        let hear = |payload: String| {
            wire.read(&json!({"event": "media", "media": {"payload": payload}}).to_string())
        };
        let good = Frame::new(&[0x08, 1, 2]).expect("20 ms");
        assert_eq!(hear(STANDARD.encode([0x08, 1, 2])), Heard::Frame(good));
        // No base64; nothing; frames that are not there; 180 ms; too long, and much too long.
        let announced_only = STANDARD.encode([0x0a, 5]);
        let three_of_60_ms = STANDARD.encode([0x1b, 3, 1, 1, 1]);
        let long = |size| STANDARD.encode([&[0x08][..], &vec![0; size]].concat());
        for (payload, word) in [
            ("*".to_owned(), "base64"),
            (String::new(), "no Opus packet"),
            (announced_only, "no Opus packet"),
            (three_of_60_ms, "longer than 120 ms"),
            (long(1_275), "1276 bytes"),
            (long(60_000), "1275 bytes at most"),
        ] {
            match hear(payload) {
                Heard::Wrong(text) => assert!(text.contains(word), "{text}"),
                other => panic!("{other:?} for {word}"),
            }
        }
    }

    #[test]
    fn what_is_heard_is_read_and_what_is_nonsense_is_not() {
        let wire = wire(Encoding::L16, 16_000, Track::Inbound);
        let sound = STANDARD.encode([0x34, 0x12, 0xff, 0xff]);
        let media = json!({"event": "media", "streamSid": "s1", "media": {"payload": sound}});
        assert_eq!(
            wire.read(&media.to_string()),
            Heard::Sound(vec![0x1234, -1])
        );
        assert_eq!(
            wire.read(r#"{"event":"mark","mark":{"name":"e\u006ed"}}"#),
            Heard::Mark("end".into())
        );
        assert_eq!(
            wire.read(r#"{"event":"clear","streamSid":"s1"}"#),
            Heard::Clear
        );
        for nonsense in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"event":"media"}"#,
            r#"{"event":"media","media":{"payload":"*"}}"#,
            r#"{"event":7}"#,
            r#"{"event":"mark","mark":"m"}"#,
        ] {
            assert_eq!(wire.read(nonsense), Heard::Other, "{nonsense}");
        }
        let long = json!({"event": "mark", "mark": {"name": "x".repeat(MAX_MARK + 1)}});
        assert_eq!(wire.read(&long.to_string()), Heard::Other);
    }
}
