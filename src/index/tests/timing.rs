//! How long a search takes over pages in memory.

use super::fixture::{clustered, Fixture, Noise};
use crate::index::{wanted_clusters, SearchMode, SearchStats};
use crate::space::{EmbeddingRef, Layout, Query};
use half::f16;

/// The first rows of a file of half-precision numbers.
fn read_rows(layout: Layout, path: &str, rows: usize) -> Vec<Vec<f16>> {
    let bytes = std::fs::read(path).unwrap();
    let row = |bytes: &[u8]| bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]])).collect();
    bytes.chunks_exact(2 * layout.dimensions()).take(rows).map(row).collect()
}

/// Seconds that the processor has worked for this thread, to some milliseconds; where the system does not tell, seconds on the clock.
fn processor_time() -> f64 {
    let of_system = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    match of_system.as_deref().and_then(|text| text.split(' ').next()?.parse::<f64>().ok()) {
        Some(nanoseconds) => nanoseconds * 1e-9,
        None => START.elapsed().as_secs_f64(),
    }
}

static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);

/// Settings are variables: ROWS, SUBSPACES, DATA (a file of half-precision numbers; without it rows are generated), GROUP, CELLS,
/// CLUSTERED (0: groups are of rows as they come), QUERIES of each kind, ONLY (kinds and modes whose name has this part), COMPARE (0:
/// recall is not computed).
///
/// `cargo test --release --lib how_long_a_search_takes -- --ignored --nocapture`
#[test]
#[ignore = "a benchmark"]
fn how_long_a_search_takes() {
    let number = |name: &str, default: usize| std::env::var(name).map_or(default, |v| v.parse().unwrap());
    let (count, group, cells) = (number("ROWS", 200_000), number("GROUP", 16_384), number("CELLS", 256));
    let layout = Layout::new(number("SUBSPACES", 8), 50, 7).unwrap();
    let rows = match std::env::var("DATA") {
        Ok(path) => read_rows(layout, &path, count),
        Err(_) => clustered(layout, count, 1),
    };
    let known: Vec<Vec<f16>> = rows.iter().step_by(count.div_ceil(4000)).cloned().collect();
    let start = std::time::Instant::now();
    let fixture = match number("CLUSTERED", 1) {
        0 => Fixture::new(layout, rows, cells, group.min(count), 8192),
        _ => {
            let clusters = wanted_clusters(rows.len(), group);
            Fixture::clustered(layout, rows, (cells, clusters), group, 16_384, 50_000)
        }
    };
    println!("build {:.2} s", start.elapsed().as_secs_f64());
    let bytes = f64::from(fixture.meta.end) * 8192.0;
    println!("{:.4} bytes a dimension and row", bytes / (count * layout.dimensions()) as f64);
    let mut noise = Noise(77);
    let mut question = |kind: &str| -> Query {
        let row = |i: usize| EmbeddingRef { layout, values: &known[i % known.len()] };
        let some = noise.below(known.len());
        let near = |k: usize| {
            // The mean of the rows around a row, as in an attribute value's query.
            let target: Vec<f32> = known[some][layout.range(k)].iter().map(|v| v.to_f32()).collect();
            let mut mean = [0f32; 50];
            for other in known.iter().map(|r| &r[layout.range(k)]) {
                if other.iter().zip(&target).map(|(a, b)| a.to_f32() * b).sum::<f32>() > 0.5 {
                    mean.iter_mut().zip(other).for_each(|(m, x)| *m += x.to_f32());
                }
            }
            let norm = mean.iter().map(|x| x * x).sum::<f32>().sqrt();
            mean.iter().map(|x| x / norm * 0.816).collect::<Vec<f32>>()
        };
        match kind {
            "one, like" => Query::like(row(some), &[3]).unwrap(),
            "one, value" => Query::subspace(layout, 3, &near(3)).unwrap(),
            "two, like" => {
                let a = Query::like(row(some), &[3]).unwrap();
                let b = Query::like(row(some + 1), &[6]).unwrap().as_ref().scaled(2.0).unwrap();
                a.as_ref().plus(&b.as_ref()).unwrap()
            }
            "two, value" => {
                let a = Query::subspace(layout, 3, &near(3)).unwrap();
                let b = Query::subspace(layout, 6, &near(6)).unwrap().as_ref().scaled(2.0).unwrap();
                a.as_ref().plus(&b.as_ref()).unwrap()
            }
            "category" => {
                let means: Vec<f32> = (0..layout.subspaces()).flat_map(&near).collect();
                Query::superspace(layout, means).unwrap()
            }
            _ => Query::like(row(some), &(0..layout.subspaces()).collect::<Vec<_>>()).unwrap(),
        }
    };
    let only = std::env::var("ONLY").unwrap_or_default();
    for (kind, mode) in [
        ("one, like", SearchMode::Exact),
        ("one, value", SearchMode::Exact),
        ("two, like", SearchMode::Exact),
        ("two, value", SearchMode::Exact),
        ("category", SearchMode::Exact),
        ("superspace", SearchMode::Exact),
        ("one, like", SearchMode::Recall(0.99)),
        ("one, value", SearchMode::Recall(0.99)),
        ("two, like", SearchMode::Recall(0.99)),
        ("two, value", SearchMode::Recall(0.99)),
        ("category", SearchMode::Recall(0.99)),
        ("superspace", SearchMode::Recall(0.99)),
        ("superspace", SearchMode::Recall(0.9)),
        ("superspace", SearchMode::Candidates(200)),
    ] {
        if !format!("{kind} {mode:?}").contains(&only) {
            continue;
        }
        let queries: Vec<Query> = (0..number("QUERIES", 50)).map(|_| question(kind)).collect();
        let start = processor_time();
        let found: Vec<_> = queries.iter().map(|query| fixture.nearest(query, mode, 10)).collect();
        let time = (processor_time() - start) * 1e3 / queries.len() as f64;
        let (mut right, mut total) = (0, SearchStats::default());
        for (query, (found, stats)) in queries.iter().zip(found) {
            if number("COMPARE", 1) != 0 {
                let (exact, _) = fixture.nearest(query, SearchMode::Exact, 10);
                right += found.iter().filter(|f| f.0 <= exact[9].0).count();
            }
            total.ranked += stats.ranked;
            total.sketched += stats.sketched;
            total.bounded += stats.bounded;
            total.refined += stats.refined;
            total.returned += stats.returned;
        }
        let count = queries.len() as u64;
        println!(
            "{kind:12} {mode:?}: {time:.2} ms, recall {:.3}, ranked {}, sketched {}, bounded {}, refined {}, returned {}",
            right as f64 / (10 * count) as f64,
            total.ranked / count,
            total.sketched / count,
            total.bounded / count,
            total.refined / count,
            total.returned / count
        );
    }
}
