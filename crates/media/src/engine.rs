//! The engine of one shard: inputs in, outputs out.

use std::collections::VecDeque;

use crate::event::Reply;
use crate::io::{Input, Now, Output, Packet, Random, ShardConfig};

/// One shard: all legs and calls on it.
pub struct Engine {
    #[allow(dead_code)]
    config: ShardConfig,
    #[allow(dead_code)]
    random: Box<dyn Random + Send>,
    outputs: VecDeque<Output>,
    free: Vec<Packet>,
}

impl Engine {
    /// An engine without legs.
    pub fn new(config: ShardConfig, random: Box<dyn Random + Send>) -> Self {
        Self { config, random, outputs: VecDeque::new(), free: Vec::new() }
    }

    /// Takes one input. Then `poll_output` until it returns `Output::Timeout`.
    pub fn handle(&mut self, input: Input<'_>, now: Now) {
        let _ = now;
        if let Input::Command { command, reply, .. } = input {
            let refused = Reply::Refused { n: command.number(), code: "engine_busy".into(), text: String::new() };
            self.outputs.push_back(Output::Reply { token: reply, reply: refused });
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or(Output::Timeout(None))
    }

    /// Takes a sent packet's buffer back.
    pub fn recycle(&mut self, packet: Packet) {
        self.free.push(packet);
    }

    /// Weight of what runs here: forwarding leg 1, transcoding leg 12. For placement.
    pub fn load(&self) -> u32 {
        0
    }

    /// Live legs.
    pub fn legs(&self) -> usize {
        0
    }
}
