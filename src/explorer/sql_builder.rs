//! SQL as it runs, with numbered parameters, and beside it as one would type it: both grow together, piece by piece.

use std::fmt::Write as _;
use std::sync::Arc;
use tokio_postgres::types::{ToSql, Type};

/// A parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A name, a value, an id.
    Text(String),
    /// Several ids.
    Texts(Vec<String>),
    /// A photo.
    Bytes(Arc<Vec<u8>>),
    /// A weight.
    Number(f64),
    /// A count.
    Integer(i64),
}

/// One statement; see the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statement {
    bound: String,
    shown: String,
    values: Vec<Value>,
    photo: bool,
}

impl Statement {
    /// A statement that begins with `sql`.
    pub fn new(sql: &str) -> Self {
        let mut new = Self::default();
        new.sql(sql);
        new
    }

    /// The same in both: keywords, and names that the server quoted.
    pub fn sql(&mut self, sql: &str) -> &mut Self {
        self.bound.push_str(sql);
        self.shown.push_str(sql);
        self
    }

    /// A column that is read as text and shown as it is.
    pub fn column_as_text(&mut self, column: &str) -> &mut Self {
        let _ = write!(self.bound, "{column}::text");
        self.shown.push_str(column);
        self
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.parameter(Value::Text(text.to_owned()), "", &literal(text))
    }

    /// A value of another type than text, given by its text: the literal takes its type from what it is compared with.
    pub fn typed(&mut self, text: &str, type_name: &str) -> &mut Self {
        self.parameter(Value::Text(text.to_owned()), &format!("::{type_name}"), &literal(text))
    }

    /// `IN` a list of such values.
    pub fn is_one_of(&mut self, texts: &[String], type_name: &str) -> &mut Self {
        self.values.push(Value::Texts(texts.to_vec()));
        let list = texts.iter().map(|t| literal(t)).collect::<Vec<_>>().join(", ");
        let _ = write!(self.bound, " = ANY (${}::{type_name}[])", self.values.len());
        let _ = write!(self.shown, " IN ({list})");
        self
    }

    /// A weight.
    pub fn number(&mut self, number: f64) -> &mut Self {
        self.parameter(Value::Number(number), "", &number.to_string())
    }

    /// A count.
    pub fn integer(&mut self, integer: i64) -> &mut Self {
        self.parameter(Value::Integer(integer), "", &integer.to_string())
    }

    /// A photo; shown as psql's variable, which [`Statement::shown`] says how to fill.
    pub fn photo(&mut self, bytes: &Arc<Vec<u8>>) -> &mut Self {
        self.photo = true;
        self.parameter(Value::Bytes(Arc::clone(bytes)), "", "decode(:'photo', 'base64')")
    }

    fn parameter(&mut self, value: Value, cast: &str, shown: &str) -> &mut Self {
        self.values.push(value);
        let _ = write!(self.bound, "${}{cast}", self.values.len());
        self.shown.push_str(shown);
        self
    }

    /// What runs.
    pub fn bound(&self) -> &str {
        &self.bound
    }

    /// What psql takes.
    pub fn shown(&self) -> String {
        let photo = if self.photo {
            "-- psql, with the photo in a file:\n\\set photo `base64 < photo.jpg`\n"
        } else {
            ""
        };
        format!("{photo}{};", self.shown)
    }

    /// The parameters' values as literals.
    #[cfg(test)]
    pub fn values_for_tests(&self) -> Vec<String> {
        let written = |value: &Value| match value {
            Value::Text(text) => literal(text),
            Value::Texts(texts) => texts.iter().map(|t| literal(t)).collect::<Vec<_>>().join(", "),
            Value::Bytes(bytes) => format!("{bytes:?}"),
            Value::Number(number) => number.to_string(),
            Value::Integer(integer) => integer.to_string(),
        };
        self.values.iter().map(written).collect()
    }

    /// The parameters' values and types.
    pub fn parameters(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.values
            .iter()
            .map(|value| match value {
                Value::Text(text) => (text as &(dyn ToSql + Sync), Type::TEXT),
                Value::Texts(texts) => (texts as _, Type::TEXT_ARRAY),
                Value::Bytes(bytes) => (&**bytes as _, Type::BYTEA),
                Value::Number(number) => (number as _, Type::FLOAT8),
                Value::Integer(integer) => (integer as _, Type::INT8),
            })
            .collect()
    }
}

/// A string literal, whatever the server's settings: PostgreSQL's `quote_literal`.
pub fn literal(text: &str) -> String {
    let quoted = format!("'{}'", text.replace('\'', "''"));
    if text.contains('\\') {
        format!("E{}", quoted.replace('\\', "\\\\"))
    } else {
        quoted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_hold_any_text() {
        assert_eq!(literal("v-neck"), "'v-neck'");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\' OR 1=1 --"), r"E'a\\'' OR 1=1 --'");
        assert_eq!(literal("$1 :x \n é"), "'$1 :x \n é'");
    }

    #[test]
    fn values_never_become_sql() {
        let mut s = Statement::new("SELECT ");
        s.column_as_text("\"odd \"\"id\"").sql(" FROM t WHERE id = ").typed("1; DROP TABLE t", "integer");
        assert_eq!(s.bound(), "SELECT \"odd \"\"id\"::text FROM t WHERE id = $1::integer");
        assert_eq!(s.shown(), "SELECT \"odd \"\"id\" FROM t WHERE id = '1; DROP TABLE t';");
    }

    #[test]
    fn parameters_count_up_and_keep_their_types() {
        let mut s = Statement::default();
        s.text("a").number(0.25).integer(3).is_one_of(&["x".into(), "y'".into()], "uuid");
        assert_eq!(s.bound(), "$1$2$3 = ANY ($4::uuid[])");
        assert_eq!(s.shown(), "'a'0.253 IN ('x', 'y''');");
        let types: Vec<Type> = s.parameters().into_iter().map(|(_, t)| t).collect();
        assert_eq!(types, [Type::TEXT, Type::FLOAT8, Type::INT8, Type::TEXT_ARRAY]);
    }

    #[test]
    fn a_photo_is_shown_as_a_variable_with_the_line_that_fills_it() {
        let mut s = Statement::new("SELECT coop_embed(");
        s.photo(&Arc::new(vec![1, 2])).sql(")");
        assert_eq!(s.bound(), "SELECT coop_embed($1)");
        assert!(s
            .shown()
            .ends_with("\n\\set photo `base64 < photo.jpg`\nSELECT coop_embed(decode(:'photo', 'base64'));"));
    }
}
