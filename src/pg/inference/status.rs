//! `coop_status()` and the data of the monitoring views, and `coop_worker_restart()`. `sql/current/status.sql` declares them.

use super::latch_socket::sleep;
use super::service_connection::{with_running_service, with_service};
use crate::error::Result;
use crate::inference::{BatchSizeBucket, Outcome, Status};
use crate::pg::text::Jsonb;
use crate::pg::{OrReport, Text};
use pgrx::prelude::*;
use serde_json::{json, Map, Value};
use std::time::Duration;

extension_sql_file!("../../../sql/current/status.sql", name = "status", requires = ["catalog"]);

/// How long to wait for the service's answer before that is an error: monitoring must not hang.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The state and the counters of the inference service since its model process started. If no process has been started yet, the only row
/// is `running`, 0.
#[pg_extern(sql = false)]
fn coop_status() -> TableIterator<'static, (name!(name, Text<'static>), name!(value, i64))> {
    let status = status().or_report();
    let running = [("running".to_owned(), i64::from(status.is_some()))];
    let rest = status.map(|s| s.counters).unwrap_or_default().into_iter().map(|(name, value)| {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        match name.strip_suffix("_microseconds") {
            Some(what) => (format!("{what}_milliseconds"), value / 1000),
            None => (name, value),
        }
    });
    TableIterator::new(running.into_iter().chain(rest).map(|(name, value)| (name.into(), value)))
}

/// The same and more as one JSON object, from which `sql/current/status.sql` makes the columns of its views.
#[pg_extern(sql = false)]
fn worker_stats() -> Jsonb {
    let status = status().or_report();
    let mut stats = Map::from_iter([("running".to_owned(), json!(status.is_some()))]);
    if let Some(Status { device, counters, batch_sizes }) = status {
        let bucket = |b: BatchSizeBucket| json!({ "size": b.size, "batches": b.batches, "images": b.images });
        stats.insert("device".to_owned(), device.into());
        stats.insert("batch_sizes".to_owned(), batch_sizes.into_iter().map(bucket).collect());
        stats.extend(counters.into_iter().map(|(name, value)| match name.strip_suffix("_microseconds") {
            Some(what) => (format!("{what}_ms"), json!(value as f64 / 1000.0)),
            None => (name, value.into()),
        }));
    }
    Jsonb(Value::Object(stats))
}

/// Has the model process replaced by a new one. Requests under way are answered by the old process, and those that come meanwhile wait for
/// the new one. Returns the new process's id once it answers. If the service does not run, it is started.
#[pg_extern(sql = false)]
fn coop_worker_restart() -> i32 {
    // Both requests go over one connection, so that the id is that of the process that is asked to end.
    let before = with_running_service(Some(TIMEOUT), |service| match service.status()? {
        Outcome::Done(status) => Ok(match service.restart()? {
            Outcome::Done(()) => Outcome::Done(pid_of(&status)),
            Outcome::Retry => Outcome::Retry,
        }),
        Outcome::Retry => Ok(Outcome::Retry),
    })
    .or_report();
    loop {
        let pid = pid_of(&with_service(Some(TIMEOUT), |service| service.status()).or_report());
        // The old process may still answer while it ends.
        if before != Some(pid) {
            return pid;
        }
        sleep(Duration::from_millis(5));
    }
}

fn pid_of(status: &Status) -> i32 {
    let pid = status.counters.iter().find(|(name, _)| name == "model_process_pid");
    pid.and_then(|(_, pid)| i32::try_from(*pid).ok()).unwrap_or(0)
}

fn status() -> Result<Option<Status>> {
    with_running_service(Some(TIMEOUT), |service| service.status())
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use crate::pg::fixture::model::Garments;
    use crate::pg::fixture::{number, text};
    use pgrx::prelude::*;

    fn embed_one() {
        let image: &[u8] = include_bytes!("../../../tests/fixtures/images/jpeg_420.jpg");
        Spi::get_one_with_args::<String>("SELECT coop_embed($1)::text", &[image.into()]).unwrap().unwrap();
    }

    #[pg_test]
    fn the_status_counts_images() {
        Garments::new("spring").load_as("garments");
        embed_one();
        let count = |name: &str| -> i64 {
            let sql = "SELECT value FROM coop_status() WHERE name = $1";
            Spi::get_one_with_args(sql, &[name.into()]).unwrap().unwrap()
        };
        assert_eq!(count("running"), 1);
        let before = count("images");
        embed_one();
        assert!(count("images") > before && count("models") > 0 && count("model_bytes") > 0);
    }

    #[pg_test]
    fn the_view_shows_the_same_counters_and_they_only_grow() {
        Garments::new("spring").load_as("garments");
        embed_one();
        assert_eq!(text("SELECT device FROM coop_stat_worker WHERE running"), "cpu");
        let sums =
            "SELECT (images + batches)::float8 + decode_ms + queue_ms + model_ms FROM coop_stat_worker";
        let before = number(sums);
        embed_one();
        assert!(number(sums) >= before + 2.0);
        let agree = "SELECT (SELECT sum(batches) = w.batches FROM coop_stat_worker_batches)::text FROM coop_stat_worker w";
        // Other tests may embed an image between the two reads.
        assert!((0..50).any(|_| text(agree) == "true"));
    }
}
