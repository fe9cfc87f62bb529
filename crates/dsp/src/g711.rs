//! G.711 (ITU-T G.711, RFC 3551 4.5.14): PCMU and PCMA by tables. No state: one byte is one sample at 8 kHz.
//!
//! The tables are computed at compile time from the segment structure of the recommendation.

/// The PCMU byte for a sample of zero; a line of these is digital silence.
pub const PCMU_SILENCE: u8 = 0xFF;
/// The PCMA byte nearest to zero; a line of these is digital silence.
pub const PCMA_SILENCE: u8 = 0xD5;

const ULAW_BIAS: i32 = 0x84;
const ULAW_CLIP: i32 = 32_635;

static ULAW_DECODE: [i16; 256] = ulaw_decode_table();
static ALAW_DECODE: [i16; 256] = alaw_decode_table();
static ULAW_ENCODE: [u8; 16_384] = ulaw_encode_table();
static ALAW_ENCODE: [u8; 8_192] = alaw_encode_table();

/// One PCMU byte of a 16-bit sample.
#[must_use]
pub fn ulaw_encode(sample: i16) -> u8 {
    // The law has 14-bit input: the two low bits never decide.
    ULAW_ENCODE[usize::from((sample as u16) >> 2)]
}

/// One PCMA byte of a 16-bit sample.
#[must_use]
pub fn alaw_encode(sample: i16) -> u8 {
    // The law has 13-bit input.
    ALAW_ENCODE[usize::from((sample as u16) >> 3)]
}

/// The 16-bit sample of one PCMU byte.
#[must_use]
pub fn ulaw_decode(code: u8) -> i16 {
    ULAW_DECODE[usize::from(code)]
}

/// The 16-bit sample of one PCMA byte.
#[must_use]
pub fn alaw_decode(code: u8) -> i16 {
    ALAW_DECODE[usize::from(code)]
}

const fn ulaw_expand(code: u8) -> i16 {
    let code = !code;
    let exponent = ((code >> 4) & 7) as i32;
    let mantissa = (code & 15) as i32;
    let magnitude = (((mantissa << 3) + ULAW_BIAS) << exponent) - ULAW_BIAS;
    (if code & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    }) as i16
}

const fn alaw_expand(code: u8) -> i16 {
    let code = code ^ 0x55;
    let exponent = ((code >> 4) & 7) as i32;
    let mantissa = (code & 15) as i32;
    let magnitude = if exponent == 0 {
        (mantissa << 4) + 8
    } else {
        ((mantissa << 4) + 0x108) << (exponent - 1)
    };
    (if code & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }) as i16
}

const fn ulaw_compress(sample: i32) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    // One's complement, as in the ITU-T G.191 reference: the intervals of both signs mirror each other.
    let mut magnitude = if sample < 0 { !sample } else { sample };
    if magnitude > ULAW_CLIP {
        magnitude = ULAW_CLIP;
    }
    magnitude += ULAW_BIAS;
    // The highest set bit is 7..=14 after the bias: it names the segment.
    let exponent = 24 - magnitude.leading_zeros() as i32;
    let mantissa = (magnitude >> (exponent + 3)) & 15;
    !((sign | (exponent << 4) | mantissa) as u8)
}

const fn alaw_compress(sample: i32) -> u8 {
    // One's complement, as above.
    let (sign, magnitude) = if sample < 0 {
        (0, !sample)
    } else {
        (0x80, sample)
    };
    let exponent = if magnitude < 256 {
        0
    } else {
        24 - magnitude.leading_zeros() as i32
    };
    let mantissa = (magnitude >> (if exponent == 0 { 4 } else { exponent + 3 })) & 15;
    ((sign | (exponent << 4) | mantissa) as u8) ^ 0x55
}

const fn ulaw_decode_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = ulaw_expand(i as u8);
        i += 1;
    }
    table
}

const fn alaw_decode_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = alaw_expand(i as u8);
        i += 1;
    }
    table
}

const fn ulaw_encode_table() -> [u8; 16_384] {
    let mut table = [0; 16_384];
    let mut i = 0;
    while i < 16_384 {
        table[i] = ulaw_compress(((i << 2) as u16 as i16) as i32);
        i += 1;
    }
    table
}

const fn alaw_encode_table() -> [u8; 8_192] {
    let mut table = [0; 8_192];
    let mut i = 0;
    while i < 8_192 {
        table[i] = alaw_compress(((i << 3) as u16 as i16) as i32);
        i += 1;
    }
    table
}
