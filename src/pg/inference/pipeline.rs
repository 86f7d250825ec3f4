//! Several images of one session under way at once: while the model works on one batch, the session prepares the next.

use super::latch_socket::sleep;
use super::service_connection::{connect, keep, ServiceClient};
use crate::error::{Error, Kind, Result};
use crate::inference::{Answer, Client, EmbedRequest};
use crate::pg::catalog::{model_files, ModelEntry};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes of answers that may lie unread in the socket. All of them must fit, or the service would have to wait for this session. Linux
/// allows 208 kB by default, and counts each write as its size rounded up to a power of two, plus [`BOOKKEEPING`].
const ANSWER_BYTES: usize = 192 << 10;
/// Upper bound of what the kernel counts for a write besides its bytes, and of a frame's head.
const BOOKKEEPING: usize = 400;
/// Pause before trying again when the service has no room for an image.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// The images under way. `T` is whatever the caller needs to recognise an image by.
pub struct Pipeline<'m, T> {
    model: &'m ModelEntry,
    /// Limit on the wait for each answer; `None` is no limit.
    timeout: Option<Duration>,
    client: Option<ServiceClient>,
    under_way: VecDeque<Item<T>>,
    next_id: u32,
    /// Most images under way.
    max_under_way: usize,
    /// Since when the service has had no room.
    busy_since: Option<Instant>,
}

/// An image under way. One that has not been sent waits in this session.
struct Item<T> {
    id: u32,
    key: T,
    request: EmbedRequest,
    sent: bool,
}

impl<'m, T> Pipeline<'m, T> {
    /// An empty pipeline for images of `model`. `timeout` limits the wait for each answer; `None` is no limit.
    pub fn new(model: &'m ModelEntry, timeout: Option<Duration>) -> Self {
        Self {
            model,
            timeout,
            client: None,
            under_way: VecDeque::new(),
            next_id: 0,
            max_under_way: 1,
            busy_since: None,
        }
    }

    /// Whether no image is under way.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether to call [`Pipeline::receive`] before the next [`Pipeline::send`]: there is no room, or an answer has arrived already.
    pub fn is_full(&self) -> bool {
        let answered = self.client.as_ref().is_some_and(|c| c.stream().is_readable());
        self.under_way.len() >= self.max_under_way || (!self.is_empty() && answered)
    }

    /// Sends an image; [`Pipeline::receive`] returns its `key` with the answer.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] or [`Kind::Busy`] if the service cannot be reached.
    pub fn send(&mut self, key: T, request: EmbedRequest) -> Result<()> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.under_way.push_back(Item { id, key, request, sent: false });
        self.send_unsent()
    }

    /// Waits for the next answer: an image's key, and its raw embedding `[N]` or an error.
    ///
    /// # Errors
    /// Those of [`Pipeline::send`], and [`Kind::Busy`] if the service has had no room for too long.
    pub fn receive(&mut self) -> Result<(T, Result<Vec<f32>>)> {
        loop {
            self.send_unsent()?;
            let timeout = self.timeout;
            let Some(client) = &mut self.client else { continue };
            client.stream_mut().set_timeout(timeout);
            match client.receive()? {
                Answer::Done(id, answer) => {
                    let Some(at) = self.under_way.iter().position(|item| item.id == id) else { continue };
                    match answer {
                        Err(busy) if busy.kind == Kind::Busy => self.send_later(at, busy)?,
                        answer => {
                            self.busy_since = None;
                            if let Some(item) = self.under_way.remove(at) {
                                return Ok((item.key, answer));
                            }
                        }
                    }
                }
                Answer::NeedModel => {
                    let (config, weights) = model_files(self.model)?;
                    client.send_model(&config, &weights)?;
                }
                Answer::Goodbye => {
                    self.client = None;
                    self.under_way.iter_mut().for_each(|item| item.sent = false);
                    sleep(BUSY_PAUSE);
                }
            }
        }
    }

    /// The service's queue is full: the image waits here until another has its answer, and from now on no more images than now are sent
    /// at once. Fails only if the service has been busy for longer than an answer may take.
    fn send_later(&mut self, at: usize, busy: Error) -> Result<()> {
        let since = *self.busy_since.get_or_insert_with(Instant::now);
        if self.timeout.is_some_and(|t| since.elapsed() > t) {
            return Err(busy);
        }
        self.under_way[at].sent = false;
        let sent = self.under_way.iter().filter(|item| item.sent).count();
        self.max_under_way = sent.max(1);
        if sent == 0 {
            sleep(BUSY_PAUSE);
        }
        Ok(())
    }

    /// Sends images that have not been sent, as far as there is room. Connects first if there is no connection.
    fn send_unsent(&mut self) -> Result<()> {
        let client = match &mut self.client {
            Some(client) => client,
            none => {
                let client = connect()?;
                let frame = BOOKKEEPING + self.model.layout.dimensions() * size_of::<f32>();
                let counted = frame.next_power_of_two() + BOOKKEEPING;
                self.max_under_way = client.max_in_flight().min((ANSWER_BYTES / counted).max(1));
                none.insert(client)
            }
        };
        client.stream_mut().set_timeout(self.timeout);
        let room = self.max_under_way.saturating_sub(self.under_way.iter().filter(|item| item.sent).count());
        for item in self.under_way.iter_mut().filter(|item| !item.sent).take(room) {
            client.send(item.id, &item.request)?;
            item.sent = true;
        }
        Ok(())
    }
}

impl<T> Drop for Pipeline<'_, T> {
    /// Keeps the connection for the next request, if all images have been answered.
    fn drop(&mut self) {
        if let Some(client) = self.client.take().filter(Client::is_usable) {
            keep(client);
        }
    }
}
