//! The three tasks on a small data set, computed by hand.

use super::*;
use crate::data::fixture::value_sets;
use crate::data::manifest::{AttributeEntry, ImageEntry};
use crate::space::{Layout, Query};

fn layout() -> Layout {
    Layout::new(2, 2, 1).unwrap()
}

/// An image at these angles (degrees) in the two subspaces.
fn at(a: f32, b: f32) -> Option<Embedding> {
    let (a, b) = (a.to_radians(), b.to_radians());
    Some(Embedding::from_f32(layout(), &[a.cos(), a.sin(), b.cos(), b.sin()]).unwrap())
}

fn image(instance: u32, category: u32, split: Split, values: [Option<u32>; 2]) -> ImageEntry {
    let values = value_sets(values);
    ImageEntry { path: String::new(), instance, category, split, crop: None, values, mirror: true }
}

/// Query A (instance 0) and B (instance 1), C (instance 2, not in the gallery); a gallery of four.
fn set() -> (Manifest, Vec<Option<Embedding>>) {
    let (q, g) = (Split::Query, Split::Gallery);
    let images = vec![
        image(0, 0, q, [None, None]),
        image(1, 1, q, [None, None]),
        image(2, 1, q, [None, None]),
        image(0, 0, g, [Some(0), None]),
        image(0, 0, g, [Some(1), None]),
        image(1, 1, g, [Some(0), Some(0)]),
        image(1, 1, g, [None, Some(0)]),
        image(3, 0, Split::Train, [None, None]),
    ];
    let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let attribute = |name: &str, values: &[&str]| AttributeEntry {
        name: name.into(),
        ordered: false,
        multi: false,
        values: names(values),
    };
    let manifest = Manifest {
        root: "set".into(),
        images,
        attributes: vec![attribute("shape", &["round", "flat", "odd"]), attribute("print", &["dots"])],
        instances: names(&["a", "b", "c", "d"]),
        categories: names(&["x", "y"]),
        instance_category: vec![0, 1, 1, 0],
        instance_group: vec![0, 1, 2, 3],
        warnings: vec![],
    };
    let embeddings = vec![
        at(0.0, 0.0),   // A: nearest is image 3, right
        at(100.0, 0.0), // B: nearest is image 4, wrong; image 6 comes third
        at(0.0, 0.0),
        at(10.0, 0.0),
        at(90.0, 0.0),
        at(20.0, 80.0),
        at(140.0, 90.0),
        None,
    ];
    (manifest, embeddings)
}

fn stored_queries() -> StoredQueries {
    let angle = |d: f32| [d.to_radians().cos(), d.to_radians().sin()];
    let value = |name: &str, k, d| (name.to_owned(), Some(Query::subspace(layout(), k, &angle(d)).unwrap()));
    let shape =
        vec![value("flat", 0, 80.0), ("odd".into(), None), value("round", 0, 150.0), value("new", 0, 0.0)];
    let both = |a, b| Some(Query::superspace(layout(), [angle(a), angle(b)].concat()).unwrap());
    StoredQueries {
        instance: Part::Superspace,
        attributes: vec![
            NamedQueries { name: "shape".into(), queries: shape },
            NamedQueries { name: "print".into(), queries: vec![value("dots", 1, 0.0)] },
            NamedQueries { name: "sleeves".into(), queries: vec![value("long", 1, 0.0)] },
        ],
        categories: NamedQueries {
            name: "category".into(),
            queries: vec![("x".into(), both(0.0, 0.0)), ("y".into(), both(20.0, 80.0))],
        },
    }
}

fn close(got: Option<f64>, want: f64) {
    assert!((got.unwrap() - want).abs() < 1e-12, "{got:?} is not {want}");
}

#[test]
fn instances_by_hand() {
    let (manifest, embeddings) = set();
    let r = evaluate(&manifest, &embeddings, &stored_queries(), Protocol::default()).unwrap().instance;
    assert_eq!(
        (r.protocol.as_str(), r.queries, r.queries_without_match, r.gallery),
        ("query-gallery", 2, 1, 4)
    );
    close(r.recall_at_1, 0.5);
    close(r.recall_at_10, 1.0);
}

#[test]
fn without_query_images_each_gallery_image_queries_the_others() {
    let (manifest, embeddings) = set();
    let protocol = Protocol { leave_one_out: true, ..Default::default() };
    let r = evaluate(&manifest, &embeddings, &stored_queries(), protocol).unwrap().instance;
    // 3 -> 4 (80 degrees off; 5 is 10 and 80 off): right. 4 -> 6 is 50 and 90 off, 3 is 80 off: right.
    // 5 -> 3 (10 and 80): wrong. 6 -> 5 (120 and 10), 4 (50 and 90): wrong.
    assert_eq!((r.protocol.as_str(), r.queries, r.gallery), ("leave-one-out", 4, 4));
    close(r.recall_at_1, 0.5);
}

#[test]
fn attributes_and_categories_by_hand() {
    let (manifest, embeddings) = set();
    let r = evaluate(&manifest, &embeddings, &stored_queries(), Protocol::default()).unwrap();
    let shape = &r.attributes.groups[0];
    // flat (80 degrees): 4, 5 (60 off), 6 (60 off)... only image 4 is flat, and first.
    close(shape.values[0].average_precision, 1.0);
    // round (150): 6, 4, 5, 3: hits at ranks 3 and 4: (1/3 + 2/4) / 2
    close(shape.values[2].average_precision, (1.0 / 3.0 + 0.5) / 2.0);
    assert_eq!(shape.values[1].skipped.as_deref(), Some("no training image shows it"));
    assert_eq!(shape.values[3].skipped.as_deref(), Some("no gallery image shows it"));
    // dots (0 degrees): 3, 4, 5, 6: hits at 3 and 4.
    close(r.attributes.groups[1].mean_average_precision, (1.0 / 3.0 + 0.5) / 2.0);
    assert!(r.attributes.groups[2].values[0].skipped.is_some());
    assert_eq!((r.attributes.scored, r.attributes.skipped), (3, 3));
    close(r.attributes.mean_average_precision, (1.0 + 2.0 * (1.0 / 3.0 + 0.5) / 2.0) / 3.0);
    // x (0, 0): 3, 5 (20, 80), 4 (90, 0), 6: hits at 1 and 3. y (20, 80): 5, 3 (10, 80), 6 or 4 (70, 80), 6 (120, 10)
    let (x, y) = (&r.categories.groups[0].values[0], &r.categories.groups[0].values[1]);
    close(x.average_precision, (1.0 + 2.0 / 3.0) / 2.0);
    close(y.average_precision, (1.0 + 2.0 / 4.0) / 2.0);
}

#[test]
fn images_without_the_attribute_can_be_excluded() {
    let (manifest, embeddings) = set();
    let protocol = Protocol { absent: Absent::Exclude, ..Default::default() };
    let r = evaluate(&manifest, &embeddings, &stored_queries(), protocol).unwrap();
    // round without image 6: 4, 5, 3: hits at 2 and 3. dots: nothing but hits.
    close(r.attributes.groups[0].values[2].average_precision, (0.5 + 2.0 / 3.0) / 2.0);
    close(r.attributes.groups[1].values[0].average_precision, 1.0);
}

#[test]
fn a_data_set_without_the_models_attributes_is_an_error() {
    let (mut manifest, embeddings) = set();
    manifest.attributes.iter_mut().for_each(|a| a.name.push('2'));
    let e = evaluate(&manifest, &embeddings, &stored_queries(), Protocol::default()).unwrap_err();
    assert_eq!(e.detail.as_deref(), Some("The model's are \"shape\", \"print\", \"sleeves\"."));
}
