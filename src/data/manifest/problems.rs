//! Everything wrong with a set, gathered so that one run shows it all.

use crate::error::{Error, Kind, Result};
use std::path::Path;

/// How many problems one error lists.
const LISTED_PROBLEMS: usize = 20;

/// The problems found so far, a line each with its place.
pub struct Problems {
    lines: Vec<String>,
    /// What the files should be like, for the HINT.
    hint: String,
    /// Whether images whose files are missing are left out and counted.
    skip_missing: bool,
    missing: Vec<String>,
}

impl Problems {
    /// None so far. `hint` says what the files should be like.
    pub fn new(hint: String, skip_missing: bool) -> Self {
        Self { lines: Vec::new(), hint, skip_missing, missing: Vec::new() }
    }

    /// One more.
    pub fn add(&mut self, problem: String) {
        self.lines.push(problem);
    }

    /// The file of an image is missing: a problem, or, if such images are to be left out, counted. True if it is to be
    /// left out.
    pub fn missing(&mut self, at: &str, path: &str) -> bool {
        if !self.skip_missing {
            self.add(format!("{at}: there is no file \"{path}\""));
        }
        self.missing.push(path.to_owned());
        self.skip_missing
    }

    /// What was left out for want of a file, as a sentence.
    pub fn left_out(&self) -> Option<String> {
        let first = self.missing.first().filter(|_| self.skip_missing)?;
        Some(format!("{} images have no file and were left out, such as \"{first}\".", self.missing.len()))
    }

    /// How many images have no file, if any.
    pub fn count_missing(&self) -> Option<usize> {
        Some(self.missing.len()).filter(|n| *n > 0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// An error with all of them, if there are any.
    ///
    /// # Errors
    /// [`Kind::InvalidData`].
    pub fn into_result(self, root: &Path) -> Result<()> {
        let found = self.lines.len();
        if found == 0 {
            return Ok(());
        }
        let mut lines: Vec<String> = self.lines.into_iter().take(LISTED_PROBLEMS).collect();
        if found > LISTED_PROBLEMS {
            lines.push(format!("... and {} more", found - LISTED_PROBLEMS));
        }
        let count = if found == 1 { "a problem".to_owned() } else { format!("{found} problems") };
        let mut hint = self.hint;
        if !self.missing.is_empty() && !self.skip_missing {
            hint.push_str(" With --skip-missing, images without a file are left out.");
        }
        Err(Error::new(Kind::InvalidData, format!("the data set \"{}\" has {count}", root.display()))
            .detail(lines.join("\n         "))
            .hint(hint))
    }
}
