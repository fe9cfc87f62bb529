//! `offhook-loadgen`: paced load and reference peers for the benchmarks. Development only, loopback only.

mod arguments;
mod codecs;
mod cpu;
mod forward;
mod frames;
mod latency;
mod plan;
mod relay;
mod rtp;
mod srtp;
mod sys;
mod webrtc;

use std::process::ExitCode;

use arguments::Arguments;

const USAGE: &str =
    "offhook-loadgen rtp --plan FILE [--rate PPS] [--seconds S] [--warm S] [--server PID] [--certificate FILE]
offhook-loadgen certificate --file FILE
offhook-loadgen frames --plan FILE [--seconds S] [--warm S] [--server PID] [--keep LEGS --folder DIR]
offhook-loadgen forward [--packets N] [--suite SUITE]
offhook-loadgen codecs --speech FILE [--passes N]
offhook-loadgen srtp [--legs N] [--packets N] [--passes N]
offhook-loadgen relay --base PORT --peer-base PORT --pairs N [--gather-us N] [--connected true|false] [--seconds S]";

fn main() -> ExitCode {
    let mut line = std::env::args().skip(1);
    let command = line.next().unwrap_or_default();
    let done = Arguments::parse(line).and_then(|arguments| match command.as_str() {
        "certificate" => webrtc::command(&arguments),
        "rtp" => rtp::command(&arguments),
        "frames" => frames::command(&arguments),
        "forward" => forward::command(&arguments),
        "codecs" => codecs::command(&arguments),
        "srtp" => srtp::command(&arguments),
        "relay" => relay::command(&arguments),
        _ => Err(USAGE.into()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("offhook-loadgen: {text}");
            ExitCode::FAILURE
        }
    }
}
