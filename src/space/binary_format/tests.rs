use super::*;
use proptest::prelude::*;

fn embedding() -> Embedding {
    "2x2@0000002a:[0.5,1,0,-2]".parse().unwrap()
}

fn query() -> Query {
    "2x2@0000002a:{0.25;1:2*[0.5,1]}".parse().unwrap()
}

#[test]
fn the_forms_are_what_the_documentation_says() {
    // struct.pack('>BHHI4e', 1, 2, 2, 42, 0.5, 1, 0, -2).hex()
    let bytes = [1, 0, 2, 0, 2, 0, 0, 0, 42, 0x38, 0, 0x3c, 0, 0, 0, 0xc0, 0];
    assert_eq!(embedding().as_ref().to_bytes(), bytes);
    // struct.pack('>BHHId4f', 1, 2, 2, 42, 0.25, 0, 2, 0.5, 1).hex()
    let mut bytes = vec![1, 0, 2, 0, 2, 0, 0, 0, 42, 0x3f, 0xd0, 0, 0, 0, 0, 0, 0];
    bytes.extend([0, 0, 0, 0, 0x40, 0, 0, 0, 0x3f, 0, 0, 0, 0x3f, 0x80, 0, 0]);
    assert_eq!(query().as_ref().to_bytes(), bytes);
}

#[test]
fn every_truncation_and_any_trailing_byte_is_refused() {
    let (e, q) = (embedding().as_ref().to_bytes(), query().as_ref().to_bytes());
    for end in 0..e.len() {
        assert_eq!(Embedding::from_bytes(&e[..end]).unwrap_err().kind, Kind::InvalidBinary, "{end}");
    }
    for end in 0..q.len() {
        assert_eq!(Query::from_bytes(&q[..end]).unwrap_err().kind, Kind::InvalidBinary, "{end}");
    }
    let long = Embedding::from_bytes(&[&e[..], &[0]].concat()).unwrap_err();
    assert!(long.detail.unwrap().ends_with("found 9."));
    assert!(long.hint.unwrap().contains("K*n numbers (2 each); big-endian"));
    let long = Query::from_bytes(&[&q[..], &[0]].concat()).unwrap_err();
    assert!(long.hint.unwrap().contains("K weights (4 each)"));
}

#[test]
fn other_versions_impossible_shapes_and_nan_are_refused() {
    let broken = |at: usize, with: &[u8]| {
        let mut bytes = embedding().as_ref().to_bytes();
        bytes[at..at + with.len()].copy_from_slice(with);
        Embedding::from_bytes(&bytes).unwrap_err()
    };
    assert!(broken(0, &[2]).detail.unwrap().contains("version 2; this server reads version 1"));
    assert!(broken(1, &[0, 0]).detail.unwrap().contains("0 subspaces"));
    assert!(broken(1, &[255, 255, 255, 255]).detail.unwrap().contains("65535 subspaces"));
    let nan = broken(11, &f16::NAN.to_be_bytes());
    assert_eq!(nan.kind, Kind::InvalidBinary);
    assert!(nan.detail.unwrap().contains("Number 2 is NaN"));
    assert!(broken(9, &f16::INFINITY.to_be_bytes()).detail.unwrap().contains("Number 1 is inf"));

    let broken = |at: usize, with: &[u8]| {
        let mut bytes = query().as_ref().to_bytes();
        bytes[at..at + with.len()].copy_from_slice(with);
        Query::from_bytes(&bytes).unwrap_err().kind
    };
    assert_eq!(broken(9, &(-1f64).to_be_bytes()), Kind::InvalidBinary);
    assert_eq!(broken(17, &f32::NAN.to_be_bytes()), Kind::InvalidBinary);
    assert_eq!(broken(17, &(-1f32).to_be_bytes()), Kind::InvalidBinary);
    assert_eq!(broken(25, &f32::NAN.to_be_bytes()), Kind::InvalidBinary);
}

#[test]
fn a_weight_or_constant_of_minus_zero_is_zero_as_in_text() {
    let mut bytes = query().as_ref().to_bytes();
    bytes[9..17].copy_from_slice(&(-0f64).to_be_bytes());
    bytes[17..21].copy_from_slice(&(-0f32).to_be_bytes());
    let read = Query::from_bytes(&bytes).unwrap();
    let again: Query = read.as_ref().to_string().parse().unwrap();
    assert_eq!(read.as_ref().to_bytes(), again.as_ref().to_bytes());
    assert_eq!(read.as_ref().to_string(), "2x2@0000002a:{0;1:2*[0.5,1]}");
}

proptest! {
    #[test]
    fn embeddings_round_trip(fp in any::<u32>(), k in 1usize..9, n in 1usize..9, seed in any::<u64>()) {
        let l = Layout::new(k, n, fp).unwrap();
        let values: Vec<f16> = (0..k * n)
            .map(|i| f16::from_bits((seed.rotate_left(i as u32) ^ i as u64) as u16))
            .map(|v| if v.is_finite() { v } else { f16::NEG_ZERO })
            .collect();
        let e = Embedding::from_f16(l, values.clone()).unwrap();
        let back = Embedding::from_bytes(&e.as_ref().to_bytes()).unwrap();
        prop_assert_eq!(back.layout(), l);
        let bits = |v: &[f16]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(back.as_ref().values), bits(&values));
    }

    #[test]
    fn queries_round_trip(
        fp in any::<u32>(),
        c in 0.0f64..1e9,
        w in 0.01f32..1e9,
        t in prop::collection::vec(-1e30f32..1e30, 6),
    ) {
        let l = Layout::new(3, 3, fp).unwrap();
        let q = Query::from_parts(l, c, vec![w, 0.0, 1.0], t).unwrap();
        prop_assert_eq!(Query::from_bytes(&q.as_ref().to_bytes()).unwrap(), q);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_panic(mut b in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Some(version) = b.first_mut() {
            *version = VERSION;
        }
        let _ = Embedding::from_bytes(&b);
        let _ = Query::from_bytes(&b);
    }
}
