//! What the types' input and receive functions read: text and binary of `coopvec` and `coopquery`, and the state of `avg`. An error
//! or a value, which is written as it was read, and with which the algebra can work.
#![no_main]

use coopembed::space::{distance, embedding_distance, Embedding, EmbeddingMean, Query};
use libfuzzer_sys::fuzz_target;

fn embedding(e: &Embedding) {
    let e = e.as_ref();
    let (text, bytes) = (e.to_string(), e.to_bytes());
    assert_eq!(text.parse::<Embedding>().expect("its own text").as_ref().to_bytes(), bytes);
    assert_eq!(e.to_hex().parse::<Embedding>().expect("its own text").as_ref().to_bytes(), bytes);
    assert_eq!(Embedding::from_bytes(&bytes).expect("its own bytes").as_ref().to_string(), text);
    assert!(embedding_distance(e, e).expect("one model") == 0.0);
}

fn query(q: &Query) {
    let q = q.as_ref();
    let (text, bytes) = (q.to_string(), q.to_bytes());
    assert_eq!(text.parse::<Query>().expect("its own text").as_ref().to_bytes(), bytes);
    assert_eq!(q.to_hex().parse::<Query>().expect("its own text").as_ref().to_bytes(), bytes);
    assert_eq!(Query::from_bytes(&bytes).expect("its own bytes").as_ref().to_string(), text);
    let zero = Embedding::from_f32(q.layout, &vec![0.0; q.layout.dimensions()]).expect("its shape");
    let far = distance(zero.as_ref(), q).expect("one model");
    assert!(far >= 0.0, "{far} from {text}");
    for other in [q.plus(&q), q.scaled(0.5), q.scaled(3.0)].into_iter().flatten() {
        assert!(distance(zero.as_ref(), other.as_ref()).expect("one model") >= 0.0);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let text = std::str::from_utf8(rest).unwrap_or_default();
    match kind % 5 {
        0 => text.parse().iter().for_each(embedding),
        1 => text.parse().iter().for_each(query),
        2 => Embedding::from_bytes(rest).iter().for_each(embedding),
        3 => Query::from_bytes(rest).iter().for_each(query),
        _ => {
            let mut sums = vec![0.0; rest.len()];
            let _ = EmbeddingMean::from_bytes(rest, |n| &mut sums[..n]).map(|mean| mean.finish());
        }
    }
});
