//! Python's random numbers. The set was first specified in Python, and these numbers give the same words in the same places.

/// MT19937 (Matsumoto and Nishimura 1998), seeded and read as `random.Random(seed)` of Python 3.11 and later does.
#[derive(Debug, Clone)]
pub struct PythonRandom {
    state: [u32; N],
    next: usize,
}

const N: usize = 624;
const M: usize = 397;

impl PythonRandom {
    /// `random.Random(seed)` of Python.
    pub fn new(seed: u64) -> Self {
        let words = [seed as u32, (seed >> 32) as u32];
        let key = if words[1] == 0 { &words[..1] } else { &words[..] };
        let mut state = [0u32; N];
        state[0] = 19_650_218;
        for i in 1..N {
            let before = state[i - 1];
            state[i] = (before ^ before >> 30).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        // `init_by_array` of the reference implementation.
        let (mut i, mut j) = (1, 0);
        let step = |state: &mut [u32; N], i: &mut usize, factor: u32, add: u32| {
            let before = state[*i - 1];
            state[*i] = (state[*i] ^ (before ^ before >> 30).wrapping_mul(factor)).wrapping_add(add);
            *i += 1;
            if *i >= N {
                state[0] = state[N - 1];
                *i = 1;
            }
        };
        for _ in 0..N {
            step(&mut state, &mut i, 1_664_525, key[j].wrapping_add(j as u32));
            j = (j + 1) % key.len();
        }
        for _ in 1..N {
            let add = (i as u32).wrapping_neg();
            step(&mut state, &mut i, 1_566_083_941, add);
        }
        state[0] = 0x8000_0000;
        Self { state, next: N }
    }

    /// The next 32 bits.
    fn next_u32(&mut self) -> u32 {
        if self.next == N {
            for i in 0..N {
                let y = self.state[i] & 0x8000_0000 | self.state[(i + 1) % N] & 0x7fff_ffff;
                let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + M) % N] ^ y >> 1 ^ odd;
            }
            self.next = 0;
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c_5680;
        y ^= y << 15 & 0xefc6_0000;
        y ^ y >> 18
    }

    /// `random()`: a number in `[0, 1)` with 53 random bits.
    pub fn random(&mut self) -> f64 {
        let (a, b) = (self.next_u32() >> 5, self.next_u32() >> 6);
        (f64::from(a) * 67_108_864.0 + f64::from(b)) / 9_007_199_254_740_992.0
    }

    /// `uniform(low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.random()
    }

    /// `randrange(n)`: a number below `n`, which must be at least 1 and below 2^32.
    pub fn below(&mut self, n: usize) -> usize {
        let bits = usize::BITS - n.leading_zeros();
        loop {
            let drawn = (self.next_u32() >> (32 - bits)) as usize;
            if drawn < n {
                return drawn;
            }
        }
    }

    /// `sample(range(n), k)`: `k` different numbers below `n`; `k` is at most `n`.
    pub fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        // Like Python, draws from a list if that takes less memory than a set of the numbers taken.
        let mut set_size = 21;
        if k > 5 {
            set_size += 4usize.pow((k as f64 * 3.0).log(4.0).ceil() as u32);
        }
        if n <= set_size {
            let mut pool: Vec<usize> = (0..n).collect();
            let draw = |i| pool_draw(&mut pool, self.below(n - i), n - i - 1);
            return (0..k).map(draw).collect();
        }
        let mut taken = std::collections::HashSet::new();
        let draw = |_| loop {
            let drawn = self.below(n);
            if taken.insert(drawn) {
                return drawn;
            }
        };
        (0..k).map(draw).collect()
    }
}

/// Takes the number at `at`, and replaces it by the one at `last`.
fn pool_draw(pool: &mut [usize], at: usize, last: usize) -> usize {
    let drawn = pool[at];
    pool[at] = pool[last];
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    // r = random.Random(12345678901234567890)
    // r.random(), r.random(), r.random(), r.sample(range(1700), 8), r.sample(range(30), 8), r.choice('abc'), r.uniform(-3, 3)
    #[test]
    fn numbers_equal_pythons() {
        let mut r = PythonRandom::new(12_345_678_901_234_567_890);
        let first = [r.random(), r.random(), r.random()];
        assert_eq!(first, [0.5120180983871961, 0.9318805526703359, 0.6423121128048344]);
        assert_eq!(r.sample(1700, 8), [668, 725, 1076, 470, 1170, 976, 744, 266]);
        assert_eq!(r.sample(30, 8), [2, 5, 17, 1, 23, 14, 15, 0]);
        assert_eq!(r.below(3), 2);
        assert_eq!(r.uniform(-3.0, 3.0), 1.0497531900656014);
    }

    // random.Random(7).random()
    #[test]
    fn a_seed_below_2_to_the_32_is_one_word() {
        assert_eq!(PythonRandom::new(7).random(), 0.32383276483316237);
    }
}
