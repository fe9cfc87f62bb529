//! SRTP on standard input, for interoperability tests with other implementations.
//!
//! One command a line, one answer a line: `protect SUITE KEYHEX PACKETHEX`, `unprotect …`, `protect-rtcp …`,
//! `unprotect-rtcp …`. KEYHEX is master key and salt. The answer is the packet in hex, or `error REASON`. Commands with
//! the same verb, suite and key share one context, so rollover counters and replay windows carry on.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Instant;

use offhook_rtp::keys::MasterKeys;
use offhook_rtp::srtp::{MAX_OVERHEAD, SrtpIn, SrtpOut};

type Key = (String, String);

#[derive(Default)]
struct Contexts {
    outbound: HashMap<Key, SrtpOut>,
    inbound: HashMap<Key, SrtpIn>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut contexts = Contexts::default();
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        match answer(&mut contexts, &line?) {
            Ok(packet) => writeln!(output, "{}", to_hex(&packet))?,
            Err(reason) => writeln!(output, "error {reason}")?,
        }
        output.flush()?;
    }
    Ok(())
}

fn answer(contexts: &mut Contexts, line: &str) -> Result<Vec<u8>, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [verb, suite, key, packet] = words[..] else {
        return Err("expected: VERB SUITE KEYHEX PACKETHEX".into());
    };
    let mut packet = from_hex(packet)?;
    let name = (suite.to_owned(), key.to_owned());
    let material = from_hex(key)?;
    let keys = MasterKeys::from_inline(suite.parse().map_err(text)?, &material).map_err(text)?;
    let len = packet.len();
    let done = match verb {
        "protect" | "protect-rtcp" => {
            let fresh = SrtpOut::new(&keys).map_err(text)?;
            let context = contexts.outbound.entry(name).or_insert(fresh);
            packet.resize(len + MAX_OVERHEAD, 0);
            if verb == "protect" {
                context.seal(&mut packet, len)
            } else {
                context.seal_rtcp(&mut packet, len)
            }
        }
        "unprotect" | "unprotect-rtcp" => {
            let fresh = SrtpIn::new(&keys).map_err(text)?;
            let context = contexts.inbound.entry(name).or_insert(fresh);
            if verb == "unprotect" {
                context.open(&mut packet, Instant::now())
            } else {
                context.open_rtcp(&mut packet)
            }
        }
        _ => return Err(format!("unknown verb {verb}")),
    };
    packet.truncate(done.map_err(text)?);
    Ok(packet)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    if text.len() % 2 != 0 || !text.is_ascii() {
        return Err("odd hex".into());
    }
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| "bad hex".to_owned());
    (0..text.len()).step_by(2).map(byte).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
