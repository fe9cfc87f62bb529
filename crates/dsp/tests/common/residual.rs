//! What a tone leaves without the tone: clicks, and the noise of codecs.

use std::f64::consts::TAU;

/// What a tone leaves after each 5 ms piece's best sine is taken out: the root mean square per piece, full scale 1.0.
pub fn residuals(pcm: &[i16], rate: u32, hertz: f64) -> Vec<f64> {
    let size = rate as usize / 200;
    pcm.chunks_exact(size)
        .map(|piece| residual(piece, rate, hertz))
        .collect()
}

/// The fitted sine may swell or fade evenly: a change of level is no click.
fn residual(piece: &[i16], rate: u32, hertz: f64) -> f64 {
    let (mut normal, mut energy) = ([[0.0f64; 5]; 4], 0.0);
    for (i, sample) in piece.iter().enumerate() {
        let y = f64::from(*sample) / 32_768.0;
        let (s, c) = (TAU * hertz * i as f64 / f64::from(rate)).sin_cos();
        let t = i as f64 / piece.len() as f64 - 0.5;
        let row = [s, c, t * s, t * c, y];
        for a in 0..4 {
            for b in 0..5 {
                normal[a][b] += row[a] * row[b];
            }
        }
        energy += y * y;
    }
    let right: Vec<f64> = normal.iter().map(|row| row[4]).collect();
    let fitted: f64 = solve(normal)
        .iter()
        .zip(right)
        .map(|(share, right)| share * right)
        .sum();
    ((energy - fitted).max(0.0) / piece.len() as f64).sqrt()
}

/// Gauss-Jordan on a positive definite system.
fn solve(mut rows: [[f64; 5]; 4]) -> [f64; 4] {
    for i in 0..4 {
        let pivot = rows[i];
        for (k, row) in rows.iter_mut().enumerate().filter(|(k, _)| *k != i) {
            let factor = row[i] / pivot[i];
            assert!(factor.is_finite(), "row {k}");
            for (value, pivot) in row.iter_mut().zip(pivot) {
                *value -= factor * pivot;
            }
        }
    }
    std::array::from_fn(|i| rows[i][4] / rows[i][i])
}
