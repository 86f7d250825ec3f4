//! Models in memory: each is loaded once, however many connections ask for it, and the least recently used one is evicted first.

use super::embedder::Embedder;
use super::queue::wait_timed_out;
use super::threads::lock;
use crate::error::{Error, Kind, Result};
use crate::model::ModelDigest;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

struct LoadedModel {
    embedder: Arc<dyn Embedder>,
    last_use: u64,
}

#[derive(Default)]
struct State {
    loaded: HashMap<ModelDigest, LoadedModel>,
    loading: HashSet<ModelDigest>,
    /// Incremented with each use: a logical clock for `last_use`.
    uses: u64,
    loads: u64,
    evictions: u64,
}

/// The models in this process's memory.
pub(crate) struct ModelRegistry {
    state: Mutex<State>,
    /// Signalled when a load has succeeded or failed.
    load_ended: Condvar,
    /// Limit on the bytes of all models together; `None` is no limit.
    memory_limit: Option<u64>,
}

/// The answer to a request for a model.
pub(crate) enum Acquired {
    /// The model is in memory.
    Ready(Arc<dyn Embedder>),
    /// The caller has to load it.
    MustLoad(LoadLease),
}

/// The exclusive right to load one model. If it is dropped without [`LoadLease::complete`], the right passes to the next caller.
pub(crate) struct LoadLease {
    registry: Arc<ModelRegistry>,
    digest: ModelDigest,
}

impl ModelRegistry {
    pub fn new(memory_limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), load_ended: Condvar::new(), memory_limit })
    }

    /// The model if it is in memory. If not, exactly one caller at a time gets a lease to load it, and the others wait until that load
    /// ends, or `deadline`.
    ///
    /// # Errors
    /// [`Kind::Busy`] at `deadline`.
    pub fn acquire(self: &Arc<Self>, digest: ModelDigest, deadline: Instant) -> Result<Acquired> {
        let mut state = lock(&self.state);
        loop {
            if let Some(embedder) = state.use_model(&digest) {
                return Ok(Acquired::Ready(embedder));
            }
            if state.loading.insert(digest) {
                return Ok(Acquired::MustLoad(LoadLease { registry: Arc::clone(self), digest }));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(wait_timed_out());
            }
            state = self.load_ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Names and current values of the registry's counters.
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
    fn use_model(&mut self, digest: &ModelDigest) -> Option<Arc<dyn Embedder>> {
        self.uses += 1;
        let entry = self.loaded.get_mut(digest)?;
        entry.last_use = self.uses;
        Some(Arc::clone(&entry.embedder))
    }

    fn bytes(&self) -> u64 {
        self.loaded.values().map(|e| e.embedder.memory_bytes()).sum()
    }

    /// Adds a model and evicts the least recently used ones until all fit into `limit` bytes.
    fn insert(&mut self, digest: ModelDigest, embedder: Arc<dyn Embedder>, limit: u64) {
        self.uses += 1;
        self.loads += 1;
        self.loaded.insert(digest, LoadedModel { embedder, last_use: self.uses });
        while self.bytes() > limit {
            let oldest = self.loaded.iter().min_by_key(|(_, e)| e.last_use).map(|(d, _)| *d);
            oldest.and_then(|d| self.loaded.remove(&d));
            self.evictions += 1;
        }
    }
}

impl LoadLease {
    /// Makes the loaded model available to all callers, and evicts others if there is no room.
    ///
    /// # Errors
    /// [`Kind::LimitExceeded`] if the model alone is larger than the memory limit.
    pub fn complete(self, embedder: Arc<dyn Embedder>) -> Result<()> {
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

impl Drop for LoadLease {
    fn drop(&mut self) {
        lock(&self.registry.state).loading.remove(&self.digest);
        self.registry.load_ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::fake_model::FakeModel;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn lease(registry: &Arc<ModelRegistry>, id: u8) -> LoadLease {
        match registry.acquire(ModelDigest([id; 32]), soon()) {
            Ok(Acquired::MustLoad(lease)) => lease,
            _ => panic!("expected a lease for {id}"),
        }
    }

    fn is_ready(registry: &Arc<ModelRegistry>, id: u8) -> bool {
        matches!(registry.acquire(ModelDigest([id; 32]), soon()), Ok(Acquired::Ready(_)))
    }

    #[test]
    fn one_caller_loads_and_the_others_wait_for_it() {
        let registry = ModelRegistry::new(None);
        let lease = lease(&registry, 1);
        let waiters: Vec<_> = (0..5)
            .map(|_| {
                let registry = Arc::clone(&registry);
                std::thread::spawn(move || is_ready(&registry, 1))
            })
            .collect();
        lease.complete(FakeModel::free()).unwrap();
        assert!(waiters.into_iter().all(|w| w.join().unwrap()));
        assert_eq!(counter(&registry, "model_loads"), 1);
    }

    #[test]
    fn when_a_caller_gives_up_loading_the_next_takes_over() {
        let registry = ModelRegistry::new(None);
        let first = lease(&registry, 1);
        let other = Arc::clone(&registry);
        let second = std::thread::spawn(move || lease(&other, 1).digest().0[0]);
        drop(first);
        assert_eq!(second.join().unwrap(), 1);
    }

    #[test]
    fn waiting_too_long_for_a_load_is_an_error() {
        let registry = ModelRegistry::new(None);
        let _lease = lease(&registry, 1);
        let Err(error) = registry.acquire(ModelDigest([1; 32]), Instant::now() + Duration::from_millis(5))
        else {
            panic!("expected an error")
        };
        assert_eq!(error.kind, Kind::Busy);
    }

    fn counter(registry: &ModelRegistry, name: &str) -> u64 {
        registry.counters().into_iter().find(|(n, _)| n == name).unwrap().1
    }

    #[test]
    fn the_least_recently_used_model_is_evicted_for_a_new_one() {
        // Each fake model says it takes 100 bytes.
        let registry = ModelRegistry::new(Some(299));
        lease(&registry, 1).complete(FakeModel::free()).unwrap();
        lease(&registry, 2).complete(FakeModel::free()).unwrap();
        assert!(is_ready(&registry, 1));
        lease(&registry, 3).complete(FakeModel::free()).unwrap();
        assert!(is_ready(&registry, 1) && is_ready(&registry, 3));
        drop(lease(&registry, 2));
        assert_eq!((counter(&registry, "model_evictions"), counter(&registry, "model_bytes")), (1, 200));
    }

    #[test]
    fn a_model_over_the_limit_is_refused() {
        let registry = ModelRegistry::new(Some(99));
        let error = lease(&registry, 1).complete(FakeModel::free()).unwrap_err();
        assert_eq!(error.kind, Kind::LimitExceeded);
        assert!(error.hint.unwrap().contains("coopembed.memory_limit"));
        drop(lease(&registry, 1));
        assert_eq!(counter(&registry, "models"), 0);
    }
}
