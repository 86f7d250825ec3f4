//! Principal component analysis: the plane in which points vary most.

/// Rounds of the power iteration. Two components with nearly equal variance may mix, which does not matter for a plot.
const ROUNDS: usize = 300;

/// A plane through the mean of some points.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    mean: Vec<f64>,
    axes: [Vec<f64>; 2],
    /// The fraction of the variance along each axis, in [0, 1].
    pub explained: [f64; 2],
}

impl Plane {
    /// The plane of points of `n` dimensions. Without points, or if all are equal, everything is projected to the origin.
    pub fn of(points: &[&[f32]], n: usize) -> Self {
        let count = points.len().max(1) as f64;
        let mut mean = vec![0.0; n];
        for p in points {
            mean.iter_mut().zip(*p).for_each(|(m, &x)| *m += f64::from(x) / count);
        }
        let mut covariance = vec![vec![0.0; n]; n];
        for p in points {
            let centred: Vec<f64> = p.iter().zip(&mean).map(|(&x, m)| f64::from(x) - m).collect();
            for (row, a) in covariance.iter_mut().zip(&centred) {
                row.iter_mut().zip(&centred).for_each(|(c, b)| *c += a * b / count);
            }
        }
        let total: f64 = (0..n).map(|i| covariance[i][i]).sum();
        let mut explained = [0.0; 2];
        let axes = [0, 1].map(|component| {
            let (axis, variance) = leading(&covariance);
            explained[component] = if total > 0.0 { variance / total } else { 0.0 };
            for (row, a) in covariance.iter_mut().zip(&axis) {
                row.iter_mut().zip(&axis).for_each(|(c, b)| *c -= variance * a * b);
            }
            axis
        });
        Self { mean, axes, explained }
    }

    /// Projects a point `[n]` to the plane.
    pub fn project(&self, point: &[f32]) -> [f64; 2] {
        let along = |axis: &Vec<f64>| {
            axis.iter().zip(point.iter().zip(&self.mean)).map(|(a, (&x, m))| a * (f64::from(x) - m)).sum()
        };
        [along(&self.axes[0]), along(&self.axes[1])]
    }
}

/// The eigenvector of the largest eigenvalue of a positive semidefinite matrix, with its largest entry positive, and the eigenvalue. Zeros
/// if the matrix is (nearly) zero.
fn leading(matrix: &[Vec<f64>]) -> (Vec<f64>, f64) {
    let n = matrix.len();
    let trace: f64 = (0..n).map(|i| matrix[i][i]).sum();
    // Start from the coordinate with the largest variance, which is hardly ever orthogonal to the eigenvector.
    let start = (0..n).max_by(|&a, &b| matrix[a][a].total_cmp(&matrix[b][b])).unwrap_or_default();
    let mut v: Vec<f64> = (0..n).map(|i| if i == start { 1.0 } else { 1e-3 }).collect();
    let mut value = 0.0;
    for _ in 0..ROUNDS {
        let next: Vec<f64> = matrix.iter().map(|row| row.iter().zip(&v).map(|(a, b)| a * b).sum()).collect();
        let norm = next.iter().map(|x| x * x).sum::<f64>().sqrt();
        if trace < 1e-12 || norm < 1e-12 {
            return (vec![0.0; n], 0.0);
        }
        v = next.into_iter().map(|x| x / norm).collect();
        value = norm;
    }
    let largest = v.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or_default();
    if largest < 0.0 {
        v.iter_mut().for_each(|x| *x = -*x);
    }
    (v, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```text
    /// import numpy as np
    /// x = np.array([[2, 0, 1], [0, 1, 0], [4, 1, 3], [1, 3, 1], [3, 2, 2.5]]); c = x - x.mean(0)
    /// w, v = np.linalg.eigh(c.T @ c / 5); print(w[::-1] / w.sum()); print(c @ v[:, 2], c @ v[:, 1])
    /// ```
    #[test]
    fn two_components_agree_with_numpy() {
        let rows: [[f32; 3]; 5] =
            [[2.0, 0.0, 1.0], [0.0, 1.0, 0.0], [4.0, 1.0, 3.0], [1.0, 3.0, 1.0], [3.0, 2.0, 2.5]];
        let points: Vec<&[f32]> = rows.iter().map(|r| r.as_slice()).collect();
        let plane = Plane::of(&points, 3);
        let expected = [
            [-0.23817555, -1.46259852],
            [-2.47866845, -0.50177329],
            [2.51576785, -0.28248218],
            [-1.17125813, 1.55876388],
            [1.37233427, 0.6880901],
        ];
        assert!((plane.explained[0] - 0.74456414).abs() < 1e-8, "{:?}", plane.explained);
        assert!((plane.explained[1] - 0.25348962).abs() < 1e-8, "{:?}", plane.explained);
        for (row, want) in rows.iter().zip(expected) {
            let got = plane.project(row);
            assert!((got[0] - want[0]).abs() < 1e-6 && (got[1] - want[1]).abs() < 1e-6, "{got:?} {want:?}");
        }
    }

    #[test]
    fn equal_points_lie_at_the_origin() {
        let same: [&[f32]; 3] = [&[0.6, 0.8]; 3];
        for points in [&same[..], &[]] {
            let plane = Plane::of(points, 2);
            assert_eq!(plane.explained, [0.0; 2]);
            assert!(plane.project(&[0.6, 0.8]).iter().all(|x| x.abs() < 1e-6));
        }
        // One dimension: nothing is left for the second axis.
        let line: [&[f32]; 2] = [&[-1.0], &[1.0]];
        let plane = Plane::of(&line, 1);
        assert_eq!((plane.explained, plane.project(&[1.0])), ([1.0, 0.0], [1.0, 0.0]));
    }
}
