//! Smooth noise on the plane: the raw material of folds, fibres and floors.

/// A hash of a lattice point, in `0.0..1.0`.
pub fn lattice(seed: u32, x: i32, y: i32) -> f32 {
    let mut h = seed ^ (x as u32).wrapping_mul(0x8da6_b343) ^ (y as u32).wrapping_mul(0xd816_3841);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    ((h ^ (h >> 15)) >> 8) as f32 / (1u32 << 24) as f32
}

/// Value noise with quintic interpolation, in `-1.0..=1.0`; features are about one unit wide.
pub fn smooth(seed: u32, x: f32, y: f32) -> f32 {
    let (xf, yf) = (x.floor(), y.floor());
    let (xi, yi) = (xf as i32, yf as i32);
    let ease = |t: f32| t * t * t * (t * (t * 6.0 - 15.0) + 10.0);
    let (u, v) = (ease(x - xf), ease(y - yf));
    let top = mix(lattice(seed, xi, yi), lattice(seed, xi + 1, yi), u);
    let low = mix(lattice(seed, xi, yi + 1), lattice(seed, xi + 1, yi + 1), u);
    mix(top, low, v) * 2.0 - 1.0
}

/// Sum of `octaves` of [`smooth`], each half as wide and half as strong, roughly in `-1.0..=1.0`.
pub fn fractal(seed: u32, x: f32, y: f32, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut scale) = (0.0, 0.5, 1.0);
    for octave in 0..octaves {
        sum += weight * smooth(seed.wrapping_add(octave * 101), x * scale, y * scale);
        weight *= 0.5;
        scale *= 2.03;
    }
    sum
}

/// Creases: sharp ridges on a smooth ground, in `0.0..=1.0`, highest on the crease.
pub fn crease(seed: u32, x: f32, y: f32) -> f32 {
    let n = 1.0 - smooth(seed, x, y).abs();
    n * n * n
}

/// Linear interpolation from `a` (at 0) to `b` (at 1).
pub fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// 0 below `low`, 1 above `high`, a smooth step between them.
pub fn step(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
