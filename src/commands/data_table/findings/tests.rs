use super::*;
use crate::commands::data_table::fetch::ImageState;
use crate::commands::data_table::journal::StoredImage;
use crate::commands::data_table::rows::{LabelledRow, LeftOut, Reason};
use crate::commands::data_table::selection::LabelColumn;
use crate::commands::data_table::training_set::SetOptions;
use crate::data::manifest::Split;

/// A row: instance, category, maker, file.
type Row<'a> = (&'a str, &'a str, &'a str, &'a str);

fn label(name: &str, multi: bool) -> LabelColumn {
    LabelColumn { name: name.into(), quoted: format!("\"{name}\""), multi }
}

fn found_in(rows: &[Row<'_>], splits: &[Split], multi: bool, options: SetOptions) -> Vec<Finding> {
    let selection =
        Selection::of_columns("shop", label("sku", false), label("kind", false), vec![label("maker", multi)]);
    let mut table = Table::new(1);
    let mut states = Vec::new();
    for (i, (instance, category, maker, path)) in rows.iter().enumerate() {
        let row = LabelledRow {
            id: vec![i.to_string()],
            instance: table.instances.intern(instance),
            category: table.categories.intern(category),
            group: None,
            split: splits.get(i).copied(),
            crop: None,
            values: vec![vec![table.attributes[0].intern(maker)]],
            image: i,
        };
        table.rows.push(row);
        let path = format!("images/{path}.png");
        states.push(ImageState::Stored(StoredImage { path, bytes: 1, width: 100, height: 100 }));
    }
    let set = TrainingSet::new(&mut table, &states, &selection, options);
    find(&set, &table, &selection, options.tidy)
}

fn found(rows: &[Row<'_>]) -> Vec<Finding> {
    found_in(rows, &[], false, SetOptions { tidy: false, share: Some(0.0), seed: 0 })
}

fn of<'a>(all: &'a [Finding], kind: &str, column: &str) -> Vec<&'a Finding> {
    all.iter().filter(|f| f.kind == kind && f.column == column).collect()
}

/// Twelve rows of each of two makers, two images for each instance.
fn sound() -> Vec<Row<'static>> {
    const NAMES: [&str; 24] = [
        "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "b0", "b1", "b2", "b3", "b4", "b5", "b6",
        "b7", "b8", "b9", "c0", "c1", "c2", "c3",
    ];
    NAMES
        .iter()
        .enumerate()
        .map(|(i, name)| (NAMES[i / 2], ["shoe", "bag"][i / 12], ["noto", "apple"][i % 4 / 2], *name))
        .collect()
}

#[test]
fn nothing_is_odd_about_a_sound_set() {
    let all = found(&sound());
    assert_eq!(all, []);
    assert_eq!(table_text(&all), "");
    assert!(questions(&all, "shop").contains("There are none"));
}

#[test]
fn spellings_and_placeholders_come_with_statements() {
    let mut rows = sound();
    rows.extend([
        ("x", "bag", "Noto", "x1"),
        ("x", "bag", "Noto ", "x2"),
        ("y", "bag", "n/a", "y1"),
        ("y", "bag", "n/a", "y2"),
    ]);
    let all = found(&rows);
    let spelling = of(&all, "spelling", "maker")[0];
    assert_eq!(spelling.count, 14);
    assert_eq!(
        spelling.what,
        "\"noto\" (12), \"Noto\" (1), \"Noto \" (1) differ only in case, blanks or hyphens"
    );
    assert_eq!(spelling.show, "SELECT \"maker\", count(*) FROM shop WHERE \"maker\" IN ('noto', 'Noto', 'Noto ') GROUP BY \"maker\";");
    assert_eq!(
        spelling.mend.as_deref(),
        Some("UPDATE shop SET \"maker\" = 'noto' WHERE \"maker\" IN ('Noto', 'Noto ');")
    );
    let placeholder = of(&all, "placeholder", "maker")[0];
    assert_eq!(
        placeholder.mend.as_deref(),
        Some("UPDATE shop SET \"maker\" = NULL WHERE \"maker\" IN ('n/a');")
    );
    let text = table_text(&all);
    assert!(text.starts_with("finding") && text.contains("\nspelling     maker"), "{text}");
    assert!(questions(&all, "shop").contains("To mend it:\n\n```sql\nUPDATE shop SET \"maker\" = NULL"));
}

#[test]
fn values_of_arrays_are_mended_one_by_one() {
    let mut rows = sound();
    rows.extend([("x", "bag", "it's", "x1"), ("x", "bag", "It's", "x2"), ("x", "bag", "It's", "x3")]);
    let all = found_in(&rows, &[], true, SetOptions { tidy: false, share: Some(0.0), seed: 0 });
    let spelling = of(&all, "spelling", "maker")[0];
    assert_eq!(
        spelling.mend.as_deref(),
        Some("UPDATE shop SET \"maker\" = array_replace(\"maker\", 'it''s', 'It''s') WHERE 'it''s' = ANY (\"maker\");")
    );
}

#[test]
fn what_was_merged_is_said() {
    let mut rows = sound();
    rows.extend([("x", "bag", "Noto", "x1"), ("x", "bag", "N/A", "x2")]);
    let all = found_in(&rows, &[], false, SetOptions { tidy: true, share: Some(0.0), seed: 0 });
    assert!(of(&all, "spelling", "maker")[0].what.ends_with(", merged into \"noto\""));
    assert!(of(&all, "placeholder", "maker")[0].what.ends_with("taken as absent"));
    assert!(of(&all, "rare", "maker").is_empty());
}

#[test]
fn instances_that_disagree_or_have_one_image_are_found() {
    let mut rows = sound();
    rows.extend([
        ("x", "bag", "noto", "x1"),
        ("x", "shoe", "apple", "x2"),
        ("x", "shoe", "apple", "x3"),
        ("y", "bag", "noto", "a0"),
    ]);
    let all = found(&rows);
    assert!(of(&all, "disagreement", "kind")[0]
        .what
        .ends_with("the most frequent one is exported for all images: \"x\""));
    assert_eq!(of(&all, "disagreement", "maker")[0].count, 1);
    assert_eq!(of(&all, "one image", "sku")[0].count, 1);
    assert!(of(&all, "shared image", "sku")[0].what.ends_with("\"a0\", \"y\""));
}

#[test]
fn rare_values_constants_and_measures_are_found() {
    let mut rows = sound();
    rows.push(("a0", "shoe", "rare", "x1"));
    let all = found(&rows);
    assert_eq!(of(&all, "rare", "maker")[0].what, "values of fewer than 10 images: \"rare\" (1)");
    let constant: Vec<Row<'_>> = sound().into_iter().map(|(i, k, _, p)| (i, k, "noto", p)).collect();
    assert!(of(&found(&constant), "constant", "maker")[0]
        .what
        .contains("all images that have a value have \"noto\""));
    let names: Vec<String> = (0..200).map(|i| format!("v{i}")).collect();
    let measures: Vec<Row<'_>> = names.iter().map(|n| ("a", "shoe", n.as_str(), n.as_str())).collect();
    assert_eq!(of(&found(&measures), "many values", "maker")[0].what, "200 values for 200 images");
    let sparse: Vec<Row<'_>> = sound()
        .into_iter()
        .enumerate()
        .map(|(i, r)| (r.0, r.1, ["", r.2][usize::from(i % 12 < 2)], r.3))
        .collect();
    assert_eq!(
        of(&found(&sparse), "sparse", "maker").len() + of(&found(&sparse), "constant", "maker").len(),
        1
    );
}

#[test]
fn a_column_of_splits_is_checked_for_leaks() {
    let rows = sound();
    let mut splits: Vec<Split> =
        (0..24).map(|i| if i < 12 { Split::Train } else { Split::Gallery }).collect();
    splits[1] = Split::Gallery;
    let all = found_in(&rows, &splits, false, SetOptions { tidy: false, share: None, seed: 0 });
    assert_eq!(of(&all, "leak", "sku")[0].count, 1);
    let what: Vec<&str> = of(&all, "split", "kind").iter().map(|f| f.what.as_str()).collect();
    assert_eq!(what, ["values have no image for training, so that no model can know them: \"bag\""]);
}

#[test]
fn rows_that_are_left_out_are_grouped_by_reason() {
    let selection =
        Selection::of_columns("shop", label("sku", false), label("kind", false), vec![label("maker", false)]);
    let mut table = Table::new(1);
    for (id, reason) in [("1", Reason::NoImage), ("2", Reason::Undecodable), ("3", Reason::Undecodable)] {
        let left_out = LeftOut {
            id: vec![id.into()],
            instance: "a".into(),
            image: String::new(),
            reason,
            why: "why".into(),
        };
        table.left_out.push(left_out);
    }
    let set = TrainingSet::new(&mut table, &[], &selection, SetOptions { tidy: false, share: None, seed: 0 });
    let all = find(&set, &table, &selection, false);
    let rows: Vec<(usize, &str)> =
        of(&all, "left out", "photo").iter().map(|f| (f.count, f.show.as_str())).collect();
    assert_eq!(
        rows,
        [
            (1, "SELECT id, \"sku\" FROM shop WHERE photo IS NULL;"),
            (2, "SELECT id, \"sku\" FROM shop WHERE id IN ('2', '3');")
        ]
    );
}
