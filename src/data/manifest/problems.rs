//! Collects everything that is wrong with a data set, so that one run shows all of it.

use crate::error::{Error, Kind, Result};
use std::path::Path;

/// Most problems that one error lists.
const MAX_LISTED: usize = 20;

/// The problems found so far.
pub struct Problems {
    /// One line each, with file and line number.
    lines: Vec<String>,
    /// What the files should look like, for the HINT.
    hint: String,
    /// Whether images whose files are missing are skipped (`--skip-missing`).
    skip_missing: bool,
    /// Paths of images whose files are missing.
    missing: Vec<String>,
}

impl Problems {
    /// No problems yet. `hint` says what the files should look like.
    pub fn new(hint: String, skip_missing: bool) -> Self {
        Self { lines: Vec::new(), hint, skip_missing, missing: Vec::new() }
    }

    /// Adds a problem.
    pub fn add(&mut self, problem: String) {
        self.lines.push(problem);
    }

    /// Records that the file of an image is missing, which is a problem unless such images are skipped. Returns whether to skip it.
    pub fn add_missing(&mut self, at: &str, path: &str) -> bool {
        if !self.skip_missing {
            self.add(format!("{at}: there is no file \"{path}\""));
        }
        self.missing.push(path.to_owned());
        self.skip_missing
    }

    /// A warning that names the skipped images, if there are any.
    pub fn skipped_images(&self) -> Option<String> {
        if !self.skip_missing || self.missing.is_empty() {
            return None;
        }
        let names: Vec<String> = self.missing.iter().map(|path| format!("\"{path}\"")).collect();
        Some(format!("{} images have no file and were skipped: {}.", names.len(), names.join(", ")))
    }

    /// The number of images without a file, if there are any.
    pub fn count_missing(&self) -> Option<usize> {
        Some(self.missing.len()).filter(|n| *n > 0)
    }

    /// The number of problems.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are no problems.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Fails if there are problems, with a list of them.
    ///
    /// # Errors
    /// [`Kind::InvalidData`].
    pub fn into_result(self, root: &Path) -> Result<()> {
        let found = self.lines.len();
        if found == 0 {
            return Ok(());
        }
        let mut lines: Vec<String> = self.lines.into_iter().take(MAX_LISTED).collect();
        if found > MAX_LISTED {
            lines.push(format!("... and {} more", found - MAX_LISTED));
        }
        let count = if found == 1 { "a problem".to_owned() } else { format!("{found} problems") };
        let mut hint = self.hint;
        if !self.missing.is_empty() && !self.skip_missing {
            hint.push_str(" With --skip-missing, images without a file are skipped.");
        }
        Err(Error::new(Kind::InvalidData, format!("the data set \"{}\" has {count}", root.display()))
            .detail(lines.join("\n         "))
            .hint(hint))
    }
}
