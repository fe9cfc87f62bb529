//! The shared samples: each decodes and encodes to the same bytes (the Python side reads the same files).

use std::fmt::Debug;
use std::path::PathBuf;

use offhook_media::command::Command;
use offhook_media::event::{Event, Reply};
use serde::{Serialize, de::DeserializeOwned};

use super::message::Greeting;

const COMMANDS: &[&str] = &[
    "OpenCall",
    "OpenLeg",
    "Complete",
    "Update",
    "Bridge",
    "Join",
    "Mute",
    "Gain",
    "Chime",
    "Play",
    "PlayFiles",
    "RecordStart",
    "RecordPause",
    "RecordResume",
    "RecordStop",
    "FeedStart",
    "FeedStop",
    "Stop",
    "Hush",
    "WatchVoice",
    "SendDigits",
    "RequestKeyFrame",
    "Facts",
    "ListLegs",
    "CloseLeg",
    "CloseCall",
    "Exit",
];
const REPLIES: [&str; 7] = [
    "CallOpened",
    "LegOpened",
    "Done",
    "FactsFound",
    "Legs",
    "Closed",
    "Refused",
];
const EVENTS: [&str; 18] = [
    "PathChanged",
    "KeysReady",
    "FirstMedia",
    "MediaStopped",
    "MediaResumed",
    "Digit",
    "QualityReported",
    "SilenceFound",
    "RoomSpeaker",
    "VoiceActivity",
    "Heard",
    "PlayFinished",
    "RecordingFinished",
    "FeedChanged",
    "LegFailed",
    "KeyFrameWanted",
    "Unread",
    "LogLine",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/media-control")
}

fn sample(name: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let digits: Vec<char> = text.trim().chars().collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hexadecimal"))
        .collect()
}

fn both_ways<T: DeserializeOwned + Serialize + Debug>(name: &str) {
    let bytes = sample(name);
    let message: T = rmp_serde::from_slice(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    let again = rmp_serde::to_vec_named(&message).expect("encodes");
    assert_eq!(again, bytes, "{name}: {message:?}");
}

#[test]
fn every_sample_decodes_and_encodes_to_the_same_bytes() {
    both_ways::<Greeting>("Hello");
    COMMANDS.iter().for_each(|name| both_ways::<Command>(name));
    REPLIES.iter().for_each(|name| both_ways::<Reply>(name));
    EVENTS.iter().for_each(|name| both_ways::<Event>(name));
}

#[test]
fn there_is_a_sample_of_every_message() {
    let files = std::fs::read_dir(folder()).expect("the samples").count();
    assert_eq!(files, 1 + COMMANDS.len() + REPLIES.len() + EVENTS.len());
}
