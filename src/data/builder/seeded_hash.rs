//! Draws that depend on names only.

use sha2::{Digest, Sha256};

/// A number that is a function of `key` alone (the head of its SHA-256), so that a split depends on no seed, no order
/// and no version of a random generator.
pub fn hashed(key: &[&str]) -> u64 {
    let digest = Sha256::digest(key.join("|").as_bytes());
    digest.iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte))
}

/// [`hashed`] as a number in `[0, 1)`.
pub fn draw(key: &[&str]) -> f64 {
    hashed(key) as f64 / 2f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    // rnd = lambda *k: int.from_bytes(hashlib.sha256('|'.join(k).encode()).digest()[:8], 'big')
    // rnd('side', '1F600') / 2 ** 64, rnd('tone', '1F44B', '1F3FB') / 2 ** 64, rnd('query', '1F44B-1F3FD', 'noto') / 2 ** 64,
    // rnd('side', 'roboto')
    #[test]
    fn draws_are_a_function_of_the_key_alone() {
        assert_eq!(draw(&["side", "1F600"]), 0.1426929779722936);
        assert_eq!(draw(&["tone", "1F44B", "1F3FB"]), 0.49838999967974107);
        assert_eq!(draw(&["query", "1F44B-1F3FD", "noto"]), 0.6907666573931508);
        assert_eq!(hashed(&["side", "roboto"]), 1_765_174_167_388_766_798);
    }
}
