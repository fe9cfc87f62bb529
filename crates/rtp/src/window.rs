//! The replay window of SRTP (RFC 3711 3.3.2).

/// Packets behind the newest that may still arrive: 2.5 s of audio at 20 ms.
pub(crate) const WINDOW: u64 = 128;
/// The same for video: retransmissions come a round trip later, and one frame is tens of packets.
pub(crate) const WIDE_WINDOW: u64 = 1_024;
const WORD_BITS: u64 = 64;
const WORDS: usize = (WIDE_WINDOW / WORD_BITS) as usize;

/// Where an index lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Ahead,
    LateButNew,
    Seen,
    TooOld,
}

/// Which of the newest 128 indices were taken, or of the newest 1 024.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    highest: u64,
    /// Bit n: `highest - n` was taken.
    taken: u128,
    /// Of a wide window: bit n of the ring: the newest index that is n modulo 1 024 was taken.
    ring: Option<Box<[u64; WORDS]>>,
}

impl Window {
    pub(crate) fn starting_at(index: u64) -> Self {
        Self {
            highest: index,
            taken: 1,
            ring: None,
        }
    }

    /// The window remembers 1 024 indices from now on; what lies beyond the newest 128 now counts as taken.
    pub(crate) fn widen(&mut self) {
        if self.ring.is_some() {
            return;
        }
        let mut ring = Box::new([u64::MAX; WORDS]);
        for behind in 0..WINDOW.min(self.highest + 1) {
            set(
                &mut ring,
                self.highest - behind,
                self.taken >> behind & 1 == 1,
            );
        }
        self.ring = Some(ring);
    }

    /// The window of a stream that starts anew at `index`, as wide as this one.
    pub(crate) fn renewed(&self, index: u64) -> Self {
        let mut fresh = Self::starting_at(index);
        if self.ring.is_some() {
            fresh.ring = Some(fresh_ring(index));
        }
        fresh
    }

    /// A wide window of a stream that starts at `index`.
    pub(crate) fn wide(index: u64) -> Self {
        Self {
            ring: Some(fresh_ring(index)),
            ..Self::starting_at(index)
        }
    }

    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// How far behind the newest a packet may be.
    pub(crate) fn width(&self) -> u64 {
        if self.ring.is_some() {
            WIDE_WINDOW
        } else {
            WINDOW
        }
    }

    pub(crate) fn position(&self, index: u64) -> Position {
        match self.highest.checked_sub(index) {
            None => Position::Ahead,
            Some(behind) if behind >= WINDOW => self.far_behind(behind, index),
            Some(behind) if self.taken >> behind & 1 == 1 => Position::Seen,
            Some(_) => Position::LateButNew,
        }
    }

    fn far_behind(&self, behind: u64, index: u64) -> Position {
        match &self.ring {
            Some(ring) if behind < WIDE_WINDOW && is_set(ring, index) => Position::Seen,
            Some(_) if behind < WIDE_WINDOW => Position::LateButNew,
            _ => Position::TooOld,
        }
    }

    /// Marks an index whose position was `Ahead` or `LateButNew`.
    pub(crate) fn take(&mut self, index: u64) {
        if let Some(ring) = &mut self.ring {
            let skipped = index.saturating_sub(self.highest).min(WIDE_WINDOW);
            (0..skipped).for_each(|back| set(ring, index - back, false));
            set(ring, index, true);
        }
        match self.highest.checked_sub(index) {
            Some(behind) if behind < WINDOW => self.taken |= 1 << behind,
            Some(_) => {}
            None => {
                let ahead = index - self.highest;
                self.taken = if ahead < WINDOW {
                    self.taken << ahead | 1
                } else {
                    1
                };
                self.highest = index;
            }
        }
    }
}

fn fresh_ring(index: u64) -> Box<[u64; WORDS]> {
    let mut ring = Box::new([0; WORDS]);
    set(&mut ring, index, true);
    ring
}

fn place(index: u64) -> (usize, u64) {
    let bit = index % WIDE_WINDOW;
    // Lossless: below `WORDS`.
    ((bit / WORD_BITS) as usize, 1 << (bit % WORD_BITS))
}

fn is_set(ring: &[u64; WORDS], index: u64) -> bool {
    let (word, bit) = place(index);
    ring.get(word).is_some_and(|word| word & bit != 0)
}

fn set(ring: &mut [u64; WORDS], index: u64, taken: bool) {
    let (word, bit) = place(index);
    if let Some(word) = ring.get_mut(word) {
        *word = if taken { *word | bit } else { *word & !bit };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_window_takes_every_index_of_the_newest_1024_once() {
        let mut window = Window::wide(5_000);
        window.take(7_000);
        assert_eq!(window.position(7_000 - 1_024), Position::TooOld);
        for behind in 1..1_024 {
            let index = 7_000 - behind;
            assert_eq!(window.position(index), Position::LateButNew, "{behind}");
            window.take(index);
            assert_eq!(window.position(index), Position::Seen, "{behind}");
        }
        window.take(7_100);
        assert_eq!(window.position(7_050), Position::LateButNew);
        assert_eq!(window.position(7_100 - 1_023), Position::Seen);
        assert_eq!(window.position(7_100 - 1_024), Position::TooOld);
    }

    #[test]
    fn a_window_that_is_widened_lets_no_index_pass_twice() {
        let mut window = Window::starting_at(9);
        (10..400).step_by(2).for_each(|index| window.take(index));
        window.widen();
        assert_eq!(window.position(398), Position::Seen);
        assert_eq!(window.position(397), Position::LateButNew);
        // What the narrow window had forgotten may have been taken.
        assert_eq!(window.position(199), Position::Seen);
    }
}
