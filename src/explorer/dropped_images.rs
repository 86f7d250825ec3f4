//! Images that users dropped on the page, kept in memory for the searches that use them.

use lru::LruCache;
use sha2::{Digest as _, Sha256};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

/// How many are kept; the least recently used is evicted first.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// Dropped images by the [`digest()`] of their bytes.
#[derive(Debug)]
pub struct DroppedImages(Mutex<LruCache<String, Arc<Vec<u8>>>>);

impl Default for DroppedImages {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl DroppedImages {
    /// Keeps an image and returns its key.
    pub fn keep(&self, bytes: Vec<u8>) -> String {
        let key = digest(&bytes);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key.clone(), Arc::new(bytes));
        key
    }

    /// The image with this key, if it is still kept.
    pub fn get(&self, key: &str) -> Option<Arc<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_image_is_evicted() {
        let images = DroppedImages::default();
        let first = images.keep(vec![0]);
        let second = images.keep(vec![1]);
        assert_eq!(*images.get(&first).unwrap(), vec![0]);
        for i in 2..9 {
            images.keep(vec![i]);
        }
        assert!(images.get(&second).is_none() && images.get(&first).is_some());
    }
}
