//! The lists of families and of words that the set is made of.

use crate::error::{abridged, Error, Kind, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// A family to fetch: the npm package `@fontsource/NAME` at a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FamilyRelease {
    /// Fontsource's name, such as `open-sans`.
    pub name: String,
    /// The pinned version; another one would make another set.
    pub version: String,
}

const FAMILIES: &str = include_str!("families.txt");
const WORDS: &str = include_str!("words.txt");

/// The families in the file `list`, or the set's own 106, sorted by name.
///
/// # Errors
/// [`Kind::Io`]; [`Kind::InvalidData`] for an entry that is not `NAME@VERSION`, for a duplicate, and for an empty list.
pub fn families(list: Option<&Path>) -> Result<Vec<FamilyRelease>> {
    let Some(path) = list else { return parse(FAMILIES, "the list of families") };
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, &e))?;
    parse(&text, &format!("\"{}\"", path.display()))
}

/// Parses a list of families; `source` names it in messages.
fn parse(text: &str, source: &str) -> Result<Vec<FamilyRelease>> {
    let mut found = Vec::new();
    for (line, entry) in entries(text) {
        let is_name =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
        match entry.split_once('@') {
            Some((name, version)) if is_name(name) && is_name(version) => {
                found.push(FamilyRelease { name: name.into(), version: version.into() });
            }
            _ => {
                return Err(Error::new(
                    Kind::InvalidData,
                    format!("{source}, line {line}: \"{}\" is not a family", abridged(entry)),
                )
                .detail("A family is written NAME@VERSION, with the name and version of its package @fontsource/NAME.")
                .hint("Lines that begin with # are comments."))
            }
        }
    }
    found.sort();
    if let Some(pair) = found.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(Error::new(Kind::InvalidData, format!("{source} names \"{}\" twice", pair[0].name)));
    }
    if found.is_empty() {
        return Err(Error::new(Kind::InvalidData, format!("{source} names no family")));
    }
    Ok(found)
}

/// The words to draw, lower case, sorted.
pub fn words() -> Vec<&'static str> {
    entries(WORDS).map(|(_, word)| word).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Entries separated by white space, without comment lines, each with its line number.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.starts_with('#'));
    lines.flat_map(|(line, at)| line.split_whitespace().map(move |entry| (at, entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_has_its_families_and_words() {
        let families = families(None).unwrap();
        assert_eq!(families.len(), 106);
        assert_eq!(families[0].name, "abril-fatface");
        let words = words();
        assert_eq!((words.len(), words[0]), (2182, "abacus"));
        assert!(words
            .iter()
            .all(|w| (3..=6).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_lowercase())));
    }

    #[test]
    fn a_custom_list_is_read_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            families(Some(&path))
        };
        let found = read("# mine\nlora@5.3.0 abel@5.2.1\n").unwrap();
        assert_eq!(found[0], FamilyRelease { name: "abel".into(), version: "5.2.1".into() });
        for (text, part) in [
            ("# mine\nlora\n", "line 2: \"lora\" is not a family"),
            ("../x@1", "is not a family"),
            ("lora@1 lora@2", "names \"lora\" twice"),
            ("# nothing\n", "names no family"),
        ] {
            let e = read(text).unwrap_err();
            assert!(e.message.contains(part), "{}", e.message);
        }
    }
}
