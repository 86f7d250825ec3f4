//! Recall and average precision over one ranking.

/// Average precision of a ranking, nearest first: the mean, over the relevant items, of the precision at their ranks.
/// `None` if nothing is relevant.
pub fn average_precision(ranked: impl IntoIterator<Item = bool>) -> Option<f64> {
    let (mut hits, mut sum) = (0usize, 0.0);
    for (rank, relevant) in ranked.into_iter().enumerate() {
        if relevant {
            hits += 1;
            sum += hits as f64 / (rank + 1) as f64;
        }
    }
    (hits > 0).then(|| sum / hits as f64)
}

/// Indices of `distances`, the nearest first; equal distances in the order of their indices, so that a ranking is a
/// function of its distances.
pub fn ranking(distances: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..distances.len()).collect();
    order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
    order
}

/// How many items rank before the first relevant one (ties as in [`ranking`]), without sorting; `None` if nothing is
/// relevant. Recall at K counts the queries where this is below K.
pub fn rank_of_first_hit(distances: &[f64], relevant: impl Fn(usize) -> bool) -> Option<usize> {
    let first = (0..distances.len())
        .filter(|&i| relevant(i))
        .min_by(|&a, &b| distances[a].total_cmp(&distances[b]))?;
    let before = |&(i, d): &(usize, &f64)| d.total_cmp(&distances[first]).then(i.cmp(&first)).is_lt();
    Some(distances.iter().enumerate().filter(before).count())
}

/// The mean of some numbers; `None` of nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut count, mut sum) = (0usize, 0.0);
    for v in values {
        count += 1;
        sum += v;
    }
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_by_hand() {
        // Hits at ranks 1, 3 and 6: (1/1 + 2/3 + 3/6) / 3 = 13/18
        let ap = average_precision([true, false, true, false, false, true]).unwrap();
        assert!((ap - 13.0 / 18.0).abs() < 1e-15);
        assert_eq!(average_precision([true, true]), Some(1.0));
        assert_eq!(average_precision([false, true]), Some(0.5));
        assert_eq!(average_precision([false, false]), None);
        assert_eq!(average_precision([]), None);
    }

    /// ```text
    /// import numpy as np
    /// i = np.arange(1, 201); d = (i * 7919 % 997) / 997.; y = (i * i % 11) < 3
    /// h = y[np.argsort(d, kind='stable')]; print((np.cumsum(h) / i)[h].mean())
    /// ```
    #[test]
    fn average_precision_agrees_with_numpy() {
        let distances: Vec<f64> = (1..=200).map(|i| f64::from(i * 7919 % 997) / 997.0).collect();
        let relevant: Vec<bool> = (1..=200).map(|i| i * i % 11 < 3).collect();
        let ap = average_precision(ranking(&distances).into_iter().map(|i| relevant[i])).unwrap();
        assert!((ap - 0.28393097706700393).abs() < 1e-12, "{ap}");
    }

    #[test]
    fn the_first_hit_has_as_many_before_it_as_the_ranking_says() {
        let distances = [0.5, 0.2, 0.5, 0.1, 0.9];
        assert_eq!(ranking(&distances), [3, 1, 0, 2, 4]);
        for relevant in 0..5 {
            let want = ranking(&distances).iter().position(|&i| i == relevant);
            assert_eq!(rank_of_first_hit(&distances, |i| i == relevant), want);
        }
        assert_eq!(rank_of_first_hit(&distances, |i| i == 2 || i == 4), Some(3));
        assert_eq!(rank_of_first_hit(&distances, |_| false), None);
    }

    #[test]
    fn the_mean_of_nothing_is_nothing() {
        assert_eq!(mean([]), None);
        assert_eq!(mean([1.0, 2.0]), Some(1.5));
    }
}
