//! A rectangle of numbers cut out of the picture: masks and heights, with blur.

/// Numbers on a rectangle of pixels; everything outside counts as 0.
#[derive(Clone, Debug)]
pub struct Plane {
    /// Column of the picture at which the rectangle starts.
    pub left: i32,
    /// Row of the picture at which the rectangle starts.
    pub top: i32,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// The numbers, row by row.
    pub data: Vec<f32>,
}

impl Plane {
    /// A rectangle of zeros.
    pub fn new(left: i32, top: i32, width: usize, height: usize) -> Self {
        Self { left, top, width, height, data: vec![0.0; width * height] }
    }

    /// The number at a pixel of the picture.
    pub fn at(&self, x: i32, y: i32) -> f32 {
        let (column, row) = (x - self.left, y - self.top);
        if column < 0 || row < 0 || column as usize >= self.width || row as usize >= self.height {
            return 0.0;
        }
        self.data[row as usize * self.width + column as usize]
    }

    /// Gradient (per pixel) at a pixel of the picture, by central differences.
    pub fn gradient(&self, x: i32, y: i32) -> [f32; 2] {
        [(self.at(x + 1, y) - self.at(x - 1, y)) / 2.0, (self.at(x, y + 1) - self.at(x, y - 1)) / 2.0]
    }

    /// A copy blurred by about `radius` pixels: two box filters in each direction.
    pub fn blurred(&self, radius: f32) -> Self {
        let reach = (radius * 0.7).round() as usize;
        let mut copy = self.clone();
        if reach == 0 {
            return copy;
        }
        let mut line = vec![0.0; self.width.max(self.height)];
        for _ in 0..2 {
            for row in 0..self.height {
                slide(&mut copy.data, row * self.width, 1, self.width, reach, &mut line);
            }
            for column in 0..self.width {
                slide(&mut copy.data, column, self.width, self.height, reach, &mut line);
            }
        }
        copy
    }
}

/// Replaces a line of the data by its running mean over `2 * reach + 1` numbers.
fn slide(data: &mut [f32], start: usize, stride: usize, count: usize, reach: usize, line: &mut [f32]) {
    for (i, value) in line.iter_mut().enumerate().take(count) {
        *value = data[start + i * stride];
    }
    let share = 1.0 / (2 * reach + 1) as f32;
    let mut sum: f32 = line[..count.min(reach)].iter().sum();
    for i in 0..count {
        if i + reach < count {
            sum += line[i + reach];
        }
        if i > reach {
            sum -= line[i - reach - 1];
        }
        data[start + i * stride] = sum * share;
    }
}
