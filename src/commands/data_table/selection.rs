//! What is read: the table or query, its columns and their types, and the statement.
//!
//! Names are quoted by the server, and functions and operators are qualified: nothing that somebody else has created under the same name is
//! called.

use super::args::TableArgs;
use super::column_types::{column_types, ColumnType, Shape};
use super::relation::Relation;
use crate::connection::{column, Session};
use crate::error::{Error, Kind, Result};

/// The columns of `images.csv` that are no attributes.
const RESERVED: [&str; 9] = ["path", "instance", "category", "split", "group", "x1", "y1", "x2", "y2"];

/// Where the image of a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// In the row, as bytea.
    Bytes,
    /// In a large object.
    LargeObject,
    /// In a file or behind a URL.
    Named,
}

/// A column with labels.
#[derive(Debug, Clone)]
pub struct LabelColumn {
    /// As the user has named it.
    pub name: String,
    /// The name for SQL, quoted where it has to be.
    pub quoted: String,
    /// Whether it is an array.
    pub multi: bool,
}

/// The table or query and its columns.
#[derive(Debug, Clone)]
pub struct Selection {
    /// What stands after FROM: the table's qualified name, or the query in parentheses.
    pub from: String,
    /// Whether it is a table that can be updated.
    pub is_table: bool,
    /// Columns that identify a row, for SQL.
    pub id: Vec<String>,
    /// The column of images, as the user has named it.
    pub image_name: String,
    /// The same, for SQL.
    pub image: String,
    /// Where the images are.
    pub image_kind: ImageKind,
    /// The column of instances.
    pub instance: LabelColumn,
    /// The column of categories.
    pub category: LabelColumn,
    /// The column of groups.
    pub group: Option<LabelColumn>,
    /// The attributes.
    pub attributes: Vec<LabelColumn>,
    split: Option<String>,
    crop: Option<[String; 4]>,
    /// SQL of a text that changes whenever the row's image may have changed; `None` if only the image itself tells.
    version: Option<String>,
}

impl Selection {
    /// Finds the table or query and its columns, and checks their types.
    ///
    /// # Errors
    /// [`Kind::UnknownName`] for a table or column that does not exist, [`Kind::Mismatch`] for a column of a type that does not serve,
    /// [`Kind::InvalidParameter`] for columns that cannot be exported under their names, and those of the server.
    pub fn find(session: &Session, args: &TableArgs) -> Result<Self> {
        let relation = match (&args.table, &args.query) {
            (Some(name), _) => Relation::table(session, name)?,
            (None, query) => Relation::query(query.as_deref().unwrap_or_default()),
        };
        let described = session.columns_of(&format!("SELECT * FROM {} q", relation.from))?;
        let types = Columns { all: column_types(session, &described)?, of: relation.described };
        check_names(args)?;
        let (image, image_kind) = image_column(&types, args)?;
        let id = match &args.id {
            Some(names) => names.iter().map(|n| Ok(types.find(n)?.quoted.clone())).collect::<Result<_>>()?,
            None => relation.key,
        };
        Ok(Self {
            from: relation.from,
            is_table: relation.is_table,
            id,
            image_name: args.image.clone(),
            image,
            image_kind,
            instance: types.label(&args.instance, false)?,
            category: types.label(&args.category, false)?,
            group: args.group.as_ref().map(|n| types.label(n, false)).transpose()?,
            attributes: args.attributes.iter().map(|n| types.label(n, true)).collect::<Result<_>>()?,
            split: args.split_column.as_ref().map(|n| types.label(n, false).map(|c| c.quoted)).transpose()?,
            crop: args.crop.as_deref().map(|names| types.crop(names)).transpose()?,
            version: relation.version,
        })
    }

    /// A table with these columns, `photo` of bytea, and the key `id`.
    #[cfg(test)]
    pub fn of_columns(
        table: &str,
        instance: LabelColumn,
        category: LabelColumn,
        attributes: Vec<LabelColumn>,
    ) -> Self {
        Self {
            from: table.to_owned(),
            is_table: true,
            id: vec!["id".into()],
            image_name: "photo".into(),
            image: "photo".into(),
            image_kind: ImageKind::Bytes,
            instance,
            category,
            group: None,
            attributes,
            split: None,
            crop: None,
            version: None,
        }
    }

    /// Whether a column says in which part of the split a row is.
    pub fn has_splits(&self) -> bool {
        self.split.is_some()
    }

    /// Rows that are in no part of the split, in SQL.
    pub fn no_split(&self) -> String {
        self.split.as_ref().map_or_else(String::new, |column| format!("{column} IS NULL"))
    }

    /// Whether it is a query.
    pub fn is_query(&self) -> bool {
        self.from.starts_with('(')
    }

    /// The number of rows, if it can be told without running a query twice.
    ///
    /// # Errors
    /// Any that PostgreSQL raises.
    pub fn row_count(&self, session: &Session) -> Result<Option<i64>> {
        if !self.is_table {
            return Ok(None);
        }
        let row = session.row(&format!("SELECT pg_catalog.count(*) FROM {} q", self.from), &[])?;
        column(&row, 0).map(Some)
    }

    /// The statement that reads all rows, in no order. `$1` (text[]) has the tokens of the images that are not wanted. Columns: token, id
    /// (text[]), instance, category, group, split (text), the four corners (float8), image (bytea, oid or text), its size (int8), then the
    /// attributes (text[]). With `by_content` the token of an image that has no other is its digest.
    pub fn statement(&self, by_content: bool, max_bytes: u64) -> String {
        let text = |of: &Option<String>| {
            of.as_ref().map_or("NULL".to_owned(), |c| format!("q.{c}")) + "::pg_catalog.text"
        };
        let corner = |k: usize| match &self.crop {
            Some(corners) => format!("({})::pg_catalog.float8", corners[k]),
            None => "NULL::pg_catalog.float8".to_owned(),
        };
        let id: Vec<String> = self.id.iter().map(|c| format!("q.{c}::pg_catalog.text")).collect();
        let Image { token, value, size } = self.image_sql(by_content, max_bytes);
        let attributes: String = self.attributes.iter().map(|a| format!(", {}", values(a))).collect();
        format!(
            "SELECT v.token, ARRAY[{id}]::pg_catalog.text[], q.{instance}::pg_catalog.text, q.{category}::pg_catalog.text, {group}, {split}, \
             {x1}, {y1}, {x2}, {y2}, {value}, {size}{attributes} \
             FROM {from} q CROSS JOIN LATERAL (SELECT {token} AS token OFFSET 0) v",
            id = id.join(", "),
            instance = self.instance.quoted,
            category = self.category.quoted,
            group = text(&self.group.as_ref().map(|g| g.quoted.clone())),
            split = text(&self.split),
            x1 = corner(0),
            y1 = corner(1),
            x2 = corner(2),
            y2 = corner(3),
            from = self.from,
        )
    }

    fn image_sql(&self, by_content: bool, max_bytes: u64) -> Image {
        let image = format!("q.{}", self.image);
        if self.image_kind != ImageKind::Bytes {
            let of = if self.image_kind == ImageKind::Named { "text" } else { "oid" };
            return Image {
                token: format!("{image}::pg_catalog.text"),
                value: format!("{image}::pg_catalog.{of}"),
                size: "NULL::pg_catalog.int8".to_owned(),
            };
        }
        let image = format!("{image}::pg_catalog.bytea");
        let size = format!("pg_catalog.octet_length({image})::pg_catalog.int8");
        let fits = format!("{size} OPERATOR(pg_catalog.<=) {max_bytes}::pg_catalog.int8");
        let token = match (&self.version, by_content) {
            (Some(version), _) => version.clone(),
            (None, true) => {
                format!("CASE WHEN {fits} THEN pg_catalog.encode(pg_catalog.sha256({image}), 'hex') END")
            }
            (None, false) => "NULL::pg_catalog.text".to_owned(),
        };
        // Neither large images nor those that are there already are sent.
        let wanted = "v.token IS NULL OR NOT v.token OPERATOR(pg_catalog.=) ANY ($1)";
        Image { token, value: format!("CASE WHEN {fits} AND ({wanted}) THEN {image} END"), size }
    }
}

/// SQL of a row's image.
struct Image {
    /// What it is recognised by in a later run.
    token: String,
    value: String,
    size: String,
}

/// SQL of the values of an attribute as a list.
fn values(attribute: &LabelColumn) -> String {
    let name = &attribute.quoted;
    if attribute.multi {
        format!("ARRAY(SELECT u.v::pg_catalog.text FROM pg_catalog.unnest(q.{name}) u (v))")
    } else {
        format!("ARRAY[q.{name}::pg_catalog.text]")
    }
}

/// The columns of the table or query.
struct Columns {
    all: Vec<ColumnType>,
    of: String,
}

impl Columns {
    fn find(&self, name: &str) -> Result<&ColumnType> {
        let mut found = self.all.iter().filter(|c| c.name == name);
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(Error::new(
                Kind::InvalidParameter,
                format!("{} returns two columns called \"{name}\"", self.of),
            )
            .hint("Give them different names in the query, with AS.")),
            (None, _) => {
                Err(Error::unknown(&format!("column of {}", self.of), name, self.all.iter().map(|c| &c.name)))
            }
        }
    }

    /// A column with labels; an array only where `may_be_array`.
    fn label(&self, name: &str, may_be_array: bool) -> Result<LabelColumn> {
        let found = self.find(name)?;
        let serves = match found.shape {
            Shape::Label => true,
            Shape::LabelArray => may_be_array,
            _ => false,
        };
        if serves {
            let multi = found.shape == Shape::LabelArray;
            return Ok(LabelColumn { name: name.to_owned(), quoted: found.quoted.clone(), multi });
        }
        let expected = if may_be_array {
            "text, a number, an enum, or an array of these"
        } else {
            "text, a number or an enum"
        };
        Err(self.mismatch(found, "has no labels", expected).hint(
            "Convert it in --query, for example jsonb: ARRAY(SELECT pg_catalog.jsonb_array_elements_text(tags)) AS tags.",
        ))
    }

    fn mismatch(&self, found: &ColumnType, what: &str, expected: &str) -> Error {
        Error::new(Kind::Mismatch, format!("column \"{}\" of {} {what}", found.name, self.of))
            .detail(format!("Its type is {}; expected {expected}.", found.described))
    }

    /// SQL of the four corners of the box of a row.
    fn crop(&self, names: &[String]) -> Result<[String; 4]> {
        match names {
            [name] => {
                let found = self.find(name)?;
                if found.shape != Shape::Box {
                    return Err(self.mismatch(
                        found,
                        "has no boxes",
                        "box, or the names of four columns of numbers",
                    ));
                }
                // The first corner is the one with the larger coordinates.
                let corner = |point: usize, axis: usize| format!("(q.{}[{point}])[{axis}]", found.quoted);
                Ok([corner(1, 0), corner(1, 1), corner(0, 0), corner(0, 1)])
            }
            [_, _, _, _] => {
                let corners = names.iter().map(|name| {
                    let found = self.find(name)?;
                    if found.is_number {
                        Ok(format!("q.{}", found.quoted))
                    } else {
                        Err(self.mismatch(found, "has no coordinates", "a number"))
                    }
                });
                let corners: Vec<String> = corners.collect::<Result<_>>()?;
                corners.try_into().map_err(|_| Error::new(Kind::Internal, "a box has four corners"))
            }
            _ => Err(Error::new(
                Kind::InvalidParameter,
                format!("--box names {} columns, expected 1 or 4", names.len()),
            )
            .hint("Name a column of type box, or four columns of numbers: --box x1,y1,x2,y2.")),
        }
    }
}

/// Fails for attributes that would be taken for something else in `images.csv`.
fn check_names(args: &TableArgs) -> Result<()> {
    for (i, name) in args.attributes.iter().enumerate() {
        if args.attributes[..i].contains(name) {
            return Err(Error::new(Kind::DuplicateName, format!("attribute \"{name}\" is named twice")));
        }
        if RESERVED.contains(&name.as_str()) || name.trim() != name || name.is_empty() {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("a column called \"{name}\" cannot be an attribute"),
            )
            .detail(format!(
                "In images.csv, {} have their own meaning, and blanks around names are ignored.",
                RESERVED.join(", ")
            ))
            .hint("Give it another name in --query, with AS."));
        }
    }
    Ok(())
}

/// The column of images, for SQL, and where the images are.
fn image_column(columns: &Columns, args: &TableArgs) -> Result<(String, ImageKind)> {
    let found = columns.find(&args.image)?;
    let is_named = args.images_at.root.is_some() || args.images_at.http;
    let kind = match found.shape {
        Shape::Bytes if !is_named => ImageKind::Bytes,
        Shape::Oid if !is_named => ImageKind::LargeObject,
        Shape::Label if found.is_text && is_named => ImageKind::Named,
        Shape::Label if found.is_text => {
            return Err(Error::new(
                Kind::InvalidParameter,
                format!("column \"{}\" of {} has text, no images", found.name, columns.of),
            )
            .hint("For paths, name their folder with --root; for URLs, add --http."))
        }
        Shape::Bytes | Shape::Oid => {
            return Err(columns
                .mismatch(found, "does not contain paths or URLs", "text")
                .hint("Leave out --root and --http: the images are in the database."))
        }
        _ => {
            return Err(columns.mismatch(
                found,
                "has no images",
                "bytea, oid (large objects), or text with --root or --http",
            ))
        }
    };
    Ok((found.quoted.clone(), kind))
}
