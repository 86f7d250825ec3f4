//! Predictions on a small data set, computed by hand.

use super::*;
use crate::data::fixture::value_sets;
use crate::data::manifest::{AttributeEntry, ImageEntry, Split};

fn close(got: Option<f64>, want: f64) {
    assert!((got.unwrap() - want).abs() < 1e-12, "{got:?} is not {want}");
}

fn manifest(values: &[&str], shown: &[Option<u32>]) -> Manifest {
    let image = |value: &Option<u32>| ImageEntry {
        path: String::new(),
        instance: 0,
        category: 0,
        split: Split::Gallery,
        crop: None,
        values: value_sets([None, *value]),
        mirror: true,
    };
    let attribute = |name: &str, values: &[&str]| AttributeEntry {
        name: name.into(),
        ordered: false,
        multi: false,
        values: values.iter().map(|v| (*v).to_owned()).collect(),
    };
    Manifest {
        root: "set".into(),
        images: shown.iter().map(image).collect(),
        attributes: vec![attribute("other", &[]), attribute("size", values)],
        instances: vec!["i".into()],
        categories: vec!["c".into()],
        instance_category: vec![0],
        instance_group: vec![0],
        warnings: vec![],
    }
}

/// One attribute of the values s, m, l and xl (which no training image shows) at 0, 1 and 3 on a line.
fn points(unit: bool) -> ReferencePoints {
    let at = |name: &str, x: Option<f32>| (name.to_owned(), x.map(|x| vec![x, 0.0]));
    ReferencePoints {
        layout: Layout::new(2, 2, 0).unwrap(),
        unit,
        attributes: vec![
            AttributePoints { name: "absent".into(), ordered: false, values: vec![at("a", Some(0.0))] },
            AttributePoints {
                name: "size".into(),
                ordered: true,
                values: vec![at("s", Some(0.0)), at("m", Some(1.0)), at("l", Some(3.0)), at("xl", None)],
            },
        ],
    }
}

#[test]
fn ranks_missed_and_reciprocal_ranks_by_hand() {
    // The set names its values in another order: l, s, m, xl, xxl.
    let set = manifest(
        &["l", "s", "m", "xl", "xxl"],
        &[Some(1), Some(1), Some(1), Some(0), Some(2), Some(3), Some(4), None],
    );
    let x = [0.2, 2.5, 0.9, 0.4, 1.1, 9.0, 9.0, 9.0];
    let raw: Vec<f32> = x.iter().flat_map(|&x| [7.0, 7.0, x, 0.0]).collect();
    let images: Vec<usize> = (0..8).collect();
    let r = predict(&set, &images, &raw, &points(false)).unwrap();
    assert_eq!(r.len(), 1); // the set has no "absent"
    let r = &r[0];
    // s at .2: right. s at 2.5: l (.5), m (1.5), s (2.5): third, 2 ranks off. s at .9: m (.1), s (.9): second, 1 off.
    // l at .4: s (.4), m (.6), l (2.6): third, 2 off. m at 1.1: right. xl and xxl cannot be said.
    assert_eq!((r.images, r.unseen, r.ordered), (5, 2, true));
    assert_eq!(r.confusion, [[1, 1, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]);
    close(r.accuracy.micro, 2.0 / 5.0);
    close(r.accuracy.macro_, (1.0 / 3.0 + 1.0 + 0.0) / 3.0);
    let mae = r.mean_absolute_error.unwrap();
    close(mae.micro, (0.0 + 2.0 + 1.0 + 2.0 + 0.0) / 5.0);
    close(mae.macro_, (3.0 / 3.0 + 0.0 + 2.0) / 3.0);
    close(r.mean_reciprocal_rank.micro, (1.0 + 1.0 / 3.0 + 0.5 + 1.0 / 3.0 + 1.0) / 5.0);
    close(r.mean_reciprocal_rank.macro_, ((1.0 + 1.0 / 3.0 + 0.5) / 3.0 + 1.0 + 1.0 / 3.0) / 3.0);
}

#[test]
fn raw_and_unit_embeddings_can_be_nearest_to_different_values() {
    let set = manifest(&["s", "m", "l"], &[Some(2)]);
    let raw = [1.0, 0.0, 2.9, 0.0];
    let nearest = |unit| predict(&set, &[0], &raw, &points(unit)).unwrap()[0].confusion[2].clone();
    assert_eq!(nearest(false), [0, 0, 1, 0]);
    assert_eq!(nearest(true), [0, 1, 0, 0]); // 2.9 shrinks to 1
}

#[test]
fn of_equal_distances_the_first_is_nearer() {
    let p = |right, d: &[f64]| Prediction::new(&[right], &d.iter().map(|&d| Some(d)).collect::<Vec<_>>());
    let one = |right, nearest, nearer| Some(Prediction { right, several: false, nearest, nearer });
    assert_eq!(p(1, &[0.5, 0.5, 0.1]), one(1, 2, 2));
    assert_eq!(p(0, &[0.5, 0.5]), one(0, 0, 0));
    assert_eq!(Prediction::new(&[0], &[None, Some(1.0)]), None);
    assert_eq!(p(2, &[1.0]), None);
}

#[test]
fn of_several_right_values_the_nearest_counts_and_the_confusion_leaves_them_out() {
    let distances = [Some(0.9), Some(0.2), Some(0.5), None];
    let found = [[0usize, 2], [1, 0], [3, 2]].map(|right| Prediction::new(&right, &distances).unwrap());
    let several = |right, nearer| Prediction { right, several: true, nearest: 1, nearer };
    assert_eq!(found, [several(2, 1), several(1, 0), several(2, 1)]);
    let names = ["s", "m", "l", "xl"].map(str::to_owned).to_vec();
    let result = PredictionResult::new("size".into(), true, names, &found, 0);
    assert_eq!((result.images, result.accuracy.micro), (3, Some(1.0 / 3.0)));
    assert_eq!(result.mean_absolute_error.unwrap().micro, Some(2.0 / 3.0));
    assert!(result.confusion.iter().flatten().all(|n| *n == 0));
}

#[test]
fn an_attribute_without_images_has_no_figures() {
    let set = manifest(&["s"], &[None]);
    let r = predict(&set, &[0], &[0.0; 4], &points(false)).unwrap().remove(0);
    assert_eq!((r.images, r.accuracy), (0, Averages::default()));
    assert_eq!(r.mean_absolute_error, Some(Averages::default()));
    let json = serde_json::to_value(&r).unwrap();
    assert!(json["mean_absolute_error"]["macro"].is_null() && json["confusion"][3][3] == 0);
}
