//! Who is next: a bounded queue with two priorities and deadlines.

use super::wire::Priority;
use std::time::{Duration, Instant};

/// A bulk request is served as if it had come this much later than it did: interactive ones pass it, yet it is the
/// oldest of all in the end, so it never starves.
pub(crate) const BULK_DELAY: Duration = Duration::from_secs(2);

/// What waits, with what decides its turn.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    pub priority: Priority,
    /// When it came.
    pub since: Instant,
    /// When it gives up.
    pub deadline: Instant,
    pub what: T,
}

impl<T> Waiting<T> {
    fn turn(&self) -> Instant {
        match self.priority {
            Priority::Interactive => self.since,
            Priority::Bulk => self.since + BULK_DELAY,
        }
    }
}

/// At most `length` waiting requests in the order of their turns.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: Vec<Waiting<T>>,
    length: usize,
}

impl<T> Queue<T> {
    pub fn new(length: usize) -> Self {
        Self { waiting: Vec::new(), length }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Enqueues, or gives the request back when the queue is full.
    pub fn push(&mut self, new: Waiting<T>) -> Result<(), T> {
        if self.waiting.len() >= self.length {
            return Err(new.what);
        }
        let place = self.waiting.partition_point(|w| w.turn() <= new.turn());
        self.waiting.insert(place, new);
        Ok(())
    }

    /// The request whose turn is next.
    pub fn first(&self) -> Option<&T> {
        self.waiting.first().map(|w| &w.what)
    }

    /// Whether the next request is of this class.
    pub fn starts_with(&self, priority: Priority) -> bool {
        self.waiting.first().is_some_and(|w| w.priority == priority)
    }

    /// Takes the first request and up to `most - 1` others that are `alike`. Bulk ones do not join a batch that an
    /// interactive one leads: they would make somebody wait longer for no gain of theirs.
    pub fn next_batch(&mut self, most: usize, alike: impl Fn(&T, &T) -> bool) -> Vec<T> {
        let mut chosen = Vec::new();
        let mut taken = 0;
        for i in 0..self.waiting.len() {
            let joins = taken < most && self.joins(i, &alike);
            taken += usize::from(joins);
            chosen.push(joins);
        }
        let mut chosen = chosen.into_iter();
        self.waiting.extract_if(.., |_| chosen.next().unwrap_or(false)).map(|w| w.what).collect()
    }

    /// How many requests [`Queue::next_batch`] would take.
    pub fn count_next(&self, most: usize, alike: impl Fn(&T, &T) -> bool) -> usize {
        (0..self.waiting.len()).filter(|i| self.joins(*i, &alike)).take(most).count()
    }

    /// Whether request `i` may be in a batch with the first.
    fn joins(&self, i: usize, alike: impl Fn(&T, &T) -> bool) -> bool {
        let (first, w) = (&self.waiting[0], &self.waiting[i]);
        alike(&first.what, &w.what)
            && (first.priority == Priority::Bulk || w.priority == Priority::Interactive)
    }

    /// Takes out everything whose deadline is not after `now`.
    pub fn expired(&mut self, now: Instant) -> Vec<T> {
        self.waiting.extract_if(.., |w| w.deadline <= now).map(|w| w.what).collect()
    }

    /// Takes out everything for which `gone` holds.
    pub fn remove(&mut self, gone: impl Fn(&T) -> bool) -> Vec<T> {
        self.waiting.extract_if(.., |w| gone(&w.what)).map(|w| w.what).collect()
    }

    /// The first deadline.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|w| w.deadline).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Bulk, Interactive};

    fn queue(entries: &[(Priority, u64, &'static str)]) -> Queue<&'static str> {
        let start = Instant::now();
        let mut queue = Queue::new(100);
        for (priority, ms, what) in entries {
            let since = start + Duration::from_millis(*ms);
            let deadline = since + Duration::from_secs(10);
            queue.push(Waiting { priority: *priority, since, deadline, what: *what }).unwrap();
        }
        queue
    }

    #[test]
    fn interactive_requests_pass_bulk_ones() {
        let mut q =
            queue(&[(Bulk, 0, "b1"), (Bulk, 1, "b2"), (Interactive, 2, "i1"), (Interactive, 3, "i2")]);
        assert_eq!(q.next_batch(8, |_, _| true), ["i1", "i2"]);
        assert_eq!(q.next_batch(8, |_, _| true), ["b1", "b2"]);
    }

    #[test]
    fn an_old_bulk_request_goes_before_new_interactive_ones() {
        let mut q = queue(&[(Interactive, 2500, "i"), (Bulk, 0, "b")]);
        assert_eq!(q.next_batch(1, |_, _| true), ["b"]);
        // ... and they fill up the batch it leads.
        let mut q = queue(&[(Interactive, 2500, "i"), (Bulk, 0, "b")]);
        assert_eq!(q.next_batch(2, |_, _| true), ["b", "i"]);
    }

    #[test]
    fn a_batch_holds_one_model_and_leaves_the_order_of_the_rest() {
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
        let waiting = |what| Waiting { priority: Interactive, since: now, deadline: now, what };
        assert_eq!(q.push(waiting("a")), Ok(()));
        assert_eq!(q.push(waiting("b")), Err("b"));
        assert_eq!(q.len(), 1);
    }

    #[test]
    fn what_expired_or_left_is_taken_out() {
        let mut q = queue(&[(Interactive, 0, "a"), (Interactive, 5000, "b"), (Interactive, 6000, "c")]);
        let first = q.next_deadline().unwrap();
        assert_eq!(q.expired(first), ["a"]);
        assert_eq!(q.remove(|w| *w == "b"), ["b"]);
        assert_eq!(q.len(), 1);
    }
}
