//! Rotation about the centre.

/// Rotates pixels `[height, width, 3]` anticlockwise by bilinear interpolation. Each pixel was `aspect` times as wide as tall before the
/// picture was squashed, and it is rotated as it was then. Outside of it, its edge is repeated.
pub(in crate::data) fn rotated(
    pixels: &[u8],
    [width, height]: [usize; 2],
    aspect: f32,
    degrees: f32,
) -> Vec<u8> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let last = [width, height].map(|side| side.saturating_sub(1) as f32);
    let centre = last.map(|last| last / 2.0);
    let mut out = Vec::with_capacity(pixels.len());
    for y in 0..height {
        for x in 0..width {
            let (right, down) = (x as f32 - centre[0], y as f32 - centre[1]);
            let from_x = centre[0] + right * cos - down / aspect * sin;
            let from_y = centre[1] + right * aspect * sin + down * cos;
            let from = [from_x.clamp(0.0, last[0]), from_y.clamp(0.0, last[1])];
            out.extend(interpolate(pixels, [width, height], from));
        }
    }
    out
}

/// The colour at a place within the picture, between the four pixels around it.
fn interpolate(pixels: &[u8], [width, height]: [usize; 2], [x, y]: [f32; 2]) -> [u8; 3] {
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
    let (dx, dy) = (x - left as f32, y - top as f32);
    std::array::from_fn(|c| {
        let at = |x: usize, y: usize| f32::from(pixels[(y * width + x) * 3 + c]);
        let upper = at(left, top) + (at(right, top) - at(left, top)) * dx;
        let lower = at(left, bottom) + (at(right, bottom) - at(left, bottom)) * dx;
        (upper + (lower - upper) * dy).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture `[size, size, 3]` from a function of x, y and the channel.
    fn picture(size: usize, value: impl Fn(usize, usize, usize) -> usize) -> Vec<u8> {
        (0..size * size * 3).map(|i| value(i / 3 % size, i / 3 / size, i % 3) as u8).collect()
    }

    // torchvision 0.29.2:
    // y, x, c = torch.meshgrid(torch.arange(9), torch.arange(9), torch.arange(3), indexing="ij")
    // picture = ((x * 37 + y * 59 + c * 83 + x * y * 11) % 256).to(torch.uint8).permute(2, 0, 1)
    // rotate(picture, degrees, InterpolationMode.BILINEAR)[:, 3:6, 3:6].permute(1, 2, 0)
    const EXPECTED: [(f32, [[[u8; 3]; 3]; 3]); 2] = [
        (
            25.0,
            [
                [[135, 129, 86], [119, 68, 141], [99, 138, 133]],
                [[177, 116, 101], [48, 131, 214], [169, 154, 93]],
                [[156, 110, 149], [113, 186, 135], [190, 147, 100]],
            ],
        ),
        (
            -10.0,
            [
                [[137, 179, 80], [187, 61, 100], [65, 108, 150]],
                [[193, 67, 150], [48, 131, 214], [109, 191, 66]],
                [[91, 167, 176], [165, 205, 79], [203, 103, 146]],
            ],
        ),
    ];

    #[test]
    fn rotation_is_torchvisions() {
        let original = picture(9, |x, y, c| (x * 37 + y * 59 + c * 83 + x * y * 11) % 256);
        for (degrees, expected) in EXPECTED {
            let turned = rotated(&original, [9, 9], 1.0, degrees);
            for (i, expected) in expected.as_flattened().iter().enumerate() {
                let (x, y) = (3 + i % 3, 3 + i / 3);
                let got = &turned[(y * 9 + x) * 3..][..3];
                let close = got.iter().zip(expected).all(|(g, e)| g.abs_diff(*e) <= 1);
                assert!(close, "{degrees} degrees, ({x}, {y}): {got:?}, not {expected:?}");
            }
        }
    }

    #[test]
    fn quarter_turns_move_pixels_and_a_full_turn_none() {
        let original = picture(3, |x, y, _| 10 * (y * 3 + x));
        let first = |degrees| -> Vec<u8> {
            rotated(&original, [3, 3], 1.0, degrees).into_iter().step_by(3).collect()
        };
        assert_eq!(first(90.0), [20, 50, 80, 10, 40, 70, 0, 30, 60]);
        assert_eq!(first(180.0), [80, 70, 60, 50, 40, 30, 20, 10, 0]);
        assert_eq!(rotated(&original, [3, 3], 1.0, 0.0), original);
        assert_eq!(rotated(&original, [3, 3], 1.0, 360.0), original);
    }

    /// By hand: the middle row becomes the middle column, from its right end down; the rows above and below lie outside.
    #[test]
    fn pictures_need_not_be_square() {
        let wide: Vec<u8> = (0..15).flat_map(|i| [10 * i; 3]).collect();
        let turned = rotated(&wide, [5, 3], 1.0, 90.0);
        let row = |y: usize| -> Vec<u8> { turned[y * 15..][..15].iter().copied().step_by(3).collect() };
        assert_eq!(
            [row(0), row(1), row(2)],
            [
                [3, 3, 8, 13, 13].map(|n| 10 * n),
                [2, 2, 7, 12, 12].map(|n| 10 * n),
                [1, 1, 6, 11, 11].map(|n| 10 * n)
            ]
        );
    }

    /// By hand: a picture that was twice as wide as tall is cut off above and below at a quarter turn, and its edge is repeated; its
    /// upper and lower edge become the left and right one, at half of the distance from the centre.
    #[test]
    fn a_squashed_picture_is_rotated_as_it_was_before() {
        let original = picture(5, |x, y, _| 10 * (y * 5 + x));
        let turned = rotated(&original, [5, 5], 2.0, 90.0);
        let row = |y: usize| -> Vec<u8> { turned[y * 15..][..15].iter().copied().step_by(3).collect() };
        assert_eq!(row(2), [20, 20, 120, 220, 220]);
        assert_eq!(row(0), [30, 30, 130, 230, 230]);
        assert_eq!(row(4), [10, 10, 110, 210, 210]);
    }
}
