//! The explored table: its columns by role, and how they and the extension's functions are written in SQL.

use crate::error::{Error, Kind, Result};

/// How the extension's functions and operators are written: unqualified if the search path finds them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExtensionNames {
    /// The extension's schema, quoted, if it must be written.
    pub schema: Option<String>,
    /// The model of `--model`, which functions then take as an argument.
    pub model: Option<String>,
}

impl ExtensionNames {
    /// A function, qualified where needed.
    pub fn function(&self, name: &str) -> String {
        self.schema.as_ref().map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}"))
    }

    /// An operator, as `OPERATOR(schema.op)` where needed.
    pub fn operator(&self, operator: &str) -> String {
        self.schema
            .as_ref()
            .map_or_else(|| operator.to_owned(), |schema| format!("OPERATOR({schema}.{operator})"))
    }
}

/// A column of the table. PostgreSQL has quoted its name and the name of its type.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Column {
    /// Unquoted, as pg_attribute has it.
    pub name: String,
    /// Quoted for SQL.
    pub quoted: String,
    /// Its type without a modifier, quoted for SQL.
    pub type_name: String,
    /// What it may be used for.
    pub kind: ColumnKind,
    /// Whether it alone is the primary key; without any primary key, whether it alone is unique and not null.
    pub is_key: bool,
}

/// What a column may be used for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ColumnKind {
    /// `coopvec`, or a domain over it.
    Embedding,
    /// `bytea`, or a domain over it.
    Image,
    /// A string type.
    Text,
    /// Anything else.
    #[default]
    Other,
}

/// The table and the columns that the page uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Quoted for SQL, with its schema where that is needed.
    pub name: String,
    /// Identifies a row.
    pub id: Column,
    /// The embeddings.
    pub emb: Column,
    /// The images, if the table has any.
    pub image: Option<Column>,
    /// Shown under each image.
    pub labels: Vec<Column>,
    /// Offered as a filter (`--category-column`).
    pub category: Option<Column>,
    /// How the extension's functions are written.
    pub extension: ExtensionNames,
}

/// The columns that the command line names; for each `None` the column is guessed.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestedColumns<'a> {
    /// `--id`.
    pub id: Option<&'a str>,
    /// `--emb`.
    pub emb: Option<&'a str>,
    /// `--image`.
    pub image: Option<&'a str>,
    /// `--label`.
    pub labels: &'a [String],
    /// `--category-column`.
    pub category: Option<&'a str>,
}

impl Table {
    /// The table `name` (quoted), with the requested columns, and for roles without a request the only column that fits.
    ///
    /// # Errors
    /// [`Kind::UnknownName`] for a column that does not exist, [`Kind::Mismatch`] for one of the wrong type, and
    /// [`Kind::InvalidParameter`], which lists the candidates, where several fit.
    pub fn of(
        name: &str,
        columns: &[Column],
        requested: RequestedColumns<'_>,
        extension: ExtensionNames,
    ) -> Result<Self> {
        let emb = requested_or_only(name, columns, requested.emb, ColumnKind::Embedding, "coopvec", "emb")?
            .ok_or_else(|| no_embeddings(name))?;
        let image = requested_or_only(name, columns, requested.image, ColumnKind::Image, "bytea", "image")?;
        let id = key(name, columns, requested.id)?;
        let mut labels =
            requested.labels.iter().map(|l| find(name, columns, l)).collect::<Result<Vec<Column>>>()?;
        if labels.is_empty() {
            let text = columns.iter().filter(|c| c.kind == ColumnKind::Text && c.name != id.name);
            labels = text.take(3).cloned().collect();
        }
        let category = requested.category.map(|c| find(name, columns, c)).transpose()?;
        Ok(Self { name: name.to_owned(), id, emb, image, labels, category, extension })
    }

    /// A name for the distance column that no shown column has.
    pub fn distance_alias(&self) -> String {
        let mut alias = "distance".to_owned();
        while self.labels.iter().chain([&self.id]).any(|c| c.name == alias) {
            alias.push('_');
        }
        alias
    }
}

fn no_embeddings(table: &str) -> Error {
    Error::new(Kind::InvalidParameter, format!("{table} has no column of embeddings")).hint(format!(
        "ALTER TABLE {table} ADD COLUMN emb coopvec; UPDATE {table} SET emb = coop_embed(...);"
    ))
}

fn find(table: &str, columns: &[Column], name: &str) -> Result<Column> {
    columns
        .iter()
        .find(|c| c.name == name)
        .cloned()
        .ok_or_else(|| Error::unknown(&format!("column of {table}"), name, columns.iter().map(|c| &c.name)))
}

/// The requested column, or else the only one of a kind; `None` if there is none.
fn requested_or_only(
    table: &str,
    columns: &[Column],
    requested: Option<&str>,
    kind: ColumnKind,
    type_name: &str,
    flag: &str,
) -> Result<Option<Column>> {
    if let Some(requested) = requested {
        let found = find(table, columns, requested)?;
        if found.kind != kind {
            return Err(Error::new(
                Kind::Mismatch,
                format!("column {} of {table} is not of type {type_name}", found.quoted),
            )
            .detail(format!("Its type is {}.", found.type_name)));
        }
        return Ok(Some(found));
    }
    let candidates: Vec<&Column> = columns.iter().filter(|c| c.kind == kind).collect();
    match candidates[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        _ => Err(ambiguous(table, &format!("columns of type {type_name}"), &candidates, flag)),
    }
}

/// The requested column, or else the only key, or else a column called `id`.
fn key(table: &str, columns: &[Column], requested: Option<&str>) -> Result<Column> {
    if let Some(requested) = requested {
        return find(table, columns, requested);
    }
    let keys: Vec<&Column> = columns.iter().filter(|c| c.is_key).collect();
    match keys[..] {
        [one] => Ok(one.clone()),
        [] => columns.iter().find(|c| c.name == "id").cloned().ok_or_else(|| {
            Error::new(Kind::InvalidParameter, format!("{table} has no primary key of one column"))
                .hint("Name a column that identifies its rows with --id.")
        }),
        _ => Err(ambiguous(table, "columns that identify rows", &keys, "id")),
    }
}

fn ambiguous(table: &str, what: &str, candidates: &[&Column], flag: &str) -> Error {
    let list = candidates.iter().map(|c| c.quoted.as_str()).collect::<Vec<_>>().join(", ");
    Error::new(Kind::InvalidParameter, format!("{table} has several {what}"))
        .detail(format!("They are {list}."))
        .hint(format!("Name the one to use with --{flag}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ColumnKind::{Embedding, Image, Other, Text};

    fn column(name: &str, kind: ColumnKind) -> Column {
        let is_key = name.ends_with("key");
        Column { name: name.into(), quoted: name.into(), type_name: "t".into(), kind, is_key }
    }

    fn guess(columns: &[(&str, ColumnKind)], requested: RequestedColumns<'_>) -> Result<Table> {
        let columns: Vec<Column> = columns.iter().map(|(n, k)| column(n, *k)).collect();
        Table::of("shop.products", &columns, requested, ExtensionNames::default())
    }

    #[test]
    fn columns_are_guessed_where_only_one_fits() {
        let all = [
            ("key", Other),
            ("a", Text),
            ("b", Text),
            ("photo", Image),
            ("c", Text),
            ("d", Text),
            ("e", Embedding),
        ];
        let t = guess(&all, RequestedColumns::default()).unwrap();
        assert_eq!(
            (t.id.name.as_str(), t.emb.name.as_str(), t.image.unwrap().name.as_str()),
            ("key", "e", "photo")
        );
        assert_eq!(t.labels.iter().map(|l| &l.name[..]).collect::<Vec<_>>(), ["a", "b", "c"]);
        let view = guess(&[("id", Other), ("e", Embedding)], RequestedColumns::default()).unwrap();
        assert_eq!((view.id.name.as_str(), view.image, view.labels.len()), ("id", None, 0));
    }

    #[test]
    fn several_candidates_are_an_error_that_names_them() {
        let e =
            guess(&[("key", Other), ("front", Embedding), ("back", Embedding)], RequestedColumns::default())
                .unwrap_err();
        assert!(e.detail.unwrap().contains("front, back") && e.hint.unwrap().contains("--emb"));
        let requested = RequestedColumns { emb: Some("back"), ..RequestedColumns::default() };
        assert_eq!(
            guess(&[("key", Other), ("front", Embedding), ("back", Embedding)], requested).unwrap().emb.name,
            "back"
        );
        let e = guess(&[("a_key", Other), ("b_key", Other), ("e", Embedding)], RequestedColumns::default())
            .unwrap_err();
        assert!(e.detail.unwrap().contains("a_key, b_key"));
    }

    #[test]
    fn missing_columns_and_wrong_types_are_errors() {
        assert!(guess(&[("key", Other)], RequestedColumns::default())
            .unwrap_err()
            .hint
            .unwrap()
            .contains("ADD COLUMN"));
        assert!(guess(&[("sku", Text), ("e", Embedding)], RequestedColumns::default())
            .unwrap_err()
            .hint
            .unwrap()
            .contains("--id"));
        let requested = RequestedColumns { image: Some("name"), ..RequestedColumns::default() };
        let e = guess(&[("key", Other), ("name", Text), ("e", Embedding)], requested).unwrap_err();
        assert_eq!(e.kind, Kind::Mismatch);
        let requested = RequestedColumns { category: Some("kategory"), ..RequestedColumns::default() };
        let e = guess(&[("key", Other), ("category", Text), ("e", Embedding)], requested).unwrap_err();
        assert!(e.hint.unwrap().contains("category"));
    }

    #[test]
    fn the_distance_alias_differs_from_every_column() {
        let t = guess(&[("key", Other), ("distance", Text), ("e", Embedding)], RequestedColumns::default())
            .unwrap();
        assert_eq!(t.distance_alias(), "distance_");
    }
}
