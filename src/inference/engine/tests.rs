//! Which batches run, in what order, and who is told what.

use super::fakes::Adder;
use super::*;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{channel, Receiver};

struct Sent {
    answer: Receiver<Result<Vec<f32>>>,
    cancelled: Arc<AtomicBool>,
}

fn send(engine: &Engine, model: &Arc<Adder>, id: u8, priority: Priority, timeout: Duration) -> Sent {
    let (tx, answer) = channel();
    let cancelled = Arc::new(AtomicBool::new(false));
    engine.submit(Job {
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

fn counter(engine: &Engine, name: &str) -> u64 {
    engine.counters().into_iter().find(|(n, _)| n == name).unwrap().1
}

const LONG: Duration = Duration::from_secs(60);
use Priority::{Bulk, Interactive};

#[test]
fn an_idle_engine_runs_a_request_at_once_and_what_waits_shares_a_batch() {
    let engine = Engine::start(10, 3, || ()).unwrap();
    let (model, nod) = Adder::held();
    let first = send(&engine, &model, 10, Interactive, LONG);
    model.begun(1);
    let rest: Vec<Sent> = (11..15).map(|id| send(&engine, &model, id, Interactive, LONG)).collect();
    (0..3).for_each(|_| nod.send(()).unwrap());
    assert_eq!(first.answer.recv().unwrap().unwrap(), [11.0]);
    for (sent, expected) in rest.iter().zip([12.0, 13.0, 14.0, 15.0]) {
        assert_eq!(sent.answer.recv().unwrap().unwrap(), [expected]);
    }
    assert_eq!(*lock(&model.batches), [vec![10], vec![11, 12, 13], vec![14]]);
    assert_eq!(counter(&engine, "largest_batch"), 3);
    assert_eq!(counter(&engine, "images"), 5);
    assert_eq!(counter(&engine, "decode_microseconds"), 5 * 500);
    let sizes: Vec<_> = engine.batch_sizes().iter().map(|s| (s.size, s.batches, s.images)).collect();
    assert_eq!(sizes, [(1, 2, 2), (4, 1, 3)]);
}

#[test]
fn what_is_being_gathered_goes_before_what_came_later() {
    for _ in 0..200 {
        let engine = Engine::start(10, 3, || ()).unwrap();
        let (model, nod) = Adder::held();
        let plug = send(&engine, &model, 1, Interactive, LONG);
        model.begun(1);
        (0..5).for_each(|_| nod.send(()).unwrap());
        let rest = [2, 3, 4, 5].map(|id| send(&engine, &model, id, Interactive, LONG));
        for sent in rest.iter().chain([&plug]) {
            sent.answer.recv().unwrap().unwrap();
        }
        let order = lock(&model.batches).concat();
        assert!(order.is_sorted(), "{order:?}");
    }
}

#[test]
fn interactive_requests_go_first() {
    let engine = Engine::start(10, 8, || ()).unwrap();
    let (model, nod) = Adder::held();
    let plug = send(&engine, &model, 1, Interactive, LONG);
    model.begun(1);
    let bulk = send(&engine, &model, 2, Bulk, LONG);
    let interactive = send(&engine, &model, 3, Interactive, LONG);
    (0..3).for_each(|_| nod.send(()).unwrap());
    for sent in [plug, bulk, interactive] {
        sent.answer.recv().unwrap().unwrap();
    }
    assert_eq!(*lock(&model.batches), [vec![1], vec![3], vec![2]]);
}

#[test]
fn a_full_batch_is_gathered_while_the_model_works_and_whoever_waits_for_an_answer_passes_it() {
    let engine = Engine::start(10, 2, || ()).unwrap();
    let (model, nod) = Adder::held();
    let plug = send(&engine, &model, 1, Interactive, LONG);
    model.begun(1);
    let bulk = [2, 3].map(|id| send(&engine, &model, id, Bulk, LONG));
    while counter(&engine, "queue_length") > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let interactive = send(&engine, &model, 4, Interactive, LONG);
    (0..3).for_each(|_| nod.send(()).unwrap());
    for sent in [plug, interactive].iter().chain(&bulk) {
        sent.answer.recv().unwrap().unwrap();
    }
    assert_eq!(*lock(&model.batches), [vec![1], vec![4], vec![2, 3]]);
}

#[test]
fn a_model_may_want_its_batches_in_certain_sizes() {
    let engine = Engine::start(10, 8, || ()).unwrap();
    let (model, nod) = Adder::held_in_powers_of_two();
    let plug = send(&engine, &model, 1, Interactive, LONG);
    model.begun(1);
    let rest = [2, 3, 4, 5, 6, 7, 8].map(|id| send(&engine, &model, id, Interactive, LONG));
    (0..4).for_each(|_| nod.send(()).unwrap());
    for sent in rest.iter().chain([&plug]) {
        sent.answer.recv().unwrap().unwrap();
    }
    assert_eq!(*lock(&model.batches), [vec![1], vec![2, 3, 4, 5], vec![6, 7], vec![8]]);
}

#[test]
fn a_full_queue_refuses_with_a_hint() {
    let engine = Engine::start(1, 8, || ()).unwrap();
    let (model, nod) = Adder::held();
    let running = send(&engine, &model, 1, Interactive, LONG);
    model.begun(1);
    let waiting = send(&engine, &model, 2, Interactive, LONG);
    let refused = send(&engine, &model, 3, Interactive, LONG).answer.recv().unwrap().unwrap_err();
    assert_eq!(refused.kind, Kind::Busy);
    assert!(refused.hint.unwrap().contains("coopembed.queue_length"));
    (0..2).for_each(|_| nod.send(()).unwrap());
    assert!(running.answer.recv().unwrap().is_ok() && waiting.answer.recv().unwrap().is_ok());
    assert_eq!(counter(&engine, "refused_queue_full"), 1);
}

#[test]
fn a_request_that_waits_too_long_is_told_so_while_the_model_still_works() {
    let engine = Engine::start(9, 8, || ()).unwrap();
    let (model, nod) = Adder::held();
    let running = send(&engine, &model, 1, Interactive, LONG);
    model.begun(1);
    let patient = send(&engine, &model, 2, Interactive, LONG);
    let hasty = send(&engine, &model, 3, Interactive, Duration::from_millis(20));
    let error = hasty.answer.recv().unwrap().unwrap_err();
    assert_eq!(error.kind, Kind::Busy);
    assert!(error.hint.unwrap().contains("coopembed.queue_timeout"));
    (0..2).for_each(|_| nod.send(()).unwrap());
    assert!(running.answer.recv().unwrap().is_ok() && patient.answer.recv().unwrap().is_ok());
    assert_eq!(*lock(&model.batches), [vec![1], vec![2]]);
    assert_eq!(counter(&engine, "expired_in_queue"), 1);
}

#[test]
fn a_cancelled_request_is_skipped_and_frees_its_place() {
    let engine = Engine::start(1, 8, || ()).unwrap();
    let (model, nod) = Adder::held();
    let running = send(&engine, &model, 1, Interactive, LONG);
    model.begun(1);
    let left = send(&engine, &model, 2, Interactive, LONG);
    left.cancelled.store(true, Relaxed);
    engine.forget_cancelled();
    let next = send(&engine, &model, 3, Interactive, LONG);
    (0..2).for_each(|_| nod.send(()).unwrap());
    assert!(running.answer.recv().unwrap().is_ok() && next.answer.recv().unwrap().is_ok());
    assert!(left.answer.recv().is_err(), "nobody answers a client that left");
    assert_eq!(*lock(&model.batches), [vec![1], vec![3]]);
    assert_eq!(counter(&engine, "cancelled"), 1);
}

#[test]
fn a_failing_or_panicking_model_fails_its_batch_and_the_next_one_runs() {
    let panics = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&panics);
    let engine = Engine::start(9, 8, move || {
        seen.fetch_add(1, Relaxed);
    })
    .unwrap();
    let model = Adder::free();
    let error = |id| send(&engine, &model, id, Interactive, LONG).answer.recv().unwrap().unwrap_err();
    assert_eq!(error(251).message, "refused");
    assert_eq!(error(252).detail.unwrap(), "lost its mind");
    assert!(error(253).message.contains("not finite"));
    assert!(error(254).message.contains("wrong number"));
    assert_eq!(send(&engine, &model, 5, Interactive, LONG).answer.recv().unwrap().unwrap(), [6.0]);
    assert_eq!((panics.load(Relaxed), counter(&engine, "panics"), counter(&engine, "errors")), (1, 1, 4));
}

#[test]
fn a_picture_of_the_wrong_size_never_reaches_the_model() {
    let engine = Engine::start(9, 8, || ()).unwrap();
    let model = Adder::free();
    let (tx, answer) = channel();
    engine.submit(Job {
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
