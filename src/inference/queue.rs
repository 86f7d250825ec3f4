//! The waiting line: a bounded queue with two priorities and deadlines. It decides which request is next.

use super::wire_protocol::Priority;
use crate::error::{Error, Kind};
use std::time::{Duration, Instant};

/// A bulk request is served as if it had come this much later than it did. So interactive requests overtake it, but only those that
/// come within this time: it never starves.
pub(crate) const BULK_DELAY: Duration = Duration::from_secs(2);

/// A waiting request, with what decides its turn.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    pub priority: Priority,
    /// When it arrived.
    pub since: Instant,
    /// When it leaves the queue with an error.
    pub deadline: Instant,
    pub request: T,
}

impl<T> Waiting<T> {
    /// The queue's order.
    fn turn(&self) -> Instant {
        match self.priority {
            Priority::Interactive => self.since,
            Priority::Bulk => self.since + BULK_DELAY,
        }
    }
}

/// At most `max_length` waiting requests, sorted by their turns.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: Vec<Waiting<T>>,
    max_length: usize,
}

impl<T> Queue<T> {
    pub fn new(max_length: usize) -> Self {
        Self { waiting: Vec::new(), max_length }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Enqueues, or gives the request back when the queue is full.
    pub fn push(&mut self, new: Waiting<T>) -> Result<(), T> {
        if self.waiting.len() >= self.max_length {
            return Err(new.request);
        }
        let position = self.waiting.partition_point(|w| w.turn() <= new.turn());
        self.waiting.insert(position, new);
        Ok(())
    }

    /// The request whose turn is next.
    pub fn first(&self) -> Option<&T> {
        self.waiting.first().map(|w| &w.request)
    }

    /// Whether the next request has this priority.
    pub fn starts_with(&self, priority: Priority) -> bool {
        self.waiting.first().is_some_and(|w| w.priority == priority)
    }

    /// Takes the first request and up to `max - 1` others that are `alike` (of the same model). Bulk requests do not join a batch that
    /// an interactive one leads: somebody would wait longer for its answer.
    pub fn next_batch(&mut self, max: usize, alike: impl Fn(&T, &T) -> bool) -> Vec<T> {
        let mut chosen = Vec::new();
        let mut taken = 0;
        for i in 0..self.waiting.len() {
            let joins = taken < max && self.joins(i, &alike);
            taken += usize::from(joins);
            chosen.push(joins);
        }
        let mut chosen = chosen.into_iter();
        self.waiting.extract_if(.., |_| chosen.next().unwrap_or(false)).map(|w| w.request).collect()
    }

    /// How many requests [`Queue::next_batch`] would take.
    pub fn count_next(&self, max: usize, alike: impl Fn(&T, &T) -> bool) -> usize {
        (0..self.waiting.len()).filter(|i| self.joins(*i, &alike)).take(max).count()
    }

    /// Whether request `i` may share a batch with the first.
    fn joins(&self, i: usize, alike: impl Fn(&T, &T) -> bool) -> bool {
        let (first, w) = (&self.waiting[0], &self.waiting[i]);
        alike(&first.request, &w.request)
            && (first.priority == Priority::Bulk || w.priority == Priority::Interactive)
    }

    /// Removes and returns all requests whose deadline has passed at `now`.
    pub fn remove_expired(&mut self, now: Instant) -> Vec<T> {
        self.waiting.extract_if(.., |w| w.deadline <= now).map(|w| w.request).collect()
    }

    /// Removes and returns all requests for which `gone` holds.
    pub fn remove(&mut self, gone: impl Fn(&T) -> bool) -> Vec<T> {
        self.waiting.extract_if(.., |w| gone(&w.request)).map(|w| w.request).collect()
    }

    /// The nearest deadline of all waiting requests.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|w| w.deadline).min()
    }
}

/// The answer to a request that found the queue full.
pub(crate) fn queue_full(length: usize) -> Error {
    Error::new(Kind::Busy, "the inference service's queue is full")
        .detail(format!("{length} requests are waiting."))
        .hint("Run the statement again later, or raise coopembed.queue_length.")
}

/// The answer to a request that waited for longer than `coopembed.queue_timeout`.
pub(crate) fn wait_timed_out() -> Error {
    Error::new(Kind::Busy, "the inference service did not start on this request in time")
        .detail("It waited for coopembed.queue_timeout.")
        .hint("Run the statement again later, or raise coopembed.queue_timeout.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Bulk, Interactive};

    fn queue(entries: &[(Priority, u64, &'static str)]) -> Queue<&'static str> {
        let start = Instant::now();
        let mut queue = Queue::new(100);
        for (priority, ms, request) in entries {
            let since = start + Duration::from_millis(*ms);
            let deadline = since + Duration::from_secs(10);
            queue.push(Waiting { priority: *priority, since, deadline, request: *request }).unwrap();
        }
        queue
    }

    #[test]
    fn interactive_requests_overtake_bulk_ones() {
        let mut q =
            queue(&[(Bulk, 0, "b1"), (Bulk, 1, "b2"), (Interactive, 2, "i1"), (Interactive, 3, "i2")]);
        assert_eq!(q.next_batch(8, |_, _| true), ["i1", "i2"]);
        assert_eq!(q.next_batch(8, |_, _| true), ["b1", "b2"]);
    }

    #[test]
    fn an_old_bulk_request_goes_before_new_interactive_ones() {
        let mut q = queue(&[(Interactive, 2500, "i"), (Bulk, 0, "b")]);
        assert_eq!(q.next_batch(1, |_, _| true), ["b"]);
        // Interactive requests join the batch that it leads.
        let mut q = queue(&[(Interactive, 2500, "i"), (Bulk, 0, "b")]);
        assert_eq!(q.next_batch(2, |_, _| true), ["b", "i"]);
    }

    #[test]
    fn a_batch_takes_one_model_and_keeps_the_order_of_the_rest() {
        let mut q = queue(&[
            (Interactive, 0, "x1"),
            (Interactive, 1, "y1"),
            (Interactive, 2, "x2"),
            (Interactive, 3, "y2"),
        ]);
        let same = |a: &&str, b: &&str| a.as_bytes()[0] == b.as_bytes()[0];
        assert_eq!(q.next_batch(8, same), ["x1", "x2"]);
        assert_eq!(q.next_batch(1, same), ["y1"]);
        assert_eq!(q.next_batch(8, same), ["y2"]);
        assert!(q.next_batch(8, same).is_empty());
    }

    #[test]
    fn a_full_queue_gives_the_request_back() {
        let now = Instant::now();
        let mut q = Queue::new(1);
        let waiting = |request| Waiting { priority: Interactive, since: now, deadline: now, request };
        assert_eq!(q.push(waiting("a")), Ok(()));
        assert_eq!(q.push(waiting("b")), Err("b"));
        assert_eq!(q.len(), 1);
    }

    #[test]
    fn expired_and_removed_requests_leave_the_queue() {
        let mut q = queue(&[(Interactive, 0, "a"), (Interactive, 5000, "b"), (Interactive, 6000, "c")]);
        let first = q.next_deadline().unwrap();
        assert_eq!(q.remove_expired(first), ["a"]);
        assert_eq!(q.remove(|w| *w == "b"), ["b"]);
        assert_eq!(q.len(), 1);
    }
}
