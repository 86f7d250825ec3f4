//! What the program finds in the database before it serves: the extension and its schema, the model, the table, and which of
//! its columns hold ids, embeddings, images and labels.

use super::args::ServeArgs;
use super::database::{Database, ReadTransaction};
use super::http_error::HttpError;
use super::sql_builder::Statement;
use super::sql_queries::TransitionFunction;
use super::table::{Column, ColumnKind, ExtensionNames, RequestedColumns, Table};
use crate::error::{Error, Kind, Result};

/// What [`inspect`] found.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The table and the columns to show.
    pub table: Table,
    /// The extension's version.
    pub version: String,
    /// The model whose vocabulary the page offers.
    pub model: String,
    /// The planner's estimate of the table's rows; unknown for views and for tables that were never analysed.
    pub rows: Option<f64>,
    /// `coop_transition`, if the extension has it.
    pub transition: Option<TransitionFunction>,
    /// Whether the extension has `coop_query` and `coop_query_explain` (from 0.3.0 on).
    pub has_descriptions: bool,
    /// What the user should know, such as a missing index; shown on the page too.
    pub notices: Vec<String>,
}

/// Finds the extension, the model, the table and its columns.
///
/// # Errors
/// What is missing or ambiguous, with what to do about it.
pub async fn inspect(database: &Database, args: &ServeArgs) -> Result<Inspection> {
    let transaction = database.begin().await?;
    let found = inspect_in(database, &transaction, args).await;
    transaction.end().await;
    found
}

async fn inspect_in(
    database: &Database,
    transaction: &ReadTransaction,
    args: &ServeArgs,
) -> Result<Inspection> {
    let extension = find_extension(transaction).await?;
    let model = find_model(transaction, &extension.function("coop_models"), args.model.as_deref()).await?;
    let names = ExtensionNames { schema: extension.hidden_schema(), model: args.model.clone() };
    let relation = find_relation(database, &extension, &args.table).await?;
    let columns = read_columns(transaction, &extension, &relation).await?;
    let requested = RequestedColumns {
        id: args.id.as_deref(),
        emb: args.emb.as_deref(),
        image: args.image.as_deref(),
        labels: &args.label,
        category: args.category_column.as_deref(),
    };
    let table = Table::of(&relation.quoted, &columns, requested, names)?;
    let mut notices = Vec::new();
    if table.image.is_none() {
        notices.push(format!("{} has no column of type bytea: rows are shown without images", table.name));
    }
    if relation.may_have_indexes && !has_index(transaction, &relation, &table.emb).await? {
        notices.push(format!(
            "there is no index for these queries, so each reads the whole table; CREATE INDEX ON {} USING coop ({})",
            table.name, table.emb.quoted
        ));
    }
    let transition = find_transition(transaction, &extension).await?;
    let has_descriptions = has_function(transaction, &extension, "coop_query_explain").await?;
    Ok(Inspection {
        table,
        version: extension.version,
        model,
        rows: relation.rows,
        transition,
        has_descriptions,
        notices,
    })
}

struct Extension {
    oid: u32,
    version: String,
    /// Schema of the extension, quoted for SQL.
    schema: String,
    /// Whether all its functions are found without their schema.
    visible: bool,
}

impl Extension {
    /// The schema, if the search path does not include it.
    fn hidden_schema(&self) -> Option<String> {
        (!self.visible).then(|| self.schema.clone())
    }

    fn function(&self, name: &str) -> String {
        format!("{}.{name}", self.schema)
    }
}

/// The extension, and whether the search path finds its functions.
async fn find_extension(transaction: &ReadTransaction) -> Result<Extension> {
    let found = Statement::new(
        "SELECT e.oid, e.extversion, quote_ident(n.nspname),
                coalesce(bool_and(pg_function_is_visible(p.oid)), false)
         FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
         JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
              AND d.classid = 'pg_proc'::regclass
         JOIN pg_proc p ON p.oid = d.objid AND p.pronamespace = e.extnamespace
         WHERE e.extname = 'coopembed' GROUP BY 1, 2, 3",
    );
    let rows = transaction.rows(&found).await?;
    let row = rows.first().ok_or_else(|| {
        Error::new(Kind::InvalidParameter, "this database has no extension coopembed")
            .hint("CREATE EXTENSION coopembed; or name another database with --db.")
    })?;
    let get = |e| HttpError::from(e);
    Ok(Extension {
        oid: row.try_get(0).map_err(get)?,
        version: row.try_get(1).map_err(get)?,
        schema: row.try_get(2).map_err(get)?,
        visible: row.try_get(3).map_err(get)?,
    })
}

/// The model of `--model`, or else the database's default.
async fn find_model(
    transaction: &ReadTransaction,
    coop_models: &str,
    requested: Option<&str>,
) -> Result<String> {
    let rows = transaction
        .rows(&Statement::new(&format!("SELECT name, is_default FROM {coop_models}() ORDER BY 1")))
        .await?;
    let mut models = Vec::new();
    for row in rows {
        let get = |e| HttpError::from(e);
        models.push((row.try_get::<_, String>(0).map_err(get)?, row.try_get::<_, bool>(1).map_err(get)?));
    }
    let names = || models.iter().map(|(name, _)| name);
    if let Some(requested) = requested {
        return names()
            .find(|name| *name == requested)
            .cloned()
            .ok_or_else(|| Error::unknown("model", requested, names()));
    }
    if let Some((name, _)) = models.iter().find(|(_, is_default)| *is_default) {
        return Ok(name.clone());
    }
    Err(if models.is_empty() {
        Error::new(Kind::InvalidParameter, "no model is loaded in this database")
            .hint("SELECT coop_load_model('name', '/path/to/model');")
    } else {
        let list = names().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
        Error::new(Kind::InvalidParameter, "several models are loaded, and none is the default")
            .detail(format!("They are {list}."))
            .hint("Name one with --model, or choose a default: SELECT coop_set_default_model('...').")
    })
}

struct Relation {
    oid: u32,
    /// With its schema where that is needed.
    quoted: String,
    may_have_indexes: bool,
    rows: Option<f64>,
}

/// The relation called `name`: first taken literally, then parsed as SQL does (folded to lower case, with a schema, quoted).
async fn find_relation(database: &Database, extension: &Extension, name: &str) -> Result<Relation> {
    for conversion in ["quote_ident(", "("] {
        let mut s = Statement::new(
            // A table called "target" would be hidden by the CTE of that name in sql_queries.
            "SELECT c.oid, CASE WHEN pg_table_is_visible(c.oid) AND c.relname <> 'target' THEN quote_ident(c.relname)
                ELSE quote_ident(n.nspname) || '.' || quote_ident(c.relname) END,
                c.relkind IN ('r', 'p', 'm'), nullif(c.reltuples, -1)::float8, c.relkind = 'v'
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND c.oid = to_regclass(",
        );
        s.sql(conversion).text(name).sql("))");
        // In a transaction of its own, because a name that does not parse is an error, which would end the caller's.
        let rows = database.rows(&s).await?;
        if let Some(row) = rows.first() {
            let get = |e| HttpError::from(e);
            let is_view: bool = row.try_get(4).map_err(get)?;
            return Ok(Relation {
                oid: row.try_get(0).map_err(get)?,
                quoted: row.try_get(1).map_err(get)?,
                may_have_indexes: row.try_get(2).map_err(get)?,
                rows: row.try_get::<_, Option<f64>>(3).map_err(get)?.filter(|_| !is_view),
            });
        }
    }
    let mut tables = Statement::new(
        "SELECT DISTINCT c.oid::regclass::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         JOIN pg_type t ON t.oid = a.atttypid JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid
              AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
         WHERE t.typname = 'coopvec' AND c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT a.attisdropped AND d.refobjid = ",
    );
    tables.integer(i64::from(extension.oid)).sql("::oid");
    let rows = database.rows(&tables).await?;
    let known = rows.iter().filter_map(|row| row.try_get::<_, String>(0).ok());
    Err(Error::unknown("table with embeddings", name, known))
}

/// The relation's columns, with what each may be used for.
async fn read_columns(
    transaction: &ReadTransaction,
    extension: &Extension,
    relation: &Relation,
) -> Result<Vec<Column>> {
    let mut s = Statement::new(
        "SELECT a.attname::text, quote_ident(a.attname), format_type(a.atttypid, -1),
             CASE WHEN b.typname = 'coopvec' AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass
                      AND d.objid = b.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.refobjid = ",
    );
    s.integer(i64::from(extension.oid)).sql(
        "::oid) THEN 'e'
                  WHEN b.oid = 'bytea'::regtype THEN 'b' WHEN b.typcategory = 'S' THEN 't' ELSE 'o' END,
             EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                 AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND i.indisprimary),
             EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                 AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND a.attnotnull)
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
         WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ",
    );
    s.integer(i64::from(relation.oid)).sql("::oid ORDER BY a.attnum");
    let rows = transaction.rows(&s).await?;
    let get = |e| HttpError::from(e);
    let any_primary = rows.iter().any(|row| row.try_get(4).unwrap_or(false));
    let mut columns = Vec::new();
    for row in rows {
        let kind = match row.try_get(3).map_err(get)? {
            "e" => ColumnKind::Embedding,
            "b" => ColumnKind::Image,
            "t" => ColumnKind::Text,
            _ => ColumnKind::Other,
        };
        columns.push(Column {
            name: row.try_get(0).map_err(get)?,
            quoted: row.try_get(1).map_err(get)?,
            type_name: row.try_get(2).map_err(get)?,
            kind,
            is_key: row.try_get(if any_primary { 4 } else { 5 }).map_err(get)?,
        });
    }
    Ok(columns)
}

/// Whether a valid coop index is on the column.
async fn has_index(transaction: &ReadTransaction, relation: &Relation, emb: &Column) -> Result<bool> {
    let mut s = Statement::new(
        "SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE m.amname = 'coop' AND i.indisvalid AND i.indrelid = ",
    );
    s.integer(i64::from(relation.oid)).sql("::oid AND a.attname = ").cast_text(&emb.name, "name");
    Ok(!transaction.rows(&s).await?.is_empty())
}

/// Whether the extension has a function of this name.
async fn has_function(transaction: &ReadTransaction, extension: &Extension, name: &str) -> Result<bool> {
    let mut s = Statement::new(
        "SELECT 1 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_depend d ON d.classid = 'pg_proc'::regclass
             AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
         WHERE d.refobjid = ",
    );
    s.integer(i64::from(extension.oid))
        .sql("::oid AND p.proname = ")
        .text(name)
        .sql(" AND quote_ident(n.nspname) = ");
    s.text(&extension.schema);
    Ok(!transaction.rows(&s).await?.is_empty())
}

/// Finds `coop_transition`, and the type of its ids: text in some versions, anyelement in others.
async fn find_transition(
    transaction: &ReadTransaction,
    extension: &Extension,
) -> Result<Option<TransitionFunction>> {
    let mut s = Statement::new(
        "SELECT CASE WHEN t.typtype = 'p' THEN NULL ELSE format_type(t.oid, -1) END
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type t ON t.oid = p.proargtypes[3]
         WHERE p.proname = 'coop_transition' AND p.pronargs >= 6 AND quote_ident(n.nspname) = ",
    );
    s.text(&extension.schema);
    let rows = transaction.rows(&s).await?;
    let of = |row: &tokio_postgres::Row| row.try_get(0).map_err(HttpError::from);
    let id_type = rows.first().map(of).transpose()?;
    Ok(id_type.map(|id_type| TransitionFunction { id_type }))
}
