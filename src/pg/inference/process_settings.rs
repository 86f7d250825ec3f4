//! The settings that a model process is started with. When one of them changes, the process is replaced; other settings travel with each
//! request.

use crate::pg::guc;
use pgrx::pg_sys;
use std::path::PathBuf;

/// What the model process is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSettings {
    /// Most waiting requests; `coopembed.queue_length`.
    pub queue_length: usize,
    /// Most images in a batch; `coopembed.max_batch`.
    pub max_batch: usize,
    /// Most bytes of models; `None` is no limit. `coopembed.memory_limit`.
    pub memory_limit: Option<u64>,
    /// `coopembed.device`.
    pub device: String,
    /// `coopembed.engine`.
    pub engine: PathBuf,
    /// Why the last separate program could not be used. Until settings change, the library computes on the CPU instead.
    pub cpu_fallback: Option<CpuFallback>,
    /// Threads; `None` is one for each processor. `coopembed.threads`.
    pub threads: Option<usize>,
    /// Most connections: two for every process of the server that can run SQL, and some for sessions that are just ending.
    pub connections: usize,
}

impl ProcessSettings {
    /// As the configuration files say now.
    pub fn current() -> Self {
        Self {
            queue_length: guc::queue_length(),
            max_batch: guc::max_batch(),
            memory_limit: guc::memory_limit(),
            device: guc::device(),
            engine: guc::engine(),
            cpu_fallback: None,
            threads: guc::threads(),
            // SAFETY: reads a number that the postmaster sets before any of its children starts.
            connections: unsafe { pg_sys::MaxBackends }.unsigned_abs() as usize * 2 + 16,
        }
    }
}

/// Why the library computes on the CPU, and not the program on the device that was asked for. Everybody can read the reason in
/// `coop_stat_worker.device`, so it does not contain the program's path, which only superusers may see. The path is in the server's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpuFallback {
    /// The host has no NVIDIA driver.
    NoDriver,
    /// The system could not execute the program.
    NotExecutable,
    /// The program could not use its device.
    DeviceUnusable,
    /// The program ended before it served anything, with this status.
    EndedAtOnce(String),
}

impl std::fmt::Display for CpuFallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoDriver => f.write_str("this host has no NVIDIA driver"),
            Self::NotExecutable => f.write_str("the program cannot be run, see the server's log"),
            Self::DeviceUnusable => f.write_str("the program could not use it, see the server's log"),
            Self::EndedAtOnce(status) => {
                write!(f, "the program ended at once, {status}, see the server's log")
            }
        }
    }
}
