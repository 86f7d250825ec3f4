//! The error type of the whole crate: what went wrong, what was found and expected, and what to do.
//!
//! In the server, `src/pg/ereport.rs` turns an [`Error`] into an `ereport` with the SQLSTATE of its [`Kind`]; the offline
//! program prints the same message, DETAIL and HINT.

use std::fmt::Display;

/// The kind of a failure; `src/pg/ereport.rs` maps each to one SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes that are not an image in a known format, or a damaged one.
    InvalidImage,
    /// A configured or built-in limit would be exceeded.
    LimitExceeded,
    /// A model directory, its configuration or its tensors are invalid.
    InvalidModel,
    /// Written by a newer version, or a feature that does not exist.
    Unsupported,
    /// A name that does not exist.
    UnknownName,
    /// A name that exists already.
    DuplicateName,
    /// Two values that do not go together: of different models or shapes.
    Mismatch,
    /// Malformed text representation of a value.
    InvalidText,
    /// Malformed binary representation of a value.
    InvalidBinary,
    /// Bytes that are not text in the encoding that they should be in.
    InvalidEncoding,
    /// A character that the database's encoding does not have.
    Untranslatable,
    /// An argument or setting outside its range.
    InvalidParameter,
    /// A data set that is not in the format it should be in.
    InvalidData,
    /// The inference service is not running: it could not start, or has died.
    Unavailable,
    /// The inference service is overloaded: its queue is full, or the request has waited too long in it.
    Busy,
    /// An object that others need, which must not be removed.
    InUse,
    /// A concurrent change was in the way: another try may succeed.
    Conflict,
    /// The system refused an allocation whose size depends on a user's data (see `src/memory.rs`); SQLSTATE 53200.
    OutOfMemory,
    /// Reading or writing a file or a socket failed.
    Io,
    /// An index is damaged on disk.
    Corrupted,
    /// A bug in this program.
    Internal,
}

/// An error with the parts that PostgreSQL shows: message, DETAIL and HINT.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The kind of the failure, which decides the SQLSTATE.
    pub kind: Kind,
    /// One line, lower case, no full stop.
    pub message: String,
    /// What was found and what was expected; a sentence.
    pub detail: Option<String>,
    /// What the user can do; a sentence.
    pub hint: Option<String>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with a message only; [`Error::detail`] and [`Error::hint`] add the rest.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, hint: None }
    }

    /// Adds what was found and what was expected: a sentence.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what the user can do about it: a sentence.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// No `what` (such as "attribute") is called `name`; the HINT lists the most similar of the `known` names.
    pub fn unknown<S: AsRef<str>>(what: &str, name: &str, known: impl IntoIterator<Item = S>) -> Self {
        let known: Vec<String> = known.into_iter().map(|s| s.as_ref().to_owned()).collect();
        let error = Self::new(Kind::UnknownName, format!("{what} \"{}\" does not exist", abridged(name)));
        if known.is_empty() {
            return error.detail(format!("No {what} is known here."));
        }
        let near = nearest(name, &known);
        let list = near.iter().map(|s| format!("\"{s}\"")).collect::<Vec<_>>().join(", ");
        if known.len() == near.len() {
            error.hint(format!("Known: {list}."))
        } else {
            error.hint(format!("The nearest of {} known names: {list}.", known.len()))
        }
    }

    /// Could not `action` (such as "read") the file at `path`.
    pub fn io(action: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(Kind::Io, format!("could not {action} \"{}\": {error}", path.display()))
    }

    /// Message, DETAIL and HINT on separate lines, as `psql` shows them.
    pub fn report(&self) -> String {
        let mut out = self.message.clone();
        for (label, text) in [("DETAIL", &self.detail), ("HINT", &self.hint)] {
            if let Some(text) = text {
                out.push_str(&format!("\n{label}:  {text}"));
            }
        }
        out
    }
}

/// A failure of candle that no check here has anticipated.
impl From<candle_core::Error> for Error {
    fn from(e: candle_core::Error) -> Self {
        Self::new(Kind::Internal, format!("tensor operation failed: {e}"))
    }
}

/// Characters of a user's text that are shown, or compared with known names.
const MAX_SHOWN: usize = 80;

/// Text from a user, truncated to a length that fits an error line.
pub fn abridged(text: &str) -> impl Display {
    match beginning(text) {
        Some(beginning) => format!("{beginning}..."),
        None => text.to_owned(),
    }
}

/// The beginning of a text that is too long to be shown whole; `None` for a shorter text.
fn beginning(text: &str) -> Option<&str> {
    text.char_indices().nth(MAX_SHOWN).map(|(at, _)| &text[..at])
}

/// Up to eight of the `known` names, the most similar to `name` first. Only beginnings are compared, because the time and memory
/// that this takes grow with the product of the lengths, and a user may pass a name of any length.
pub fn nearest(name: &str, known: &[String]) -> Vec<String> {
    let name = beginning(name).unwrap_or(name);
    let mut scored: Vec<(f64, &String)> = known
        .iter()
        .map(|k| {
            let (a, b) = (name.to_lowercase(), beginning(k).unwrap_or(k).to_lowercase());
            let contained = if !a.is_empty() && (b.contains(&a) || a.contains(&b)) { 0.5 } else { 0.0 };
            (strsim::normalized_damerau_levenshtein(&a, &b) + contained, k)
        })
        .collect();
    scored.sort_by(|x, y| y.0.total_cmp(&x.0).then_with(|| x.1.cmp(y.1)));
    scored.into_iter().take(8).map(|(_, k)| k.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_list_the_nearest_first() {
        let e = Error::unknown("attribute", "nekline", ["prints", "neckline", "sleeves"]);
        assert_eq!(e.message, "attribute \"nekline\" does not exist");
        assert_eq!(e.hint.unwrap(), "Known: \"neckline\", \"prints\", \"sleeves\".");
        let many: Vec<String> = (0..40).map(|i| format!("value{i}")).collect();
        let e = Error::unknown("value", "value7", &many);
        assert!(e.hint.unwrap().starts_with("The nearest of 40 known names: \"value7\""));
    }

    #[test]
    fn a_name_of_any_length_is_compared_in_bounded_time() {
        let known: Vec<String> = (0..50).map(|i| format!("{i}").repeat(100)).collect();
        let e = Error::unknown("value", &"7".repeat(100_000_000), &known);
        assert!(e.hint.unwrap().starts_with("The nearest of 50 known names: \"7777"));
    }

    #[test]
    fn long_names_are_truncated_at_a_character_boundary() {
        let e = Error::unknown("model", &"é".repeat(500), ["a"]);
        assert!(e.message.len() < 220);
    }
}
