use super::*;
use proptest::prelude::*;

fn layout() -> Layout {
    Layout::new(2, 2, 7).unwrap()
}

fn embedding(values: &[f32]) -> Embedding {
    Embedding::from_f32(layout(), values).unwrap()
}

#[test]
fn the_mean_is_plain_and_not_normalised() {
    let mut sums = [0.0; 4];
    let mut mean = EmbeddingMean::new(layout(), &mut sums);
    assert!(mean.finish().is_none());
    mean.add(embedding(&[1.0, 0.0, 0.5, -1.0]).as_ref()).unwrap();
    mean.add(embedding(&[0.0, 1.0, 0.5, 1.0]).as_ref()).unwrap();
    assert_eq!(mean.finish().unwrap(), embedding(&[0.5, 0.5, 0.5, 0.0]));
}

#[test]
fn other_models_are_refused_and_both_named() {
    let mut sums = [0.0; 4];
    let mut mean = EmbeddingMean::new(layout(), &mut sums);
    let other = Embedding::from_f32(Layout::new(2, 2, 8).unwrap(), &[0.0; 4]).unwrap();
    let e = mean.add(other.as_ref()).unwrap_err();
    assert_eq!(e.kind, Kind::Mismatch);
    let detail = e.detail.unwrap();
    assert!(detail.contains("2x2@00000007") && detail.contains("2x2@00000008"));
}

#[test]
fn a_malformed_state_is_refused() {
    let mut sums = [0.0; 4];
    let bytes = EmbeddingMean::new(layout(), &mut sums).to_bytes();
    for end in 0..bytes.len() {
        assert!(EmbeddingMean::from_bytes(&bytes[..end], |_| unreachable!()).is_err());
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_bits(
        rows in prop::collection::vec(prop::collection::vec(-1.0f32..1.0, 4), 1..40),
        split in 0usize..40,
    ) {
        let rows: Vec<Embedding> = rows.iter().map(|r| embedding(r)).collect();
        let split = split.min(rows.len());
        let (mut a, mut b, mut c, mut d) = ([0.0; 4], [0.0; 4], [0.0; 4], [0.0; 4]);
        let (mut whole, mut left, mut right) =
            (EmbeddingMean::new(layout(), &mut a), EmbeddingMean::new(layout(), &mut b), EmbeddingMean::new(layout(), &mut c));
        rows.iter().for_each(|r| whole.add(r.as_ref()).unwrap());
        rows[split..].iter().for_each(|r| left.add(r.as_ref()).unwrap());
        rows[..split].iter().for_each(|r| right.add(r.as_ref()).unwrap());
        let sent = EmbeddingMean::from_bytes(&right.to_bytes(), |_| &mut d).unwrap();
        left.merge(&sent).unwrap();
        prop_assert_eq!(left.finish(), whole.finish());
    }
}
