//! Reads `attributes.json`, which declares the attributes of a set and says what must not be mirrored.

use super::problems::Problems;
use crate::error::{Error, Result};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Formatter};
use std::path::Path;

/// What `attributes.json` declares.
pub struct DeclaredAttributes {
    /// The attributes, by name.
    pub attributes: BTreeMap<String, DeclaredAttribute>,
    /// Whether images of the set may be mirrored at all.
    pub mirror: bool,
}

/// The declaration of one attribute.
#[derive(Deserialize)]
#[serde(default)]
pub struct DeclaredAttribute {
    /// Whether its values have an order.
    pub ordered: bool,
    /// Whether an image may show several of its values.
    pub multi: bool,
    /// Names of all values, in their order if they have one; `None` for those that occur.
    pub values: Option<Vec<String>>,
    /// Whether images that have a value of it may be mirrored.
    pub mirror: bool,
}

impl Default for DeclaredAttribute {
    fn default() -> Self {
        Self { ordered: false, multi: false, values: None, mirror: true }
    }
}

impl DeclaredAttributes {
    /// Whether an image may be mirrored, given the names of its attributes and of their values (empty where absent).
    pub fn may_mirror<'a>(&self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
        let forbids = |(name, value): (&str, &str)| {
            !value.is_empty() && self.attributes.get(name).is_some_and(|a| !a.mirror)
        };
        self.mirror && !labels.into_iter().any(forbids)
    }
}

impl FromIterator<(String, DeclaredAttribute)> for DeclaredAttributes {
    fn from_iter<T: IntoIterator<Item = (String, DeclaredAttribute)>>(attributes: T) -> Self {
        Self { attributes: attributes.into_iter().collect(), mirror: true }
    }
}

/// Reads the `attributes.json` at `path`; `None` if there is no such file.
///
/// # Errors
/// [`Kind::Io`](crate::error::Kind::Io) if it exists and cannot be read.
pub fn read(path: &Path, problems: &mut Problems) -> Result<Option<DeclaredAttributes>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", path, &e)),
    };
    let entries: BTreeMap<String, Entry> = match serde_json::from_str(&text) {
        Ok(entries) => entries,
        Err(e) => {
            problems.add(format!("attributes.json: {e}"));
            BTreeMap::new()
        }
    };
    let mut declared = DeclaredAttributes::from_iter([]);
    for (name, entry) in entries {
        match entry {
            Entry::Attribute(attribute) => {
                check_values(&name, &attribute, problems);
                declared.attributes.insert(name, attribute);
            }
            Entry::Flag(mirror) if name == "mirror" => declared.mirror = mirror,
            Entry::Flag(_) => problems.add(format!("attributes.json: \"{name}\" has no values")),
        }
    }
    Ok(Some(declared))
}

fn check_values(name: &str, attribute: &DeclaredAttribute, problems: &mut Problems) {
    let Some(values) = &attribute.values else {
        if attribute.ordered {
            problems.add(format!("attributes.json: \"{name}\" is ordered and has no values"));
        }
        return;
    };
    let distinct: HashSet<&String> = values.iter().collect();
    if distinct.len() < values.len() || distinct.iter().any(|v| v.is_empty()) {
        problems.add(format!("attributes.json: the values of \"{name}\" are not distinct names"));
    }
    if values.is_empty() {
        problems.add(format!("attributes.json: \"{name}\" has no values"));
    }
}

/// An entry of the file: an attribute, or what is said of the whole set. (Not `#[serde(untagged)]`, whose errors name no place.)
enum Entry {
    Attribute(DeclaredAttribute),
    Flag(bool),
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct EntryVisitor;

        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = Entry;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an object with \"values\"")
            }

            fn visit_bool<E>(self, flag: bool) -> std::result::Result<Entry, E> {
                Ok(Entry::Flag(flag))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Entry, A::Error> {
                DeclaredAttribute::deserialize(MapAccessDeserializer::new(map)).map(Entry::Attribute)
            }
        }

        from.deserialize_any(EntryVisitor)
    }
}
