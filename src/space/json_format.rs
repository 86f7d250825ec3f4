//! Embeddings and queries as JSON, for clients. It leads out only: JSON of an embedding lacks the model.

use super::text_format::{write_half, write_list};
use super::{EmbeddingRef, QueryRef};
use std::fmt;

/// Writes the K·n numbers of an embedding, `[0.6,0.8,1,0]`.
pub struct EmbeddingJson<'a>(pub EmbeddingRef<'a>);

/// Writes a query as an object. Subspaces are numbered from 1, as `coop_attributes()` numbers their attributes:
/// `{"model": "2x2@0000002a", "constant": 0, "subspaces": [{"ordinal": 2, "weight": 2, "target": [0.6,0.8]}]}`.
pub struct QueryJson<'a>(pub QueryRef<'a>);

impl fmt::Display for EmbeddingJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, self.0.values, |f, &v| write_half(f, v))
    }
}

impl fmt::Display for QueryJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = &self.0;
        write!(f, r#"{{"model": "{}", "constant": {}, "subspaces": ["#, query.layout, query.constant)?;
        for (i, (k, weight, target)) in query.active().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, r#"{comma}{{"ordinal": {}, "weight": {weight}, "target": "#, k + 1)?;
            write_list(f, target, |f, v| write!(f, "{v}"))?;
            f.write_str("}")?;
        }
        f.write_str("]}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Embedding, Query};

    #[test]
    fn an_embedding_is_an_array_of_its_numbers() {
        let e: Embedding = "2x2@0000002a:[0.5,-0,65504,0.00000006]".parse().unwrap();
        assert_eq!(EmbeddingJson(e.as_ref()).to_string(), "[0.5,-0,65504,0.00000006]");
    }

    #[test]
    fn a_query_is_an_object_with_its_subspaces_numbered_from_1() {
        let q: Query = "3x1@0000002a:{0.25;0:2*[0.5];2:1*[-1]}".parse().unwrap();
        let json: serde_json::Value = serde_json::from_str(&QueryJson(q.as_ref()).to_string()).unwrap();
        let subspaces = [
            serde_json::json!({"ordinal": 1, "weight": 2, "target": [0.5]}),
            serde_json::json!({"ordinal": 3, "weight": 1, "target": [-1]}),
        ];
        assert_eq!(
            json,
            serde_json::json!({"model": "3x1@0000002a", "constant": 0.25, "subspaces": subspaces})
        );
    }
}
