//! The targets under libFuzzer, on stable Rust and by hand:
//!
//! ```text
//! export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cdebug-assertions \
//!   -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
//! cargo build --release -p offhook-fuzz --features guided --target x86_64-unknown-linux-gnu --target-dir target/guided
//! mkdir FOLDER && OFFHOOK_FUZZ=rtp_header OFFHOOK_FUZZ_SEEDS=FOLDER target/guided/x86_64-unknown-linux-gnu/release/offhook-fuzz FOLDER -max_total_time=300
//! ```
//!
//! Without the feature the program mutates without guidance: `offhook-fuzz TARGET SECONDS`.
#![cfg_attr(feature = "guided", no_main)]

#[cfg(feature = "guided")]
mod guided {
    #![allow(unsafe_code, missing_docs)]
    use std::sync::OnceLock;

    use offhook_fuzz::{TARGETS, Target};

    static CHOSEN: OnceLock<Target> = OnceLock::new();

    libfuzzer_sys::fuzz_target!(
        init: {
            let name = std::env::var("OFFHOOK_FUZZ").unwrap_or_default();
            let found = TARGETS.iter().find(|target| target.name == name);
            let target = *found.unwrap_or_else(|| panic!("OFFHOOK_FUZZ names no target: {name:?}"));
            if let Ok(folder) = std::env::var("OFFHOOK_FUZZ_SEEDS") {
                for (number, seed) in target.corpus().iter().enumerate() {
                    let path = std::path::Path::new(&folder).join(format!("seed-{number}"));
                    std::fs::write(path, seed).expect("a folder that can be written");
                }
            }
            let _ = CHOSEN.set(target);
        },
        |data: &[u8]| {
            if let Some(target) = CHOSEN.get() {
                (target.run)(data);
            }
        }
    );
}

#[cfg(not(feature = "guided"))]
fn main() {
    use std::time::{Duration, SystemTime};

    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let seconds = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60);
    let Some(target) = offhook_fuzz::TARGETS
        .iter()
        .find(|target| target.name == name)
    else {
        let names: Vec<&str> = offhook_fuzz::TARGETS
            .iter()
            .map(|target| target.name)
            .collect();
        eprintln!("offhook-fuzz TARGET SECONDS; targets: {}", names.join(" "));
        std::process::exit(2);
    };
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = since.unwrap_or_default().as_nanos() as u64;
    let count = offhook_fuzz::noise::run_for(target, seed, Duration::from_secs(seconds));
    println!("{name}: {count} inputs, seed {seed}");
}
