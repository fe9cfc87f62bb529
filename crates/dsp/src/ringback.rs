//! What a caller hears while the other side rings, by country: the table of ITU-T E.180 supplement 2, with the changes that
//! national operators have published since.

/// One country's ringback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ringback {
    /// Frequencies, Hz; the second is 0 for a single tone.
    pub hertz: [f32; 2],
    /// The tone swells and fades so often a second, wholly; 0: it is steady.
    pub beats: f32,
    /// Sound, pause, sound, pause of each cycle, milliseconds; zeros where one burst rings.
    pub rhythm: [u32; 4],
}

impl Ringback {
    /// The ringback of an ISO 3166 country (any case): that of most of Europe, and of the ITU's recommendation, for others.
    #[must_use]
    pub fn of(country: &str) -> Self {
        let known = |row: &&(&str, Self)| {
            let mut codes = row.0.split(' ');
            codes.any(|code| code.eq_ignore_ascii_case(country))
        };
        COUNTRIES.iter().find(known).map_or(DEFAULT, |row| row.1)
    }
}

const fn single(hertz: f32, on: u32, off: u32) -> Ringback {
    pair([hertz, 0.0], [on, off, 0, 0])
}

const fn pair(hertz: [f32; 2], rhythm: [u32; 4]) -> Ringback {
    Ringback {
        hertz,
        beats: 0.0,
        rhythm,
    }
}

const fn beating(hertz: f32, beats: f32, rhythm: [u32; 4]) -> Ringback {
    Ringback {
        hertz: [hertz, 0.0],
        beats,
        rhythm,
    }
}

/// Two short bursts and a pause: what Britain's network gave to many.
const TWICE: [u32; 4] = [400, 200, 400, 2_000];

/// AD AL AR BA BG BR CH CZ DE DK EE FI GR HR ID IS IT LT LU LV ME MK MX NL NO PL RO RS RU SI SK TR UA VE and who is not below.
const DEFAULT: Ringback = single(425.0, 1_000, 4_000);

#[rustfmt::skip]
const COUNTRIES: [(&str, Ringback); 20] = [
    ("US CA PR VI GU", pair([440.0, 480.0], [2_000, 4_000, 0, 0])),
    ("KR TW", pair([440.0, 480.0], [1_000, 2_000, 0, 0])),
    ("HK", pair([440.0, 480.0], [400, 200, 400, 3_000])),
    ("PH", pair([425.0, 480.0], [1_000, 4_000, 0, 0])),
    ("GB UK IE NZ MT CY GI IM JE GG", pair([400.0, 450.0], TWICE)),
    ("AU", pair([413.0, 438.0], TWICE)),
    ("MY", pair([425.0, 0.0], TWICE)),
    ("SG", beating(425.0, 24.0, TWICE)),
    ("IN", beating(400.0, 25.0, TWICE)),
    ("ZA", beating(400.0, 33.0, TWICE)),
    ("JP", beating(400.0, 16.0, [1_000, 2_000, 0, 0])),
    ("CN", single(450.0, 1_000, 4_000)),
    ("FR MC", single(440.0, 1_500, 3_500)),
    ("ES", single(425.0, 1_500, 3_000)),
    ("AT", single(420.0, 1_000, 5_000)),
    ("BE", single(425.0, 1_000, 3_000)),
    ("PT SE", single(425.0, 1_000, 5_000)),
    ("HU", single(425.0, 1_250, 3_750)),
    ("IL", single(414.0, 1_000, 3_000)),
    ("CL", single(400.0, 1_000, 3_000)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_stands_once_and_rings_like_a_telephone() {
        let mut seen = std::collections::BTreeSet::new();
        for (codes, ringback) in COUNTRIES {
            assert!((300.0..500.0).contains(&ringback.hertz[0]), "{codes}");
            assert!((2_000..=7_000).contains(&ringback.rhythm.iter().sum::<u32>()));
            for code in codes.split(' ') {
                assert!(code.len() == 2 && seen.insert(code), "{code}");
            }
        }
    }
}
