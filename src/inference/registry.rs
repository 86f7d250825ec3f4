//! Models in memory: each loaded once however many ask for it, the least recently used leaves first.

use super::engine::{too_long, Embedder};
use super::lock;
use crate::error::{Error, Kind, Result};
use crate::model::ModelDigest;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Builds a model from what the database holds.
pub trait Loader: Send + Sync + 'static {
    /// Builds the model `digest` from its `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// [`crate::error::Kind::InvalidModel`] when they are not a model, or not this one.
    fn load(&self, digest: &ModelDigest, config: &str, weights: &[u8]) -> Result<Arc<dyn Embedder>>;
}

struct Entry {
    embedder: Arc<dyn Embedder>,
    last_use: u64,
}

#[derive(Default)]
struct State {
    loaded: HashMap<ModelDigest, Entry>,
    loading: HashSet<ModelDigest>,
    /// Counts uses; orders them.
    clock: u64,
    loads: u64,
    evictions: u64,
}

/// The models of this process.
pub(crate) struct Registry {
    state: Mutex<State>,
    /// A load ended, well or badly.
    settled: Condvar,
    /// Most bytes of all models together; `None` is no limit.
    memory_limit: Option<u64>,
}

/// A model, or the duty to bring it.
pub(crate) enum Acquired {
    Ready(Arc<dyn Embedder>),
    Load(Lease),
}

/// The exclusive right to load one model. Dropped without [`Lease::fulfil`], it passes to the next who asks.
pub(crate) struct Lease {
    registry: Arc<Registry>,
    digest: ModelDigest,
}

impl Registry {
    pub fn new(memory_limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), settled: Condvar::new(), memory_limit })
    }

    /// The model; or, for exactly one caller at a time, a lease to load it, while the others wait until `deadline`.
    pub fn acquire(self: &Arc<Self>, digest: ModelDigest, deadline: Instant) -> Result<Acquired> {
        let mut state = lock(&self.state);
        loop {
            if let Some(embedder) = state.touch(&digest) {
                return Ok(Acquired::Ready(embedder));
            }
            if state.loading.insert(digest) {
                return Ok(Acquired::Load(Lease { registry: Arc::clone(self), digest }));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(too_long());
            }
            state = self.settled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Names and values of what it counts.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let state = lock(&self.state);
        [
            ("models", state.loaded.len() as u64),
            ("model_bytes", state.bytes()),
            ("memory_limit", self.memory_limit.unwrap_or(0)),
            ("model_loads", state.loads),
            ("model_evictions", state.evictions),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

impl State {
    fn touch(&mut self, digest: &ModelDigest) -> Option<Arc<dyn Embedder>> {
        self.clock += 1;
        let entry = self.loaded.get_mut(digest)?;
        entry.last_use = self.clock;
        Some(Arc::clone(&entry.embedder))
    }

    fn bytes(&self) -> u64 {
        self.loaded.values().map(|e| e.embedder.memory_bytes()).sum()
    }

    fn insert(&mut self, digest: ModelDigest, embedder: Arc<dyn Embedder>, limit: u64) {
        self.clock += 1;
        self.loads += 1;
        self.loaded.insert(digest, Entry { embedder, last_use: self.clock });
        while self.bytes() > limit {
            let oldest = self.loaded.iter().min_by_key(|(_, e)| e.last_use).map(|(d, _)| *d);
            oldest.and_then(|d| self.loaded.remove(&d));
            self.evictions += 1;
        }
    }
}

impl Lease {
    /// Makes the model available to all; those used least recently make room for it.
    ///
    /// # Errors
    /// [`Kind::LimitExceeded`] if there is no room for it alone.
    pub fn fulfil(self, embedder: Arc<dyn Embedder>) -> Result<()> {
        let (bytes, limit) = (embedder.memory_bytes(), self.registry.memory_limit.unwrap_or(u64::MAX));
        if bytes > limit {
            return Err(Error::new(Kind::LimitExceeded, "the model is too large for the inference service")
                .detail(format!(
                    "It takes {} kB in memory, and coopembed.memory_limit is {} kB.",
                    bytes.div_ceil(1024),
                    limit / 1024
                ))
                .hint("Raise coopembed.memory_limit, if the machine has the memory."));
        }
        lock(&self.registry.state).insert(self.digest, embedder, limit);
        Ok(())
    }

    pub fn digest(&self) -> &ModelDigest {
        &self.digest
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.registry.state).loading.remove(&self.digest);
        self.registry.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::engine::fakes::Adder;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn lease(registry: &Arc<Registry>, id: u8) -> Lease {
        match registry.acquire(ModelDigest([id; 32]), soon()) {
            Ok(Acquired::Load(lease)) => lease,
            _ => panic!("expected a lease for {id}"),
        }
    }

    fn is_ready(registry: &Arc<Registry>, id: u8) -> bool {
        matches!(registry.acquire(ModelDigest([id; 32]), soon()), Ok(Acquired::Ready(_)))
    }

    #[test]
    fn one_loads_and_the_others_wait_for_it() {
        let registry = Registry::new(None);
        let lease = lease(&registry, 1);
        let waiters: Vec<_> = (0..5)
            .map(|_| {
                let registry = Arc::clone(&registry);
                std::thread::spawn(move || is_ready(&registry, 1))
            })
            .collect();
        lease.fulfil(Adder::free()).unwrap();
        assert!(waiters.into_iter().all(|w| w.join().unwrap()));
        assert_eq!(counter(&registry, "model_loads"), 1);
    }

    #[test]
    fn when_a_loader_gives_up_the_next_takes_over() {
        let registry = Registry::new(None);
        let first = lease(&registry, 1);
        let other = Arc::clone(&registry);
        let second = std::thread::spawn(move || lease(&other, 1).digest().0[0]);
        drop(first);
        assert_eq!(second.join().unwrap(), 1);
    }

    #[test]
    fn who_waits_for_a_load_too_long_is_told_busy() {
        let registry = Registry::new(None);
        let _lease = lease(&registry, 1);
        let Err(error) = registry.acquire(ModelDigest([1; 32]), Instant::now() + Duration::from_millis(5))
        else {
            panic!("expected an error")
        };
        assert_eq!(error.kind, Kind::Busy);
    }

    fn counter(registry: &Registry, name: &str) -> u64 {
        registry.counters().into_iter().find(|(n, _)| n == name).unwrap().1
    }

    #[test]
    fn the_least_recently_used_model_makes_room_for_a_new_one() {
        // Each fake model says it takes 100 bytes.
        let registry = Registry::new(Some(299));
        lease(&registry, 1).fulfil(Adder::free()).unwrap();
        lease(&registry, 2).fulfil(Adder::free()).unwrap();
        assert!(is_ready(&registry, 1));
        lease(&registry, 3).fulfil(Adder::free()).unwrap();
        assert!(is_ready(&registry, 1) && is_ready(&registry, 3));
        drop(lease(&registry, 2));
        assert_eq!((counter(&registry, "model_evictions"), counter(&registry, "model_bytes")), (1, 200));
    }

    #[test]
    fn a_model_over_the_limit_is_refused() {
        let registry = Registry::new(Some(99));
        let error = lease(&registry, 1).fulfil(Adder::free()).unwrap_err();
        assert_eq!(error.kind, Kind::LimitExceeded);
        assert!(error.hint.unwrap().contains("coopembed.memory_limit"));
        drop(lease(&registry, 1));
        assert_eq!(counter(&registry, "models"), 0);
    }
}
