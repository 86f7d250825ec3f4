//! The body of tops, coats and dresses: its proportions and its outline without the neck.

use super::outline::{between, Curve, Point};
use super::tailor::Tailor;
use crate::data::garments::vocabulary::{Category, Length, Neckline, Sleeves};

/// Right half of a body, in cm; the neck's base is at y = 0.
#[derive(Clone, Debug)]
pub struct Body {
    /// The tip of the shoulder.
    pub shoulder: Point,
    /// The lowest point of the armhole.
    pub underarm: Point,
    /// The side from the underarm (not included) to the end of the hem.
    pub side: Vec<Point>,
    /// The waist: half width and height.
    pub waist: Point,
    /// How much lower the middle of the hem lies than its ends.
    pub hem_drop: f32,
    /// Whether a seam and gathers mark the waist.
    pub waisted: bool,
}

impl Body {
    /// The body of a garment.
    pub fn of(t: &mut Tailor) -> Self {
        let category = t.garment.category;
        let bare = t.garment.sleeves == Some(Sleeves::None);
        let fitted = matches!(category, Category::Blouse | Category::Dress) || t.cut.chance(0.3);
        let wide = match category {
            Category::Hoodie => 29.0,
            Category::Outwear => 30.0,
            Category::LongSleeve | Category::Blazer => 26.5,
            Category::Dress | Category::Blouse => 24.0,
            Category::TankTop => 23.5,
            Category::Bodysuit => 14.5,
            _ => 26.5,
        };
        let chest = wide * t.cut.range(0.94, 1.05);
        let length = match (category, t.garment.length) {
            (Category::Outwear, Some(Length::Knee)) => t.cut.range(92.0, 100.0),
            (Category::Outwear, Some(Length::Long)) => t.cut.range(116.0, 126.0),
            (Category::Outwear, _) => t.cut.range(62.0, 70.0),
            (Category::Dress, Some(Length::Mini)) => t.cut.range(76.0, 82.0),
            (Category::Dress, Some(Length::Midi)) => t.cut.range(120.0, 128.0),
            (Category::Dress, Some(Length::Long)) => t.cut.range(146.0, 158.0),
            (Category::Dress, _) => t.cut.range(93.0, 100.0),
            (Category::Bodysuit, _) => 42.0,
            (Category::Shirt | Category::Blazer, _) => t.cut.range(70.0, 76.0),
            (Category::Blouse, _) => t.cut.range(58.0, 64.0),
            _ => t.cut.range(62.0, 70.0),
        };
        let small = chest / 26.0;
        let shoulder_half = if bare && category != Category::Outwear {
            chest * 0.74
        } else if matches!(category, Category::Hoodie | Category::Outwear) {
            chest * 0.86
        } else {
            chest * 0.84
        };
        let shoulder = [shoulder_half, 4.6 * small];
        let underarm = [chest, if bare { 23.5 } else { 25.0 } * small.powf(0.6)];
        let waist_y = underarm[1] + (if category == Category::Dress { 17.0 } else { 20.0 });
        let waist = [if fitted { chest * 0.84 } else { chest * 0.98 }, waist_y];
        let mut body = Self { shoulder, underarm, side: Vec::new(), waist, hem_drop: 1.0, waisted: false };
        body.shape(t, length);
        body
    }

    /// Draws the side down to the hem.
    fn shape(&mut self, t: &mut Tailor, length: f32) {
        let chest = self.underarm[0];
        match t.garment.category {
            Category::Dress => {
                self.waisted = t.cut.chance(0.65) || t.garment.length == Some(Length::Long);
                let flare = if self.waisted { t.cut.range(1.35, 1.85) } else { t.cut.range(1.04, 1.4) };
                let hem = chest * flare * (0.75 + length / 400.0);
                let waist = if self.waisted { chest * 0.8 } else { chest * 0.92 };
                self.waist[0] = waist;
                let hip = [waist + (hem - waist) * 0.42, self.waist[1] + (length - self.waist[1]) * 0.33];
                self.side = vec![self.waist, hip, [hem, length]];
                self.hem_drop = if self.waisted { 5.0 } else { 2.0 };
            }
            Category::Bodysuit => self.side = vec![[chest * 0.97, 29.5]],
            Category::Shirt => {
                self.side = vec![self.waist, [chest * 0.99, length - 7.0]];
                self.hem_drop = 6.0;
            }
            Category::Blouse => {
                let hem = chest * t.cut.range(0.98, 1.16);
                self.side = vec![self.waist, [hem, length]];
                self.hem_drop = 2.0;
            }
            Category::Blazer => {
                self.waist[0] = chest * 0.9;
                self.side = vec![self.waist, [chest * 1.02, length]];
            }
            Category::Outwear if length > 80.0 => {
                self.waist[0] = chest * 0.92;
                self.side = vec![self.waist, [chest * 1.08, length]];
            }
            Category::Hoodie | Category::Outwear => {
                self.side = vec![self.waist, [chest * 0.98, length - 7.0], [chest * 0.92, length]];
            }
            _ => self.side = vec![self.waist, [chest * t.cut.range(0.96, 1.03), length]],
        }
    }

    /// The end of the hem on the right side.
    pub fn hem_end(&self) -> Point {
        self.side.last().copied().unwrap_or(self.underarm)
    }

    /// The height of the lowest point in the middle.
    pub fn bottom(&self, category: Category) -> f32 {
        if category == Category::Bodysuit {
            42.0
        } else {
            self.hem_end()[1] + self.hem_drop
        }
    }

    /// The point where the shoulder line is `half` cm from the middle.
    pub fn on_shoulder(&self, half: f32) -> Point {
        let start = 7.0 * self.underarm[0] / 26.0;
        let slope = self.shoulder[1] / (self.shoulder[0] - start);
        [half, ((half - start) * slope).max(0.0)]
    }

    /// Half of the hem, from the side to the middle.
    pub fn hem(&self, category: Category) -> Curve {
        let [x, y] = self.hem_end();
        if category == Category::Bodysuit {
            // The opening for a leg, then half of the crotch.
            return Curve::from([x, y]).bend([x * 0.52, y + 3.0], [x * 0.38, 42.0]).to([0.0, 42.0]);
        }
        let low = y + self.hem_drop;
        if category == Category::Shirt {
            return Curve::from([x, y]).bend([x * 0.75, low], [x * 0.35, low]).to([0.0, low]);
        }
        Curve::from([x, y]).bend([x * 0.5, low + self.hem_drop * 0.05], [0.0, low])
    }

    /// The edge of the right armhole, from just below the shoulder to the underarm.
    pub fn armhole(&self) -> Curve {
        let ([ux, uy], [sx, sy]) = (self.underarm, self.shoulder);
        Curve::from([sx - 0.5, sy + 2.6]).bend([sx - 1.0, sy + (uy - sy) * 0.72], [ux, uy])
    }

    /// The right half of the outline from a point on the shoulder to the middle of the hem.
    pub fn right(&self, t: &Tailor, start: Point) -> Curve {
        let [ux, uy] = self.underarm;
        let mut curve = Curve::from(start);
        if t.garment.neckline == Some(Neckline::Strap) {
            curve = curve.bend([ux * 0.78, uy * 0.86], self.underarm);
        } else {
            let before = between(start, self.shoulder, 0.84);
            let armhole = self.armhole();
            let below = armhole.at(0.0).unwrap_or(self.shoulder);
            curve = curve.to(before).bend(self.shoulder, below).then(&armhole);
        }
        let mut side = vec![self.underarm];
        side.extend_from_slice(&self.side);
        curve.then(&Curve::through(&side)).then(&self.hem(t.garment.category))
    }
}
