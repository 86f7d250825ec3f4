//! The order of the training images in an epoch.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// A random order of the images `0..instances.len()`; `instances` holds the instance of each image. With `images_per_instance`, up to so
/// many images of an instance are adjacent, so that a batch holds several images of each of its instances; otherwise images are shuffled
/// one by one.
pub fn epoch_order(instances: &[u32], images_per_instance: Option<usize>, rng: &mut StdRng) -> Vec<u32> {
    let mut images: Vec<u32> = (0..instances.len() as u32).collect();
    images.shuffle(rng);
    let Some(together) = images_per_instance else { return images };
    // A stable sort, so that the images of an instance stay shuffled.
    images.sort_by_key(|&i| instances[i as usize]);
    let mut groups: Vec<&[u32]> = images
        .chunk_by(|&a, &b| instances[a as usize] == instances[b as usize])
        .flat_map(|of_instance| of_instance.chunks(together))
        .collect();
    groups.shuffle(rng);
    groups.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn an_epoch_has_every_image_once_and_groups_stay_together() {
        // Instance 0 has 5 images, 1 has 2, 2 has 4.
        let instances = [0, 0, 1, 2, 2, 0, 2, 1, 2, 0, 0];
        let mut rng = StdRng::seed_from_u64(5);
        for together in [None, Some(2)] {
            let first = epoch_order(&instances, together, &mut rng);
            let mut sorted = first.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..11).collect::<Vec<u32>>());
            assert_ne!(epoch_order(&instances, together, &mut rng), first);
        }
        let mixed = epoch_order(&instances, Some(2), &mut rng);
        let labels: Vec<u32> = mixed.iter().map(|&i| instances[i as usize]).collect();
        let pairs = |x: u32| labels.windows(2).filter(|w| w[0] == x && w[1] == x).count();
        assert!(pairs(0) >= 2 && pairs(1) == 1 && pairs(2) >= 2, "{labels:?}");
    }
}
