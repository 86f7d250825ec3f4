//! A map that keeps the order in which its keys were added.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::collections::HashMap;

/// A JSON object that keeps the order of its keys: where two entries fit, the first is taken.
#[derive(Debug, Clone)]
pub struct OrderedMap<V> {
    entries: Vec<(String, V)>,
    positions: HashMap<String, usize>,
}

impl<V> Default for OrderedMap<V> {
    fn default() -> Self {
        Self { entries: Vec::new(), positions: HashMap::new() }
    }
}

impl<V> OrderedMap<V> {
    /// The value of a key, if the map has it.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.positions.get(key).map(|i| &self.entries[*i].1)
    }

    /// Sets the value of a key. An existing key keeps its position.
    pub fn insert(&mut self, key: String, value: V) {
        match self.positions.get(&key) {
            Some(i) => self.entries[*i].1 = value,
            None => self.insert_new(key, value),
        }
    }

    /// Adds a key, unless the map has it already.
    pub fn insert_new(&mut self, key: String, value: V) {
        if !self.positions.contains_key(&key) {
            self.positions.insert(key.clone(), self.entries.len());
            self.entries.push((key, value));
        }
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the map has no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.entries.iter().map(|(k, v)| (k.as_str(), v))
    }
}

impl<V> IntoIterator for OrderedMap<V> {
    type Item = (String, V);
    type IntoIter = std::vec::IntoIter<(String, V)>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for OrderedMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = OrderedMap<V>;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<OrderedMap<V>, A::Error> {
                let mut out = OrderedMap::default();
                while let Some((key, value)) = map.next_entry()? {
                    out.insert(key, value);
                }
                Ok(out)
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}
