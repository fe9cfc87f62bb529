//! Every target on its corpus, mutated a little; a minute each with `--include-ignored`.

use std::time::{Duration, SystemTime};

use offhook_fuzz::{TARGETS, Target, noise};

/// Mutations with every test run: always the same.
const SHORT: u64 = 400;

fn target(name: &str) -> &'static Target {
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("a target")
}

fn a_minute(name: &str) {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    // The input that breaks a target is printed whole; the seed is for the curious.
    let seed = since.as_nanos() as u64;
    let count = noise::run_for(target(name), seed, Duration::from_secs(60));
    println!("{name}: {count} inputs, seed {seed}");
    assert!(count > 100, "{name} hangs: {count} inputs in a minute");
}

macro_rules! targets {
    ($($name:ident),*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        mod corpus {
            $(#[test]
            fn $name() {
                super::noise::run_times(super::target(stringify!($name)), 1, super::SHORT);
            })*
        }

        mod minute {
            $(#[test]
            #[ignore = "a minute each: make test LONG=1"]
            fn $name() {
                super::a_minute(stringify!($name));
            })*
        }
    };
}

targets![
    rtp_header,
    extensions,
    rtcp_compound,
    srtp_open,
    stun_to_leg,
    dtls_to_leg,
    telephone_event,
    opus_packet,
    jitter_script,
    wav_ogg_prompt,
    tcp_framing,
    video_to_leg,
    command_sequence
];

#[test]
fn every_target_is_run_and_begins_with_its_invariant() {
    let all: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(all, NAMES);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/targets");
    for name in all {
        let text = std::fs::read_to_string(folder.join(format!("{name}.rs"))).expect("its file");
        assert!(text.starts_with("//! Invariant: "), "{name}");
        assert!(!(target(name).seeds)().is_empty(), "{name} has no seeds");
    }
}
