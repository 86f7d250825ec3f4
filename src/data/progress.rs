//! Progress bars for long steps.

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar labelled `what`, on standard error; hidden where that is not a terminal.
pub fn progress_bar(what: &'static str, length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {eta} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(what);
    bar
}
