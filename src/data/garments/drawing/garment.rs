//! A garment: its labels, its seed, and how both are chosen.

use super::rng::Rng;
use super::rules::exists;
use super::tables::{colours, rules, CATEGORIES};
use crate::data::garments::vocabulary::{
    Category, Closure, Colour, Length, Material, Neckline, Pattern, Sleeves,
};

/// A garment. Its labels say what it is; everything else about it (shades, prints, proportions) follows
/// from the labels and the seed, so that all drawings of one garment show the same garment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garment {
    /// What kind of garment it is.
    pub category: Category,
    /// Neck opening; `None` for what has no neck.
    pub neckline: Option<Neckline>,
    /// Sleeves; `None` for what cannot have any.
    pub sleeves: Option<Sleeves>,
    /// What is printed on it.
    pub pattern: Pattern,
    /// How it is fastened; `None` for hats.
    pub closure: Option<Closure>,
    /// Its length; `None` where length says nothing.
    pub length: Option<Length>,
    /// Its dominant colour.
    pub colour: Colour,
    /// What it is made of.
    pub material: Material,
    /// Decides all the rest.
    pub seed: u64,
}

/// Labels that a garment must have; what is `None` is left to chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The category wished for.
    pub category: Option<Category>,
    /// The neck opening wished for.
    pub neckline: Option<Neckline>,
    /// The sleeves wished for.
    pub sleeves: Option<Sleeves>,
    /// The pattern wished for.
    pub pattern: Option<Pattern>,
    /// The closure wished for.
    pub closure: Option<Closure>,
    /// The length wished for.
    pub length: Option<Length>,
    /// The colour wished for.
    pub colour: Option<Colour>,
    /// The material wished for.
    pub material: Option<Material>,
}

impl Wish {
    /// Adds a wish given as the name of an attribute and a word; `None` if there is no such attribute
    /// or no such word.
    pub fn with(mut self, attribute: &str, word: &str) -> Option<Self> {
        match attribute {
            "category" => self.category = Some(Category::parse(word)?),
            "neckline" => self.neckline = Some(Neckline::parse(word)?),
            "sleeves" => self.sleeves = Some(Sleeves::parse(word)?),
            "pattern" => self.pattern = Some(Pattern::parse(word)?),
            "closure" => self.closure = Some(Closure::parse(word)?),
            "length" => self.length = Some(Length::parse(word)?),
            "colour" => self.colour = Some(Colour::parse(word)?),
            "material" => self.material = Some(Material::parse(word)?),
            _ => return None,
        }
        Some(self)
    }

    /// Whether garments of a category may have each of the labels, taken by itself.
    fn fits(&self, category: Category) -> bool {
        fn has<T: PartialEq>(table: &[(T, u32)], wish: &Option<T>) -> bool {
            wish.as_ref().is_none_or(|value| table.iter().any(|(listed, _)| listed == value))
        }
        let rules = rules(category);
        self.category.is_none_or(|wished| wished == category)
            && has(rules.necklines, &self.neckline)
            && has(rules.sleeves, &self.sleeves)
            && has(rules.patterns, &self.pattern)
            && has(rules.closures, &self.closure)
            && has(rules.lengths, &self.length)
            && has(rules.materials, &self.material)
            && has(colours(category), &self.colour)
    }
}

/// How many pairs of a category and a material are tried before a wish counts as impossible.
const OUTER: u64 = 40;

/// How many combinations of the other labels are tried with each of them.
const INNER: u64 = 120;

impl Garment {
    /// A garment that exists in reality; every value of the vocabulary turns up for some seed.
    pub fn sample(seed: u64) -> Self {
        Self::wished(seed, &Wish::default()).unwrap_or(Self {
            category: Category::TShirt,
            neckline: Some(Neckline::Crew),
            sleeves: Some(Sleeves::Short),
            pattern: Pattern::Plain,
            closure: Some(Closure::None),
            length: None,
            colour: Colour::White,
            material: Material::Jersey,
            seed,
        })
    }

    /// A garment with the labels wished for, or `None` if no real garment has them all.
    pub fn wished(seed: u64, wish: &Wish) -> Option<Self> {
        let candidates: Vec<(Category, u32)> =
            CATEGORIES.iter().copied().filter(|(category, _)| wish.fits(*category)).collect();
        (0..OUTER).find_map(|outer| {
            let mut rng = Rng::new(seed, 0x0c10_7e50 + outer);
            let category = rng.weighted(&candidates)?;
            let material = choose(rules(category).materials, wish.material, &mut rng)??;
            (0..INNER).find_map(|_| Self::attempt(seed, category, material, wish, &mut rng).filter(exists))
        })
    }

    /// The same garment with other sleeves; a T-shirt with long ones is a long-sleeve. `None` if no such garment exists.
    pub fn with_sleeves(&self, sleeves: Sleeves) -> Option<Self> {
        let category = match (self.category, sleeves) {
            (Category::TShirt, Sleeves::Long) => Category::LongSleeve,
            (Category::LongSleeve, Sleeves::Short | Sleeves::Elbow) => Category::TShirt,
            (category, _) => category,
        };
        let other = Self { category, sleeves: Some(sleeves), ..self.clone() };
        let wish = Wish {
            category: Some(category),
            neckline: other.neckline,
            sleeves: other.sleeves,
            pattern: Some(other.pattern),
            closure: other.closure,
            length: other.length,
            colour: Some(other.colour),
            material: Some(other.material),
        };
        (wish.fits(category) && exists(&other)).then_some(other)
    }

    /// A garment with random other labels, which need not exist.
    fn attempt(
        seed: u64,
        category: Category,
        material: Material,
        wish: &Wish,
        rng: &mut Rng,
    ) -> Option<Self> {
        let rules = rules(category);
        Some(Self {
            category,
            neckline: choose(rules.necklines, wish.neckline, rng)?,
            sleeves: choose(rules.sleeves, wish.sleeves, rng)?,
            pattern: choose(rules.patterns, wish.pattern, rng)??,
            closure: choose(rules.closures, wish.closure, rng)?,
            length: choose(rules.lengths, wish.length, rng)?,
            colour: choose(colours(category), wish.colour, rng)??,
            material,
            seed,
        })
    }

    /// The independent stream of random numbers for one aspect of the garment.
    pub fn stream(&self, aspect: u64) -> Rng {
        Rng::new(self.seed, aspect)
    }

    /// A name for people, as for the text that stands in for a picture:
    /// "red striped long-sleeve with a crew neck".
    pub fn title(&self) -> String {
        let mut words = vec![if self.colour == Colour::Multi { "multicoloured" } else { self.colour.word() }];
        words.extend(match self.pattern {
            Pattern::Plain => None,
            Pattern::Graphic => Some("picture-print"),
            Pattern::Text => Some("lettered"),
            Pattern::Other => Some("patterned"),
            Pattern::Camo => Some("camouflage"),
            other => Some(other.word()),
        });
        words.extend(match self.material {
            Material::Jersey | Material::Woven | Material::Synthetic => None,
            other => Some(other.word()),
        });
        words.extend(match self.length {
            Some(Length::Knee) => Some("knee-length"),
            Some(Length::Short) => None,
            Some(length) if self.category != Category::Pants || length == Length::Midi => Some(length.word()),
            _ => None,
        });
        words.push(match self.category {
            Category::Outwear if self.length == Some(Length::Short) => "jacket",
            Category::Outwear => "coat",
            other => other.word(),
        });
        let mut parts = Vec::new();
        parts.extend(match self.neckline {
            Some(Neckline::Crew) => Some("a crew neck"),
            Some(Neckline::Scoop) => Some("a scoop neck"),
            Some(Neckline::VNeck) => Some("a v-neck"),
            Some(Neckline::High) => Some("a high neck"),
            Some(Neckline::Boat) => Some("a boat neck"),
            Some(Neckline::Square) => Some("a square neck"),
            Some(Neckline::Strap) => Some("thin straps"),
            Some(Neckline::Henley) => Some("a henley neck"),
            Some(Neckline::Collar) if !matches!(self.category, Category::Polo | Category::Shirt) => {
                Some("a collar")
            }
            Some(Neckline::Lapel) if self.category != Category::Blazer => Some("lapels"),
            Some(Neckline::Hood) if self.category != Category::Hoodie => Some("a hood"),
            _ => None,
        });
        parts.extend(match (self.category, self.sleeves) {
            (Category::TShirt, Some(Sleeves::Short)) | (Category::TankTop, _) => None,
            (Category::Outwear | Category::Hoodie | Category::Blazer, Some(Sleeves::Long)) => None,
            (Category::LongSleeve, Some(Sleeves::Long)) => None,
            (_, Some(Sleeves::None)) if self.neckline != Some(Neckline::Strap) => Some("no sleeves"),
            (_, Some(Sleeves::Short)) => Some("short sleeves"),
            (_, Some(Sleeves::Elbow)) => Some("elbow-length sleeves"),
            (_, Some(Sleeves::Long)) => Some("long sleeves"),
            _ => None,
        });
        parts.extend(match self.closure {
            Some(Closure::Zip) if !matches!(self.category, Category::Pants | Category::Shorts) => {
                Some("a zip")
            }
            Some(Closure::Velcro) => Some("velcro straps"),
            Some(Closure::Belt) => Some("a belt"),
            Some(Closure::Buckle) => Some("buckles"),
            Some(Closure::Laces) if self.category != Category::Sneakers => Some("laces"),
            _ => None,
        });
        let name = words.join(" ");
        match parts.split_last() {
            None => name,
            Some((only, [])) => format!("{name} with {only}"),
            Some((last, rest)) => format!("{name} with {} and {last}", rest.join(", ")),
        }
    }
}

/// A value from a table that fulfils the wish: `None` if the wish cannot be fulfilled, `Some(None)` if
/// nothing is wished and the table is empty.
fn choose<T: Copy + PartialEq>(table: &[(T, u32)], wish: Option<T>, rng: &mut Rng) -> Option<Option<T>> {
    match wish {
        Some(value) => table.iter().any(|(v, _)| *v == value).then_some(Some(value)),
        None => Some(rng.weighted(table)),
    }
}
