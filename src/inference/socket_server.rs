//! The server's end of the socket: one thread per connection reads requests, and the batcher's threads write the answers.
//!
//! A connection's thread goes on reading while its images are in the batcher, so it notices at once when the client disconnects (cancel,
//! timeout, crash), and takes the client's jobs out of the queue.

use super::batcher::Batcher;
use super::counters::Status;
use super::embedder::Embedder;
use super::jobs::Job;
use super::model_loader::LoadModel;
use super::model_registry::{Acquired, LoadLease, ModelRegistry};
use super::reply_writer::{ReplyWriter, WRITE_TIMEOUT};
use super::threads::{lock, panic_message};
use super::wire_protocol::{Build, EmbedRequest, Reply, Request};
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A connection that is idle for this long is closed. Its client opens a new one when it needs one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest pause within a message.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Stack of a connection's thread. Loading a model needs the most, and less than this.
const STACK_SIZE: usize = 2 << 20;

/// Why the server asks its process to end, so that the supervisor starts another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndRequest {
    /// A client runs a newer build of the library; a process of that build has to take over.
    NewerClient,
    /// Model code panicked, and its thread pools may be unusable; or its device is lost.
    Broken,
    /// A client asked for a new process.
    Restart,
}

/// How the model processes before this one ended; for the statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierProcesses {
    /// How many were replaced on purpose: settings changed, or somebody asked for it.
    pub replaced: u64,
    /// How many ended in any other way.
    pub crashed: u64,
}

/// What a server is started with. The library passes it as JSON to the separate program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerOptions {
    /// The library build of this process.
    pub build: Build,
    /// What computes, for the statistics: "cpu", or "cuda:N".
    pub device: String,
    /// Most requests that wait; `coopembed.queue_length`.
    pub queue_length: usize,
    /// Most images in one batch; `coopembed.max_batch`.
    pub max_batch: usize,
    /// Most open connections.
    pub connections: usize,
    /// Most bytes of all models in memory; `None` is no limit.
    pub memory_limit: Option<u64>,
    /// For the statistics.
    #[serde(rename = "past")]
    pub earlier_processes: EarlierProcesses,
}

struct Shared {
    options: ServerOptions,
    batcher: Batcher,
    registry: Arc<ModelRegistry>,
    loader: Box<dyn LoadModel>,
    connections: Mutex<HashMap<u64, Arc<ReplyWriter>>>,
    next_connection_id: AtomicU64,
    draining: AtomicBool,
    request_end: Arc<dyn Fn(EndRequest) + Send + Sync>,
    started: SystemTime,
}

/// A running server: its connections, its batcher and its models. Clones share them.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

impl Server {
    /// Starts the batcher. `request_end` is called from the server's threads when the process has to end.
    ///
    /// # Errors
    /// [`Kind::Io`] if the system refuses a thread.
    pub fn start(
        options: ServerOptions,
        loader: impl LoadModel,
        request_end: impl Fn(EndRequest) + Send + Sync + 'static,
    ) -> Result<Self> {
        let request_end: Arc<dyn Fn(EndRequest) + Send + Sync> = Arc::new(request_end);
        let on_broken = Arc::clone(&request_end);
        let batcher =
            Batcher::start(options.queue_length, options.max_batch, move || on_broken(EndRequest::Broken))?;
        Ok(Self(Arc::new(Shared {
            batcher,
            registry: ModelRegistry::new(options.memory_limit),
            loader: Box::new(loader),
            connections: Mutex::default(),
            next_connection_id: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            request_end,
            started: SystemTime::now(),
            options,
        })))
    }

    /// Accepts connections until [`Server::drain`].
    pub fn accept(&self, listener: &UnixListener) {
        while !self.0.draining.load(SeqCst) {
            match listener.accept() {
                Ok((stream, _)) => self.attach(stream),
                // Out of descriptors or memory: wait until some are freed.
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Serves one connection on a thread of its own. A client whose connection is closed before `Welcome` tries again.
    pub fn attach(&self, stream: UnixStream) {
        let shared = Arc::clone(&self.0);
        if lock(&shared.connections).len() >= shared.options.connections {
            return refuse(stream);
        }
        let serve = move || {
            let id = shared.next_connection_id.fetch_add(1, SeqCst);
            let Ok(writer) = ReplyWriter::new(&stream, shared.max_in_flight()) else { return };
            let writer = Arc::new(writer);
            lock(&shared.connections).insert(id, Arc::clone(&writer));
            // An error ends the connection, which is all that the client can be told.
            let _ = shared.handle_requests(&writer, stream);
            writer.close();
            shared.batcher.remove_cancelled();
            lock(&shared.connections).remove(&id);
        };
        // If no thread can be spawned, the stream is dropped, which closes it.
        let _ = std::thread::Builder::new().name("connection".to_owned()).stack_size(STACK_SIZE).spawn(serve);
    }

    /// Takes no more requests, says goodbye to every idle client, and waits for at most `timeout` until the other clients have their
    /// answers. Returns whether all have.
    pub fn drain(&self, timeout: Duration) -> bool {
        self.0.draining.store(true, SeqCst);
        let end = Instant::now() + timeout;
        loop {
            let busy = lock(&self.0.connections).values().filter(|c| c.say_goodbye_if_idle()).count();
            if busy == 0 || Instant::now() > end {
                return busy == 0;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Answers a client that connects while the most connections are open.
fn refuse(mut stream: UnixStream) {
    let error = Error::new(Kind::Busy, "the inference service has no free connection")
        .hint("Run the statement again later.");
    let _ = stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let _ = stream.write_all(&Reply::Error(error).encode());
}

/// A model that the client has been asked to send, and the request that needs it.
struct PendingLoad {
    lease: LoadLease,
    id: u32,
    request: EmbedRequest,
}

impl Shared {
    /// Most requests that one connection may have under way: one batch that runs, and one that waits.
    fn max_in_flight(&self) -> u32 {
        u32::try_from(self.options.max_batch * 2).unwrap_or(u32::MAX).max(2)
    }

    /// Reads and handles requests until the connection ends.
    fn handle_requests(&self, writer: &Arc<ReplyWriter>, mut stream: UnixStream) -> std::io::Result<()> {
        if !self.greet(writer, &mut stream)? {
            return Ok(());
        }
        let mut pending_load = None;
        // Images that came while a model was being loaded.
        let mut postponed = VecDeque::new();
        while let Some(request) = next_request(writer, &mut stream)? {
            match (request, pending_load.take()) {
                (Request::Embed(id, request), load) if writer.begin_request() => {
                    pending_load = load;
                    // Checked after `begin_request`, so that either this thread sees the drain or the drain sees the request.
                    if self.draining.load(SeqCst) {
                        writer.withdraw_request();
                        // If other images are under way, they are answered first, and the drain then says goodbye.
                        if !writer.say_goodbye_if_idle() {
                            return Ok(());
                        }
                        continue;
                    }
                    postponed.push_back((id, request));
                }
                (Request::Load { config, weights }, Some(load)) => {
                    self.load_model(writer, load, &config, &weights);
                }
                (Request::Status, None) if !writer.is_busy() => {
                    writer.send(&Reply::Status(self.status()))?;
                }
                (Request::Restart, None) if !writer.is_busy() => {
                    (self.request_end)(EndRequest::Restart);
                    writer.say_goodbye_if_idle();
                    return Ok(());
                }
                // More requests than agreed, or a load that was not asked for: this is not one of our clients.
                _ => return Ok(()),
            }
            while pending_load.is_none() {
                let Some((id, request)) = postponed.pop_front() else { break };
                pending_load = self.embed(writer, id, request);
            }
        }
        Ok(())
    }

    /// Answers the client's hello. Returns whether the client is welcome.
    fn greet(&self, writer: &ReplyWriter, stream: &mut UnixStream) -> std::io::Result<bool> {
        let Some(Request::Hello(client)) = next_request(writer, stream)? else { return Ok(false) };
        let ours = &self.options.build;
        let reply = if self.draining.load(SeqCst) {
            Reply::Goodbye
        } else if ours.serves(&client) {
            Reply::Welcome { in_flight: self.max_in_flight() }
        } else if client.installed > ours.installed {
            (self.request_end)(EndRequest::NewerClient);
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
                .hint("Reconnect; if the library is preloaded, restart the server."),
            )
        };
        writer.send(&reply)?;
        Ok(matches!(reply, Reply::Welcome { .. }))
    }

    /// Passes a request to the batcher, or asks the client for the model that it needs.
    fn embed(&self, writer: &Arc<ReplyWriter>, id: u32, request: EmbedRequest) -> Option<PendingLoad> {
        let deadline = Instant::now() + Duration::from_millis(request.timeout_ms.into());
        match self.registry.acquire(request.model, deadline) {
            Ok(Acquired::Ready(embedder)) => {
                self.submit(writer, id, request, embedder);
                None
            }
            Ok(Acquired::MustLoad(lease)) => {
                // If this fails, the next read finds the connection closed, and the lease is dropped.
                let _ = writer.send(&Reply::NeedModel);
                Some(PendingLoad { lease, id, request })
            }
            Err(error) => {
                writer.answer(id, Err(error));
                None
            }
        }
    }

    /// Builds the model that the client sent, and passes the request that needed it to the batcher.
    fn load_model(&self, writer: &Arc<ReplyWriter>, load: PendingLoad, config: &str, weights: &[u8]) {
        let PendingLoad { lease, id, request } = load;
        let built = catch_unwind(AssertUnwindSafe(|| self.loader.load(lease.digest(), config, weights)));
        let built = built.unwrap_or_else(|panic| {
            (self.request_end)(EndRequest::Broken);
            Err(Error::new(Kind::Internal, "loading the model failed unexpectedly")
                .detail(panic_message(&*panic)))
        });
        match built.and_then(|embedder| lease.complete(Arc::clone(&embedder)).map(|()| embedder)) {
            Ok(embedder) => self.submit(writer, id, request, embedder),
            Err(error) => writer.answer(id, Err(error)),
        }
    }

    fn submit(&self, writer: &Arc<ReplyWriter>, id: u32, request: EmbedRequest, embedder: Arc<dyn Embedder>) {
        let writer = Arc::clone(writer);
        let since = Instant::now();
        self.batcher.submit(Job {
            digest: request.model,
            embedder,
            pixels: request.pixels,
            decode: Duration::from_micros(request.decode_us.into()),
            priority: request.priority,
            since,
            deadline: since + Duration::from_millis(request.timeout_ms.into()),
            cancelled: Arc::clone(&writer.cancelled),
            reply: Box::new(move |answer| writer.answer(id, answer)),
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
            named("restarts", self.options.earlier_processes.replaced),
            named("crashes", self.options.earlier_processes.crashed),
            named("connections", lock(&self.connections).len() as u64),
        ];
        counters.extend(self.batcher.counters());
        counters.extend(self.registry.counters());
        Status { device: self.options.device.clone(), counters, batch_sizes: self.batcher.batch_sizes() }
    }
}

/// Reads the next request; `None` when the client disconnected, or when the server said goodbye because the connection was idle.
fn next_request(writer: &ReplyWriter, stream: &mut UnixStream) -> std::io::Result<Option<Request>> {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    let mut tag = [0];
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    loop {
        match stream.read(&mut tag) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(e) if e.kind() == Interrupted => {}
            Err(e) if matches!(e.kind(), WouldBlock | TimedOut) => {
                if !writer.say_goodbye_if_idle() {
                    return Ok(None);
                }
            }
            Err(e) => return Err(e),
        }
    }
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    Request::read(tag[0], stream).map(Some)
}
