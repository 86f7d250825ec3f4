//! Cropping and resizing, compared with Pillow.

use super::{decoded, difference, encoded, fixture};
use crate::error::Kind;
use crate::image::{prepare, prepare_image, CropBox, Limits, Preprocessing};
use ::image::{imageops, ImageFormat, Rgb, RgbImage};

/// `Image.open(f).resize((size, size), Image.Resampling.BILINEAR)`, down, up, and one of each.
#[test]
fn resizing_differs_from_pillow_by_at_most_1_in_255() {
    for (name, size) in [("resize_down", 12), ("resize_up", 24), ("resize_mixed", 20)] {
        let expected = decoded(&fixture(&format!("{name}.expected.png"))).unwrap();
        assert_eq!(expected.dimensions(), (size, size));
        let bytes = fixture(&format!("{name}.png"));
        let found = prepare(&bytes, None, &Preprocessing::imagenet(size), &Limits::default()).unwrap();
        let (greatest, mean) = difference(&found, &expected);
        assert!(greatest <= 1 && mean < 0.25, "{name}: up to {greatest}, {mean:.4} on average");
    }
}

/// Converted after the resize: without one, pixels are those of the reference; with one, what is beyond sRGB is averaged before it is
/// clipped.
#[test]
fn an_image_with_a_profile_is_resized_before_it_is_converted() {
    for name in ["icc_p3.png", "icc_adobergb.png", "icc_prophoto.png", "webp_icc_p3.webp"] {
        let bytes = fixture(&format!("cases/{name}"));
        let reference = decoded(&fixture(&format!("cases/{name}.ref.png"))).unwrap();
        let part = CropBox { x1: 4, y1: 4, x2: 20, y2: 20 };
        for (size, crop, most, mean_most) in
            [(16, Some(part), 3, 1.0), (12, Some(part), 64, 5.0), (20, None, 64, 5.0)]
        {
            let preprocessing = Preprocessing::imagenet(size);
            let found = prepare(&bytes, crop, &preprocessing, &Limits::default()).unwrap();
            let expected = prepare_image(&reference, crop, &preprocessing).unwrap();
            let (greatest, mean) = difference(&found, &expected);
            assert!(
                greatest <= most && mean < mean_most,
                "{name}, {size}: up to {greatest}, {mean:.4} on average"
            );
        }
    }
}

#[test]
fn an_image_of_the_right_size_is_not_changed() {
    let image = RgbImage::from_fn(16, 16, |x, y| Rgb([(x * 16) as u8, (y * 16) as u8, (x ^ y) as u8]));
    let preprocessing = Preprocessing::imagenet(16);
    assert_eq!(prepare_image(&image, None, &preprocessing).unwrap(), image.as_raw().clone());
    let file = encoded(&image.clone().into(), ImageFormat::Png);
    assert_eq!(prepare(&file, None, &preprocessing, &Limits::default()).unwrap(), image.into_raw());
}

#[test]
fn boxes_crop_before_the_resize_and_are_clipped() {
    let image = decoded(&fixture("resize_down.png")).unwrap();
    let preprocessing = Preprocessing::imagenet(16);
    let part = |x, y, w, h| {
        prepare_image(&imageops::crop_imm(&image, x, y, w, h).to_image(), None, &preprocessing).unwrap()
    };
    let boxed = |x1, y1, x2, y2| prepare_image(&image, Some(CropBox { x1, y1, x2, y2 }), &preprocessing);
    assert_eq!(boxed(3, 5, 23, 30).unwrap(), part(3, 5, 20, 25));
    assert_eq!(boxed(5, 7, 21, 23).unwrap(), imageops::crop_imm(&image, 5, 7, 16, 16).to_image().into_raw());
    assert_eq!(boxed(-9, -9, 10, 1000).unwrap(), part(0, 0, 10, 31));
    assert_eq!(boxed(i32::MIN, 0, i32::MAX, 31).unwrap(), part(0, 0, 45, 31));
}

/// The image is stored on its side; the box refers to the upright image, which is 32 wide and 16 high.
#[test]
fn boxes_refer_to_the_upright_image() {
    let blue = CropBox { x1: 0, y1: 8, x2: 16, y2: 16 };
    let preprocessing = Preprocessing::imagenet(8);
    let bytes = fixture("orientation_png.png");
    let found = prepare(&bytes, Some(blue), &preprocessing, &Limits::default()).unwrap();
    assert!(found.chunks_exact(3).all(|p| p == [30, 60, 220]));
}

#[test]
fn an_empty_box_is_an_error_that_states_both_sizes() {
    let image = RgbImage::new(45, 31);
    for (x1, y1, x2, y2) in [(5, 5, 5, 9), (9, 5, 3, 9), (45, 0, 60, 31), (-9, 0, 0, 31)] {
        let crop = Some(CropBox { x1, y1, x2, y2 });
        let e = prepare_image(&image, crop, &Preprocessing::imagenet(16)).unwrap_err();
        assert_eq!(e.kind, Kind::InvalidParameter);
        assert!(e.detail.unwrap().contains("45x31"));
    }
    assert!(prepare_image(&RgbImage::new(0, 0), None, &Preprocessing::imagenet(16)).is_err());
}
