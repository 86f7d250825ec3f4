//! In which order an epoch goes over the training images.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// Each of the images `0..instances.len()` once. With `together`, up to so many images of an instance stand next to each
/// other, so that a batch holds several of each of its instances ("class-balanced" batches); else they are mixed one by
/// one. `instances` names each image's instance.
pub fn order(instances: &[u32], together: Option<usize>, rng: &mut StdRng) -> Vec<u32> {
    let mut images: Vec<u32> = (0..instances.len() as u32).collect();
    images.shuffle(rng);
    let Some(together) = together else { return images };
    // Stable, so each instance's images stay mixed.
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
            let first = order(&instances, together, &mut rng);
            let mut sorted = first.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..11).collect::<Vec<u32>>());
            assert_ne!(order(&instances, together, &mut rng), first);
        }
        let mixed = order(&instances, Some(2), &mut rng);
        let labels: Vec<u32> = mixed.iter().map(|&i| instances[i as usize]).collect();
        let pairs = |x: u32| labels.windows(2).filter(|w| w[0] == x && w[1] == x).count();
        assert!(pairs(0) >= 2 && pairs(1) == 1 && pairs(2) >= 2, "{labels:?}");
    }
}
