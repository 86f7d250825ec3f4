//! Which labels exist together in reality.

use super::garment::Garment;
use crate::data::garments::vocabulary::{
    Category, Closure, Colour, Length, Material, Neckline, Pattern, Sleeves,
};

/// Whether the values of a garment exist together in reality.
pub fn exists(g: &Garment) -> bool {
    cut_exists(g) && cloth_exists(g)
}

/// Whether the neck opening, sleeves, closure and length fit each other.
fn cut_exists(g: &Garment) -> bool {
    let opens = matches!(g.closure, Some(Closure::Buttons | Closure::Zip));
    let neck = match g.neckline {
        Some(Neckline::Strap) => g.sleeves == Some(Sleeves::None) && !opens_on_top(g),
        Some(Neckline::Henley) => {
            (g.closure == Some(Closure::Buttons) || g.category == Category::TShirt)
                && !matches!(g.pattern, Pattern::Graphic | Pattern::Text)
        }
        Some(Neckline::Collar | Neckline::Lapel) if g.category == Category::Blazer => {
            (g.neckline == Some(Neckline::Collar)) == (g.material == Material::Denim)
        }
        Some(Neckline::Collar) => g.closure == Some(Closure::Buttons) || g.category == Category::Dress,
        Some(Neckline::Lapel) => matches!(g.closure, Some(Closure::Buttons | Closure::Belt)),
        Some(Neckline::Hood) if g.category == Category::Outwear => g.closure == Some(Closure::Zip),
        Some(Neckline::High) if g.category == Category::Outwear => g.closure == Some(Closure::Zip),
        Some(Neckline::High) if g.category == Category::Shirt => g.material == Material::Woven,
        Some(Neckline::High) if g.category == Category::LongSleeve => g.closure != Some(Closure::Buttons),
        Some(Neckline::High | Neckline::Square | Neckline::Boat) if g.category != Category::Shirt => !opens,
        Some(Neckline::Crew | Neckline::Scoop) if g.category == Category::LongSleeve => !opens,
        Some(Neckline::VNeck) => g.closure != Some(Closure::Zip) || g.category == Category::Dress,
        _ => true,
    };
    let coat = g.category != Category::Outwear
        || match g.neckline {
            Some(Neckline::Lapel) => g.material == Material::Woven && g.length != Some(Length::Short),
            Some(Neckline::Collar) => matches!(g.material, Material::Leather | Material::Woven),
            _ => g.material != Material::Woven && g.length != Some(Length::Long),
        } && (g.sleeves != Some(Sleeves::None) || g.material == Material::Padded);
    let printed = g.closure != Some(Closure::Zip)
        || !matches!(g.pattern, Pattern::Graphic | Pattern::Text)
        || matches!(g.category, Category::Shorts | Category::Pants);
    let buttoned = !opens_on_top(g) || !matches!(g.pattern, Pattern::Graphic | Pattern::Text);
    neck && coat && printed && buttoned
}

/// Whether the garment opens at the front all the way.
fn opens_on_top(g: &Garment) -> bool {
    let knitted = g.category == Category::LongSleeve && g.neckline == Some(Neckline::VNeck);
    g.closure == Some(Closure::Buttons)
        && (knitted || matches!(g.category, Category::Shirt | Category::Blouse | Category::Dress))
}

/// Whether pattern, material and colour fit each other and the garment.
fn cloth_exists(g: &Garment) -> bool {
    use Colour as K;
    let plain = g.pattern == Pattern::Plain;
    let material = match g.material {
        Material::Denim => plain && matches!(g.colour, K::Blue | K::Black | K::Grey | K::White),
        Material::Straw => plain && matches!(g.colour, K::Beige | K::Brown | K::Yellow),
        Material::Lace => plain && !matches!(g.colour, K::Orange | K::Brown | K::Green | K::Multi),
        Material::Padded => matches!(g.pattern, Pattern::Plain | Pattern::Camo),
        Material::Leather if g.category == Category::Outwear || g.category == Category::Pants => {
            plain && matches!(g.colour, K::Black | K::Brown | K::Red | K::Beige)
        }
        Material::Leather if g.category == Category::Skirt => plain && g.closure != Some(Closure::Buttons),
        Material::Leather => g.category == Category::Sandals || plain,
        Material::Fleece => !matches!(g.pattern, Pattern::Checked | Pattern::Floral),
        Material::Knit if g.category == Category::Hat => {
            !matches!(g.pattern, Pattern::Floral | Pattern::Checked | Pattern::Camo)
        }
        Material::Knit => matches!(g.pattern, Pattern::Plain | Pattern::Striped | Pattern::Other),
        _ => true,
    };
    let colour = match g.colour {
        K::Multi => matches!(
            g.pattern,
            Pattern::Striped | Pattern::Checked | Pattern::Dotted | Pattern::Floral | Pattern::Other
        ),
        K::Orange | K::Yellow | K::Purple => g.category != Category::Blazer,
        _ => true,
    };
    let camo = g.pattern != Pattern::Camo || matches!(g.colour, K::Green | K::Grey | K::Brown);
    let belt = g.closure != Some(Closure::Belt) || g.material != Material::Padded;
    let trousers = g.category != Category::Pants && g.category != Category::Shorts
        || match g.material {
            Material::Denim | Material::Leather => g.closure != Some(Closure::None),
            Material::Jersey | Material::Fleece | Material::Synthetic => g.closure == Some(Closure::None),
            _ => true,
        };
    material && colour && camo && belt && trousers
}
