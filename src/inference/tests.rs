//! Client and server together, over a socket pair, with a fake model.

use super::fake_model::FakeModel;
use super::threads::lock;
use super::wire_protocol::{Reply, Request};
use super::*;
use crate::error::{Error, Kind, Result};
use crate::model::ModelDigest;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{channel, Receiver};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// "Loads" the one model that it was given if the weights are the bytes `good`.
struct FakeLoader {
    model: Arc<FakeModel>,
    loads: Arc<AtomicUsize>,
}

impl LoadModel for FakeLoader {
    fn load(&self, _: &ModelDigest, config: &str, weights: &[u8]) -> Result<Arc<dyn Embedder>> {
        self.loads.fetch_add(1, SeqCst);
        match (config, weights) {
            ("config", b"good") => Ok(Arc::clone(&self.model) as _),
            ("config", b"panic") => panic!("in the loader"),
            _ => Err(Error::new(Kind::InvalidModel, "bad weights").detail("Found bad, expected good.")),
        }
    }
}

struct Setup {
    server: Server,
    loads: Arc<AtomicUsize>,
    end_requests: Receiver<EndRequest>,
}

fn options() -> ServerOptions {
    ServerOptions {
        build: Build::this(10),
        device: "fake".to_owned(),
        queue_length: 100,
        max_batch: 8,
        connections: 100,
        memory_limit: None,
        earlier_processes: EarlierProcesses { replaced: 3, crashed: 1 },
    }
}

fn setup_with(model: Arc<FakeModel>, options: ServerOptions) -> Setup {
    let loads = Arc::new(AtomicUsize::new(0));
    let (tx, end_requests) = channel();
    let loader = FakeLoader { model, loads: Arc::clone(&loads) };
    let server = Server::start(options, loader, move |request| tx.send(request).unwrap_or(())).unwrap();
    Setup { server, loads, end_requests }
}

fn setup(model: Arc<FakeModel>) -> Setup {
    setup_with(model, options())
}

fn connect(server: &Server) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    server.attach(theirs);
    ours
}

fn client(server: &Server) -> Client<UnixStream> {
    match Client::greet(connect(server), &Build::this(10)) {
        Ok(Greeting::Welcome(client)) => client,
        Ok(Greeting::Retry) => panic!("not welcome"),
        Err(e) => panic!("{}", e.report()),
    }
}

fn request(id: u8) -> EmbedRequest {
    EmbedRequest {
        model: ModelDigest([1; 32]),
        priority: Priority::Interactive,
        timeout_ms: 60_000,
        decode_us: 700,
        pixels: vec![id, 1],
    }
}

fn weights(bytes: &'static [u8]) -> impl FnMut() -> Result<(String, Vec<u8>)> {
    move || Ok(("config".to_owned(), bytes.to_vec()))
}

fn not_asked_again() -> Result<(String, Vec<u8>)> {
    panic!("the model was asked for again")
}

fn counter(client: &mut Client<UnixStream>, name: &str) -> u64 {
    match client.status().unwrap() {
        Outcome::Done(status) => status.counters.into_iter().find(|(n, _)| n == name).unwrap().1,
        Outcome::Retry => panic!("the server left"),
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_first_request_sends_the_model_and_later_ones_use_it() {
    let s = setup(FakeModel::free());
    let mut a = client(&s.server);
    assert_eq!(a.embed(&request(4), weights(b"good")).unwrap(), Outcome::Done(vec![5.0]));
    assert_eq!(a.embed(&request(5), not_asked_again).unwrap(), Outcome::Done(vec![6.0]));
    assert_eq!(client(&s.server).embed(&request(6), not_asked_again).unwrap(), Outcome::Done(vec![7.0]));
    assert!(a.is_usable());
    assert_eq!((counter(&mut a, "models"), counter(&mut a, "images")), (1, 3));
}

/// Sends images without waiting, sends the model if asked, and returns the answers by id.
fn pipelined(c: &mut Client<UnixStream>, ids: &[u8]) -> Vec<(u32, Result<Vec<f32>>)> {
    ids.iter().for_each(|id| c.send((*id).into(), &request(*id)).unwrap());
    let mut answers = Vec::new();
    while answers.len() < ids.len() {
        match c.receive().unwrap() {
            Answer::Done(id, values) => answers.push((id, values)),
            Answer::NeedModel => c.send_model("config", b"good").unwrap(),
            Answer::Goodbye => panic!("the server left"),
        }
    }
    answers.sort_by_key(|a| a.0);
    answers
}

#[test]
fn one_connection_has_many_images_under_way_and_each_gets_its_own_answer() {
    let s = setup(FakeModel::free());
    let mut c = client(&s.server);
    assert_eq!(c.max_in_flight(), 16);
    for _ in 0..3 {
        let ids: Vec<u8> = (1..=16).collect();
        let answers = pipelined(&mut c, &ids);
        for (id, (found, values)) in ids.iter().zip(answers) {
            assert_eq!((found, values.unwrap()), (u32::from(*id), vec![f32::from(*id) + 1.0]));
        }
        assert!(c.is_usable());
    }
    assert_eq!(s.loads.load(SeqCst), 1);
}

#[test]
fn images_that_fail_do_not_affect_others_under_way() {
    let s = setup_with(FakeModel::free(), ServerOptions { max_batch: 1, ..options() });
    let mut c = client(&s.server);
    let mut answers = pipelined(&mut c, &[251, 5]);
    assert_eq!(answers.remove(0).1.unwrap(), [6.0]);
    assert_eq!(answers.remove(0).1.unwrap_err().message, "refused");
    assert!(c.is_usable());
}

#[test]
fn a_draining_server_answers_images_that_it_has_begun_and_no_others() {
    let (model, gate) = FakeModel::gated();
    let s = setup_with(Arc::clone(&model), ServerOptions { max_batch: 1, ..options() });
    let mut c = client(&s.server);
    c.send(1, &request(1)).unwrap();
    assert!(matches!(c.receive().unwrap(), Answer::NeedModel));
    c.send_model("config", b"good").unwrap();
    model.wait_for_batches(1);
    assert!(!s.server.drain(Duration::from_millis(1)));
    c.send(2, &request(2)).unwrap();
    // It is read while the first still runs, and not begun.
    std::thread::sleep(Duration::from_millis(50));
    gate.send(()).unwrap();
    assert!(matches!(c.receive().unwrap(), Answer::Done(1, Ok(values)) if values == [2.0]));
    assert!(s.server.drain(Duration::from_secs(30)));
    assert!(matches!(c.receive().unwrap(), Answer::Goodbye));
    assert!(!c.is_usable());
    assert_eq!(lock(&model.batches).len(), 1);
}

#[test]
fn a_client_may_ask_for_a_new_process() {
    let s = setup(FakeModel::free());
    let mut c = client(&s.server);
    assert_eq!(c.restart().unwrap(), Outcome::Done(()));
    assert!(!c.is_usable());
    assert_eq!(s.end_requests.recv().unwrap(), EndRequest::Restart);
}

#[test]
fn a_model_over_the_memory_limit_is_an_error_for_the_client_that_sent_it() {
    let s = setup_with(FakeModel::free(), ServerOptions { memory_limit: Some(50), ..options() });
    let mut c = client(&s.server);
    let error = c.embed(&request(1), weights(b"good")).unwrap_err();
    assert_eq!(error.kind, Kind::LimitExceeded);
    assert!(c.is_usable());
    assert_eq!((counter(&mut c, "models"), counter(&mut c, "memory_limit")), (0, 50));
}

#[test]
fn the_status_tells_the_device_and_how_earlier_processes_ended() {
    let s = setup(FakeModel::free());
    let mut c = client(&s.server);
    c.embed(&request(4), weights(b"good")).unwrap();
    let Outcome::Done(status) = c.status().unwrap() else { panic!("the server left") };
    assert_eq!(status.device, "fake");
    assert_eq!(status.batch_sizes, [BatchSizeBucket { size: 1, batches: 1, images: 1 }]);
    assert_eq!((counter(&mut c, "restarts"), counter(&mut c, "crashes")), (3, 1));
    assert_eq!(counter(&mut c, "decode_microseconds"), 700);
}

#[test]
fn twenty_cold_clients_load_the_model_once() {
    let s = setup(FakeModel::free());
    let threads: Vec<_> = (0..20)
        .map(|id| {
            let mut c = client(&s.server);
            std::thread::spawn(move || c.embed(&request(id), weights(b"good")).unwrap())
        })
        .collect();
    for (id, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), Outcome::Done(vec![id as f32 + 1.0]));
    }
    assert_eq!(s.loads.load(SeqCst), 1);
}

#[test]
fn a_bad_model_is_an_error_for_its_sender_and_the_next_client_may_send_a_good_one() {
    let s = setup(FakeModel::free());
    let mut c = client(&s.server);
    let error = c.embed(&request(1), weights(b"bad")).unwrap_err();
    assert_eq!(
        (error.kind, error.detail.as_deref()),
        (Kind::InvalidModel, Some("Found bad, expected good."))
    );
    assert!(c.is_usable(), "an error is a whole answer");
    assert_eq!(c.embed(&request(1), weights(b"good")).unwrap(), Outcome::Done(vec![2.0]));
}

#[test]
fn a_loader_that_panics_is_an_error_and_ends_the_process() {
    let s = setup(FakeModel::free());
    let error = client(&s.server).embed(&request(1), weights(b"panic")).unwrap_err();
    assert_eq!(error.detail.as_deref(), Some("in the loader"));
    assert_eq!(s.end_requests.recv().unwrap(), EndRequest::Broken);
}

#[test]
fn when_a_client_fails_to_send_the_model_the_next_is_asked_for_it() {
    let s = setup(FakeModel::free());
    let mut first = client(&s.server);
    let gone = first.embed(&request(1), || Err(Error::new(Kind::UnknownName, "row vanished")));
    assert_eq!(gone.unwrap_err().message, "row vanished");
    assert!(!first.is_usable(), "the server still waits for weights on this connection");
    drop(first);
    assert_eq!(client(&s.server).embed(&request(1), weights(b"good")).unwrap(), Outcome::Done(vec![2.0]));
}

#[test]
fn a_client_that_disconnects_makes_room_in_the_queue() {
    let (model, gate) = FakeModel::gated();
    let s = setup_with(Arc::clone(&model), ServerOptions { queue_length: 1, ..options() });
    let running = {
        let mut c = client(&s.server);
        std::thread::spawn(move || c.embed(&request(1), weights(b"good")).unwrap())
    };
    model.wait_for_batches(1);
    let mut watcher = client(&s.server);
    let left = connect(&s.server);
    let hello = Request::Hello(Build::this(10)).encode();
    (&left).write_all(&[hello, Request::Embed(0, request(2)).encode()].concat()).unwrap();
    eventually("queued", || counter(&mut watcher, "queue_length") == 1);
    let refused = client(&s.server).embed(&request(3), not_asked_again).unwrap_err();
    assert_eq!(refused.kind, Kind::Busy);
    drop(left);
    eventually("cancelled", || counter(&mut watcher, "cancelled") == 1);
    assert_eq!(counter(&mut watcher, "queue_length"), 0);
    gate.send(()).unwrap();
    assert_eq!(running.join().unwrap(), Outcome::Done(vec![2.0]));
}

#[test]
fn a_model_that_panics_is_an_error_and_ends_the_process() {
    let s = setup(FakeModel::free());
    let mut c = client(&s.server);
    let error = c.embed(&request(252), weights(b"good")).unwrap_err();
    assert_eq!((error.kind, error.detail.as_deref()), (Kind::Internal, Some("the fake model panics")));
    assert_eq!(s.end_requests.recv().unwrap(), EndRequest::Broken);
    assert_eq!(c.embed(&request(3), not_asked_again).unwrap(), Outcome::Done(vec![4.0]));
}

#[test]
fn a_server_that_vanishes_is_a_clear_error() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&Reply::Welcome { in_flight: 2 }.encode()).unwrap();
    let Ok(Greeting::Welcome(mut c)) = Client::greet(ours, &Build::this(10)) else { panic!("not welcome") };
    drop(theirs);
    let error = c.embed(&request(1), not_asked_again).unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.hint.unwrap().starts_with("Run the statement again"));
    assert!(!c.is_usable());
}

#[test]
fn a_server_that_vanishes_before_its_welcome_is_tried_again() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    assert!(matches!(Client::greet(ours, &Build::this(10)), Ok(Greeting::Retry)));
}

#[test]
fn draining_answers_running_images_and_has_others_retried() {
    let (model, gate) = FakeModel::gated();
    let s = setup(Arc::clone(&model));
    let mut idle = client(&s.server);
    let mut busy = client(&s.server);
    let running = std::thread::spawn(move || {
        let answer = busy.embed(&request(1), weights(b"good")).unwrap();
        (answer, busy.embed(&request(2), not_asked_again).unwrap())
    });
    model.wait_for_batches(1);
    assert!(!s.server.drain(Duration::from_millis(30)), "a request is under way");
    assert_eq!(idle.embed(&request(3), not_asked_again).unwrap(), Outcome::Retry);
    assert!(matches!(Client::greet(connect(&s.server), &Build::this(10)), Ok(Greeting::Retry)));
    gate.send(()).unwrap();
    assert_eq!(running.join().unwrap(), (Outcome::Done(vec![2.0]), Outcome::Retry));
    assert!(s.server.drain(Duration::from_secs(30)));
}

#[test]
fn a_newer_client_has_the_server_replaced_and_an_older_incompatible_one_is_told_to_reconnect() {
    let s = setup(FakeModel::free());
    assert!(matches!(Client::greet(connect(&s.server), &Build::this(11)), Ok(Greeting::Retry)));
    assert_eq!(s.end_requests.recv().unwrap(), EndRequest::NewerClient);
    let older = Build { protocol: PROTOCOL_VERSION + 1, ..Build::this(9) };
    let Err(error) = Client::greet(connect(&s.server), &older) else { panic!("expected an error") };
    assert_eq!(error.kind, Kind::Unsupported);
    assert!(error.hint.unwrap().starts_with("Reconnect"));
    assert!(matches!(Client::greet(connect(&s.server), &Build::this(9)), Ok(Greeting::Welcome(_))));
}

#[test]
fn one_connection_too_many_is_refused() {
    let s = setup_with(FakeModel::free(), ServerOptions { connections: 1, ..options() });
    let mut first = client(&s.server);
    assert_eq!(counter(&mut first, "connections"), 1);
    let Err(error) = Client::greet(connect(&s.server), &Build::this(10)) else { panic!("expected an error") };
    assert_eq!(error.kind, Kind::Busy);
}

#[test]
fn malformed_bytes_do_not_harm_the_server() {
    let s = setup(FakeModel::free());
    let hello = Request::Hello(Build::this(10)).encode();
    let load = Request::Load { config: "config".into(), weights: b"good".to_vec() }.encode();
    let embed = Request::Embed(0, request(1)).encode();
    let mut short = request(1);
    short.pixels.clear();
    let endings: [&[u8]; 8] = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        &[b'E', 0xff, 0xff, 0xff, 0xff],
        &[b'L', 0xff, 0xff, 0xff, 0xff, 1, 2, 3],
        &[b'L', 0, 0, 0, 0x20, 1, 2, 3],
        &load,
        &hello,
        &embed.repeat(17),
    ];
    for ending in endings {
        for greeting in [&[], hello.as_slice()] {
            let mut stream = connect(&s.server);
            // The server may hang up before it has read everything.
            let _ = stream.write_all(&[greeting, ending].concat());
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    let mut c = client(&s.server);
    assert_eq!(c.embed(&request(4), weights(b"good")).unwrap(), Outcome::Done(vec![5.0]));
    assert_eq!(c.embed(&short, not_asked_again).unwrap_err().kind, Kind::Mismatch);
    eventually("all closed", || counter(&mut c, "connections") == 1);
}

#[test]
fn a_socket_serves_until_drained() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let s = setup(FakeModel::free());
    let server = s.server.clone();
    let accept = std::thread::spawn(move || server.accept(&listener));
    let stream = UnixStream::connect(&path).unwrap();
    let Ok(Greeting::Welcome(mut c)) = Client::greet(stream, &Build::this(10)) else { panic!("not welcome") };
    assert_eq!(c.embed(&request(4), weights(b"good")).unwrap(), Outcome::Done(vec![5.0]));
    assert!(s.server.drain(Duration::from_secs(30)));
    let late = UnixStream::connect(&path).unwrap();
    assert!(matches!(Client::greet(late, &Build::this(10)), Ok(Greeting::Retry)));
    accept.join().unwrap();
}
