use super::*;
use crate::space::{Embedding, Layout, Query};

/// A small fixed pseudo-random sequence in [-1, 1).
fn noise(len: usize, mut seed: u64) -> Vec<f32> {
    (0..len)
        .map(|_| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn halves(v: &[f32]) -> Vec<f16> {
    v.iter().map(|&x| f16::from_f32(x)).collect()
}

#[test]
fn every_kernel_of_this_processor_agrees_with_double_precision() {
    let mut mixed: Vec<KernelF16F32> = vec![portable::l2_f16_f32, |a, b| L2_F16_F32(a, b)];
    let mut same: Vec<KernelF16> = vec![portable::l2_f16, |a, b| L2_F16(a, b)];
    #[cfg(target_arch = "x86_64")]
    {
        if x86::has_f16c() {
            mixed.push(x86::l2_f16_f32_f16c);
            same.push(x86::l2_f16_f16c);
        }
        if x86::has_avx512() {
            mixed.push(x86::l2_f16_f32_avx512);
            same.push(x86::l2_f16_avx512);
        }
    }
    for n in (0..70).chain([400, 650, 1001]) {
        let (a, t) = (halves(&noise(n, n as u64)), noise(n, 99 + n as u64));
        let b = halves(&t);
        let exact = |f: &dyn Fn(usize) -> f64| (0..n).map(|i| (a[i].to_f64() - f(i)).powi(2)).sum::<f64>();
        let (want_mixed, want_same) = (exact(&|i| t[i].into()), exact(&|i| b[i].to_f64()));
        for k in &mixed {
            assert!((f64::from(k(&a, &t)) - want_mixed).abs() <= 1e-5 * (1.0 + want_mixed), "n = {n}");
        }
        for k in &same {
            assert!((f64::from(k(&a, &b)) - want_same).abs() <= 1e-5 * (1.0 + want_same), "n = {n}");
        }
    }
}

#[test]
fn masked_subspaces_do_not_count() {
    // By hand: c = 1, w = (2, 0, 0.5), t = (1, 0) and (0, 2); e = (0.5, 0 | 9, 9 | 0, 1)
    // 1 + 2·0.25 + 0.5·1 = 2
    let l = Layout::new(3, 2, 5).unwrap();
    let e = Embedding::from_f32(l, &[0.5, 0.0, 9.0, 9.0, 0.0, 1.0]).unwrap();
    let q = Query::from_parts(l, 1.0, vec![2.0, 0.0, 0.5], vec![1.0, 0.0, 0.0, 2.0]).unwrap();
    assert!((distance(e.as_ref(), q.as_ref()).unwrap() - 2f64.sqrt()).abs() < 1e-12);
}

#[test]
fn a_prefetch_of_any_address_does_no_harm() {
    let l = Layout::new(3, 50, 5).unwrap();
    let e = Embedding::from_f32(l, &[0.5; 150]).unwrap();
    let q = Query::like(e.as_ref(), &[0, 2]).unwrap();
    for offset in [0, 2, -832, isize::MAX, isize::MIN] {
        prefetch(e.as_ref(), q.as_ref(), offset);
        prefetch_embedding(e.as_ref(), offset);
    }
    assert_eq!(distance(e.as_ref(), q.as_ref()).unwrap(), 0.0);
}

#[test]
fn other_models_are_refused() {
    let (a, b) = (Layout::new(2, 2, 1).unwrap(), Layout::new(2, 2, 2).unwrap());
    let e = Embedding::from_f32(a, &[0.0; 4]).unwrap();
    let f = Embedding::from_f32(b, &[0.0; 4]).unwrap();
    assert!(embedding_distance(e.as_ref(), f.as_ref()).is_err());
    let q = Query::superspace(b, vec![0.0; 4]).unwrap();
    assert!(distance(e.as_ref(), q.as_ref()).is_err());
}
