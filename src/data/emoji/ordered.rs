//! A map that keeps the order in which its keys came.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::collections::HashMap;

/// A JSON object that remembers the order of its keys, on which depends which of two candidates is taken.
#[derive(Debug, Clone)]
pub struct Ordered<V> {
    entries: Vec<(String, V)>,
    places: HashMap<String, usize>,
}

impl<V> Default for Ordered<V> {
    fn default() -> Self {
        Self { entries: Vec::new(), places: HashMap::new() }
    }
}

impl<V> Ordered<V> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.places.get(key).map(|i| &self.entries[*i].1)
    }

    /// A key that is there keeps its place and gets the new value.
    pub fn insert(&mut self, key: String, value: V) {
        match self.places.get(&key) {
            Some(i) => self.entries[*i].1 = value,
            None => self.insert_new(key, value),
        }
    }

    /// A key that is there keeps its value too.
    pub fn insert_new(&mut self, key: String, value: V) {
        if !self.places.contains_key(&key) {
            self.places.insert(key.clone(), self.entries.len());
            self.entries.push((key, value));
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.entries.iter().map(|(k, v)| (k.as_str(), v))
    }
}

impl<V> IntoIterator for Ordered<V> {
    type Item = (String, V);
    type IntoIter = std::vec::IntoIter<(String, V)>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Ordered<V>;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Ordered<V>, A::Error> {
                let mut out = Ordered::default();
                while let Some((key, value)) = map.next_entry()? {
                    out.insert(key, value);
                }
                Ok(out)
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}
