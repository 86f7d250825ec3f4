use super::*;
use crate::connection::quote_literal;
use crate::explorer::query_terms::{Matching, QueryTerm};
use crate::explorer::table::{Column, ExtensionNames};
use std::sync::Arc;

fn column(name: &str, quoted: &str, type_name: &str) -> Column {
    Column { name: name.into(), quoted: quoted.into(), type_name: type_name.into(), ..Column::default() }
}

fn plain_table() -> Table {
    Table {
        name: "products".into(),
        id: column("id", "id", "integer"),
        emb: column("emb", "emb", "coopvec"),
        image: Some(column("image", "image", "bytea")),
        labels: vec![column("name", "name", "text")],
        category: Some(column("kind", "kind", "text")),
        extension: ExtensionNames::default(),
    }
}

fn table_with_odd_names() -> Table {
    Table {
        name: "\"My \"\"Shop\"\"\".\"Pro;ducts\"".into(),
        id: column("the id", "\"the id\"", "uuid"),
        emb: column("Emb'", "\"Emb'\"", "coop.coopvec"),
        image: Some(column("bi\\n", "\"bi\\n\"", "bytea")),
        labels: vec![column("distance", "distance", "text"), column("a\"b", "\"a\"\"b\"", "text")],
        category: Some(column("Kind", "\"Kind\"", "\"My \"\"Shop\"\"\".kinds")),
        extension: ExtensionNames { schema: Some("coop".into()), model: Some("it's".into()) },
    }
}

fn like(id: &str, weights: Option<&[(&str, f64)]>, replacements: &[(&str, &str)]) -> QueryTerm {
    let weights = weights.map(|list| list.iter().map(|(a, w)| ((*a).into(), *w)).collect());
    let replacements = replacements.iter().map(|(a, v)| ((*a).into(), (*v).into())).collect();
    QueryTerm::Like { id: id.into(), matching: Matching { weights, replacements } }
}

fn value(attribute: &str, value: &str, weight: f64) -> QueryTerm {
    QueryTerm::Value { attribute: attribute.into(), value: value.into(), weight }
}

fn request(terms: Vec<QueryTerm>) -> SearchRequest {
    SearchRequest { terms, ..SearchRequest::default() }.checked().unwrap()
}

fn sql(table: &Table, request: &SearchRequest) -> Statement {
    let dropped_image = |key: &str| (key == "p").then(|| Arc::new(vec![1, 2, 3]));
    search(&QueryExpression { table, dropped_image: &dropped_image }, request, 24).unwrap()
}

/// The parameterized form with each parameter replaced by its literal. It may differ from the other form in casts only.
fn substituted(s: &Statement) -> String {
    let values = s.literal_values();
    let mut out = s.parameterized().to_owned();
    for (i, value) in values.iter().enumerate().rev() {
        out = out.replace(&format!("${}", i + 1), value);
    }
    out
}

#[test]
fn a_search_becomes_one_readable_statement() {
    let terms = vec![
        like("41", None, &[]),
        value("hue", "green", 2.0),
        QueryTerm::Category { name: "transport-ground".into(), weight: 0.5 },
        value("age", "child", 0.0),
    ];
    let s = sql(&plain_table(), &SearchRequest { category: Some("o'k".into()), ..request(terms) });
    assert_eq!(
        s.with_literals(),
        "WITH target (query) AS (
  SELECT coop_like((SELECT emb FROM products WHERE id = '41'))
       + 2 * coop_attr_query('hue', 'green')
       + 0.5 * coop_category_query('transport-ground')
)
SELECT id, name, emb <-> (SELECT query FROM target) AS distance
FROM products
WHERE kind = 'o''k'
ORDER BY distance
LIMIT 24;"
    );
    assert_eq!(
        s.parameterized(),
        "WITH target (query) AS (
  SELECT coop_like((SELECT emb FROM products WHERE id = $1::integer))
       + $2 * coop_attr_query($3, $4)
       + $5 * coop_category_query($6)
)
SELECT id::text, name::text, emb <-> (SELECT query FROM target) AS distance
FROM products
WHERE kind = $7::text
ORDER BY distance
LIMIT $8"
    );
}

#[test]
fn attributes_of_one_weight_are_one_call_and_replacements_come_first() {
    let weights = [("hue", 1.0), ("age", 0.25), ("hair", 1.0), ("gender", 0.0)];
    let s =
        sql(&plain_table(), &request(vec![like("41", Some(&weights), &[("hair", "red"), ("age", "child")])]));
    let one = "coop_replace(coop_replace((SELECT emb FROM products WHERE id = '41'), 'hair', 'red'), 'age', 'child')";
    let expected =
        format!("SELECT coop_like({one}, 'hue', 'hair')\n       + 0.25 * coop_like({one}, 'age')\n");
    assert!(s.with_literals().contains(&expected), "{}", s.with_literals());
}

#[test]
fn without_terms_the_table_is_shown_by_id() {
    let s = sql(
        &plain_table(),
        &request(vec![value("hue", "green", 0.0), like("41", Some(&[("hue", 0.0)]), &[])]),
    );
    assert_eq!(s.with_literals(), "SELECT id, name\nFROM products\nORDER BY products.id\nLIMIT 24;");
}

#[test]
fn a_dropped_image_is_a_parameter_and_an_evicted_one_is_an_error() {
    let table = table_with_odd_names();
    let image = |key: &str| QueryTerm::Image { key: key.into(), matching: Matching::default() };
    let s = sql(&table, &request(vec![image("p")]));
    assert!(s.parameterized().contains("coop.coop_like(coop.coop_embed($1, $2))"), "{}", s.parameterized());
    assert!(
        s.with_literals().contains("coop.coop_embed(decode(:'image', 'base64'), 'it''s')"),
        "{}",
        s.with_literals()
    );
    let gone =
        search(&QueryExpression { table: &table, dropped_image: &|_| None }, &request(vec![image("p")]), 1);
    assert_eq!(gone.unwrap_err(), HttpError::dropped_image_gone());
}

#[test]
fn names_are_qualified_where_the_search_path_does_not_find_them() {
    let s = sql(&table_with_odd_names(), &request(vec![value("a'", "b\\", 2.0), value("c", "d", 3.0)]));
    let shown = s.with_literals();
    // OPERATOR(...) has one precedence for all operators: without parentheses this would be (2 * a + 3) * b.
    assert!(shown.contains("(2 OPERATOR(coop.*) coop.coop_attr_query('a''', E'b\\\\', 'it''s'))"), "{shown}");
    assert!(shown.contains("OPERATOR(coop.+) (3 OPERATOR(coop.*)"), "{shown}");
    assert!(shown.contains("\"Emb'\" OPERATOR(coop.<->) (SELECT query FROM target) AS distance_"), "{shown}");
    assert!(shown.contains("FROM \"My \"\"Shop\"\"\".\"Pro;ducts\"\nORDER BY distance_"), "{shown}");
}

#[test]
fn both_forms_of_a_statement_mean_the_same() {
    let nasty = "x'; DROP TABLE t; --\\";
    for table in [plain_table(), table_with_odd_names()] {
        let search_request =
            request(vec![like(nasty, Some(&[(nasty, 0.1)]), &[(nasty, nasty)]), value(nasty, nasty, 1e-3)]);
        let search_request = SearchRequest { category: Some(nasty.into()), ..search_request };
        let expression = QueryExpression { table: &table, dropped_image: &|_| None };
        let ids = [nasty.to_owned(), "b".to_owned()];
        let function = TransitionFunction { id_type: Some("text".into()) };
        let statements = [
            search(&expression, &search_request, 7).unwrap(),
            tags(&table, nasty),
            row_image(&table, nasty, 9).unwrap(),
            transition(&table, &function, (nasty, "b"), Some(nasty)),
            attribute_values(&table),
            categories(&table),
            filter_values(&table, 5).unwrap(),
        ];
        for s in statements {
            let id_cast = format!("::{}", table.id.type_name);
            let kind_cast = format!("::{}", table.category.as_ref().unwrap().type_name);
            let bare = |text: &str| {
                ["::text", "::regclass", "::name", &id_cast, &kind_cast]
                    .iter()
                    .fold(text.to_owned(), |t, c| t.replace(c, ""))
            };
            assert_eq!(bare(&(substituted(&s) + ";")), bare(&s.with_literals()));
        }
        for s in [
            explain(&expression, &search_request, &ids).unwrap(),
            has_embedding(&table, &ids),
            labels(&table, &ids),
        ] {
            assert!(s.parameterized().contains(" = ANY ("), "{}", s.parameterized());
            assert!(
                s.with_literals().ends_with(&format!(" IN ({}, 'b');", quote_literal(nasty))),
                "{}",
                s.with_literals()
            );
        }
    }
}

#[test]
fn ids_are_cast_to_the_columns_type_where_the_function_takes_any() {
    let any = TransitionFunction { id_type: None };
    let s = transition(&plain_table(), &any, ("41", "44"), None);
    assert!(
        s.with_literals().contains("coop_transition('products', 'id', 'emb', '41'::integer, '44'::integer)"),
        "{}",
        s.with_literals()
    );
}
