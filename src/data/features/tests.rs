use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

const IMAGES: usize = 80;

/// 80 images of 16 x 16 pixels, two of them equal.
fn set() -> (tempfile::TempDir, Manifest) {
    let dir = tempfile::tempdir().unwrap();
    let mut csv = "path,instance,category,split,x1,y1,x2,y2,a\n".to_owned();
    for i in 0..IMAGES {
        let shade = |x: u32, y: u32| [(i % 79 * 3) as u8, (x * 16) as u8, (y * 16) as u8];
        let image = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb(shade(x, y)));
        image.save(dir.path().join(format!("{i}.png"))).unwrap();
        let crop = if i == 5 { "2,2,9,9" } else { ",,," };
        csv.push_str(&format!("{i}.png,i,c,train,{crop},v\n"));
    }
    std::fs::write(dir.path().join("images.csv"), csv).unwrap();
    let manifest = Manifest::read(dir.path()).unwrap();
    (dir, manifest)
}

/// Extracts the means of the left and of the right half as features. Also returns how many images went through the
/// "backbone", which fails after `limit` of them.
fn features(manifest: &Manifest, view: View, cache: &Path, limit: usize) -> (Result<Vec<f32>>, usize) {
    let counted = AtomicUsize::new(0);
    let run = |pixels: &[u8], batch: usize| {
        if counted.fetch_add(batch, Ordering::SeqCst) + batch > limit {
            return Err(Error::new(Kind::Unavailable, "interrupted"));
        }
        let half = |image: &[u8], x: usize| {
            let of = image.chunks_exact(3).enumerate().filter(|(i, _)| i % 8 / 4 == x);
            of.map(|(_, p)| f32::from(p[1]) + f32::from(p[0]) / 1000.0).sum::<f32>() / 32.0
        };
        let images = pixels.chunks_exact(8 * 8 * 3);
        Ok(images.flat_map(|i| [half(i, 0), half(i, 1)]).collect())
    };
    let preprocessing = Preprocessing::imagenet(8);
    let extractor = Extractor {
        backbone: [1; 32],
        rows: Rows::Features(FeatureSet::Last, 2),
        preprocessing: &preprocessing,
        run: &run,
    };
    let images: Vec<usize> = (0..manifest.images.len()).collect();
    let result = extract(manifest, &images, view, &extractor, Some(cache));
    (result, counted.into_inner())
}

#[test]
fn one_error_names_all_images_that_cannot_be_decoded() {
    let (dir, manifest) = set();
    for i in [3, 40, 79] {
        std::fs::write(dir.path().join(format!("{i}.png")), b"not an image").unwrap();
    }
    let e = features(&manifest, View::Plain, &dir.path().join("cache"), usize::MAX).0.unwrap_err();
    assert_eq!(e.message, "3 images cannot be used");
    let detail = e.detail.unwrap();
    assert!(
        ["\"3.png\": ", "\"40.png\": ", "\"79.png\": "].iter().all(|name| detail.contains(name)),
        "{detail}"
    );
    std::fs::write(dir.path().join("3.png"), std::fs::read(dir.path().join("4.png")).unwrap()).unwrap();
    std::fs::remove_file(dir.path().join("40.png")).unwrap();
    std::fs::remove_file(dir.path().join("41.png")).unwrap();
    let e = features(&manifest, View::Plain, &dir.path().join("cache"), usize::MAX).0.unwrap_err();
    assert!(e.message == "2 images cannot be used" && e.detail.unwrap().contains("41.png"));
}

#[test]
fn features_are_computed_once() {
    let (dir, manifest) = set();
    let cache = dir.path().join("cache");
    let (first, computed) = features(&manifest, View::Plain, &cache, usize::MAX);
    assert_eq!(computed, IMAGES);
    let (second, computed) = features(&manifest, View::Plain, &cache, 0);
    assert_eq!((first.unwrap(), computed), (second.unwrap(), 0));
}

#[test]
fn an_interrupted_run_resumes() {
    let (dir, manifest) = set();
    let (cache, other) = (dir.path().join("cache"), dir.path().join("other"));
    let (interrupted, _) = features(&manifest, View::Plain, &cache, 2 * BATCH);
    assert_eq!(interrupted.unwrap_err().message, "interrupted");
    let (resumed, computed) = features(&manifest, View::Plain, &cache, usize::MAX);
    assert_eq!(computed, IMAGES - 2 * BATCH);
    assert_eq!(resumed.unwrap(), features(&manifest, View::Plain, &other, usize::MAX).0.unwrap());
}

#[test]
fn mirrored_images_are_cached_separately() {
    let (dir, manifest) = set();
    let cache = dir.path().join("cache");
    let plain = features(&manifest, View::Plain, &cache, usize::MAX).0.unwrap();
    let (mirrored, computed) = features(&manifest, View::Mirrored, &cache, usize::MAX);
    assert_eq!(computed, IMAGES);
    for (p, m) in plain.chunks_exact(2).zip(mirrored.unwrap().chunks_exact(2)) {
        assert!((p[0] - m[1]).abs() < 1e-3 && (p[1] - m[0]).abs() < 1e-3 && p[0] < p[1]);
    }
}

#[test]
fn the_mirrored_features_of_an_image_that_must_not_be_mirrored_are_its_plain_ones() {
    let (dir, mut manifest) = set();
    let cache = dir.path().join("cache");
    let plain = features(&manifest, View::Plain, &cache, usize::MAX).0.unwrap();
    manifest.images.iter_mut().skip(1).for_each(|i| i.mirror = false);
    let mirrored = features(&manifest, View::Mirrored, &cache, usize::MAX).0.unwrap();
    assert!(mirrored[..2] != plain[..2] && mirrored[2..] == plain[2..]);
    manifest.images[0].mirror = false;
    let (mirrored, computed) = features(&manifest, View::Mirrored, &cache, usize::MAX);
    assert_eq!((mirrored.unwrap(), computed), (plain, 0), "nothing is left to compute");
}

#[test]
fn a_crop_changes_features_and_equal_files_share_them() {
    let (dir, manifest) = set();
    let all = features(&manifest, View::Plain, &dir.path().join("cache"), usize::MAX).0.unwrap();
    assert_eq!(all[0..2], all[158..160]); // 0 and 79
    assert!((all[11] - all[9]).abs() > 20.0); // 5 is cropped, 4 is not
}

#[test]
fn an_image_that_cannot_be_decoded_is_named() {
    let (dir, manifest) = set();
    std::fs::write(dir.path().join("40.png"), b"not an image").unwrap();
    let e = features(&manifest, View::Plain, &dir.path().join("cache"), usize::MAX).0.unwrap_err();
    assert_eq!(e.kind, Kind::InvalidImage);
    assert!(e.message.starts_with("\"40.png\": "), "{}", e.message);
}
