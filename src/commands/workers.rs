//! Threads that share a queue of tasks.

use crate::error::{Error, Kind, Result};
use std::sync::mpsc::{channel, Receiver};
use std::sync::{Arc, Mutex, PoisonError};

/// Starts `count` threads that answer `tasks`, each the next one as soon as it is done with another; answers come in any order. The threads
/// end when either end of the queues is dropped.
///
/// # Errors
/// [`Kind::Io`] if the system gives no thread.
pub fn answer_in_threads<T: Send + 'static, A: Send + 'static>(
    count: usize,
    tasks: Receiver<T>,
    answer: impl Fn(T) -> A + Send + Sync + 'static,
) -> Result<Receiver<A>> {
    let (done, answers) = channel();
    let (tasks, answer) = (Arc::new(Mutex::new(tasks)), Arc::new(answer));
    for _ in 0..count {
        let (tasks, answer, done) = (Arc::clone(&tasks), Arc::clone(&answer), done.clone());
        let work = move || loop {
            let next = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(task) = next else { return };
            if done.send(answer(task)).is_err() {
                return;
            }
        };
        std::thread::Builder::new()
            .spawn(work)
            .map_err(|e| Error::new(Kind::Io, format!("could not start a thread: {e}")))?;
    }
    Ok(answers)
}
