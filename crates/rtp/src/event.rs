//! telephone-event (RFC 4733): the payload, and the machines that receive and send one press.

mod receive;
mod send;

pub use receive::{Change, Changes, Digit, EventReceiver};
pub use send::{EventPacket, EventSender};

/// The four bytes of a telephone-event payload (RFC 4733 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPayload {
    /// Event code: 0..=9 digits, 10 `*`, 11 `#`, 12..=15 A..D, 16 flash.
    pub event: u8,
    /// The E bit: the event is over.
    pub end: bool,
    /// Power in −dBm0, 0..=63.
    pub volume: u8,
    /// Duration so far, in units of the RTP clock.
    pub duration: u16,
}

const END: u8 = 0x80;
const VOLUME_MASK: u8 = 0x3f;

impl EventPayload {
    /// Reads the first event of a payload. `None` below four bytes.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [event, flags, high, low] = *payload.first_chunk()?;
        let (end, volume) = (flags & END != 0, flags & VOLUME_MASK);
        Some(Self {
            event,
            end,
            volume,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// The payload's bytes; the reserved bit is zero.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [
            self.event,
            (self.volume & VOLUME_MASK) | if self.end { END } else { 0 },
            high,
            low,
        ]
    }
}

/// The character of an event code: `0`–`9`, `*`, `#`, `A`–`D`; `None` for other events.
#[must_use]
pub fn character(event: u8) -> Option<char> {
    Some(match event {
        0..=9 => char::from(b'0' + event),
        10 => '*',
        11 => '#',
        12..=15 => char::from(b'A' + (event - 12)),
        _ => return None,
    })
}

/// The event code of a digit character, either case.
#[must_use]
pub fn code(character: char) -> Option<u8> {
    let upper = u8::try_from(character.to_ascii_uppercase()).ok()?;
    Some(match upper {
        b'0'..=b'9' => upper - b'0',
        b'*' => 10,
        b'#' => 11,
        b'A'..=b'D' => upper - b'A' + 12,
        _ => return None,
    })
}
