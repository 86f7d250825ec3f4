//! Models in memory: each loaded once however many ask for it, the least recently used leaves first.

use super::engine::{too_long, Embedder};
use super::lock;
use crate::error::Result;
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

/// What may stay in memory.
#[derive(Debug, Clone, Copy)]
pub struct ModelLimits {
    /// Most models.
    pub models: usize,
    /// Most bytes of all of them together. The newest model stays, however large.
    pub bytes: u64,
}

impl Default for ModelLimits {
    /// Eight models and 2 GiB: a hundred times the model that ships.
    fn default() -> Self {
        Self { models: 8, bytes: 2 << 30 }
    }
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
    limits: ModelLimits,
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
    pub fn new(limits: ModelLimits) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), settled: Condvar::new(), limits })
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

    /// Names and values for `coop_status()`.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let state = lock(&self.state);
        let memory = state.loaded.values().map(|e| e.embedder.memory_bytes()).sum();
        [
            ("models", state.loaded.len() as u64),
            ("model_bytes", memory),
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

    fn insert(&mut self, digest: ModelDigest, embedder: Arc<dyn Embedder>, limits: &ModelLimits) {
        self.clock += 1;
        self.loads += 1;
        self.loaded.insert(digest, Entry { embedder, last_use: self.clock });
        let too_much = |s: &Self| {
            let bytes: u64 = s.loaded.values().map(|e| e.embedder.memory_bytes()).sum();
            s.loaded.len() > limits.models || bytes > limits.bytes
        };
        while self.loaded.len() > 1 && too_much(self) {
            let oldest = self.loaded.iter().min_by_key(|(_, e)| e.last_use).map(|(d, _)| *d);
            oldest.and_then(|d| self.loaded.remove(&d));
            self.evictions += 1;
        }
    }
}

impl Lease {
    /// Makes the model available to all.
    pub fn fulfil(self, embedder: Arc<dyn Embedder>) {
        lock(&self.registry.state).insert(self.digest, embedder, &self.registry.limits);
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
    use super::super::engine::fakes::Adder;
    use super::*;
    use crate::error::Kind;
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
        let registry = Registry::new(ModelLimits::default());
        let lease = lease(&registry, 1);
        let waiters: Vec<_> = (0..5)
            .map(|_| {
                let registry = Arc::clone(&registry);
                std::thread::spawn(move || is_ready(&registry, 1))
            })
            .collect();
        lease.fulfil(Adder::free());
        assert!(waiters.into_iter().all(|w| w.join().unwrap()));
        assert_eq!(registry.counters()[2], ("model_loads".to_owned(), 1));
    }

    #[test]
    fn when_a_loader_gives_up_the_next_takes_over() {
        let registry = Registry::new(ModelLimits::default());
        let first = lease(&registry, 1);
        let other = Arc::clone(&registry);
        let second = std::thread::spawn(move || lease(&other, 1).digest().0[0]);
        drop(first);
        assert_eq!(second.join().unwrap(), 1);
    }

    #[test]
    fn who_waits_for_a_load_too_long_is_told_busy() {
        let registry = Registry::new(ModelLimits::default());
        let _lease = lease(&registry, 1);
        let Err(error) = registry.acquire(ModelDigest([1; 32]), Instant::now() + Duration::from_millis(5))
        else {
            panic!("expected an error")
        };
        assert_eq!(error.kind, Kind::Busy);
    }

    #[test]
    fn the_least_recently_used_model_leaves_by_number_and_by_size() {
        // Each fake model says it takes 100 bytes.
        for limits in [ModelLimits { models: 2, bytes: u64::MAX }, ModelLimits { models: 9, bytes: 200 }] {
            let registry = Registry::new(limits);
            lease(&registry, 1).fulfil(Adder::free());
            lease(&registry, 2).fulfil(Adder::free());
            assert!(is_ready(&registry, 1));
            lease(&registry, 3).fulfil(Adder::free());
            assert!(is_ready(&registry, 1) && is_ready(&registry, 3));
            drop(lease(&registry, 2));
            assert_eq!(registry.counters()[3], ("model_evictions".to_owned(), 1));
        }
    }

    #[test]
    fn a_model_over_the_limit_still_serves_alone() {
        let registry = Registry::new(ModelLimits { models: 8, bytes: 10 });
        lease(&registry, 1).fulfil(Adder::free());
        assert!(is_ready(&registry, 1));
    }
}
