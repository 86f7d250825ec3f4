//! Which batches run, in which order, and which answers the jobs get.

use super::*;
use crate::inference::fake_model::FakeModel;
use crate::model::ModelDigest;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::{channel, Receiver};

struct Sent {
    answer: Receiver<Result<Vec<f32>>>,
    cancelled: Arc<AtomicBool>,
}

fn send(batcher: &Batcher, model: &Arc<FakeModel>, id: u8, priority: Priority, timeout: Duration) -> Sent {
    let (tx, answer) = channel();
    let cancelled = Arc::new(AtomicBool::new(false));
    batcher.submit(Job {
        digest: ModelDigest([Arc::as_ptr(model) as usize as u8; 32]),
        embedder: Arc::clone(model) as _,
        pixels: vec![id, 1],
        decode: Duration::from_micros(500),
        priority,
        since: Instant::now(),
        deadline: Instant::now() + timeout,
        cancelled: Arc::clone(&cancelled),
        reply: Box::new(move |answer| tx.send(answer).unwrap_or(())),
    });
    Sent { answer, cancelled }
}

fn counter(batcher: &Batcher, name: &str) -> u64 {
    batcher.counters().into_iter().find(|(n, _)| n == name).unwrap().1
}

const LONG: Duration = Duration::from_secs(60);
use Priority::{Bulk, Interactive};

#[test]
fn an_idle_batcher_runs_a_job_at_once_and_waiting_jobs_share_a_batch() {
    let batcher = Batcher::start(10, 3, || ()).unwrap();
    let (model, gate) = FakeModel::gated();
    let first = send(&batcher, &model, 10, Interactive, LONG);
    model.wait_for_batches(1);
    let rest: Vec<Sent> = (11..15).map(|id| send(&batcher, &model, id, Interactive, LONG)).collect();
    (0..3).for_each(|_| gate.send(()).unwrap());
    assert_eq!(first.answer.recv().unwrap().unwrap(), [11.0]);
    for (sent, expected) in rest.iter().zip([12.0, 13.0, 14.0, 15.0]) {
        assert_eq!(sent.answer.recv().unwrap().unwrap(), [expected]);
    }
    assert_eq!(*lock(&model.batches), [vec![10], vec![11, 12, 13], vec![14]]);
    assert_eq!(counter(&batcher, "largest_batch"), 3);
    assert_eq!(counter(&batcher, "images"), 5);
    assert_eq!(counter(&batcher, "decode_microseconds"), 5 * 500);
    let sizes: Vec<_> = batcher.batch_sizes().iter().map(|s| (s.size, s.batches, s.images)).collect();
    assert_eq!(sizes, [(1, 2, 2), (4, 1, 3)]);
}

#[test]
fn a_batch_being_gathered_runs_before_jobs_that_came_later() {
    for _ in 0..200 {
        let batcher = Batcher::start(10, 3, || ()).unwrap();
        let (model, gate) = FakeModel::gated();
        let running = send(&batcher, &model, 1, Interactive, LONG);
        model.wait_for_batches(1);
        (0..5).for_each(|_| gate.send(()).unwrap());
        let rest = [2, 3, 4, 5].map(|id| send(&batcher, &model, id, Interactive, LONG));
        for sent in rest.iter().chain([&running]) {
            sent.answer.recv().unwrap().unwrap();
        }
        let order = lock(&model.batches).concat();
        assert!(order.is_sorted(), "{order:?}");
    }
}

#[test]
fn interactive_jobs_go_first() {
    let batcher = Batcher::start(10, 8, || ()).unwrap();
    let (model, gate) = FakeModel::gated();
    let running = send(&batcher, &model, 1, Interactive, LONG);
    model.wait_for_batches(1);
    let bulk = send(&batcher, &model, 2, Bulk, LONG);
    let interactive = send(&batcher, &model, 3, Interactive, LONG);
    (0..3).for_each(|_| gate.send(()).unwrap());
    for sent in [running, bulk, interactive] {
        sent.answer.recv().unwrap().unwrap();
    }
    assert_eq!(*lock(&model.batches), [vec![1], vec![3], vec![2]]);
}

#[test]
fn interactive_jobs_overtake_a_bulk_batch_that_is_already_gathered() {
    let batcher = Batcher::start(10, 2, || ()).unwrap();
    let (model, gate) = FakeModel::gated();
    let running = send(&batcher, &model, 1, Interactive, LONG);
    model.wait_for_batches(1);
    let bulk = [2, 3].map(|id| send(&batcher, &model, id, Bulk, LONG));
    while counter(&batcher, "queue_length") > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let interactive = send(&batcher, &model, 4, Interactive, LONG);
    (0..3).for_each(|_| gate.send(()).unwrap());
    for sent in [running, interactive].iter().chain(&bulk) {
        sent.answer.recv().unwrap().unwrap();
    }
    assert_eq!(*lock(&model.batches), [vec![1], vec![4], vec![2, 3]]);
}

#[test]
fn a_model_may_prefer_certain_batch_sizes() {
    let batcher = Batcher::start(10, 8, || ()).unwrap();
    let (model, gate) = FakeModel::gated_with_powers_of_two();
    let running = send(&batcher, &model, 1, Interactive, LONG);
    model.wait_for_batches(1);
    let rest = [2, 3, 4, 5, 6, 7, 8].map(|id| send(&batcher, &model, id, Interactive, LONG));
    (0..4).for_each(|_| gate.send(()).unwrap());
    for sent in rest.iter().chain([&running]) {
        sent.answer.recv().unwrap().unwrap();
    }
    assert_eq!(*lock(&model.batches), [vec![1], vec![2, 3, 4, 5], vec![6, 7], vec![8]]);
}

#[test]
fn a_full_queue_refuses_with_a_hint() {
    let batcher = Batcher::start(1, 8, || ()).unwrap();
    let (model, gate) = FakeModel::gated();
    let running = send(&batcher, &model, 1, Interactive, LONG);
    model.wait_for_batches(1);
    let waiting = send(&batcher, &model, 2, Interactive, LONG);
    let refused = send(&batcher, &model, 3, Interactive, LONG).answer.recv().unwrap().unwrap_err();
    assert_eq!(refused.kind, Kind::Busy);
    assert!(refused.hint.unwrap().contains("coopembed.queue_length"));
    (0..2).for_each(|_| gate.send(()).unwrap());
    assert!(running.answer.recv().unwrap().is_ok() && waiting.answer.recv().unwrap().is_ok());
    assert_eq!(counter(&batcher, "refused_queue_full"), 1);
}

#[test]
fn a_job_times_out_while_the_model_still_works() {
    let batcher = Batcher::start(9, 8, || ()).unwrap();
    let (model, gate) = FakeModel::gated();
    let running = send(&batcher, &model, 1, Interactive, LONG);
    model.wait_for_batches(1);
    let patient = send(&batcher, &model, 2, Interactive, LONG);
    let hasty = send(&batcher, &model, 3, Interactive, Duration::from_millis(20));
    let error = hasty.answer.recv().unwrap().unwrap_err();
    assert_eq!(error.kind, Kind::Busy);
    assert!(error.hint.unwrap().contains("coopembed.queue_timeout"));
    (0..2).for_each(|_| gate.send(()).unwrap());
    assert!(running.answer.recv().unwrap().is_ok() && patient.answer.recv().unwrap().is_ok());
    assert_eq!(*lock(&model.batches), [vec![1], vec![2]]);
    assert_eq!(counter(&batcher, "expired_in_queue"), 1);
}

#[test]
fn a_cancelled_job_is_skipped_and_makes_room_in_the_queue() {
    let batcher = Batcher::start(1, 8, || ()).unwrap();
    let (model, gate) = FakeModel::gated();
    let running = send(&batcher, &model, 1, Interactive, LONG);
    model.wait_for_batches(1);
    let left = send(&batcher, &model, 2, Interactive, LONG);
    left.cancelled.store(true, Relaxed);
    batcher.remove_cancelled();
    let next = send(&batcher, &model, 3, Interactive, LONG);
    (0..2).for_each(|_| gate.send(()).unwrap());
    assert!(running.answer.recv().unwrap().is_ok() && next.answer.recv().unwrap().is_ok());
    assert!(left.answer.recv().is_err(), "nobody answers a client that left");
    assert_eq!(*lock(&model.batches), [vec![1], vec![3]]);
    assert_eq!(counter(&batcher, "cancelled"), 1);
}

#[test]
fn a_failing_or_panicking_model_fails_its_batch_and_the_next_one_runs() {
    let panics = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&panics);
    let batcher = Batcher::start(9, 8, move || {
        seen.fetch_add(1, Relaxed);
    })
    .unwrap();
    let model = FakeModel::free();
    let error = |id| send(&batcher, &model, id, Interactive, LONG).answer.recv().unwrap().unwrap_err();
    assert_eq!(error(251).message, "refused");
    assert_eq!(error(252).detail.unwrap(), "the fake model panics");
    assert!(error(253).message.contains("not finite"));
    assert!(error(254).message.contains("wrong number"));
    assert_eq!(send(&batcher, &model, 5, Interactive, LONG).answer.recv().unwrap().unwrap(), [6.0]);
    assert_eq!((panics.load(Relaxed), counter(&batcher, "panics"), counter(&batcher, "errors")), (1, 1, 4));
}

#[test]
fn an_image_of_the_wrong_size_never_reaches_the_model() {
    let batcher = Batcher::start(9, 8, || ()).unwrap();
    let model = FakeModel::free();
    let (tx, answer) = channel();
    batcher.submit(Job {
        digest: ModelDigest([0; 32]),
        embedder: Arc::clone(&model) as _,
        pixels: vec![1, 2, 3],
        decode: Duration::ZERO,
        priority: Interactive,
        since: Instant::now(),
        deadline: Instant::now() + LONG,
        cancelled: Arc::default(),
        reply: Box::new(move |answer| tx.send(answer).unwrap()),
    });
    assert_eq!(answer.recv().unwrap().unwrap_err().kind, Kind::Mismatch);
    assert!(lock(&model.batches).is_empty());
}
