//! The types of columns, as far as an export tells them apart.

use crate::connection::{column, Parameter, Session};
use crate::error::Result;
use tokio_postgres::types::Type;

/// What a column may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An image itself: `bytea`.
    Bytes,
    /// A large object's number: `oid`.
    Oid,
    /// A part of an image: `box`.
    Box,
    /// Something with a short text: text, numbers, enums, booleans, dates, uuid.
    Label,
    /// An array of such.
    LabelArray,
    /// What an export has no use for, such as `jsonb` and composite types.
    Other,
}

/// A column and its type; that of a domain is the one that it is over.
#[derive(Debug, Clone)]
pub struct ColumnType {
    /// As the server has it.
    pub name: String,
    /// The name for SQL, quoted where it has to be.
    pub quoted: String,
    /// What it may be used for.
    pub shape: Shape,
    /// Whether it is of a string type.
    pub is_text: bool,
    /// Whether it is a number.
    pub is_number: bool,
    /// The type, for people.
    pub described: String,
}

/// The columns with these names and types, in the same order.
///
/// # Errors
/// Any that PostgreSQL raises.
pub fn column_types(session: &Session, columns: &[(String, u32)]) -> Result<Vec<ColumnType>> {
    let (names, types): (Vec<&String>, Vec<u32>) = columns.iter().map(|(name, of)| (name, *of)).unzip();
    let label = |t: &str| {
        format!(
            "({t}.typcategory OPERATOR(pg_catalog.=) ANY ('{{B,D,E,I,N,R,S,T,V}}'::pg_catalog.\"char\"[]) OR \
             {t}.typcategory OPERATOR(pg_catalog.=) 'U' AND {t}.typname OPERATOR(pg_catalog.<>) ALL \
             ('{{bytea,json,jsonb,jsonpath,xml,tsvector,tsquery,hstore,coopvec,coopquery,vector}}'::pg_catalog.name[])) \
             AND {t}.typtype OPERATOR(pg_catalog.<>) ALL ('{{c,p}}'::pg_catalog.\"char\"[])"
        )
    };
    let sql = format!(
        "WITH RECURSIVE base AS (\
         SELECT c.place, c.name, c.type AS declared, c.type FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) \
         WITH ORDINALITY c (name, type, place) \
         UNION ALL SELECT b.place, b.name, b.declared, t.typbasetype FROM base b \
         JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) b.type WHERE t.typtype OPERATOR(pg_catalog.=) 'd') \
         SELECT pg_catalog.quote_ident(b.name), CASE WHEN t.oid OPERATOR(pg_catalog.=) 17::pg_catalog.oid THEN 'bytes' \
         WHEN t.oid OPERATOR(pg_catalog.=) 26::pg_catalog.oid THEN 'oid' \
         WHEN t.oid OPERATOR(pg_catalog.=) 603::pg_catalog.oid THEN 'box' \
         WHEN t.typcategory OPERATOR(pg_catalog.=) 'A' AND e.oid IS NOT NULL AND {element} THEN 'array' \
         WHEN t.typcategory OPERATOR(pg_catalog.<>) 'A' AND {scalar} THEN 'label' ELSE 'other' END, \
         t.typcategory OPERATOR(pg_catalog.=) 'S', t.typcategory OPERATOR(pg_catalog.=) 'N', \
         pg_catalog.format_type(b.declared, NULL) \
         FROM base b JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) b.type \
         LEFT JOIN pg_catalog.pg_type e ON e.oid OPERATOR(pg_catalog.=) t.typelem \
         WHERE t.typtype OPERATOR(pg_catalog.<>) 'd' ORDER BY b.place",
        element = label("e"),
        scalar = label("t"),
    );
    let parameters: [Parameter<'_>; 2] = [(&names, Type::TEXT_ARRAY), (&types, Type::OID_ARRAY)];
    let rows = session.rows(&sql, &parameters)?;
    let one = |(row, (name, _)): (&tokio_postgres::Row, &(String, u32))| {
        Ok(ColumnType {
            name: name.clone(),
            quoted: column(row, 0)?,
            shape: match column::<String>(row, 1)?.as_str() {
                "bytes" => Shape::Bytes,
                "oid" => Shape::Oid,
                "box" => Shape::Box,
                "array" => Shape::LabelArray,
                "label" => Shape::Label,
                _ => Shape::Other,
            },
            is_text: column(row, 2)?,
            is_number: column(row, 3)?,
            described: column(row, 4)?,
        })
    };
    rows.iter().zip(columns).map(one).collect()
}
