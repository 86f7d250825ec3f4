//! Which table is looked at, and how everything in it is called in SQL.

use crate::error::{Error, Kind, Result};

/// How the extension's functions and operators are called: by their names alone if the search path finds them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    /// Quoted schema, if it must be named.
    pub schema: Option<String>,
    /// The model that `--model` chose.
    pub model: Option<String>,
}

impl Names {
    /// A function's name.
    pub fn function(&self, name: &str) -> String {
        self.schema.as_ref().map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}"))
    }

    /// An operator.
    pub fn operator(&self, operator: &str) -> String {
        self.schema
            .as_ref()
            .map_or_else(|| operator.to_owned(), |schema| format!("OPERATOR({schema}.{operator})"))
    }
}

/// A column; the server has quoted its name and its type's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Column {
    /// As it is stored.
    pub name: String,
    /// As SQL has it.
    pub quoted: String,
    /// Its type, without a modifier.
    pub type_name: String,
    /// What it may be used for.
    pub kind: ColumnKind,
    /// Whether it alone is the primary key or a unique index over rows that are not null.
    pub is_key: bool,
}

/// What a column may be used for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ColumnKind {
    /// `coopvec`.
    Embedding,
    /// `bytea`.
    Picture,
    /// Strings.
    Text,
    /// Anything else.
    #[default]
    Other,
}

/// The table and the columns that the page uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Quoted, with its schema where that is needed.
    pub name: String,
    /// Tells rows apart.
    pub id: Column,
    /// Embeddings.
    pub emb: Column,
    /// Pictures, if there are any in the table.
    pub image: Option<Column>,
    /// Shown under each picture.
    pub labels: Vec<Column>,
    /// Offered as a filter.
    pub category: Option<Column>,
    /// How the extension is called.
    pub names: Names,
}

/// Columns that the command line named; `None` is to be guessed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
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
    /// The table called `name` (quoted) with those of its `columns` that are wanted, or else can only be meant.
    ///
    /// # Errors
    /// [`Kind::UnknownName`], [`Kind::Mismatch`] for a column of the wrong type, and [`Kind::InvalidParameter`] with the
    /// candidates where more than one column may be meant.
    pub fn of(name: &str, columns: &[Column], wanted: Wanted<'_>, names: Names) -> Result<Self> {
        let emb = only(name, columns, wanted.emb, ColumnKind::Embedding, "coopvec", "emb")?
            .ok_or_else(|| no_embeddings(name))?;
        let image = only(name, columns, wanted.image, ColumnKind::Picture, "bytea", "image")?;
        let id = key(name, columns, wanted.id)?;
        let mut labels =
            wanted.labels.iter().map(|l| find(name, columns, l)).collect::<Result<Vec<Column>>>()?;
        if labels.is_empty() {
            let text = columns.iter().filter(|c| c.kind == ColumnKind::Text && c.name != id.name);
            labels = text.take(3).cloned().collect();
        }
        let category = wanted.category.map(|c| find(name, columns, c)).transpose()?;
        Ok(Self { name: name.to_owned(), id, emb, image, labels, category, names })
    }

    /// A name for the column of distances that none of the others has.
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

/// The wanted column, or the only one of a kind, or none.
fn only(
    table: &str,
    columns: &[Column],
    wanted: Option<&str>,
    kind: ColumnKind,
    type_name: &str,
    flag: &str,
) -> Result<Option<Column>> {
    if let Some(wanted) = wanted {
        let found = find(table, columns, wanted)?;
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

/// The wanted column, or the only key, or the one that is called as keys are.
fn key(table: &str, columns: &[Column], wanted: Option<&str>) -> Result<Column> {
    if let Some(wanted) = wanted {
        return find(table, columns, wanted);
    }
    let keys: Vec<&Column> = columns.iter().filter(|c| c.is_key).collect();
    match keys[..] {
        [one] => Ok(one.clone()),
        [] => columns.iter().find(|c| c.name == "id").cloned().ok_or_else(|| {
            Error::new(Kind::InvalidParameter, format!("{table} has no primary key of one column"))
                .hint("Name a column that tells its rows apart with --id.")
        }),
        _ => Err(ambiguous(table, "columns that tell rows apart", &keys, "id")),
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
    use ColumnKind::{Embedding, Other, Picture, Text};

    fn column(name: &str, kind: ColumnKind) -> Column {
        let is_key = name.ends_with("key");
        Column { name: name.into(), quoted: name.into(), type_name: "t".into(), kind, is_key }
    }

    fn guess(columns: &[(&str, ColumnKind)], wanted: Wanted<'_>) -> Result<Table> {
        let columns: Vec<Column> = columns.iter().map(|(n, k)| column(n, *k)).collect();
        Table::of("shop.products", &columns, wanted, Names::default())
    }

    #[test]
    fn columns_are_guessed_from_their_types_where_only_one_can_be_meant() {
        let all = [
            ("key", Other),
            ("a", Text),
            ("b", Text),
            ("photo", Picture),
            ("c", Text),
            ("d", Text),
            ("e", Embedding),
        ];
        let t = guess(&all, Wanted::default()).unwrap();
        assert_eq!(
            (t.id.name.as_str(), t.emb.name.as_str(), t.image.unwrap().name.as_str()),
            ("key", "e", "photo")
        );
        assert_eq!(t.labels.iter().map(|l| &l.name[..]).collect::<Vec<_>>(), ["a", "b", "c"]);
        let view = guess(&[("id", Other), ("e", Embedding)], Wanted::default()).unwrap();
        assert_eq!((view.id.name.as_str(), view.image, view.labels.len()), ("id", None, 0));
    }

    #[test]
    fn several_candidates_are_an_error_that_names_them() {
        let e = guess(&[("key", Other), ("front", Embedding), ("back", Embedding)], Wanted::default())
            .unwrap_err();
        assert!(e.detail.unwrap().contains("front, back") && e.hint.unwrap().contains("--emb"));
        let wanted = Wanted { emb: Some("back"), ..Wanted::default() };
        assert_eq!(
            guess(&[("key", Other), ("front", Embedding), ("back", Embedding)], wanted).unwrap().emb.name,
            "back"
        );
        let e =
            guess(&[("a_key", Other), ("b_key", Other), ("e", Embedding)], Wanted::default()).unwrap_err();
        assert!(e.detail.unwrap().contains("a_key, b_key"));
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_said() {
        assert!(guess(&[("key", Other)], Wanted::default())
            .unwrap_err()
            .hint
            .unwrap()
            .contains("ADD COLUMN"));
        assert!(guess(&[("sku", Text), ("e", Embedding)], Wanted::default())
            .unwrap_err()
            .hint
            .unwrap()
            .contains("--id"));
        let wanted = Wanted { image: Some("name"), ..Wanted::default() };
        let e = guess(&[("key", Other), ("name", Text), ("e", Embedding)], wanted).unwrap_err();
        assert_eq!(e.kind, Kind::Mismatch);
        let wanted = Wanted { category: Some("kategory"), ..Wanted::default() };
        let e = guess(&[("key", Other), ("category", Text), ("e", Embedding)], wanted).unwrap_err();
        assert!(e.hint.unwrap().contains("category"));
    }

    #[test]
    fn the_alias_of_the_distance_is_nobody_elses() {
        let t = guess(&[("key", Other), ("distance", Text), ("e", Embedding)], Wanted::default()).unwrap();
        assert_eq!(t.distance_alias(), "distance_");
    }
}
