//! The explorer's SQL builder. A [`Statement`] grows piece by piece in two forms at once:
//!
//! - [`Statement::parameterized`] is what runs: values are numbered parameters (`$1`), so that no input becomes SQL;
//! - [`Statement::with_literals`] is what the page shows: the same statement with its values written out, to paste into psql.
//!
//! [`super::sql_queries`] composes the statements themselves.

use crate::connection::quote_literal;
use std::fmt::Write as _;
use std::sync::Arc;
use tokio_postgres::types::{ToSql, Type};

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// `text`: a name, an attribute value, an id.
    Text(String),
    /// `text[]`: several ids.
    Texts(Vec<String>),
    /// `bytea`: a dropped image.
    Bytes(Arc<Vec<u8>>),
    /// `float8`: a weight.
    Float(f64),
    /// `int8`: a count or an OID.
    Integer(i64),
}

/// An SQL statement with parameters, and the same with literals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statement {
    parameterized: String,
    with_literals: String,
    values: Vec<Value>,
    has_image: bool,
}

impl Statement {
    /// A statement that begins with `sql`.
    pub fn new(sql: &str) -> Self {
        let mut new = Self::default();
        new.sql(sql);
        new
    }

    /// Appends SQL that is the same in both forms: keywords, and identifiers that the server has quoted. Never input.
    pub fn sql(&mut self, sql: &str) -> &mut Self {
        self.parameterized.push_str(sql);
        self.with_literals.push_str(sql);
        self
    }

    /// Appends a column that runs with a cast to text, and is shown without it.
    pub fn column_as_text(&mut self, column: &str) -> &mut Self {
        let _ = write!(self.parameterized, "{column}::text");
        self.with_literals.push_str(column);
        self
    }

    /// Appends a parameter of type text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.parameter(Value::Text(text.to_owned()), "", &quote_literal(text))
    }

    /// Appends a value of type `type_name`, given in its text form. The parameter is cast; the literal is not, because it takes
    /// its type from what it is compared with.
    pub fn cast_text(&mut self, text: &str, type_name: &str) -> &mut Self {
        self.parameter(Value::Text(text.to_owned()), &format!("::{type_name}"), &quote_literal(text))
    }

    /// Appends ` = ANY ($n)` with an array, shown as `IN (...)`, of values given in their text form.
    pub fn in_list(&mut self, texts: &[String], type_name: &str) -> &mut Self {
        self.values.push(Value::Texts(texts.to_vec()));
        let list = texts.iter().map(|t| quote_literal(t)).collect::<Vec<_>>().join(", ");
        let _ = write!(self.parameterized, " = ANY (${}::{type_name}[])", self.values.len());
        let _ = write!(self.with_literals, " IN ({list})");
        self
    }

    /// Appends a parameter of type float8.
    pub fn float(&mut self, number: f64) -> &mut Self {
        self.parameter(Value::Float(number), "", &number.to_string())
    }

    /// Appends a parameter of type int8.
    pub fn integer(&mut self, integer: i64) -> &mut Self {
        self.parameter(Value::Integer(integer), "", &integer.to_string())
    }

    /// Appends an image as bytea; shown as a psql variable, which [`Statement::with_literals`] says how to set.
    pub fn image(&mut self, bytes: &Arc<Vec<u8>>) -> &mut Self {
        self.has_image = true;
        self.parameter(Value::Bytes(Arc::clone(bytes)), "", "decode(:'image', 'base64')")
    }

    fn parameter(&mut self, value: Value, cast: &str, literal: &str) -> &mut Self {
        self.values.push(value);
        let _ = write!(self.parameterized, "${}{cast}", self.values.len());
        self.with_literals.push_str(literal);
        self
    }

    /// The SQL that runs, with `$1`, `$2` and so on; [`Statement::parameters`] has their values.
    pub fn parameterized(&self) -> &str {
        &self.parameterized
    }

    /// The SQL for a person to paste into psql.
    pub fn with_literals(&self) -> String {
        let set_image = if self.has_image {
            "-- psql, with the image in a file:\n\\set image `base64 < image.jpg`\n"
        } else {
            ""
        };
        format!("{set_image}{};", self.with_literals)
    }

    /// The parameters' values as SQL literals.
    #[cfg(test)]
    pub fn literal_values(&self) -> Vec<String> {
        let literal = |value: &Value| match value {
            Value::Text(text) => quote_literal(text),
            Value::Texts(texts) => texts.iter().map(|t| quote_literal(t)).collect::<Vec<_>>().join(", "),
            Value::Bytes(bytes) => format!("{bytes:?}"),
            Value::Float(number) => number.to_string(),
            Value::Integer(integer) => integer.to_string(),
        };
        self.values.iter().map(literal).collect()
    }

    /// The parameters' values and types, in order.
    pub fn parameters(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.values
            .iter()
            .map(|value| match value {
                Value::Text(text) => (text as &(dyn ToSql + Sync), Type::TEXT),
                Value::Texts(texts) => (texts as _, Type::TEXT_ARRAY),
                Value::Bytes(bytes) => (&**bytes as _, Type::BYTEA),
                Value::Float(number) => (number as _, Type::FLOAT8),
                Value::Integer(integer) => (integer as _, Type::INT8),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_never_become_sql() {
        let mut s = Statement::new("SELECT ");
        s.column_as_text("\"odd \"\"id\"").sql(" FROM t WHERE id = ").cast_text("1; DROP TABLE t", "integer");
        assert_eq!(s.parameterized(), "SELECT \"odd \"\"id\"::text FROM t WHERE id = $1::integer");
        assert_eq!(s.with_literals(), "SELECT \"odd \"\"id\" FROM t WHERE id = '1; DROP TABLE t';");
    }

    #[test]
    fn parameters_count_up_and_keep_their_types() {
        let mut s = Statement::default();
        s.text("a").float(0.25).integer(3).in_list(&["x".into(), "y'".into()], "uuid");
        assert_eq!(s.parameterized(), "$1$2$3 = ANY ($4::uuid[])");
        assert_eq!(s.with_literals(), "'a'0.253 IN ('x', 'y''');");
        let types: Vec<Type> = s.parameters().into_iter().map(|(_, t)| t).collect();
        assert_eq!(types, [Type::TEXT, Type::FLOAT8, Type::INT8, Type::TEXT_ARRAY]);
    }

    #[test]
    fn an_image_is_shown_as_a_variable_after_the_line_that_sets_it() {
        let mut s = Statement::new("SELECT coop_embed(");
        s.image(&Arc::new(vec![1, 2])).sql(")");
        assert_eq!(s.parameterized(), "SELECT coop_embed($1)");
        assert!(s
            .with_literals()
            .ends_with("\n\\set image `base64 < image.jpg`\nSELECT coop_embed(decode(:'image', 'base64'));"));
    }
}
