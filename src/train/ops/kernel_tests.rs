//! Matrix products and depthwise convolutions of every instruction set against naive loops.

use super::buffer_pool::BufferPool;
use super::convolution::Convolution;
use super::kernels::available;
use super::matrix::{multiply, multiply_transposed, Finish, Packed, Plain};
use super::window::Window;
use crate::model::layers::{Activation, ConvSpec, Padding};
use crate::model::map_shape::MapShape;
use crate::model::synthetic::uniform;

fn numbers(name: &str, count: usize) -> Vec<f32> {
    uniform(name, count).map(|u| (u * 2.0 - 1.0) as f32).collect()
}

fn close(what: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3f64, |m, x| m.max(x.abs()));
    for (f, e) in found.iter().zip(expected) {
        assert!((f64::from(*f) - e).abs() < 1e-5 * largest, "{what}: {f} is not {e}");
    }
}

#[test]
fn products_agree_with_naive_loops() {
    // Deeper than a tile, wider than a block, and of no round size.
    for [rows, depth, width] in [[1, 1, 1], [15, 7, 37], [29, 300, 1100], [64, 513, 33]] {
        let (a, b) = (numbers("a", rows * depth), numbers("b", depth * width));
        let (bias, residual) = (numbers("bias", rows), numbers("residual", rows * width));
        let mut sums = vec![0f64; rows * width];
        for i in 0..rows {
            for k in 0..depth {
                let factor = f64::from(a[i * depth + k]);
                let row = sums[i * width..][..width].iter_mut().zip(&b[k * width..]);
                row.for_each(|(sum, b)| *sum += factor * f64::from(*b));
            }
        }
        let finished: Vec<f64> = (0..sums.len())
            .map(|i| (sums[i] + f64::from(bias[i / width]) + f64::from(residual[i])).clamp(-1.0, 2.0))
            .collect();
        for loops in available() {
            let what = format!("{} {rows} {depth} {width}", loops.name);
            let packed = Packed::new(loops, rows, depth, |i, k| a[i * depth + k]);
            let plain = Plain { numbers: &b, pitch: width };
            let mut to = vec![0f32; rows * width];
            let finish =
                Finish { add: false, bias: Some(&bias), residual: Some(&residual), clamp: (-1.0, 2.0) };
            multiply(loops, &packed, &plain, &mut to, &finish);
            close(&what, &to, &finished);
            multiply(loops, &packed, &plain, &mut to, &Finish::PLAIN);
            close(&what, &to, &sums);
            multiply(loops, &packed, &plain, &mut to, &Finish { add: true, ..Finish::PLAIN });
            close(&what, &to, &sums.iter().map(|x| 2.0 * x).collect::<Vec<_>>());
            // Bᵀ as the second operand: its rows are the columns of B.
            let transposed: Vec<f32> = (0..width * depth).map(|i| b[i % depth * width + i / depth]).collect();
            let (a, b) = (Plain { numbers: &a, pitch: depth }, Plain { numbers: &transposed, pitch: depth });
            multiply_transposed(loops, a, &b, depth, [rows, width], &mut to);
            close(&what, &to, &sums);
        }
    }
}

#[test]
fn convolutions_of_every_instruction_set_have_the_same_gradients() {
    // Batches that fill registers, and that do not.
    for (kernel, stride, depthwise, batch) in
        [(5, 1, true, 64), (5, 2, true, 19), (3, 2, true, 3), (3, 1, false, 19), (3, 2, false, 5)]
    {
        let conv = ConvSpec {
            name: "conv".into(),
            norm: "bn".into(),
            inputs: 3,
            outputs: if depthwise { 3 } else { 4 },
            kernel,
            stride,
            depthwise,
            padding: Padding::Same,
            activation: Activation::None,
        };
        let shape = MapShape { channels: 3, batch, height: 6, width: 7 };
        let (window, out) = (Window::new(&conv, shape, batch), shape.after(&conv));
        let weights: usize = conv.weight_shape().iter().product();
        let (x, w, dy) = (numbers("x", shape.len()), numbers("w", weights), numbers("dy", out.len()));
        // The convolution is linear in both arguments: <dy, conv(x, w)> = <dx, x> = <dw, w>.
        let naive = naive(&conv, &window, &x, &w);
        let inner = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let expected: f64 = naive.iter().zip(&dy).map(|(y, dy)| y * f64::from(*dy)).sum();
        for loops in available() {
            let what = format!("{} {kernel} {stride} {depthwise} {batch}", loops.name);
            let convolution = Convolution::new(&conv, window).with_loops(loops);
            let (mut y, mut dw, mut dx) = (vec![0f32; out.len()], vec![0f32; weights], vec![9f32; x.len()]);
            convolution.forward(&x, &w, &mut y, &Finish::PLAIN);
            close(&what, &y, &naive);
            convolution.weight_gradient(&x, &dy, &mut dw);
            convolution.input_gradient(&w, &dy, &mut dx, false, &BufferPool::default());
            for (argument, found) in [inner(&dw, &w), inner(&dx, &x)].into_iter().enumerate() {
                assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{what}: {argument}");
            }
            let once: Vec<f64> = dx.iter().map(|x| 2.0 * f64::from(*x)).collect();
            convolution.input_gradient(&w, &dy, &mut dx, true, &BufferPool::default());
            close(&what, &dx, &once);
        }
    }
}

fn naive(conv: &ConvSpec, window: &Window, x: &[f32], w: &[f32]) -> Vec<f64> {
    let mut y = vec![0f64; conv.outputs * window.output_len()];
    let inputs = if conv.depthwise { 1 } else { conv.inputs };
    for (output, y) in y.chunks_exact_mut(window.output_len()).enumerate() {
        for i in 0..inputs * window.taps() {
            let (input, tap) = (i / window.taps(), i % window.taps());
            let channel = if conv.depthwise { output } else { input };
            let weight = f64::from(w[(output * inputs + input) * window.taps() + tap]);
            let x = &x[channel * window.input_len()..];
            for row in 0..window.output[0] {
                window.runs(row, tap, |run| {
                    let to = y[run.output..][..run.length].iter_mut();
                    to.zip(&x[run.input..]).for_each(|(y, x)| *y += weight * f64::from(*x));
                });
            }
        }
    }
    y
}
