use super::*;
use crate::explorer::query_terms::{Likeness, Wish};
use crate::explorer::sql_builder::literal;
use crate::explorer::table::{Column, Names};
use std::sync::Arc;

fn column(name: &str, quoted: &str, type_name: &str) -> Column {
    Column { name: name.into(), quoted: quoted.into(), type_name: type_name.into(), ..Column::default() }
}

fn plain() -> Table {
    Table {
        name: "products".into(),
        id: column("id", "id", "integer"),
        emb: column("emb", "emb", "coopvec"),
        image: Some(column("image", "image", "bytea")),
        labels: vec![column("name", "name", "text")],
        category: Some(column("kind", "kind", "text")),
        names: Names::default(),
    }
}

fn odd() -> Table {
    Table {
        name: "\"My \"\"Shop\"\"\".\"Pro;ducts\"".into(),
        id: column("the id", "\"the id\"", "uuid"),
        emb: column("Emb'", "\"Emb'\"", "coop.coopvec"),
        image: Some(column("bi\\n", "\"bi\\n\"", "bytea")),
        labels: vec![column("distance", "distance", "text"), column("a\"b", "\"a\"\"b\"", "text")],
        category: Some(column("Kind", "\"Kind\"", "\"My \"\"Shop\"\"\".kinds")),
        names: Names { schema: Some("coop".into()), model: Some("it's".into()) },
    }
}

fn like(id: &str, weights: Option<&[(&str, f64)]>, swaps: &[(&str, &str)]) -> Wish {
    let weights = weights.map(|list| list.iter().map(|(a, w)| ((*a).into(), *w)).collect());
    let swaps = swaps.iter().map(|(a, v)| ((*a).into(), (*v).into())).collect();
    Wish::Like { id: id.into(), how: Likeness { weights, swaps } }
}

fn value(attribute: &str, value: &str, weight: f64) -> Wish {
    Wish::Value { attribute: attribute.into(), value: value.into(), weight }
}

fn asked(wishes: Vec<Wish>) -> Question {
    Question { wishes, ..Question::default() }.checked().unwrap()
}

fn sql(table: &Table, question: &Question) -> Statement {
    let photo = |name: &str| (name == "p").then(|| Arc::new(vec![1, 2, 3]));
    search(&Expression { table, photo: &photo }, question, 24).unwrap()
}

/// What runs, with each parameter written out. Only casts may tell it from what is shown.
fn written_out(s: &Statement) -> String {
    let values = s.values_for_tests();
    let mut out = s.bound().to_owned();
    for (i, value) in values.iter().enumerate().rev() {
        out = out.replace(&format!("${}", i + 1), value);
    }
    out
}

#[test]
fn a_question_becomes_one_readable_statement() {
    let wishes = vec![
        like("41", None, &[]),
        value("hue", "green", 2.0),
        Wish::Category { name: "transport-ground".into(), weight: 0.5 },
        value("age", "child", 0.0),
    ];
    let s = sql(&plain(), &Question { category: Some("o'k".into()), ..asked(wishes) });
    assert_eq!(
        s.shown(),
        "WITH asked (query) AS (
  SELECT coop_like((SELECT emb FROM products WHERE id = '41'))
       + 2 * coop_attr_query('hue', 'green')
       + 0.5 * coop_category_query('transport-ground')
)
SELECT id, name, emb <-> (SELECT query FROM asked) AS distance
FROM products
WHERE kind = 'o''k'
ORDER BY distance
LIMIT 24;"
    );
    assert_eq!(
        s.bound(),
        "WITH asked (query) AS (
  SELECT coop_like((SELECT emb FROM products WHERE id = $1::integer))
       + $2 * coop_attr_query($3, $4)
       + $5 * coop_category_query($6)
)
SELECT id::text, name::text, emb <-> (SELECT query FROM asked) AS distance
FROM products
WHERE kind = $7::text
ORDER BY distance
LIMIT $8"
    );
}

#[test]
fn attributes_of_one_weight_are_one_term_and_swaps_come_first() {
    let weights = [("hue", 1.0), ("age", 0.25), ("hair", 1.0), ("gender", 0.0)];
    let s = sql(&plain(), &asked(vec![like("41", Some(&weights), &[("hair", "red"), ("age", "child")])]));
    let one = "coop_replace(coop_replace((SELECT emb FROM products WHERE id = '41'), 'hair', 'red'), 'age', 'child')";
    let expected =
        format!("SELECT coop_like({one}, 'hue', 'hair')\n       + 0.25 * coop_like({one}, 'age')\n");
    assert!(s.shown().contains(&expected), "{}", s.shown());
}

#[test]
fn without_a_wish_the_table_is_shown_as_it_is() {
    let s = sql(&plain(), &asked(vec![value("hue", "green", 0.0), like("41", Some(&[("hue", 0.0)]), &[])]));
    assert_eq!(s.shown(), "SELECT id, name\nFROM products\nORDER BY products.id\nLIMIT 24;");
}

#[test]
fn a_photo_is_a_parameter_and_one_that_is_gone_is_said() {
    let table = odd();
    let photo = |name: &str| Wish::Photo { photo: name.into(), how: Likeness::default() };
    let s = sql(&table, &asked(vec![photo("p")]));
    assert!(s.bound().contains("coop.coop_like(coop.coop_embed($1, $2))"), "{}", s.bound());
    assert!(s.shown().contains("coop.coop_embed(decode(:'photo', 'base64'), 'it''s')"), "{}", s.shown());
    let gone = search(&Expression { table: &table, photo: &|_| None }, &asked(vec![photo("p")]), 1);
    assert_eq!(gone.unwrap_err(), Refusal::photo_gone());
}

#[test]
fn names_that_the_search_path_does_not_find_and_odd_ones_are_written_in_full() {
    let s = sql(&odd(), &asked(vec![value("a'", "b\\", 2.0), value("c", "d", 3.0)]));
    let shown = s.shown();
    // Operators that are written in full bind alike: without the brackets this were (2 * a + 3) * b.
    assert!(shown.contains("(2 OPERATOR(coop.*) coop.coop_attr_query('a''', E'b\\\\', 'it''s'))"), "{shown}");
    assert!(shown.contains("OPERATOR(coop.+) (3 OPERATOR(coop.*)"), "{shown}");
    assert!(shown.contains("\"Emb'\" OPERATOR(coop.<->) (SELECT query FROM asked) AS distance_"), "{shown}");
    assert!(shown.contains("FROM \"My \"\"Shop\"\"\".\"Pro;ducts\"\nORDER BY distance_"), "{shown}");
}

#[test]
fn what_is_shown_means_what_runs() {
    let nasty = "x'; DROP TABLE t; --\\";
    for table in [plain(), odd()] {
        let question =
            asked(vec![like(nasty, Some(&[(nasty, 0.1)]), &[(nasty, nasty)]), value(nasty, nasty, 1e-3)]);
        let question = Question { category: Some(nasty.into()), ..question };
        let ask = Expression { table: &table, photo: &|_| None };
        let ids = [nasty.to_owned(), "b".to_owned()];
        let function = TransitionFunction { id_type: Some("text".into()) };
        let statements = [
            search(&ask, &question, 7).unwrap(),
            tags(&table, nasty),
            picture(&table, nasty, 9).unwrap(),
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
            assert_eq!(bare(&(written_out(&s) + ";")), bare(&s.shown()));
        }
        for s in [why(&ask, &question, &ids).unwrap(), known(&table, &ids), labels(&table, &ids)] {
            assert!(s.bound().contains(" = ANY ("), "{}", s.bound());
            assert!(s.shown().ends_with(&format!(" IN ({}, 'b');", literal(nasty))), "{}", s.shown());
        }
    }
}

#[test]
fn an_id_of_any_type_takes_its_own_where_the_function_takes_any() {
    let any = TransitionFunction { id_type: None };
    let s = transition(&plain(), &any, ("41", "44"), None);
    assert!(
        s.shown().contains("coop_transition('products', 'id', 'emb', '41'::integer, '44'::integer)"),
        "{}",
        s.shown()
    );
}
