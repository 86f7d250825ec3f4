//! Messages of the model process for the server's log.

use std::io::Write;

/// Writes one line to standard error, which is the server's log. Unlike `eprintln!` it does not panic when the log is gone.
pub fn log_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "coopembed model process (PID {}): {text}", std::process::id());
}
