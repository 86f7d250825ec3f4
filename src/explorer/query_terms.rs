//! What somebody asks for on the page, and its meaning as a `coopquery` expression.

use super::http_error::Refusal;
use super::sql_builder::Statement;
use super::table::Table;
use serde::Deserialize;
use std::sync::Arc;

/// Most wishes, and most attributes or swaps of one, in a question: no person makes more.
const MOST: usize = 256;

/// A search of the page: `wishes` are added up, `category` is a condition.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What to look for; none: the table as it is.
    #[serde(default)]
    pub wishes: Vec<Wish>,
    /// Only rows with this value in `--category-column`.
    #[serde(default)]
    pub category: Option<String>,
    /// How many rows; the page's own number if not given.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// One wish.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Wish {
    /// Anything with a value of an attribute.
    Value {
        /// The attribute's name.
        attribute: String,
        /// The value's.
        value: String,
        /// How much it matters.
        weight: f64,
    },
    /// Anything of a category.
    Category {
        /// The category's name.
        name: String,
        /// How much it matters.
        weight: f64,
    },
    /// Like a row of the table.
    Like {
        /// The row's id, as text.
        id: String,
        /// In what.
        #[serde(default)]
        how: Likeness,
    },
    /// Like a photo that was dropped on the page.
    Photo {
        /// What [`super::dropped_images::Photos`] calls it.
        photo: String,
        /// In what.
        #[serde(default)]
        how: Likeness,
    },
}

/// In what a picture is to be matched.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Likeness {
    /// How much each attribute matters, those that are not here not at all; not given: everything, once.
    #[serde(default)]
    pub weights: Option<Vec<(String, f64)>>,
    /// "But with": attributes and the values that they should have instead.
    #[serde(default)]
    pub swaps: Vec<(String, String)>,
}

impl Question {
    /// Refuses weights that are no weights, and drops what does not matter.
    ///
    /// # Errors
    /// A refusal with status 400.
    pub fn checked(mut self) -> Result<Self, Refusal> {
        let lists = self.wishes.iter().filter_map(Wish::how);
        let longest = lists.map(|h| h.swaps.len().max(h.weights.as_ref().map_or(0, Vec::len))).max();
        if self.wishes.len().max(longest.unwrap_or(0)) > MOST {
            return Err(Refusal::bad("too many wishes").detail(format!("At most {MOST} are taken at once.")));
        }
        for wish in &mut self.wishes {
            match wish {
                Wish::Value { attribute, value, weight } => check(*weight, &format!("{attribute}: {value}"))?,
                Wish::Category { name, weight } => check(*weight, name)?,
                Wish::Like { how, .. } | Wish::Photo { how, .. } => {
                    for (attribute, weight) in how.weights.iter().flatten() {
                        check(*weight, attribute)?;
                    }
                    how.weights.iter_mut().for_each(|w| w.retain(|(_, weight)| *weight > 0.0));
                }
            }
        }
        self.wishes.retain(Wish::matters);
        Ok(self)
    }

    /// The rows that are asked with.
    pub fn ids(&self) -> Vec<&str> {
        self.wishes
            .iter()
            .filter_map(|w| if let Wish::Like { id, .. } = w { Some(id.as_str()) } else { None })
            .collect()
    }
}

fn check(weight: f64, of: &str) -> Result<(), Refusal> {
    if (0.0..=100.0).contains(&weight) {
        return Ok(());
    }
    Err(Refusal::bad(format!("the weight of \"{of}\" is no weight"))
        .detail(format!("It is {weight}; a weight is a number from 0 (off) to 100.")))
}

impl Wish {
    fn how(&self) -> Option<&Likeness> {
        match self {
            Self::Like { how, .. } | Self::Photo { how, .. } => Some(how),
            _ => None,
        }
    }

    fn matters(&self) -> bool {
        match self {
            Self::Value { weight, .. } | Self::Category { weight, .. } => *weight > 0.0,
            Self::Like { how, .. } | Self::Photo { how, .. } => {
                how.weights.as_ref().is_none_or(|w| !w.is_empty())
            }
        }
    }
}

/// Wishes as SQL.
pub struct Expression<'a> {
    /// Whose rows are asked with.
    pub table: &'a Table,
    /// Finds a dropped photo's bytes by its name.
    pub photo: &'a (dyn Fn(&str) -> Option<Arc<Vec<u8>>> + Sync),
}

impl Expression<'_> {
    /// Puts the sum of `wishes`, which are [checked](Question::checked) and not empty, into a statement.
    ///
    /// # Errors
    /// A refusal with status 410 if a photo is no longer kept.
    pub fn sum(&self, s: &mut Statement, wishes: &[Wish], between: &str) -> Result<(), Refusal> {
        let mut first = true;
        for wish in wishes {
            for (weight, attributes) in shares(wish) {
                if !std::mem::take(&mut first) {
                    s.sql(between).sql(&self.table.names.operator("+")).sql(" ");
                }
                self.weighted(s, weight, |s| self.term(s, wish, &attributes))?;
            }
        }
        Ok(())
    }

    fn weighted(
        &self,
        s: &mut Statement,
        weight: f64,
        term: impl FnOnce(&mut Statement) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if weight == 1.0 {
            return term(s);
        }
        // OPERATOR(schema.*) binds no closer than OPERATOR(schema.+).
        let (open, close) = if self.table.names.schema.is_none() { ("", "") } else { ("(", ")") };
        s.sql(open).number(weight).sql(" ").sql(&self.table.names.operator("*")).sql(" ");
        term(s)?;
        s.sql(close);
        Ok(())
    }

    fn term(&self, s: &mut Statement, wish: &Wish, attributes: &[&str]) -> Result<(), Refusal> {
        match wish {
            Wish::Value { attribute, value, .. } => {
                s.sql(&self.table.names.function("coop_attr_query"))
                    .sql("(")
                    .text(attribute)
                    .sql(", ")
                    .text(value);
                self.model(s);
            }
            Wish::Category { name, .. } => {
                s.sql(&self.table.names.function("coop_category_query")).sql("(").text(name);
                self.model(s);
            }
            Wish::Like { how, .. } | Wish::Photo { how, .. } => {
                s.sql(&self.table.names.function("coop_like")).sql("(");
                for _ in &how.swaps {
                    s.sql(&self.table.names.function("coop_replace")).sql("(");
                }
                self.embedding(s, wish)?;
                for (attribute, value) in &how.swaps {
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

    fn embedding(&self, s: &mut Statement, wish: &Wish) -> Result<(), Refusal> {
        match wish {
            Wish::Photo { photo, .. } => {
                let bytes = (self.photo)(photo).ok_or_else(Refusal::photo_gone)?;
                s.sql(&self.table.names.function("coop_embed")).sql("(").photo(&bytes);
                self.model(s);
                s.sql(")");
            }
            Wish::Like { id, .. } => {
                let Table { name, emb, id: key, .. } = self.table;
                s.sql(&format!("(SELECT {} FROM {name} WHERE {} = ", emb.quoted, key.quoted))
                    .typed(id, &key.type_name)
                    .sql(")");
            }
            _ => {}
        }
        Ok(())
    }

    fn model(&self, s: &mut Statement) {
        if let Some(model) = &self.table.names.model {
            s.sql(", ").text(model);
        }
    }
}

/// The terms of a wish: attributes of one weight are one term; no attributes: all of them.
fn shares(wish: &Wish) -> Vec<(f64, Vec<&str>)> {
    match wish {
        Wish::Value { weight, .. } | Wish::Category { weight, .. } => vec![(*weight, vec![])],
        Wish::Like { how, .. } | Wish::Photo { how, .. } => match &how.weights {
            None => vec![(1.0, vec![])],
            Some(weights) => {
                let mut shares: Vec<(f64, Vec<&str>)> = Vec::new();
                for (attribute, weight) in weights {
                    match shares.iter_mut().find(|(w, _)| w == weight) {
                        Some((_, attributes)) => attributes.push(attribute),
                        None => shares.push((*weight, vec![attribute])),
                    }
                }
                shares
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Option<Vec<Wish>> {
        let question: Question = serde_json::from_str(json).ok()?;
        question.checked().ok().map(|q| q.wishes)
    }

    #[test]
    fn weights_are_numbers_from_0_to_100_and_what_weighs_nothing_is_left_out() {
        let value = |weight: &str| {
            checked(&format!(
                r#"{{"wishes": [{{"kind": "value", "attribute": "a", "value": "b", "weight": {weight}}}]}}"#
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
                r#"{{"wishes": [{{"kind": "like", "id": "1", "how": {{"weights": {weights}}}}}]}}"#
            ))
        };
        assert_eq!(like("null").unwrap().len(), 1, "everything");
        assert_eq!(like(r#"[["a", 0], ["b", 0]]"#).unwrap().len(), 0, "nothing");
        assert!(like(r#"[["a", -1]]"#).is_none());
    }

    #[test]
    fn questions_that_nobody_would_ask_are_refused() {
        let many = vec![r#"{"kind": "like", "id": "1"}"#; MOST + 1].join(",");
        assert!(checked(&format!(r#"{{"wishes": [{many}]}}"#)).is_none());
        assert!(checked(r#"{"wishes": [{"kind": "magic"}]}"#).is_none());
        assert!(checked(r#"{"wishes": [], "sql": "DROP TABLE"}"#).is_none());
        assert_eq!(checked("{}").unwrap(), []);
    }
}
