//! The table of images that could not be embedded: `source, error, attempts, first_failed, last_failed`. It is the user's own, created at the first
//! failure. A later run tries its images again, and removes those that it embeds.

use super::args::EmbedArgs;
use crate::connection::{column, Parameter, Session};
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use tokio_postgres::types::Type;

/// What is added to the table's name, and how many bytes of the name are kept, so that PostgreSQL cuts nothing off.
const SUFFIX: &str = "_embed_failures";
const MAX_BASE: usize = 63 - SUFFIX.len();

/// The table of failures.
pub struct Failures<'s> {
    session: &'s Session,
    /// Qualified and quoted.
    pub name: String,
    exists: bool,
}

impl<'s> Failures<'s> {
    /// The table of `--failures`, or the one beside the table `of` (its oid).
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] if it belongs to somebody else, or does not exist and may not be created.
    pub fn find(session: &'s Session, args: &EmbedArgs, of: u32) -> Result<Self> {
        let (schema, relation) = match &args.failures {
            Some(name) => {
                let sql = "SELECT pg_catalog.parse_ident($1)::pg_catalog.text[], pg_catalog.current_schema()::pg_catalog.text";
                let row = session.row(sql, &[(name, Type::TEXT)])?;
                let (mut parts, current): (Vec<String>, Option<String>) =
                    (column(&row, 0)?, column(&row, 1)?);
                let relation = parts.pop().unwrap_or_default();
                let none = || Error::new(Kind::InvalidParameter, "no schema of the search_path exists");
                (parts.pop().or(current).ok_or_else(none)?, relation)
            }
            None => {
                let sql = "SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text FROM pg_catalog.pg_class c \
                    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace WHERE c.oid OPERATOR(pg_catalog.=) $1";
                let row = session.row(sql, &[(&of, Type::OID)])?;
                let mut relation: String = column(&row, 1)?;
                let cut = (0..=MAX_BASE.min(relation.len())).rev().find(|&i| relation.is_char_boundary(i));
                relation.truncate(cut.unwrap_or(0));
                (column(&row, 0)?, relation + SUFFIX)
            }
        };
        let sql = "SELECT pg_catalog.concat(pg_catalog.quote_ident($1), '.', pg_catalog.quote_ident($2))";
        let name = column(&session.row(sql, &[(&schema, Type::TEXT), (&relation, Type::TEXT)])?, 0)?;
        let mut failures = Self { session, name, exists: false };
        failures.exists = failures.check_owner(of)?;
        if !failures.exists {
            failures.check_may_create(&schema)?;
        }
        Ok(failures)
    }

    /// Whether the table exists. Somebody else's could have a trigger, which would run with this role's rights: only the role's own table and
    /// one of the owner of the embedded table, whose triggers fire anyway, is written to.
    fn check_owner(&self, of: u32) -> Result<bool> {
        let sql = "SELECT f.relkind OPERATOR(pg_catalog.=) 'r' AND (f.relowner OPERATOR(pg_catalog.=) t.relowner \
            OR pg_catalog.pg_get_userbyid(f.relowner) OPERATOR(pg_catalog.=) CURRENT_USER), \
            pg_catalog.pg_get_userbyid(f.relowner)::pg_catalog.text \
            FROM pg_catalog.pg_class f, pg_catalog.pg_class t \
            WHERE f.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)::pg_catalog.oid AND t.oid OPERATOR(pg_catalog.=) $2";
        let rows = self.session.rows(sql, &[(&self.name, Type::TEXT), (&of, Type::OID)])?;
        let Some(row) = rows.first() else { return Ok(false) };
        if column(row, 0)? {
            return Ok(true);
        }
        Err(Error::new(Kind::InvalidParameter, format!("{} cannot be the table of failures", self.name))
            .detail(format!("It belongs to {}, and may have triggers of theirs.", column::<String>(row, 1)?))
            .hint("Name another with --failures."))
    }

    fn check_may_create(&self, schema: &str) -> Result<()> {
        let sql = "SELECT pg_catalog.has_schema_privilege(n.oid, 'CREATE') FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.=) $1";
        let rows = self.session.rows(sql, &[(&schema, Type::TEXT)])?;
        if rows.first().map(|row| column(row, 0)).transpose()? == Some(true) {
            return Ok(());
        }
        Err(Error::new(
            Kind::InvalidParameter,
            format!("the table of failures, {}, could not be created", self.name),
        )
        .detail(format!("This role may create nothing in schema \"{schema}\"."))
        .hint("Name a table in another schema with --failures."))
    }

    /// Removes what was embedded, and adds what failed. Part of the caller's transaction.
    ///
    /// # Errors
    /// Those of the server.
    pub fn record(&mut self, embedded: Vec<&str>, failed: &[(String, Error)]) -> Result<()> {
        let name = self.name.clone();
        if self.exists && !embedded.is_empty() {
            let sql = format!("DELETE FROM {name} f WHERE f.source OPERATOR(pg_catalog.=) ANY ($1)");
            self.session.rows(&sql, &[(&embedded, Type::TEXT_ARRAY)])?;
        }
        if failed.is_empty() {
            return Ok(());
        }
        if !self.exists {
            self.create()?;
        }
        // Several rows may have the same image.
        let reports: BTreeMap<&str, String> =
            failed.iter().map(|(source, error)| (source.as_str(), error.report())).collect();
        let sources: Vec<&str> = reports.keys().copied().collect();
        let errors: Vec<&String> = reports.values().collect();
        let sql = format!(
            "WITH failed AS MATERIALIZED (SELECT u.source, u.error FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) u (source, error)), \
             again AS (UPDATE {name} f SET error = u.error, attempts = f.attempts OPERATOR(pg_catalog.+) 1, last_failed = pg_catalog.now() \
             FROM failed u WHERE f.source OPERATOR(pg_catalog.=) u.source RETURNING f.source) \
             INSERT INTO {name} (source, error) SELECT u.source, u.error FROM failed u \
             WHERE u.source OPERATOR(pg_catalog.<>) ALL (SELECT a.source FROM again a)"
        );
        let parameters: [Parameter<'_>; 2] = [(&sources, Type::TEXT_ARRAY), (&errors, Type::TEXT_ARRAY)];
        self.session.rows(&sql, &parameters).map(|_| ())
    }

    fn create(&mut self) -> Result<()> {
        // A hash index, as URLs may be longer than a key of a B-tree.
        self.session.execute(&format!(
            "CREATE TABLE {name} (source pg_catalog.text NOT NULL, error pg_catalog.text NOT NULL, \
             attempts pg_catalog.int4 NOT NULL DEFAULT 1, first_failed pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(), \
             last_failed pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()); \
             CREATE INDEX ON {name} USING hash (source); \
             COMMENT ON TABLE {name} IS 'images that coopembed embed could not embed; the next run tries them again'",
            name = self.name
        ))?;
        self.exists = true;
        Ok(())
    }
}
