//! Passes over a channel, which the compiler vectorises by itself.

/// Partial sums that fill the vector registers of a loop.
const LANES: usize = 64;

/// Numbers that are summed in single precision before they are added to a double.
const SUMMED: usize = 1 << 11;

/// `y = clamp(x · scale + shift + residual)`.
#[inline(always)]
pub fn affine(
    y: &mut [f32],
    x: &[f32],
    residual: Option<&[f32]>,
    [scale, shift]: [f32; 2],
    (low, high): (f32, f32),
) {
    match residual {
        None => y.iter_mut().zip(x).for_each(|(y, x)| *y = (x * scale + shift).clamp(low, high)),
        Some(r) => {
            y.iter_mut()
                .zip(x.iter().zip(r))
                .for_each(|(y, (x, r))| *y = (x * scale + shift + r).clamp(low, high));
        }
    }
}

/// Zeroes `d` where the activation has clamped `y`; returns the sum of what is left.
#[inline(always)]
pub fn mask(d: &mut [f32], y: &[f32], (low, high): (f32, f32)) -> f64 {
    let mut total = 0f64;
    for (d, y) in d.chunks_mut(SUMMED).zip(y.chunks(SUMMED)) {
        let mut sums = [0f32; LANES];
        let (whole_d, rest_d) = d.as_chunks_mut::<LANES>();
        let (whole_y, rest_y) = y.as_chunks::<LANES>();
        for (d, y) in whole_d.iter_mut().zip(whole_y) {
            for i in 0..LANES {
                d[i] = if y[i] > low && y[i] < high { d[i] } else { 0.0 };
                sums[i] += d[i];
            }
        }
        let mut rest = 0.0;
        for (d, y) in rest_d.iter_mut().zip(rest_y) {
            *d = if *y > low && *y < high { *d } else { 0.0 };
            rest += *d;
        }
        total += f64::from(sums.iter().sum::<f32>() + rest);
    }
    total
}

/// `to += from`.
#[inline(always)]
pub fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += f);
}

/// `to += (x − centre)²`.
#[inline(always)]
pub fn add_squares(to: &mut [f32], x: &[f32], centre: &[f32]) {
    to.iter_mut().zip(x.iter().zip(centre)).for_each(|(t, (x, c))| *t += (x - c) * (x - c));
}

/// `to += (x − centre) slope`.
#[inline(always)]
pub fn add_slope(to: &mut [f32], x: &[f32], centre: &[f32], slope: &[f32]) {
    let numbers = x.iter().zip(centre.iter().zip(slope));
    to.iter_mut().zip(numbers).for_each(|(t, (x, (c, s)))| *t += (x - c) * s);
}

/// `d = scale (d − mean − (x − centre) slope)`, the last step of batch normalisation's gradient.
#[inline(always)]
pub fn centre(d: &mut [f32], x: &[f32], scale: f32, mean: f32, centre: f32, slope: f32) {
    d.iter_mut().zip(x).for_each(|(d, x)| *d = scale * (*d - mean - (x - centre) * slope));
}

/// Σ xᵢ.
#[inline(always)]
pub fn sum(x: &[f32]) -> f64 {
    sum_of(x, x, |x, _| x)
}

/// Σ (xᵢ − centre)².
#[inline(always)]
pub fn squares(x: &[f32], centre: f32) -> f64 {
    sum_of(x, x, |x, _| (x - centre) * (x - centre))
}

/// Σ dᵢ (xᵢ − centre).
#[inline(always)]
pub fn products(d: &[f32], x: &[f32], centre: f32) -> f64 {
    sum_of(d, x, |d, x| d * (x - centre))
}

#[inline(always)]
fn sum_of(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    let mut total = 0f64;
    for (a, b) in a.chunks(SUMMED).zip(b.chunks(SUMMED)) {
        let mut sums = [0f32; LANES];
        let (whole_a, rest_a) = a.as_chunks::<LANES>();
        let (whole_b, rest_b) = b.as_chunks::<LANES>();
        for (a, b) in whole_a.iter().zip(whole_b) {
            (0..LANES).for_each(|i| sums[i] += f(a[i], b[i]));
        }
        let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| f(*a, *b)).sum();
        total += f64::from(sums.iter().sum::<f32>() + rest);
    }
    total
}
