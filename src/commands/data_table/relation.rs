//! The table, view or query that is read.

use crate::connection::{column, Session};
use crate::error::{Error, Kind, Result};
use tokio_postgres::types::Type;

/// A table or a query.
pub struct Relation {
    /// What stands after FROM: the table's qualified name, or the query in parentheses.
    pub from: String,
    /// For messages.
    pub described: String,
    /// Whether it is a table that can be updated.
    pub is_table: bool,
    /// The columns of its primary key, for SQL.
    pub key: Vec<String>,
    /// SQL of a text that is another one for each version of each row.
    pub version: Option<String>,
}

impl Relation {
    /// A query.
    pub fn query(sql: &str) -> Self {
        // On a line of its own, so that a comment at the end does not swallow the parenthesis.
        let sql = sql.trim().trim_end_matches(';');
        Self {
            from: format!("({sql}\n)"),
            described: "the query".to_owned(),
            is_table: false,
            key: Vec::new(),
            version: None,
        }
    }

    /// The table called `name`, taken literally or as SQL reads it.
    ///
    /// # Errors
    /// [`Kind::UnknownName`], [`Kind::Mismatch`] for what is neither table nor view, and those of the server.
    pub fn table(session: &Session, name: &str) -> Result<Self> {
        let sql = "SELECT c.oid, pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname)), \
            c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[]), \
            c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}'::pg_catalog.\"char\"[]) \
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
            WHERE c.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.to_regclass(pg_catalog.quote_ident($1)), pg_catalog.to_regclass($1))::pg_catalog.oid";
        let rows = session.rows(sql, &[(&name, Type::TEXT)])?;
        let Some(row) = rows.first() else { return Err(unknown_table(session, name)?) };
        if !column::<bool>(row, 3)? {
            return Err(Error::new(Kind::Mismatch, format!("\"{name}\" is not a table or view")));
        }
        let (oid, from, is_table): (u32, String, bool) = (column(row, 0)?, column(row, 1)?, column(row, 2)?);
        let version = is_table && may_read_versions(session, oid)?;
        let version = version.then(|| {
            "pg_catalog.concat(q.tableoid::pg_catalog.text, q.ctid::pg_catalog.text, q.xmin::pg_catalog.text)"
                .to_owned()
        });
        let key = primary_key(session, oid)?;
        Ok(Self { described: from.clone(), from, is_table, key, version })
    }
}

fn unknown_table(session: &Session, name: &str) -> Result<Error> {
    let sql = "SELECT c.oid::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_class c \
        WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}'::pg_catalog.\"char\"[]) AND c.relnamespace OPERATOR(pg_catalog.<>) ALL \
        (SELECT n.oid FROM pg_catalog.pg_namespace n \
        WHERE n.nspname OPERATOR(pg_catalog.=) ANY ('{pg_catalog,pg_toast,information_schema,coopembed}'::pg_catalog.name[]))";
    let rows = session.rows(sql, &[])?;
    Ok(Error::unknown("table", name, rows.iter().filter_map(|row| column::<String>(row, 0).ok())))
}

/// Whether rows have versions that this role may read: those of foreign tables have none, and rights on some columns do not suffice.
fn may_read_versions(session: &Session, oid: u32) -> Result<bool> {
    let sql = "WITH RECURSIVE tree (oid) AS (SELECT $1::pg_catalog.oid UNION ALL \
        SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree t ON i.inhparent OPERATOR(pg_catalog.=) t.oid) \
        SELECT pg_catalog.has_table_privilege($1, 'SELECT') AND NOT EXISTS \
        (SELECT FROM tree t JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.oid WHERE c.relkind OPERATOR(pg_catalog.=) 'f')";
    column(&session.row(sql, &[(&oid, Type::OID)])?, 0)
}

/// The columns of the primary key, if this role may read them all.
fn primary_key(session: &Session, oid: u32) -> Result<Vec<String>> {
    let sql = "SELECT pg_catalog.quote_ident(a.attname), pg_catalog.has_column_privilege(i.indrelid, a.attnum, 'SELECT') FROM pg_catalog.pg_index i \
        CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY k (attnum, place) \
        JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid AND a.attnum OPERATOR(pg_catalog.=) k.attnum \
        WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisprimary AND k.place OPERATOR(pg_catalog.<=) i.indnkeyatts::pg_catalog.int8 \
        ORDER BY k.place";
    let rows = session.rows(sql, &[(&oid, Type::OID)])?;
    let columns: Vec<(String, bool)> =
        rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect::<Result<_>>()?;
    let readable = columns.iter().all(|(_, readable)| *readable);
    Ok(columns.into_iter().filter(|_| readable).map(|(name, _)| name).collect())
}
