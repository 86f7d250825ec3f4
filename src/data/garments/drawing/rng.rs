//! A small seeded generator (splitmix64), so that a seed means the same picture on every machine.

/// Generator of pseudo-random numbers: splitmix64 by Vigna.
#[derive(Clone, Debug)]
pub struct Rng(u64);

/// One step of splitmix64's output function: a good 64-bit mixer.
pub const fn mix(value: u64) -> u64 {
    let z = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// A generator for one purpose of one seed; different `stream`s of a seed are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(mix(mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93)))
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// A number in `low..high`.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// An integer in `0..count`; 0 if `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        ((self.unit() * count as f32) as usize).min(count.saturating_sub(1))
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// One of the values, each as likely; the array is never empty.
    pub fn pick<T: Copy, const N: usize>(&mut self, values: [T; N]) -> T {
        const { assert!(N > 0) };
        values[self.below(N)]
    }

    /// One of the weighted values, or `None` if the weights sum to nothing.
    pub fn weighted<T: Copy>(&mut self, values: &[(T, u32)]) -> Option<T> {
        let total: u32 = values.iter().map(|(_, weight)| weight).sum();
        let mut left = self.unit() * total as f32;
        for &(value, weight) in values.iter().filter(|(_, weight)| *weight > 0) {
            left -= weight as f32;
            if left < 0.0 {
                return Some(value);
            }
        }
        values.iter().rev().find(|(_, weight)| *weight > 0).map(|&(value, _)| value)
    }
}
