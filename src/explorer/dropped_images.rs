//! Photos that were dropped on the page, kept for the queries that use them.

use lru::LruCache;
use sha2::{Digest as _, Sha256};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

/// How many are kept; the one that was used longest ago goes first.
const KEPT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// Photos by the digest of their bytes, in hexadecimal.
#[derive(Debug)]
pub struct Photos(Mutex<LruCache<String, Arc<Vec<u8>>>>);

impl Default for Photos {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT)))
    }
}

impl Photos {
    /// Keeps a photo and says what it is called.
    pub fn keep(&self, bytes: Vec<u8>) -> String {
        let name = digest(&bytes);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(name.clone(), Arc::new(bytes));
        name
    }

    /// A photo, if it is still kept.
    pub fn get(&self, name: &str) -> Option<Arc<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// A name for bytes.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_are_kept_until_others_take_their_place() {
        let photos = Photos::default();
        let first = photos.keep(vec![0]);
        let second = photos.keep(vec![1]);
        assert_eq!(*photos.get(&first).unwrap(), vec![0]);
        for i in 2..9 {
            photos.keep(vec![i]);
        }
        assert!(photos.get(&second).is_none() && photos.get(&first).is_some(), "used longest ago goes first");
    }
}
