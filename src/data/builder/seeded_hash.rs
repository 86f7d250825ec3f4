//! Pseudo-random numbers that are hashes of names. A split made with them depends on no seed, on no order, and on no version of a
//! random number generator.

use sha2::{Digest, Sha256};

/// The first 8 bytes of the SHA-256 of `key`, joined by `|`, as a big-endian number.
pub fn hash_u64(key: &[&str]) -> u64 {
    let digest = Sha256::digest(key.join("|").as_bytes());
    digest.iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte))
}

/// [`hash_u64`] scaled to `[0, 1)`.
pub fn hash_fraction(key: &[&str]) -> f64 {
    hash_u64(key) as f64 / 2f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    // rnd = lambda *k: int.from_bytes(hashlib.sha256('|'.join(k).encode()).digest()[:8], 'big')
    // rnd('side', '1F600') / 2 ** 64, rnd('tone', '1F44B', '1F3FB') / 2 ** 64, rnd('query', '1F44B-1F3FD', 'noto') / 2 ** 64,
    // rnd('side', 'roboto')
    #[test]
    fn hashes_equal_those_of_the_python_expression() {
        assert_eq!(hash_fraction(&["side", "1F600"]), 0.1426929779722936);
        assert_eq!(hash_fraction(&["tone", "1F44B", "1F3FB"]), 0.49838999967974107);
        assert_eq!(hash_fraction(&["query", "1F44B-1F3FD", "noto"]), 0.6907666573931508);
        assert_eq!(hash_u64(&["side", "roboto"]), 1_765_174_167_388_766_798);
    }
}
