//! The `coopembed.*` settings: their definitions, and a typed accessor for each.
//!
//! Who may set one is its context: `Userset`, every role, for its session; `Suset`, superusers and roles with GRANT SET; `Sighup`, only
//! configuration files and ALTER SYSTEM, followed by a reload.

use super::compat;
use super::encoding::from_server;
use crate::error::Result;
use crate::image::{Limits, MEGAPIXEL};
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::pg_sys;
use pgrx::PostgresGucEnum;
use std::ffi::{CStr, CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

static MODEL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static MAX_IMAGE_DIMENSION: GucSetting<i32> = GucSetting::<i32>::new(16_384);
static MAX_IMAGE_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(512 * 1024);
static MAX_IMAGE_WORK: GucSetting<i32> = GucSetting::<i32>::new(1000);
static QUEUE_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(30_000);
static QUEUE_LENGTH: GucSetting<i32> = GucSetting::<i32>::new(1024);
static MAX_BATCH: GucSetting<i32> = GucSetting::<i32>::new(16);
static MEMORY_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(2 * 1024 * 1024);
static DEVICE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"auto"));
static ENGINE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
static CANDIDATES: GucSetting<i32> = GucSetting::<i32>::new(0);
static PROBES: GucSetting<i32> = GucSetting::<i32>::new(0);
static RECALL: GucSetting<f64> = GucSetting::<f64>::new(1.0);
static OUTPUT: GucSetting<Output> = GucSetting::<Output>::new(Output::Decimal);
static LEFT_OUT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// `coopembed.output`: how embeddings and queries are written as text. Both forms are read.
#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum Output {
    /// Decimal numbers, for people.
    #[name = c"decimal"]
    Decimal,
    /// The binary form in hexadecimal digits, as `bytea` is written.
    #[name = c"hex"]
    Hex,
}

/// `coopembed.model`: the name of the model that functions use when none is named; `None` if it is empty, which means the database's default.
/// Set by every role.
///
/// # Errors
/// [`crate::error::Kind::InvalidEncoding`] for a name from a configuration file that is in another encoding.
pub fn model() -> Result<Option<String>> {
    match MODEL.get() {
        Some(name) if !name.is_empty() => Ok(Some(from_server(name.to_bytes())?.into_owned())),
        _ => Ok(None),
    }
}

/// `coopembed.max_image_dimension` (pixels), `coopembed.max_image_memory` (kB) and `coopembed.max_image_work` (megapixels): what decoding one
/// image may take. Set by superusers.
pub fn image_limits() -> Limits {
    Limits {
        max_dimension: MAX_IMAGE_DIMENSION.get().unsigned_abs(),
        max_memory: u64::from(MAX_IMAGE_MEMORY.get().unsigned_abs()) * 1024,
        max_work: u64::from(MAX_IMAGE_WORK.get().unsigned_abs()) * MEGAPIXEL,
    }
}

/// `coopembed.queue_timeout` (milliseconds): how long an image may wait for the inference service before its statement fails; `None` for no
/// limit. Set by every role.
pub fn queue_timeout() -> Option<Duration> {
    let milliseconds = QUEUE_TIMEOUT.get().unsigned_abs();
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()))
}

/// `coopembed.queue_length`: how many images may wait in the inference service; further ones are refused. Set in configuration files.
pub fn queue_length() -> usize {
    QUEUE_LENGTH.get().unsigned_abs() as usize
}

/// `coopembed.max_batch`: the most images that the network computes at once. Set in configuration files.
pub fn max_batch() -> usize {
    MAX_BATCH.get().unsigned_abs() as usize
}

/// `coopembed.memory_limit` (set in kB), in bytes: the most memory of all models in the inference service together; `None` for no limit. Set
/// in configuration files.
pub fn memory_limit() -> Option<u64> {
    let kilobytes = u64::from(MEMORY_LIMIT.get().unsigned_abs());
    (kilobytes > 0).then_some(kilobytes * 1024)
}

/// `coopembed.device`: where models compute: `auto`, `cpu` or `cuda:N`. Set in configuration files.
pub fn device() -> String {
    DEVICE.get().map_or_else(|| "auto".to_owned(), |device| device.to_string_lossy().into_owned())
}

/// `coopembed.engine`: the path of the program that computes; empty means the library itself, or `coopembed-cuda` beside it. Set in
/// configuration files; only superusers see it.
pub fn engine() -> PathBuf {
    ENGINE.get().map(|path| OsString::from_vec(path.into_bytes()).into()).unwrap_or_default()
}

/// `coopembed.threads`: threads of the inference service; `None` means one for each processor. Set in configuration files.
pub fn threads() -> Option<usize> {
    let threads = THREADS.get().unsigned_abs() as usize;
    (threads > 0).then_some(threads)
}

/// `coopembed.candidates` (rows): how many rows an approximate index scan refines before it answers; 0 for an exact scan. While it is 0, the
/// setting's old name `coopembed.probes` counts. Set by every role.
pub fn candidates() -> usize {
    let candidates = match CANDIDATES.get() {
        0 => PROBES.get(),
        candidates => candidates,
    };
    candidates.unsigned_abs() as usize
}

/// `coopembed.recall`, from 0.5 to 1: the share of the nearest rows that an index scan is to find; 1 for an exact scan. Set by every role.
pub fn recall() -> f64 {
    RECALL.get()
}

/// `coopembed.output`. Set by every role.
pub fn output() -> Output {
    OUTPUT.get()
}

/// Defines all settings. Called once, when a server process loads the library.
pub fn define() {
    GucRegistry::define_string_guc(
        c"coopembed.model",
        c"The model that functions use when none is named.",
        c"Empty means the default of the database: the first model that was loaded, or the one that coop_set_default_model() chose.",
        &MODEL,
        GucContext::Userset,
        GucFlags::default(),
    );
    int(
        c"coopembed.max_image_dimension",
        c"Largest width and height of an image to decode, in pixels.",
        c"Larger images are refused by their header, before memory is allocated for them.",
        &MAX_IMAGE_DIMENSION,
        1..=65_535,
        GucContext::Suset,
        GucFlags::default(),
    );
    int(
        c"coopembed.max_image_memory",
        c"Most memory that decoding one image may take.",
        c"An image that needs more is refused.",
        &MAX_IMAGE_MEMORY,
        1024..=i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    int(
        c"coopembed.max_image_work",
        c"Most work that decoding one image may be, in megapixels.",
        c"Width x height, more for formats that take longer, and for every scan of a JPEG after its first. More is refused.",
        &MAX_IMAGE_WORK,
        1..=i32::MAX,
        GucContext::Suset,
        GucFlags::default(),
    );
    int(
        c"coopembed.queue_timeout",
        c"How long an image may wait for the inference service.",
        c"After that the statement fails. Zero waits without limit.",
        &QUEUE_TIMEOUT,
        0..=i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_MS,
    );
    int(
        c"coopembed.queue_length",
        c"How many images may wait in the inference service.",
        c"Further ones are refused.",
        &QUEUE_LENGTH,
        1..=1_000_000,
        GucContext::Sighup,
        GucFlags::default(),
    );
    int(
        c"coopembed.max_batch",
        c"Most images that the network computes at once.",
        c"Larger batches raise throughput under load and take more memory.",
        &MAX_BATCH,
        1..=1024,
        GucContext::Sighup,
        GucFlags::default(),
    );
    int(
        c"coopembed.memory_limit",
        c"Most memory that the models of the inference service take together.",
        c"A new model makes the least recently used ones leave; one that is larger alone is refused. Zero is no limit.",
        &MEMORY_LIMIT,
        0..=i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_KB,
    );
    // SAFETY: the hook reads the value and sets a hint, as check hooks may.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"coopembed.device",
            c"Where models compute: auto, cpu or cuda:N.",
            c"auto is the first NVIDIA GPU where there is one and the program for it, else the CPU.",
            &DEVICE,
            GucContext::Sighup,
            GucFlags::default(),
            Some(check_device),
            None,
            None,
        );
    }
    GucRegistry::define_string_guc(
        c"coopembed.engine",
        c"The program that computes.",
        c"Empty means the library itself on the CPU, and coopembed-cuda in its folder on a GPU.",
        &ENGINE,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY,
    );
    int(
        c"coopembed.threads",
        c"Threads of the inference service.",
        c"Zero takes one for each processor.",
        &THREADS,
        0..=1024,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_float_guc(
        c"coopembed.recall",
        c"The share of the nearest rows that an index scan is to find.",
        c"1 gives exact answers. With less, a scan over one, four or more subspaces stops as soon as it has probably found so many of them.",
        &RECALL,
        0.5,
        1.0,
        GucContext::Userset,
        GucFlags::default(),
    );
    int(
        c"coopembed.candidates",
        c"How many rows an index scan over four or more subspaces compares closely before it answers.",
        c"With zero, coopembed.recall decides. Otherwise these rows are chosen by their cells alone, and some of the nearest rows may be missed.",
        &CANDIDATES,
        0..=1_000_000,
        GucContext::Userset,
        GucFlags::default(),
    );
    int(
        c"coopembed.probes",
        c"The old name of coopembed.candidates.",
        c"It is read while coopembed.candidates is zero.",
        &PROBES,
        0..=1_000_000,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"coopembed.output",
        c"How embeddings and queries are written as text: decimal or hex.",
        c"Both are read. hex is for programs: foreign tables, dumps and replication take a fraction of the time.",
        &OUTPUT,
        GucContext::Userset,
        GucFlags::default(),
    );
    // Version 0.2.0's coop_search() sets it, and has to work until ALTER EXTENSION coopembed UPDATE replaces it.
    GucRegistry::define_string_guc(
        c"coopembed.left_out",
        c"Has no effect.",
        c"It is there for SQL functions of version 0.2.0.",
        &LEFT_OUT,
        GucContext::Userset,
        GucFlags::NO_SHOW_ALL | GucFlags::DISALLOW_IN_FILE,
    );
    compat::reserve_settings(c"coopembed");
}

/// The check hook of `coopembed.device`: refuses a value that names no device.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn check_device(
    value: *mut *mut std::ffi::c_char,
    _extra: *mut *mut std::ffi::c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes a pointer to the new value: a C string, or null.
    let device = unsafe { (!(*value).is_null()).then(|| CStr::from_ptr(*value)) };
    let known = device.and_then(|device| device.to_str().ok()).is_some_and(|device| {
        matches!(device, "auto" | "cpu" | "cuda")
            || device.strip_prefix("cuda:").is_some_and(|number| number.parse::<u16>().is_ok())
    });
    if !known {
        let hint = c"Devices are auto, cpu, cuda and cuda:N.";
        // SAFETY: PostgreSQL expects a palloc'd string, and reports it with the error.
        unsafe { pg_sys::GUC_check_errhint_string = pg_sys::pstrdup(hint.as_ptr()) };
    }
    known
}

/// Defines a setting that is a whole number.
fn int(
    name: &'static CStr,
    short: &'static CStr,
    long: &'static CStr,
    setting: &'static GucSetting<i32>,
    range: std::ops::RangeInclusive<i32>,
    context: GucContext,
    flags: GucFlags,
) {
    GucRegistry::define_int_guc(name, short, long, setting, *range.start(), *range.end(), context, flags);
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::{candidates, recall};
    use crate::pg::fixture::{failure, text};
    use pgrx::prelude::*;

    #[pg_test]
    fn candidates_can_be_set_by_its_old_name_and_wins_over_it() {
        assert_eq!(candidates(), 0, "exact unless somebody asks");
        Spi::run("SET LOCAL coopembed.probes = 7").unwrap();
        assert_eq!(candidates(), 7);
        Spi::run("SET LOCAL coopembed.candidates = 3").unwrap();
        assert_eq!(candidates(), 3);
        Spi::run("SET LOCAL coopembed.candidates = 0").unwrap();
        assert_eq!(candidates(), 7);
        Spi::run("RESET coopembed.probes").unwrap();
        assert_eq!(candidates(), 0);
    }

    #[pg_test]
    fn a_recall_is_a_share_and_1_unless_somebody_asks() {
        assert_eq!(recall(), 1.0);
        for value in ["0.49", "1.01", "'NaN'"] {
            assert_eq!(failure(&format!("SET coopembed.recall = {value}")).state, "22023");
        }
        Spi::run("SET LOCAL coopembed.recall = 0.95").unwrap();
        assert_eq!(recall(), 0.95);
    }

    #[pg_test]
    fn both_names_have_the_same_range() {
        for name in ["candidates", "probes"] {
            for value in [-1, 1_000_001] {
                assert_eq!(failure(&format!("SET coopembed.{name} = {value}")).state, "22023");
            }
            Spi::run(&format!("SET LOCAL coopembed.{name} = 1000000")).unwrap();
            assert_eq!(text(&format!("SHOW coopembed.{name}")), "1000000");
        }
    }
}
