//! One thread per connection reads requests; whoever has an answer writes it.
//!
//! The reader goes on reading while its request is in the engine, so it sees a client leave (cancel, timeout, crash) at
//! once and takes the request out of the queue.

use super::engine::{panic_text, Embedder, Engine, Job};
use super::lock;
use super::protocol::{Build, EmbedRequest, Reply, Request};
use super::registry::{Acquired, Lease, Loader, ModelLimits, Registry};
use crate::error::{Error, Kind, Result};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A connection that says nothing for this long is closed; its client opens a new one when it needs one.
const IDLE: Duration = Duration::from_secs(60);
/// A frame that began must go on.
const STALL: Duration = Duration::from_secs(60);
/// An answer fits into the socket's buffer; a client that blocks it is not reading.
const WRITE: Duration = Duration::from_secs(1);
/// Model loading needs the most stack, and less than this.
const STACK: usize = 2 << 20;

/// What the process around the server must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A client runs a newer build of the library: end, so that a process of that build takes over.
    NewerClient,
    /// Model code panicked; its thread pools may be unusable: start afresh.
    Panicked,
}

/// What a server may use.
#[derive(Debug, Clone)]
pub struct Options {
    /// This process's library.
    pub build: Build,
    /// Most requests that wait.
    pub queue_length: usize,
    /// Most pictures in one batch.
    pub max_batch: usize,
    /// Most open connections.
    pub connections: usize,
    /// Most models in memory.
    pub models: ModelLimits,
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
    started: Instant,
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
        let on_panic = Arc::clone(&notice);
        let engine =
            Engine::start(options.queue_length, options.max_batch, move || on_panic(Notice::Panicked))?;
        Ok(Self(Arc::new(Shared {
            engine,
            registry: Registry::new(options.models),
            loader: Box::new(loader),
            connections: Mutex::default(),
            next_id: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            notice,
            started: Instant::now(),
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
            let Ok(connection) = Connection::new(&stream) else { return };
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
}

struct Writer {
    stream: UnixStream,
    /// The request under way; set as cancelled when its client leaves.
    current: Option<Arc<AtomicBool>>,
}

impl Connection {
    fn new(stream: &UnixStream) -> std::io::Result<Self> {
        stream.set_write_timeout(Some(WRITE))?;
        Ok(Self { writer: Mutex::new(Writer { stream: stream.try_clone()?, current: None }) })
    }

    /// Marks a request as under way, or says that there is one already.
    fn begin(&self) -> Option<Arc<AtomicBool>> {
        let mut writer = lock(&self.writer);
        if writer.current.is_some() {
            return None;
        }
        let cancelled = Arc::new(AtomicBool::new(false));
        writer.current = Some(Arc::clone(&cancelled));
        Some(cancelled)
    }

    fn is_busy(&self) -> bool {
        lock(&self.writer).current.is_some()
    }

    /// Sends something that is not the end of a request.
    fn send(&self, reply: &Reply) -> std::io::Result<()> {
        lock(&self.writer).stream.write_all(&reply.encode())
    }

    /// Sends the answer to the request under way.
    fn answer(&self, reply: &Reply) {
        let mut writer = lock(&self.writer);
        writer.current = None;
        if writer.stream.write_all(&reply.encode()).is_err() {
            let _ = writer.stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Ends the connection unless a request is under way; whether one is.
    fn say_goodbye_if_idle(&self) -> bool {
        let mut writer = lock(&self.writer);
        if writer.current.is_none() {
            let _ = writer.stream.write_all(&Reply::Goodbye.encode());
            let _ = writer.stream.shutdown(std::net::Shutdown::Both);
        }
        writer.current.is_some()
    }

    fn close(&self) {
        let mut writer = lock(&self.writer);
        if let Some(cancelled) = writer.current.take() {
            cancelled.store(true, SeqCst);
        }
        let _ = writer.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// A `Load` that the client owes, and the request it answers.
struct Owed {
    lease: Lease,
    request: EmbedRequest,
    cancelled: Arc<AtomicBool>,
}

impl Shared {
    /// Reads and handles requests until the connection ends.
    fn converse(&self, connection: &Arc<Connection>, mut stream: UnixStream) -> std::io::Result<()> {
        if !self.greet(connection, &mut stream)? {
            return Ok(());
        }
        let mut owed = None;
        while let Some(request) = next_request(connection, &mut stream)? {
            owed = match (request, owed) {
                (Request::Embed(request), None) => match self.begin(connection)? {
                    Some(cancelled) => self.embed(connection, request, cancelled),
                    None => return Ok(()),
                },
                (Request::Load { config, weights }, Some(owed)) => {
                    self.load(connection, owed, &config, &weights);
                    None
                }
                (Request::Status, None) if !connection.is_busy() => {
                    connection.send(&Reply::Status(self.status()))?;
                    None
                }
                // Two requests at once, a load that nobody asked for: not our client.
                _ => return Ok(()),
            };
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
            Reply::Welcome
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
        Ok(matches!(reply, Reply::Welcome))
    }

    /// Marks a request as under way; `None` closes the connection.
    fn begin(&self, connection: &Connection) -> std::io::Result<Option<Arc<AtomicBool>>> {
        let begun = connection.begin();
        // After `begin`, so that a drain either finds the request under way or is seen here.
        if begun.is_some() && self.draining.load(SeqCst) {
            connection.answer(&Reply::Goodbye);
            return Ok(None);
        }
        Ok(begun)
    }

    /// Queues a request, or asks for its model.
    fn embed(
        &self,
        connection: &Arc<Connection>,
        request: EmbedRequest,
        cancelled: Arc<AtomicBool>,
    ) -> Option<Owed> {
        let deadline = Instant::now() + Duration::from_millis(request.timeout_ms.into());
        match self.registry.acquire(request.model, deadline) {
            Ok(Acquired::Ready(embedder)) => {
                self.submit(connection, request, embedder, deadline, cancelled);
                None
            }
            Ok(Acquired::Load(lease)) => {
                // If this fails, the reader finds the connection ended and drops the lease.
                let _ = connection.send(&Reply::NeedModel);
                Some(Owed { lease, request, cancelled })
            }
            Err(error) => {
                connection.answer(&Reply::Error(error));
                None
            }
        }
    }

    /// Builds the model that was asked for and goes on with the request that needed it.
    fn load(&self, connection: &Arc<Connection>, owed: Owed, config: &str, weights: &[u8]) {
        let Owed { lease, request, cancelled } = owed;
        let built = catch_unwind(AssertUnwindSafe(|| self.loader.load(lease.digest(), config, weights)));
        let built = built.unwrap_or_else(|panic| {
            (self.notice)(Notice::Panicked);
            Err(Error::new(Kind::Internal, "loading the model failed unexpectedly")
                .detail(panic_text(&*panic)))
        });
        match built {
            Ok(embedder) => {
                lease.fulfil(Arc::clone(&embedder));
                let deadline = Instant::now() + Duration::from_millis(request.timeout_ms.into());
                self.submit(connection, request, embedder, deadline, cancelled);
            }
            Err(error) => connection.answer(&Reply::Error(error)),
        }
    }

    fn submit(
        &self,
        connection: &Arc<Connection>,
        request: EmbedRequest,
        embedder: Arc<dyn Embedder>,
        deadline: Instant,
        cancelled: Arc<AtomicBool>,
    ) {
        let connection = Arc::clone(connection);
        self.engine.submit(Job {
            digest: request.model,
            embedder,
            pixels: request.pixels,
            priority: request.priority,
            deadline,
            cancelled,
            reply: Box::new(move |answer| {
                connection.answer(&answer.map_or_else(Reply::Error, Reply::Embedding));
            }),
        });
    }

    /// Names and values for `coop_status()`.
    fn status(&self) -> Vec<(String, u64)> {
        let mut status = vec![
            ("supervisor_pid".to_owned(), std::os::unix::process::parent_id().into()),
            ("model_process_pid".to_owned(), std::process::id().into()),
            ("uptime_seconds".to_owned(), self.started.elapsed().as_secs()),
            ("connections".to_owned(), lock(&self.connections).len() as u64),
        ];
        status.extend(self.engine.counters());
        status.extend(self.registry.counters());
        status
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
