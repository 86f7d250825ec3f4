//! Pictures of one session under way through the service, several at a time: while the model works on one batch, the
//! session prepares the next.

use super::client::{connect, keep, pause, Channel};
use crate::error::{Error, Kind, Result};
use crate::inference::{Answer, Client, EmbedRequest};
use crate::pg::catalog::ModelEntry;
use crate::pg::functions::embed::files;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes of answers that lie in the socket at most: they must fit (Linux allows 208 kB by default, each write rounded up to a
/// power of two beside its bookkeeping), or the service would wait for this session.
const ANSWERS: usize = 192 << 10;
const BOOKKEEPING: usize = 400;
/// How long to wait where the service has no room for a picture.
const CROWDED: Duration = Duration::from_millis(50);

/// The pictures under way, each with the caller's name for it.
pub struct Pipeline<'m, T> {
    model: &'m ModelEntry,
    patience: Option<Duration>,
    client: Option<Client<Channel>>,
    under_way: VecDeque<Picture<T>>,
    next_id: u32,
    /// Most pictures under way.
    most: usize,
    /// Since when the service has had no room.
    crowded: Option<Instant>,
}

struct Picture<T> {
    id: u32,
    name: T,
    request: EmbedRequest,
    sent: bool,
}

impl<'m, T> Pipeline<'m, T> {
    /// An empty one for pictures of `model`. `patience` bounds the wait for each answer; `None` is for ever.
    pub fn new(model: &'m ModelEntry, patience: Option<Duration>) -> Self {
        Self { model, patience, client: None, under_way: VecDeque::new(), next_id: 0, most: 1, crowded: None }
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether [`Pipeline::receive`] should come before the next [`Pipeline::send`]: there is no room, or an answer is
    /// there already.
    pub fn is_full(&self) -> bool {
        let answered = self.client.as_ref().is_some_and(|c| c.stream().is_readable());
        self.under_way.len() >= self.most || (!self.is_empty() && answered)
    }

    /// Sends a picture on its way.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] or [`Kind::Busy`] if the service cannot be reached.
    pub fn send(&mut self, name: T, request: EmbedRequest) -> Result<()> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.under_way.push_back(Picture { id, name, request, sent: false });
        self.send_waiting()
    }

    /// Waits for the next answer: whose it is, and raw values `[N]` or why the picture has none.
    ///
    /// # Errors
    /// Those of [`Pipeline::send`], and [`Kind::Busy`] if the service has no room for too long.
    pub fn receive(&mut self) -> Result<(T, Result<Vec<f32>>)> {
        loop {
            self.send_waiting()?;
            let patience = self.patience;
            let Some(client) = &mut self.client else { continue };
            client.stream_mut().set_deadline(patience);
            match client.receive()? {
                Answer::Done(id, answer) => {
                    let Some(at) = self.under_way.iter().position(|p| p.id == id) else { continue };
                    match answer {
                        Err(busy) if busy.kind == Kind::Busy => self.try_later(at, busy)?,
                        answer => {
                            self.crowded = None;
                            if let Some(picture) = self.under_way.remove(at) {
                                return Ok((picture.name, answer));
                            }
                        }
                    }
                }
                Answer::NeedModel => {
                    let (config, weights) = files(self.model)?;
                    client.bring(&config, &weights)?;
                }
                Answer::Goodbye => {
                    self.client = None;
                    self.under_way.iter_mut().for_each(|p| p.sent = false);
                    pause(CROWDED);
                }
            }
        }
    }

    /// The service is full: this picture waits here until another has its answer, and no more than now are under way from now
    /// on. That is an error only if it goes on for as long as a picture may wait there.
    fn try_later(&mut self, at: usize, busy: Error) -> Result<()> {
        let since = *self.crowded.get_or_insert_with(Instant::now);
        if self.patience.is_some_and(|p| since.elapsed() > p) {
            return Err(busy);
        }
        self.under_way[at].sent = false;
        let sent = self.under_way.iter().filter(|p| p.sent).count();
        self.most = sent.max(1);
        if sent == 0 {
            pause(CROWDED);
        }
        Ok(())
    }

    /// Sends what has not been sent, as far as there is room.
    fn send_waiting(&mut self) -> Result<()> {
        let client = match &mut self.client {
            Some(client) => client,
            none => {
                let client = connect()?;
                let answer = BOOKKEEPING + self.model.layout.dimensions() * size_of::<f32>();
                let answer = answer.next_power_of_two() + BOOKKEEPING;
                self.most = client.in_flight().min((ANSWERS / answer).max(1));
                none.insert(client)
            }
        };
        client.stream_mut().set_deadline(self.patience);
        let room = self.most.saturating_sub(self.under_way.iter().filter(|p| p.sent).count());
        for picture in self.under_way.iter_mut().filter(|p| !p.sent).take(room) {
            client.send(picture.id, &picture.request)?;
            picture.sent = true;
        }
        Ok(())
    }
}

impl<T> Drop for Pipeline<'_, T> {
    /// The connection serves again if all is answered.
    fn drop(&mut self) {
        if let Some(client) = self.client.take().filter(Client::is_usable) {
            keep(client);
        }
    }
}
