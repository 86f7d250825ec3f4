//! Both formats of PyTorch, truncated and damaged files.

use super::*;

// Made by tests/fixtures/checkpoints.py.
const LEGACY: &[u8] = include_bytes!("../../../../tests/fixtures/checkpoint_legacy.pth");
const ZIP: &[u8] = include_bytes!("../../../../tests/fixtures/checkpoint_zip.pth");

#[test]
fn both_formats_of_pytorch_hold_the_same_tensors() {
    for bytes in [LEGACY, ZIP] {
        let c = Checkpoint::read(bytes.to_vec()).unwrap();
        let shapes: BTreeMap<_, _> = c.shapes().collect();
        assert_eq!(shapes.len(), 10);
        assert_eq!(shapes["module.strided"], [2, 3, 4]);
        assert_eq!(shapes["scalar"], [0; 0]);
        let count = |n: usize| (0..n).map(|i| i as f32);
        assert_eq!(c.numbers("module.plain").unwrap(), count(24).map(|x| x / 8.0).collect::<Vec<_>>());
        // [c, b, a] = a * 6 + b * 2 + c
        let strided = c.numbers("module.strided").unwrap();
        assert_eq!(strided[..6], [0.0, 6.0, 12.0, 18.0, 2.0, 8.0]);
        assert_eq!(strided[23], 23.0);
        assert_eq!(c.numbers("module.part").unwrap(), [7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
        assert_eq!(c.numbers("half").unwrap(), [0.5, -2.0, 65504.0]);
        assert_eq!(c.numbers("brain").unwrap(), [1.0, -3.0]);
        assert_eq!(c.numbers("double").unwrap(), [0.1, f32::INFINITY]);
        assert_eq!(c.numbers("parameter").unwrap(), [4.0, 5.0]);
        assert_eq!(c.numbers("scalar").unwrap(), [2.5]);
        assert_eq!(c.numbers("empty").unwrap().len(), 0);
        assert_eq!(c.numbers("count"), None);
        assert_eq!(c.numbers("absent"), None);
    }
}

#[test]
fn a_file_cut_short_is_an_error() {
    for bytes in [LEGACY, ZIP] {
        for end in 0..bytes.len() {
            assert_eq!(Checkpoint::read(bytes[..end].to_vec()).unwrap_err().kind, Kind::InvalidData, "{end}");
        }
    }
}

#[test]
fn a_damaged_file_never_panics() {
    for bytes in [LEGACY, ZIP] {
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.to_vec();
                damaged[at] ^= flip;
                if let Ok(c) = Checkpoint::read(damaged) {
                    let small = c.shapes().filter(|(_, shape)| shape.iter().product::<usize>() < 1 << 20);
                    small.for_each(|(name, _)| drop(c.numbers(name)));
                }
            }
        }
    }
}

#[test]
fn other_files_are_refused_with_a_hint() {
    for bytes in [b"".as_slice(), b"\x89PNG\r\n\x1a\n", b"PK\x03\x04 no zip", &[0; 64]] {
        assert_eq!(Checkpoint::read(bytes.to_vec()).unwrap_err().kind, Kind::InvalidData);
    }
    // A whole pickled module: torch.save(model) makes an object, not a dictionary.
    let object = [
        &LEGACY_MAGIC[..],
        b"\x80\x02M\xe9\x03.",
        b"\x80\x02}.",
        b"\x80\x02c__main__\nNet\n)\x81.",
        b"\x80\x02].",
    ];
    let e = Checkpoint::read(object.concat()).unwrap_err();
    assert!(e.hint.unwrap().contains("state_dict"), "{:?}", e.detail);
}
