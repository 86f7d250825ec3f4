//! A search of the page as it arrives in JSON, and the `coopquery` expression in SQL that it becomes.

use super::http_error::HttpError;
use super::sql_builder::Statement;
use super::table::Table;
use serde::Deserialize;
use std::sync::Arc;

/// Most terms of a search, and most weights or replacements of one term: far more than a person enters.
const MAX_TERMS: usize = 256;

/// Body of `POST /api/search`. The terms are added up; the category is a WHERE condition.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// What to search for; if empty, the answer is the table's first rows.
    #[serde(default)]
    pub terms: Vec<QueryTerm>,
    /// Only rows with this value in `--category-column`.
    #[serde(default)]
    pub category: Option<String>,
    /// Most rows of the answer; `--limit` if absent.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// One term of a search, such as "hue: green, twice".
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum QueryTerm {
    /// Anything with a value of an attribute (`coop_attr_query`).
    Value {
        /// The attribute's name.
        attribute: String,
        /// The value's name.
        value: String,
        /// 0 (off) to 100.
        weight: f64,
    },
    /// Anything of a category (`coop_category_query`).
    Category {
        /// The category's name.
        name: String,
        /// 0 (off) to 100.
        weight: f64,
    },
    /// A description in words (`coop_query`).
    Description {
        /// As it was typed.
        text: String,
        /// 0 (off) to 100.
        weight: f64,
    },
    /// Like a row of the table (`coop_like`).
    Like {
        /// The row's id, as text.
        id: String,
        /// In which attributes.
        #[serde(default)]
        matching: Matching,
    },
    /// Like an image that was dropped on the page (`coop_like` of `coop_embed`).
    Image {
        /// Its key in [`super::dropped_images::DroppedImages`].
        key: String,
        /// In which attributes.
        #[serde(default)]
        matching: Matching,
    },
}

/// In which attributes an image is matched, and which of them are changed first.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matching {
    /// Attributes and their weights; attributes that are not listed do not count. `None`: all, with weight 1.
    #[serde(default)]
    pub weights: Option<Vec<(String, f64)>>,
    /// Attributes and the values to replace theirs with (`coop_replace`): "this one, but with long sleeves".
    #[serde(default)]
    pub replacements: Vec<(String, String)>,
}

impl SearchRequest {
    /// Checks the weights, and drops terms and attributes whose weight is 0.
    ///
    /// # Errors
    /// Status 400 for too many terms, and for weights that are not between 0 and 100.
    pub fn checked(mut self) -> Result<Self, HttpError> {
        let matchings = self.terms.iter().filter_map(QueryTerm::matching);
        let longest =
            matchings.map(|m| m.replacements.len().max(m.weights.as_ref().map_or(0, Vec::len))).max();
        if self.terms.len().max(longest.unwrap_or(0)) > MAX_TERMS {
            return Err(HttpError::bad_request("the search has too many terms")
                .detail(format!("At most {MAX_TERMS} are allowed.")));
        }
        for term in &mut self.terms {
            match term {
                QueryTerm::Value { attribute, value, weight } => {
                    check_weight(*weight, &format!("{attribute}: {value}"))?;
                }
                QueryTerm::Category { name: text, weight } | QueryTerm::Description { text, weight } => {
                    check_weight(*weight, text)?;
                }
                QueryTerm::Like { matching, .. } | QueryTerm::Image { matching, .. } => {
                    for (attribute, weight) in matching.weights.iter().flatten() {
                        check_weight(*weight, attribute)?;
                    }
                    matching.weights.iter_mut().for_each(|w| w.retain(|(_, weight)| *weight > 0.0));
                }
            }
        }
        self.terms.retain(QueryTerm::has_weight);
        Ok(self)
    }

    /// Ids of the rows that the terms refer to.
    pub fn row_ids(&self) -> Vec<&str> {
        self.terms
            .iter()
            .filter_map(|t| if let QueryTerm::Like { id, .. } = t { Some(id.as_str()) } else { None })
            .collect()
    }
}

fn check_weight(weight: f64, of: &str) -> Result<(), HttpError> {
    if (0.0..=100.0).contains(&weight) {
        return Ok(());
    }
    Err(HttpError::bad_request(format!("the weight of \"{of}\" is out of range"))
        .detail(format!("It is {weight}; a weight is a number from 0 (off) to 100.")))
}

impl QueryTerm {
    fn matching(&self) -> Option<&Matching> {
        match self {
            Self::Like { matching, .. } | Self::Image { matching, .. } => Some(matching),
            _ => None,
        }
    }

    fn has_weight(&self) -> bool {
        match self {
            Self::Value { weight, .. } | Self::Category { weight, .. } | Self::Description { weight, .. } => {
                *weight > 0.0
            }
            Self::Like { matching, .. } | Self::Image { matching, .. } => {
                matching.weights.as_ref().is_none_or(|w| !w.is_empty())
            }
        }
    }
}

/// Writes terms as a `coopquery` expression in SQL.
pub struct QueryExpression<'a> {
    /// The table that [`QueryTerm::Like`] takes rows from.
    pub table: &'a Table,
    /// Looks up the bytes of a dropped image by its key.
    pub dropped_image: &'a (dyn Fn(&str) -> Option<Arc<Vec<u8>>> + Sync),
}

impl QueryExpression<'_> {
    /// Appends the sum of `terms`, which are [checked](SearchRequest::checked) and not empty; `separator` goes before each `+`.
    ///
    /// # Errors
    /// Status 410 if a dropped image has been evicted.
    pub fn sum(&self, s: &mut Statement, terms: &[QueryTerm], separator: &str) -> Result<(), HttpError> {
        let mut first = true;
        for term in terms {
            for (weight, attributes) in group_by_weight(term) {
                if !std::mem::take(&mut first) {
                    s.sql(separator).sql(&self.table.extension.operator("+")).sql(" ");
                }
                self.weighted(s, weight, |s| self.term(s, term, &attributes))?;
            }
        }
        Ok(())
    }

    /// Appends `weight * term`, or the term alone for a weight of 1.
    fn weighted(
        &self,
        s: &mut Statement,
        weight: f64,
        term: impl FnOnce(&mut Statement) -> Result<(), HttpError>,
    ) -> Result<(), HttpError> {
        if weight == 1.0 {
            return term(s);
        }
        // OPERATOR(schema.*) and OPERATOR(schema.+) have the same precedence, unlike * and +.
        let (open, close) = if self.table.extension.schema.is_none() { ("", "") } else { ("(", ")") };
        s.sql(open).float(weight).sql(" ").sql(&self.table.extension.operator("*")).sql(" ");
        term(s)?;
        s.sql(close);
        Ok(())
    }

    /// Appends one function call; `attributes` are those of a [`Matching`] with one weight.
    fn term(&self, s: &mut Statement, term: &QueryTerm, attributes: &[&str]) -> Result<(), HttpError> {
        match term {
            QueryTerm::Value { attribute, value, .. } => {
                s.sql(&self.table.extension.function("coop_attr_query"))
                    .sql("(")
                    .text(attribute)
                    .sql(", ")
                    .text(value);
                self.model(s);
            }
            QueryTerm::Category { name, .. } => {
                s.sql(&self.table.extension.function("coop_category_query")).sql("(").text(name);
                self.model(s);
            }
            QueryTerm::Description { text, .. } => {
                s.sql(&self.table.extension.function("coop_query")).sql("(").text(text);
                self.model(s);
            }
            QueryTerm::Like { matching, .. } | QueryTerm::Image { matching, .. } => {
                s.sql(&self.table.extension.function("coop_like")).sql("(");
                for _ in &matching.replacements {
                    s.sql(&self.table.extension.function("coop_replace")).sql("(");
                }
                self.embedding(s, term)?;
                for (attribute, value) in &matching.replacements {
                    s.sql(", ").text(attribute).sql(", ").text(value).sql(")");
                }
                for attribute in attributes {
                    s.sql(", ").text(attribute);
                }
            }
        }
        s.sql(")");
        Ok(())
    }

    /// Appends the embedding of a row or of a dropped image.
    fn embedding(&self, s: &mut Statement, term: &QueryTerm) -> Result<(), HttpError> {
        match term {
            QueryTerm::Image { key, .. } => {
                let bytes = (self.dropped_image)(key).ok_or_else(HttpError::dropped_image_gone)?;
                s.sql(&self.table.extension.function("coop_embed")).sql("(").image(&bytes);
                self.model(s);
                s.sql(")");
            }
            QueryTerm::Like { id, .. } => {
                let Table { name, emb, id: key, .. } = self.table;
                s.sql(&format!("(SELECT {} FROM {name} WHERE {} = ", emb.quoted, key.quoted))
                    .cast_text(id, &key.type_name)
                    .sql(")");
            }
            _ => {}
        }
        Ok(())
    }

    /// Appends the model argument, if `--model` names one.
    fn model(&self, s: &mut Statement) {
        if let Some(model) = &self.table.extension.model {
            s.sql(", ").text(model);
        }
    }
}

/// The function calls that a term takes: one per distinct weight, with the attributes of that weight (none: all attributes).
fn group_by_weight(term: &QueryTerm) -> Vec<(f64, Vec<&str>)> {
    match term {
        QueryTerm::Value { weight, .. }
        | QueryTerm::Category { weight, .. }
        | QueryTerm::Description { weight, .. } => vec![(*weight, vec![])],
        QueryTerm::Like { matching, .. } | QueryTerm::Image { matching, .. } => match &matching.weights {
            None => vec![(1.0, vec![])],
            Some(weights) => {
                let mut groups: Vec<(f64, Vec<&str>)> = Vec::new();
                for (attribute, weight) in weights {
                    match groups.iter_mut().find(|(w, _)| w == weight) {
                        Some((_, attributes)) => attributes.push(attribute),
                        None => groups.push((*weight, vec![attribute])),
                    }
                }
                groups
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Option<Vec<QueryTerm>> {
        let request: SearchRequest = serde_json::from_str(json).ok()?;
        request.checked().ok().map(|r| r.terms)
    }

    #[test]
    fn weights_are_numbers_from_0_to_100_and_a_weight_of_0_drops_the_term() {
        let value = |weight: &str| {
            checked(&format!(
                r#"{{"terms": [{{"kind": "value", "attribute": "a", "value": "b", "weight": {weight}}}]}}"#
            ))
        };
        assert_eq!(
            (value("0.5").unwrap().len(), value("100").unwrap().len(), value("0").unwrap().len()),
            (1, 1, 0)
        );
        for wrong in ["-0.1", "101", "1e999", "NaN", "\"NaN\"", "null", "[1]"] {
            assert!(value(wrong).is_none(), "{wrong}");
        }
        let like = |weights: &str| {
            checked(&format!(
                r#"{{"terms": [{{"kind": "like", "id": "1", "matching": {{"weights": {weights}}}}}]}}"#
            ))
        };
        assert_eq!(like("null").unwrap().len(), 1, "everything");
        assert_eq!(like(r#"[["a", 0], ["b", 0]]"#).unwrap().len(), 0, "nothing");
        assert!(like(r#"[["a", -1]]"#).is_none());
    }

    #[test]
    fn malformed_requests_are_refused() {
        let many = vec![r#"{"kind": "like", "id": "1"}"#; MAX_TERMS + 1].join(",");
        assert!(checked(&format!(r#"{{"terms": [{many}]}}"#)).is_none());
        assert!(checked(r#"{"terms": [{"kind": "magic"}]}"#).is_none());
        assert!(checked(r#"{"terms": [], "sql": "DROP TABLE"}"#).is_none());
        assert_eq!(checked("{}").unwrap(), []);
    }
}
