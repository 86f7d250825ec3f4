//! A table as an SVG bar chart, with a panel per column.

use super::summary::{cell, Summary};
use std::fmt::Write as _;

/// Height of a row in pixels.
const ROW: f64 = 26.0;
/// Width of a panel's bars.
const BARS: f64 = 170.0;
/// Width beside the bars of a panel for its numbers.
const NUMBERS: f64 = 100.0;
/// Height above the rows for the title and the column heads.
const TOP: f64 = 66.0;
/// Maximum width of a character of a row's name in pixels.
const CHARACTER: f64 = 7.0;

/// The chart as an SVG document. Each mean is a bar from 0, with the standard deviation to both sides and the numbers beside it.
pub fn svg(summary: &Summary) -> String {
    let longest = summary.rows.iter().map(|r| r.name.chars().count()).max().unwrap_or(0);
    let left = 24.0 + CHARACTER * longest as f64;
    let panel = BARS + NUMBERS + 20.0;
    let (width, height) =
        (left + panel * summary.columns.len() as f64 + 10.0, TOP + ROW * summary.rows.len() as f64 + 16.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" role=\"img\">\n<title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"26\" font-size=\"16\" font-weight=\"600\">{title}</text>\n",
        title = escaped(summary.title)
    );
    for (i, row) in summary.rows.iter().enumerate() {
        let y = TOP + ROW * i as f64 + 17.0;
        let _ = writeln!(out, "<text x=\"12\" y=\"{y}\">{}</text>", escaped(&row.name));
    }
    for (c, column) in summary.columns.iter().enumerate() {
        let x = left + panel * c as f64;
        let _ =
            writeln!(out, "<text x=\"{x}\" y=\"54\" font-weight=\"600\">{}</text>", escaped(column.title));
        let reach = |s: super::figures::Spread| s.mean + s.deviation;
        let largest = summary.rows.iter().filter_map(|r| r.cells[c].map(reach)).fold(0.0, f64::max);
        let scale = if largest > 0.0 { BARS / largest } else { 0.0 };
        for (i, row) in summary.rows.iter().enumerate() {
            let y = TOP + ROW * i as f64;
            let (middle, text) = (y + ROW / 2.0, y + 17.0);
            let numbers = x + BARS + 8.0;
            let label = cell(column, &row.cells[c]);
            if let Some(s) = row.cells[c] {
                let (low, high) = (x + (s.mean - s.deviation).max(0.0) * scale, x + reach(s) * scale);
                let _ = writeln!(
                    out,
                    "<rect x=\"{x}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" fill=\"#7aa6d8\"/>\
                     <path d=\"M{low:.1} {middle}H{high:.1}M{low:.1} {}v8M{high:.1} {}v8\" stroke=\"#223\"/>",
                    y + 4.0,
                    s.mean * scale,
                    ROW - 8.0,
                    middle - 4.0,
                    middle - 4.0
                );
            }
            let _ = writeln!(out, "<text x=\"{numbers}\" y=\"{text}\" fill=\"#333\">{label}</text>");
        }
    }
    out + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::experiment::summary::tests::summary;

    #[test]
    fn the_chart_is_valid_svg_and_has_a_bar_per_number() {
        let svg = svg(&summary());
        let tree = resvg::usvg::Tree::from_str(&svg, &resvg::usvg::Options::default()).unwrap();
        assert!(tree.size().width() > 800.0);
        assert_eq!(svg.matches("<path").count(), 3);
        assert!(svg.contains("&lt;1&quot;&gt;") && svg.contains("35.0 ± 7.1"));
    }
}
