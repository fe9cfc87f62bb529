//! G.711 against the decision and output values of the recommendation's tables 1 and 2, every sample and every code.

use offhook_dsp::g711::{alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};

/// Decision values on a 16-bit scale: `first`, then `(steps, width)` runs.
fn decisions(start: &[i32], runs: &[(usize, i32)]) -> Vec<i32> {
    let mut values = start.to_vec();
    for (steps, width) in runs {
        for _ in 0..*steps {
            values.push(values[values.len() - 1] + width);
        }
    }
    values
}

/// µ-law: x1 = 1 and 31, 95, 223, 479, 991, 2015, 4063, 8159 at the ends of the segments, on a 14-bit scale.
fn ulaw_decisions() -> Vec<i32> {
    let values = decisions(
        &[0, 4],
        &[
            (15, 8),
            (16, 16),
            (16, 32),
            (16, 64),
            (16, 128),
            (16, 256),
            (16, 512),
            (16, 1_024),
        ],
    );
    assert_eq!(values.len(), 129);
    for (segment, end) in [31, 95, 223, 479, 991, 2_015, 4_063, 8_159]
        .into_iter()
        .enumerate()
    {
        assert_eq!(values[16 * (segment + 1)], end * 4);
    }
    values
}

/// A-law: 32 intervals of 2 (of 4096), then 16 each of 4, 8, 16, 32, 64, 128.
fn alaw_decisions() -> Vec<i32> {
    let values = decisions(
        &[0],
        &[
            (32, 16),
            (16, 32),
            (16, 64),
            (16, 128),
            (16, 256),
            (16, 512),
            (16, 1_024),
        ],
    );
    assert_eq!(*values.last().unwrap(), 32_768);
    values
}

fn interval(values: &[i32], sample: i16) -> u8 {
    let magnitude = i32::from(if sample < 0 { !sample } else { sample });
    let index = values
        .iter()
        .rposition(|value| *value <= magnitude)
        .unwrap();
    index.min(127) as u8
}

fn middle(values: &[i32], index: usize) -> i32 {
    (values[index] + values[index + 1]) / 2
}

#[test]
fn every_sample_finds_the_ulaw_interval_of_table_2() {
    let values = ulaw_decisions();
    for sample in i16::MIN..=i16::MAX {
        let index = interval(&values, sample);
        let code = if sample < 0 {
            0x7F - index
        } else {
            0xFF - index
        };
        assert_eq!(ulaw_encode(sample), code, "sample {sample}");
    }
}

#[test]
fn every_sample_finds_the_alaw_interval_of_table_1() {
    let values = alaw_decisions();
    for sample in i16::MIN..=i16::MAX {
        let index = interval(&values, sample);
        let code = (if sample < 0 { index } else { index | 0x80 }) ^ 0x55;
        assert_eq!(alaw_encode(sample), code, "sample {sample}");
    }
}

#[test]
fn every_code_decodes_to_the_middle_of_its_interval() {
    let (ulaw, alaw) = (ulaw_decisions(), alaw_decisions());
    for index in 0..128usize {
        // Table 2 gives the first output value as 0, not as the middle of its interval.
        let value = if index == 0 { 0 } else { middle(&ulaw, index) };
        assert_eq!(
            i32::from(ulaw_decode(0xFF - index as u8)),
            value,
            "+{index}"
        );
        assert_eq!(
            i32::from(ulaw_decode(0x7F - index as u8)),
            -value,
            "-{index}"
        );
        let value = middle(&alaw, index);
        assert_eq!(
            i32::from(alaw_decode((index as u8 | 0x80) ^ 0x55)),
            value,
            "+{index}"
        );
        assert_eq!(
            i32::from(alaw_decode(index as u8 ^ 0x55)),
            -value,
            "-{index}"
        );
    }
}

#[test]
fn decoding_and_encoding_again_keeps_every_code() {
    for code in 0..=255u8 {
        assert_eq!(alaw_encode(alaw_decode(code)), code);
        // 0x7F is minus zero: it comes back as plus zero.
        let expected = if code == 0x7F { 0xFF } else { code };
        assert_eq!(ulaw_encode(ulaw_decode(code)), expected);
    }
}
