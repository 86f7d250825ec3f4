use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn embeddings_round_trip_exactly(bits in prop::collection::vec(any::<u16>(), 6), fp: u32) {
        let values: Vec<f16> = bits.iter().map(|&b| f16::from_bits(b)).collect();
        if let Ok(e) = Embedding::from_f16(Layout::new(3, 2, fp).unwrap(), values) {
            let back: Embedding = e.as_ref().to_string().parse().unwrap();
            let bits = |e: &Embedding| e.as_ref().values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&e));
            prop_assert_eq!(bits(&e.as_ref().to_hex().parse().unwrap()), bits(&e));
        }
    }

    #[test]
    fn queries_round_trip_exactly(t in prop::collection::vec(any::<f32>(), 4), w in 1e-30f32..1e30, c in 0.0f64..1e9) {
        let l = Layout::new(3, 2, 42).unwrap();
        if let Ok(q) = Query::from_parts(l, c, vec![w, 0.0, 1.0], t) {
            prop_assert_eq!(q.as_ref().to_string().parse::<Query>().unwrap(), q);
        }
    }

    #[test]
    fn numbers_are_read_as_the_standard_library_reads_them(v: f64, s in "-?[0-9]{0,17}[.]?[0-9]{0,17}", bits: u32, half: u16) {
        for s in [s, v.to_string(), f32::from_bits(bits).to_string(), f16::from_bits(half).to_f32().to_string()] {
            if let Some((read, length)) = parse_plain_decimal(s.as_bytes()) {
                prop_assert_eq!(Some(read.to_bits()), s[..length].parse().ok().map(f64::to_bits), "{}", s);
            }
        }
    }

    #[test]
    fn any_text_parses_or_errs_without_panic(s in "\\PC{0,40}") {
        let _ = s.parse::<Embedding>();
        let _ = s.parse::<Query>();
    }
}

#[test]
fn every_half_precision_number_is_written_as_the_shortest_decimal_that_reads_back() {
    for bits in (0..=u16::MAX).filter(|&bits| f16::from_bits(bits).is_finite()) {
        let value = f16::from_bits(bits);
        let text =
            Embedding::from_f16(Layout::new(1, 1, 0).unwrap(), vec![value]).unwrap().as_ref().to_string();
        let number = text.strip_prefix("1x1@00000000:[").and_then(|t| t.strip_suffix("]")).unwrap();
        assert_eq!(text.parse::<Embedding>().unwrap().as_ref().values[0].to_bits(), bits, "{number}");
        // The standard library's own reader agrees, and that decimal has no needless digit.
        assert_eq!(f16::from_f64(number.parse().unwrap()).to_bits(), bits, "{number}");
        if let Some((_, decimals)) = number.split_once('.') {
            let shorter = format!("{:.*}", decimals.len() - 1, f64::from(value));
            assert_ne!(f16::from_f64(shorter.parse().unwrap()).to_bits(), bits, "{number}, {shorter}");
        }
        assert!(number.trim_start_matches(['-', '0', '.']).trim_end_matches('0').len() <= 6, "{number}");
    }
}

#[test]
fn the_forms_are_what_the_documentation_says() {
    let e: Embedding = " 2x2@0000002a:[0.5, 1,0,-2] ".parse().unwrap();
    assert_eq!(e.as_ref().to_string(), "2x2@0000002a:[0.5,1,0,-2]");
    let q: Query = "2x2@0000002a:{0.25;1:2*[0.5,1]}".parse().unwrap();
    assert_eq!(q.as_ref().to_string(), "2x2@0000002a:{0.25;1:2*[0.5,1]}");
}

#[test]
fn the_hexadecimal_form_is_that_of_the_binary_one() {
    // struct.pack('>BHHI4e', 1, 2, 2, 42, 0.5, 1, 0, -2).hex()
    let hex = r"\x01000200020000002a38003c000000c000";
    let e: Embedding = "2x2@0000002a:[0.5,1,0,-2]".parse().unwrap();
    assert_eq!((e.as_ref().to_hex().as_str(), &hex.parse::<Embedding>().unwrap()), (hex, &e));
    assert_eq!(format!(" {} ", hex.to_uppercase().replace('X', "x")).parse::<Embedding>().unwrap(), e);
    let q: Query = "2x2@0000002a:{0.25;1:2*[0.5,1]}".parse().unwrap();
    assert_eq!(q.as_ref().to_hex().parse::<Query>().unwrap(), q);

    let failure = |text: &str| text.parse::<Embedding>().unwrap_err();
    for (bad, detail) in [
        (r"\x0", "What follows \\x is not pairs of hexadecimal digits: odd number of digits."),
        (r"\x0x01", "What follows \\x is not pairs of hexadecimal digits: it begins with 0x."),
        (
            r"\x01g0",
            "What follows \\x is not pairs of hexadecimal digits: invalid character 'g' at position 2.",
        ),
        (
            r"\x02000200020000002a38003c000000c000",
            "The message is of version 2; this server reads version 1.",
        ),
        (r"\x01000200020000002a38003c000000c0", "Expected 8 more bytes after shape and weights, found 7."),
    ] {
        let e = failure(bad);
        assert_eq!((e.kind, e.detail.as_deref()), (Kind::InvalidText, Some(detail)), "{bad}");
        assert_eq!(bad.parse::<Query>().unwrap_err().kind, Kind::InvalidText, "{bad}");
    }
    assert!(failure(r"\xée").detail.unwrap().starts_with("What follows"));
}

#[test]
fn a_text_of_many_numbers_is_counted_and_not_kept() {
    let million = "1,".repeat(1_000_000);
    let e = format!("1x1@0000002a:[{million}1]").parse::<Embedding>().unwrap_err();
    assert_eq!((e.kind, e.message.as_str()), (Kind::InvalidText, "expected 1 numbers, not 1000001"));
    let e = format!("2x1@0000002a:{{0;1:1*[{million}1]}}").parse::<Query>().unwrap_err();
    assert_eq!(e.message, "expected 1 numbers, not 1000001 in subspace 1");
    let e = format!("\\x{}", "0".repeat(2_000_000)).parse::<Query>().unwrap_err();
    assert_eq!(e.detail.unwrap(), "What follows \\x is 2000000 digits, and the longest value has 262178.");
    assert!(e.message.len() < 200);
}

#[test]
fn malformed_text_says_what_is_wrong() {
    for bad in [
        "",
        "[1,2]",
        "2x2@2a:[1,2,3,4]",
        "2x2@0000002a:[1,2,3]",
        "2x2@0000002a:[1,,2,3]",
        "0x2@0000002a:[]",
        "2x2@0000002a:[1,2,3,nan]",
        "2x2@0000002a:[1,2,3,70000]",
    ] {
        assert!(bad.parse::<Embedding>().is_err(), "{bad}");
    }
    let e = "2x2@0000002a:[1,2,3]".parse::<Embedding>().unwrap_err();
    assert_eq!((e.kind, e.message.as_str()), (Kind::InvalidText, "expected 4 numbers, not 3"));
    for bad in [
        "2x2@0000002a:{}",
        "2x2@0000002a:{0}",
        "2x2@0000002a:{0;2:1*[1,1]}",
        "2x2@0000002a:{0;0:0*[1,1]}",
        "2x2@0000002a:{0;0:1*[1]}",
        "2x2@0000002a:{0;1:1*[1,1];0:1*[1,1]}",
        "2x2@0000002a:{-1;0:1*[1,1]}",
    ] {
        assert!(bad.parse::<Query>().is_err(), "{bad}");
    }
}
