use super::*;
use proptest::prelude::*;

/// All kernels that this processor can run.
fn levels() -> Vec<&'static Kernels> {
    #[cfg(target_arch = "x86_64")]
    return x86::levels().collect();
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

proptest! {
    #[test]
    fn the_kernels_of_this_processor_agree_with_the_portable_ones(
        n in 1usize..600, bytes in prop::collection::vec(any::<u8>(), 600 * 32), base in 0f32..4.0,
        step in 0f32..1e-2, lane in 0..BLOCK_ROWS,
    ) {
        let (codes, table) = (&bytes[..16 * n], &bytes[9600..9600 + 16 * n]);
        let mut table_of_errors = [0.0; 256];
        table_of_errors.iter_mut().enumerate().for_each(|(i, e)| *e = i as f32 / 300.0);
        let errors: &[u8; BLOCK_ROWS] = bytes.first_chunk().unwrap();
        let scale = SumScale { base, step, error_weight: None, errors: &table_of_errors };
        let q: Vec<f32> = bytes[..n].iter().map(|&b| f32::from(b) / 99.0).collect();
        let steps: Vec<f32> = bytes[n..2 * n].iter().map(|&b| step * f32::from(b)).collect();
        let row = RowCodes { low_nibbles: &bytes[7..7 + n.div_ceil(2)], block: codes, lane };
        for kernels in levels() {
            let (mut ours, mut theirs) = ([7; BLOCK_ROWS], [7; BLOCK_ROWS]);
            (kernels.accumulate)(codes, table, &mut ours);
            (portable::KERNELS.accumulate)(codes, table, &mut theirs);
            prop_assert_eq!(ours, theirs);

            let (mut a, mut b) = ([0.0; BLOCK_ROWS], [0.0; BLOCK_ROWS]);
            (kernels.squares_to_lower_bounds)(&ours, scale, errors, &mut a);
            (portable::KERNELS.squares_to_lower_bounds)(&ours, scale, errors, &mut b);
            prop_assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * (1.0 + b)));

            (kernels.products_to_lower_bounds)(&ours, scale, base, errors, &mut a);
            (portable::KERNELS.products_to_lower_bounds)(&ours, scale, base, errors, &mut b);
            prop_assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b)));

            let (x, y) = (b[lane], b[(lane + n) % BLOCK_ROWS]);
            for (exclusive_min, cutoff) in [(x, y), (f32::NEG_INFINITY, y), (x, f32::INFINITY)] {
                let new = |&&bound: &&f32| bound > exclusive_min;
                let within = b.iter().enumerate().filter(|(_, bound)| new(bound) && **bound <= cutoff);
                let mask = within.map(|(lane, _)| 1 << lane).sum::<u32>();
                let beyond = b.iter().filter(new).filter(|&&bound| bound > cutoff);
                let expected = (mask, beyond.fold(f32::INFINITY, |a, b| a.min(*b)));
                prop_assert_eq!((kernels.partition_by_cutoff)(&b, exclusive_min, cutoff), expected);
                prop_assert_eq!((portable::KERNELS.partition_by_cutoff)(&b, exclusive_min, cutoff), expected);
            }

            let (of_rows, table) = (bytes[n..].first_chunk().unwrap(), bytes[2 * n..].first_chunk().unwrap());
            let (mut a, mut b) = ([7; BLOCK_ROWS], [7; BLOCK_ROWS]);
            (kernels.add_cells)(of_rows, table, &mut a);
            (portable::KERNELS.add_cells)(of_rows, table, &mut b);
            prop_assert_eq!(a, b);
            prop_assert_eq!(a[lane], 7 + u16::from(table[usize::from(of_rows[lane])]));

            let levels = &bytes[lane..][..n.div_ceil(4)];
            let mut weights = vec![[0i8; 64]; n.div_ceil(64)];
            for (weight, byte) in weights.as_flattened_mut().iter_mut().take(4 * levels.len()).zip(&bytes) {
                *weight = byte.cast_signed();
            }
            let product = (kernels.sketch_product)(levels, &weights);
            prop_assert_eq!(product, (portable::KERNELS.sketch_product)(levels, &weights));

            let a = (kernels.squared_residual)(&q, &steps, row);
            let b = (portable::KERNELS.squared_residual)(&q, &steps, row);
            prop_assert!((a - b).abs() <= 1e-4 * (1.0 + b), "{} {}", a, b);
        }
    }
}
