//! The system's randomness for the engine.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use offhook_media::Random;

/// AWS-LC's generator, seeded by the kernel.
pub struct System(SystemRandom);

impl System {
    /// Ready to use.
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }

    /// 32 random bits.
    pub fn word(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_ne_bytes(bytes)
    }
}

impl Random for System {
    fn fill(&mut self, out: &mut [u8]) {
        // Without randomness no key is safe: the shard contains the panic and the call ends.
        assert!(self.0.fill(out).is_ok(), "the system gives no randomness");
    }
}
