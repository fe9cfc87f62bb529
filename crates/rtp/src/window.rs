//! The replay window of SRTP (RFC 3711 3.3.2).

/// Packets behind the newest that may still arrive: 2.5 s of audio at 20 ms.
pub(crate) const WINDOW: u64 = 128;

/// Where an index lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Ahead,
    LateButNew,
    Seen,
    TooOld,
}

/// Which of the newest 128 indices were taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    highest: u64,
    /// Bit n: `highest - n` was taken.
    taken: u128,
}

impl Window {
    pub(crate) fn starting_at(index: u64) -> Self {
        Self {
            highest: index,
            taken: 1,
        }
    }

    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    pub(crate) fn position(&self, index: u64) -> Position {
        match self.highest.checked_sub(index) {
            None => Position::Ahead,
            Some(behind) if behind >= WINDOW => Position::TooOld,
            Some(behind) if self.taken >> behind & 1 == 1 => Position::Seen,
            Some(_) => Position::LateButNew,
        }
    }

    /// Marks an index whose position was `Ahead` or `LateButNew`.
    pub(crate) fn take(&mut self, index: u64) {
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
