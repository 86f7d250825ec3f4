use super::*;
use crate::space::{distance, Embedding};
use proptest::prelude::*;

const K: usize = 4;
const N: usize = 5;

fn layout() -> Layout {
    Layout::new(K, N, 7).unwrap()
}

fn embedding() -> impl Strategy<Value = Embedding> {
    prop::collection::vec(-1.0f32..1.0, K * N).prop_map(|v| Embedding::from_raw(layout(), &v).unwrap())
}

fn query() -> impl Strategy<Value = Query> {
    let weight = prop_oneof![Just(0.0f32), 0.01f32..10.0];
    (prop::collection::vec(weight, K), prop::collection::vec(-1.0f32..1.0, K * N), 0.0f64..2.0)
        .prop_filter_map("no weight", |(w, t, c)| {
            let active: Vec<f32> =
                (0..K).filter(|&k| w[k] > 0.0).flat_map(|k| t[k * N..(k + 1) * N].to_vec()).collect();
            Query::from_parts(layout(), c, w, active).ok()
        })
}

fn squared(e: &Embedding, q: &Query) -> f64 {
    distance(e.as_ref(), q.as_ref()).unwrap().powi(2)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-5 * (1.0 + a.abs().max(b.abs()))
}

proptest! {
    #[test]
    fn a_sum_adds_squared_distances(e in embedding(), p in query(), q in query()) {
        let sum = p.as_ref().plus(&q.as_ref()).unwrap();
        prop_assert!(close(squared(&e, &sum), squared(&e, &p) + squared(&e, &q)));
    }

    #[test]
    fn sums_commute_and_associate(e in embedding(), p in query(), q in query(), r in query()) {
        let (p, q, r) = (p.as_ref(), q.as_ref(), r.as_ref());
        let pq = p.plus(&q).unwrap();
        prop_assert!(close(squared(&e, &pq), squared(&e, &q.plus(&p).unwrap())));
        let left = pq.as_ref().plus(&r).unwrap();
        let right = p.plus(&q.plus(&r).unwrap().as_ref()).unwrap();
        prop_assert!(close(squared(&e, &left), squared(&e, &right)));
    }

    #[test]
    fn contributions_add_up_to_the_squared_distance(e in embedding(), p in query(), q in query()) {
        let sum = p.as_ref().plus(&q.as_ref()).unwrap();
        let parts = sum.as_ref().contributions(e.as_ref()).unwrap();
        let total = parts.iter().map(|(_, w, d)| f64::from(*w) * d * d).sum::<f64>() + sum.as_ref().constant;
        prop_assert!(close(squared(&e, &sum), total));
    }

    #[test]
    fn a_scale_of_one_and_a_sum_of_halves_give_the_same_query(q in query(), s in 0.01f64..100.0) {
        prop_assert_eq!(&q.as_ref().scaled(1.0).unwrap(), &q);
        let half = q.as_ref().scaled(0.5).unwrap();
        let (whole, parts) = (q.as_ref(), half.as_ref().plus(&half.as_ref()).unwrap());
        prop_assert!(close(whole.constant, parts.as_ref().constant));
        prop_assert_eq!(whole.weights, parts.as_ref().weights);
        prop_assert!(whole.targets.iter().zip(parts.as_ref().targets).all(|(a, b)| close((*a).into(), (*b).into())));
        let there_and_back = whole.scaled(s).unwrap().as_ref().scaled(1.0 / s).unwrap();
        prop_assert!(close(there_and_back.as_ref().constant, whole.constant));
    }

    #[test]
    fn a_scale_multiplies_squared_distances(e in embedding(), q in query(), s in 0.01f64..100.0) {
        let scaled = q.as_ref().scaled(s).unwrap();
        prop_assert!(close(squared(&e, &scaled), s * squared(&e, &q)));
    }
}

#[test]
fn like_this_one_is_at_distance_zero_from_it() {
    let e = Embedding::from_raw(layout(), &(0..20).map(|i| i as f32 - 9.0).collect::<Vec<_>>()).unwrap();
    let q = Query::like(e.as_ref(), &[2, 0, 2]).unwrap();
    assert_eq!(q.as_ref().weights, &[1.0, 0.0, 1.0, 0.0]);
    assert_eq!(distance(e.as_ref(), q.as_ref()).unwrap(), 0.0);
}

#[test]
fn the_centre_of_a_mix_is_its_point_without_weights_and_constant() {
    let targets: Vec<f32> = (0..15).map(|i| i as f32).collect();
    let q = Query::from_parts(layout(), 3.0, vec![2.0, 0.0, 0.5, 7.0], targets.clone()).unwrap();
    let centre = q.as_ref().centre(&[3, 0]).unwrap();
    let expected = [&targets[..5], &targets[10..]].concat();
    assert_eq!(centre, Query::from_parts(layout(), 0.0, vec![1.0, 0.0, 0.0, 1.0], expected).unwrap());
    for subspaces in [&[0, 1][..], &[], &[4]] {
        assert_eq!(q.as_ref().centre(subspaces).unwrap_err().kind, Kind::InvalidParameter);
    }
}

#[test]
fn subspaces_are_replaced_by_targets_of_unit_length_or_by_those_of_another_embedding() {
    let l = Layout::new(3, 2, 0).unwrap();
    let e = Embedding::from_raw(l, &[1.0, 0.0, 0.0, 1.0, 0.6, 0.8]).unwrap();
    let query = Query::subspace(l, 1, &[0.3, 0.4]).unwrap();
    let replaced = e.as_ref().with_targets_of(&query.as_ref()).unwrap();
    let expected = Embedding::from_raw(l, &[1.0, 0.0, 0.6, 0.8, 0.6, 0.8]).unwrap();
    assert_eq!(replaced, expected);
    assert_eq!(replaced.as_ref().with_subspaces_of(&e.as_ref(), &[1, 1]).unwrap(), e);
    assert_eq!(e.as_ref().with_subspaces_of(&replaced.as_ref(), &[0, 2]).unwrap(), e);
    assert_eq!(e.as_ref().with_subspaces_of(&e.as_ref(), &[3]).unwrap_err().kind, Kind::InvalidParameter);
    let other = Query::subspace(Layout::new(3, 2, 9).unwrap(), 1, &[0.3, 0.4]).unwrap();
    assert_eq!(e.as_ref().with_targets_of(&other.as_ref()).unwrap_err().kind, Kind::Mismatch);
}

#[test]
fn zero_negative_and_absurd_scales_are_errors() {
    let q = Query::subspace(layout(), 1, &[0.5; N]).unwrap();
    for s in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(q.as_ref().scaled(s).unwrap_err().kind, Kind::InvalidParameter);
    }
    for s in [1e300, 1e-300] {
        assert_eq!(q.as_ref().scaled(s).unwrap_err().kind, Kind::LimitExceeded);
    }
}

#[test]
fn malformed_parts_are_errors() {
    let l = layout();
    let parts = |c, w: &[f32], t: usize| Query::from_parts(l, c, w.to_vec(), vec![0.0; t]).unwrap_err().kind;
    assert_eq!(parts(0.0, &[1.0; 3], 15), Kind::Mismatch);
    assert_eq!(parts(0.0, &[1.0; 4], 15), Kind::Mismatch);
    assert_eq!(parts(0.0, &[0.0; 4], 0), Kind::InvalidParameter);
    assert_eq!(parts(-1.0, &[1.0; 4], 20), Kind::InvalidParameter);
    assert_eq!(parts(0.0, &[1.0, -1.0, 1.0, 1.0], 20), Kind::InvalidParameter);
}

#[test]
fn the_opposite_of_a_query_has_the_reverse_order() {
    let l = Layout::new(2, 2, 1).unwrap();
    let q = Query::from_parts(l, 0.5, vec![2.0, 3.0], vec![0.6, 0.3, -0.2, 0.7]).unwrap();
    let opposite = q.as_ref().opposite();
    assert_eq!(opposite.as_ref().opposite(), q);
    for angle in [0.0f32, 0.4, 1.1, 2.0, 3.5, 5.0] {
        let (sin, cos) = angle.sin_cos();
        let e = Embedding::from_raw(l, &[cos, sin, sin, -cos]).unwrap();
        let squared = |q: &Query| distance(e.as_ref(), q.as_ref()).unwrap().powi(2);
        // 2 c + sum of w (2 + 2 |t|^2): 1 + 2 (2 + 0.9) + 3 (2 + 1.06).
        assert!((squared(&q) + squared(&opposite) - 15.98).abs() < 1e-2, "{angle}");
    }
}
