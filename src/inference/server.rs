//! One thread per connection reads requests; whoever has an answer writes it.
//!
//! The reader goes on reading while its requests are in the engine, so it sees a client leave (cancel, timeout, crash) at
//! once and takes them out of the queue.

use super::counters::Status;
use super::engine::{panic_text, Embedder, Engine, Job};
use super::lock;
use super::registry::{Acquired, Lease, Loader, Registry};
use super::wire::{Build, EmbedRequest, Reply, Request};
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A connection that says nothing for this long is closed; its client opens a new one when it needs one.
const IDLE: Duration = Duration::from_secs(60);
/// A frame that began must go on.
const STALL: Duration = Duration::from_secs(60);
/// Answers fit into the socket's buffer, because clients keep few under way; one that blocks it is not reading.
const WRITE: Duration = Duration::from_secs(1);
/// Model loading needs the most stack, and less than this.
const STACK: usize = 2 << 20;

/// What the process around the server must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A client runs a newer build of the library: end, so that a process of that build takes over.
    NewerClient,
    /// Model code panicked, and its thread pools may be unusable, or its device is lost: start afresh.
    Broken,
    /// A client asked for a new process.
    Restart,
}

/// How the processes before this one ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Processes that were replaced: new settings, or somebody asked for it.
    pub replaced: u64,
    /// Processes that ended in another way.
    pub crashed: u64,
}

/// What a server may use.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Options {
    /// This process's library.
    pub build: Build,
    /// What computes, for the statistics: "cpu", or an accelerator's name.
    pub device: String,
    /// Most requests that wait.
    pub queue_length: usize,
    /// Most pictures in one batch.
    pub max_batch: usize,
    /// Most open connections.
    pub connections: usize,
    /// Most bytes of all models in memory; `None` is no limit.
    pub memory_limit: Option<u64>,
    /// For the statistics.
    pub past: Past,
}

struct Shared {
    options: Options,
    engine: Engine,
    registry: Arc<Registry>,
    loader: Box<dyn Loader>,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    next_id: AtomicU64,
    draining: AtomicBool,
    notice: Arc<dyn Fn(Notice) + Send + Sync>,
    started: SystemTime,
}

/// The service's whole inside: connections, engine, models.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

impl Server {
    /// Starts the engine. `notice` is called from the server's threads.
    ///
    /// # Errors
    /// [`Kind::Io`] if the system gives no thread.
    pub fn start(
        options: Options,
        loader: impl Loader,
        notice: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<Self> {
        let notice: Arc<dyn Fn(Notice) + Send + Sync> = Arc::new(notice);
        let on_broken = Arc::clone(&notice);
        let engine =
            Engine::start(options.queue_length, options.max_batch, move || on_broken(Notice::Broken))?;
        Ok(Self(Arc::new(Shared {
            engine,
            registry: Registry::new(options.memory_limit),
            loader: Box::new(loader),
            connections: Mutex::default(),
            next_id: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            notice,
            started: SystemTime::now(),
            options,
        })))
    }

    /// Accepts connections until [`Server::drain`].
    pub fn accept(&self, listener: &UnixListener) {
        while !self.0.draining.load(SeqCst) {
            match listener.accept() {
                Ok((stream, _)) => self.attach(stream),
                // Out of descriptors or memory: what frees them is time.
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Serves one connection on a thread of its own. A client that is dropped before `Welcome` tries again.
    pub fn attach(&self, stream: UnixStream) {
        let shared = Arc::clone(&self.0);
        if lock(&shared.connections).len() >= shared.options.connections {
            return refuse(stream);
        }
        let serve = move || {
            let id = shared.next_id.fetch_add(1, SeqCst);
            let Ok(connection) = Connection::new(&stream, shared.in_flight()) else { return };
            let connection = Arc::new(connection);
            lock(&shared.connections).insert(id, Arc::clone(&connection));
            // Anything wrong with the connection ends it, and the client sees that.
            let _ = shared.converse(&connection, stream);
            connection.close();
            shared.engine.forget_cancelled();
            lock(&shared.connections).remove(&id);
        };
        // Without a thread the stream is dropped.
        let _ = std::thread::Builder::new().name("connection".to_owned()).stack_size(STACK).spawn(serve);
    }

    /// Takes no more requests, tells every idle client to connect anew and waits until the others have their answers,
    /// `patience` at most. Whether all have.
    pub fn drain(&self, patience: Duration) -> bool {
        self.0.draining.store(true, SeqCst);
        let end = Instant::now() + patience;
        loop {
            let busy = lock(&self.0.connections).values().filter(|c| c.say_goodbye_if_idle()).count();
            if busy == 0 || Instant::now() > end {
                return busy == 0;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Answers a client that is one too many.
fn refuse(mut stream: UnixStream) {
    let error = Error::new(Kind::Busy, "the inference service has no free connection")
        .hint("Run the statement again later.");
    let _ = stream.set_write_timeout(Some(WRITE));
    let _ = stream.write_all(&Reply::Error(error).encode());
}

/// What the reader and the writers of one connection share.
struct Connection {
    writer: Mutex<Writer>,
    /// Set when the client left.
    cancelled: Arc<AtomicBool>,
    /// Most requests under way.
    most: u32,
}

struct Writer {
    stream: UnixStream,
    /// Requests under way.
    in_flight: u32,
}

impl Connection {
    fn new(stream: &UnixStream, most: u32) -> std::io::Result<Self> {
        stream.set_write_timeout(Some(WRITE))?;
        let writer = Mutex::new(Writer { stream: stream.try_clone()?, in_flight: 0 });
        Ok(Self { writer, cancelled: Arc::default(), most })
    }

    /// Marks a request as under way; whether there may be one more.
    fn begin(&self) -> bool {
        let mut writer = lock(&self.writer);
        let fits = writer.in_flight < self.most;
        writer.in_flight += u32::from(fits);
        fits
    }

    /// Takes back a [`Connection::begin`].
    fn withdraw(&self) {
        lock(&self.writer).in_flight -= 1;
    }

    fn is_busy(&self) -> bool {
        lock(&self.writer).in_flight > 0
    }

    /// Sends something that is not the end of a request.
    fn send(&self, reply: &Reply) -> std::io::Result<()> {
        lock(&self.writer).stream.write_all(&reply.encode())
    }

    /// Sends the answer to a request under way.
    fn answer(&self, id: u32, answer: Result<Vec<f32>>) {
        let reply = answer.map_or_else(|e| Reply::Failed(id, e), |values| Reply::Embedding(id, values));
        let mut writer = lock(&self.writer);
        writer.in_flight -= 1;
        if writer.stream.write_all(&reply.encode()).is_err() {
            let _ = writer.stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Ends the connection unless a request is under way; whether one is.
    fn say_goodbye_if_idle(&self) -> bool {
        let mut writer = lock(&self.writer);
        let busy = writer.in_flight > 0;
        if !busy {
            let _ = writer.stream.write_all(&Reply::Goodbye.encode());
            let _ = writer.stream.shutdown(std::net::Shutdown::Both);
        }
        busy
    }

    fn close(&self) {
        self.cancelled.store(true, SeqCst);
        let _ = lock(&self.writer).stream.shutdown(std::net::Shutdown::Both);
    }
}

/// A `Load` that the client owes, and the request it answers.
struct Owed {
    lease: Lease,
    id: u32,
    request: EmbedRequest,
}

impl Shared {
    /// Most requests that one connection may have under way: a batch that runs, and one that waits.
    fn in_flight(&self) -> u32 {
        u32::try_from(self.options.max_batch * 2).unwrap_or(u32::MAX).max(2)
    }

    /// Reads and handles requests until the connection ends.
    fn converse(&self, connection: &Arc<Connection>, mut stream: UnixStream) -> std::io::Result<()> {
        if !self.greet(connection, &mut stream)? {
            return Ok(());
        }
        let mut owed = None;
        // What came while a model is owed.
        let mut later = VecDeque::new();
        while let Some(request) = next_request(connection, &mut stream)? {
            match (request, owed.take()) {
                (Request::Embed(id, request), owes) if connection.begin() => {
                    owed = owes;
                    // After `begin`, so that a drain either finds the request under way or is seen here.
                    if self.draining.load(SeqCst) {
                        connection.withdraw();
                        // What it has begun on is answered first, and its goodbye is then the drain's.
                        if !connection.say_goodbye_if_idle() {
                            return Ok(());
                        }
                        continue;
                    }
                    later.push_back((id, request));
                }
                (Request::Load { config, weights }, Some(owed)) => {
                    self.load(connection, owed, &config, &weights);
                }
                (Request::Status, None) if !connection.is_busy() => {
                    connection.send(&Reply::Status(self.status()))?;
                }
                (Request::Restart, None) if !connection.is_busy() => {
                    (self.notice)(Notice::Restart);
                    connection.say_goodbye_if_idle();
                    return Ok(());
                }
                // More requests than were agreed on, a load that nobody asked for: not our client.
                _ => return Ok(()),
            }
            while owed.is_none() {
                let Some((id, request)) = later.pop_front() else { break };
                owed = self.embed(connection, id, request);
            }
        }
        Ok(())
    }

    /// Agrees on the build, or says why not.
    fn greet(&self, connection: &Connection, stream: &mut UnixStream) -> std::io::Result<bool> {
        let Some(Request::Hello(client)) = next_request(connection, stream)? else { return Ok(false) };
        let ours = &self.options.build;
        let reply = if self.draining.load(SeqCst) {
            Reply::Goodbye
        } else if ours.serves(&client) {
            Reply::Welcome { in_flight: self.in_flight() }
        } else if client.installed > ours.installed {
            (self.notice)(Notice::NewerClient);
            Reply::Goodbye
        } else {
            Reply::Error(
                Error::new(
                    Kind::Unsupported,
                    "this session runs an older coopembed than the inference service",
                )
                .detail(format!(
                    "The session loaded version {}; the service is {}.",
                    client.version, ours.version
                ))
                .hint("Connect anew; if the library is preloaded, restart the server."),
            )
        };
        connection.send(&reply)?;
        Ok(matches!(reply, Reply::Welcome { .. }))
    }

    /// Queues a request, or asks for its model.
    fn embed(&self, connection: &Arc<Connection>, id: u32, request: EmbedRequest) -> Option<Owed> {
        let deadline = Instant::now() + Duration::from_millis(request.timeout_ms.into());
        match self.registry.acquire(request.model, deadline) {
            Ok(Acquired::Ready(embedder)) => {
                self.submit(connection, id, request, embedder);
                None
            }
            Ok(Acquired::Load(lease)) => {
                // If this fails, the reader finds the connection ended and drops the lease.
                let _ = connection.send(&Reply::NeedModel);
                Some(Owed { lease, id, request })
            }
            Err(error) => {
                connection.answer(id, Err(error));
                None
            }
        }
    }

    /// Builds the model that was asked for and goes on with the request that needed it.
    fn load(&self, connection: &Arc<Connection>, owed: Owed, config: &str, weights: &[u8]) {
        let Owed { lease, id, request } = owed;
        let built = catch_unwind(AssertUnwindSafe(|| self.loader.load(lease.digest(), config, weights)));
        let built = built.unwrap_or_else(|panic| {
            (self.notice)(Notice::Broken);
            Err(Error::new(Kind::Internal, "loading the model failed unexpectedly")
                .detail(panic_text(&*panic)))
        });
        match built.and_then(|embedder| lease.fulfil(Arc::clone(&embedder)).map(|()| embedder)) {
            Ok(embedder) => self.submit(connection, id, request, embedder),
            Err(error) => connection.answer(id, Err(error)),
        }
    }

    fn submit(
        &self,
        connection: &Arc<Connection>,
        id: u32,
        request: EmbedRequest,
        embedder: Arc<dyn Embedder>,
    ) {
        let connection = Arc::clone(connection);
        let since = Instant::now();
        self.engine.submit(Job {
            digest: request.model,
            embedder,
            pixels: request.pixels,
            decode: Duration::from_micros(request.decode_us.into()),
            priority: request.priority,
            since,
            deadline: since + Duration::from_millis(request.timeout_ms.into()),
            cancelled: Arc::clone(&connection.cancelled),
            reply: Box::new(move |answer| connection.answer(id, answer)),
        });
    }

    fn status(&self) -> Status {
        let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let named = |name: &str, value| (name.to_owned(), value);
        let mut counters = vec![
            named("supervisor_pid", std::os::unix::process::parent_id().into()),
            named("model_process_pid", std::process::id().into()),
            named("started_at", since(self.started).as_secs()),
            named("uptime_seconds", self.started.elapsed().unwrap_or_default().as_secs()),
            named("restarts", self.options.past.replaced),
            named("crashes", self.options.past.crashed),
            named("connections", lock(&self.connections).len() as u64),
        ];
        counters.extend(self.engine.counters());
        counters.extend(self.registry.counters());
        Status { device: self.options.device.clone(), counters, batch_sizes: self.engine.batch_sizes() }
    }
}

/// The next request; `None` when the client left, or was idle for long and was told so.
fn next_request(connection: &Connection, stream: &mut UnixStream) -> std::io::Result<Option<Request>> {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    let mut tag = [0];
    stream.set_read_timeout(Some(IDLE))?;
    loop {
        match stream.read(&mut tag) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(e) if e.kind() == Interrupted => {}
            Err(e) if matches!(e.kind(), WouldBlock | TimedOut) => {
                if !connection.say_goodbye_if_idle() {
                    return Ok(None);
                }
            }
            Err(e) => return Err(e),
        }
    }
    stream.set_read_timeout(Some(STALL))?;
    Request::read(tag[0], stream).map(Some)
}
