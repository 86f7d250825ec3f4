//! What garments of each category may have: weighted tables of labels.

use crate::data::garments::vocabulary::{
    Category, Closure, Colour, Length, Material, Neckline, Pattern, Sleeves,
};

/// What a category may have, with weights. An empty table: garments of the category have no such thing.
pub struct Rules {
    /// Neck openings.
    pub necklines: &'static [(Neckline, u32)],
    /// Sleeves.
    pub sleeves: &'static [(Sleeves, u32)],
    /// Patterns.
    pub patterns: &'static [(Pattern, u32)],
    /// Closures.
    pub closures: &'static [(Closure, u32)],
    /// Lengths.
    pub lengths: &'static [(Length, u32)],
    /// Materials.
    pub materials: &'static [(Material, u32)],
}

/// How often each category is drawn when none is asked for.
pub const CATEGORIES: &[(Category, u32)] = &[
    (Category::TShirt, 10),
    (Category::Polo, 5),
    (Category::TankTop, 5),
    (Category::LongSleeve, 9),
    (Category::Hoodie, 5),
    (Category::Shirt, 7),
    (Category::Blouse, 6),
    (Category::Blazer, 5),
    (Category::Outwear, 8),
    (Category::Dress, 10),
    (Category::Bodysuit, 5),
    (Category::Skirt, 6),
    (Category::Pants, 8),
    (Category::Shorts, 6),
    (Category::Sneakers, 5),
    (Category::Boots, 4),
    (Category::Sandals, 4),
    (Category::Heels, 4),
    (Category::Shoes, 5),
    (Category::Hat, 5),
];

/// How often each colour is drawn when none is asked for and the pattern and material allow it.
pub const fn colours(category: Category) -> &'static [(Colour, u32)] {
    match category {
        Category::Sneakers | Category::Boots | Category::Sandals | Category::Heels | Category::Shoes => SOBER,
        Category::Pants | Category::Blazer | Category::Outwear | Category::Hat | Category::Shorts => SOBER,
        _ => COLOURS,
    }
}

/// Colours of footwear, trousers, coats and hats, where bright ones are rare.
const SOBER: &[(Colour, u32)] = &[
    (Colour::White, 10),
    (Colour::Black, 26),
    (Colour::Grey, 16),
    (Colour::Blue, 22),
    (Colour::Red, 7),
    (Colour::Pink, 5),
    (Colour::Green, 7),
    (Colour::Multi, 3),
    (Colour::Brown, 16),
    (Colour::Beige, 12),
    (Colour::Purple, 2),
    (Colour::Yellow, 2),
    (Colour::Orange, 1),
];

/// Colours of tops, dresses and skirts.
const COLOURS: &[(Colour, u32)] = &[
    (Colour::White, 12),
    (Colour::Black, 13),
    (Colour::Grey, 11),
    (Colour::Blue, 16),
    (Colour::Red, 9),
    (Colour::Pink, 8),
    (Colour::Green, 8),
    (Colour::Multi, 6),
    (Colour::Brown, 6),
    (Colour::Beige, 6),
    (Colour::Purple, 6),
    (Colour::Yellow, 5),
    (Colour::Orange, 4),
];

/// The tables of a category.
pub const fn rules(category: Category) -> Rules {
    use Category as C;
    use Closure as F;
    use Length as L;
    use Material as M;
    use Neckline as N;
    use Pattern as P;
    use Sleeves as S;
    const PRINTS: &[(P, u32)] =
        &[(P::Plain, 8), (P::Striped, 4), (P::Checked, 2), (P::Dotted, 3), (P::Floral, 5), (P::Other, 3)];
    const SHOE_PRINTS: &[(P, u32)] = &[(P::Plain, 10), (P::Floral, 1), (P::Other, 1), (P::Dotted, 1)];
    match category {
        C::TShirt => Rules {
            necklines: &[(N::Crew, 10), (N::Scoop, 4), (N::VNeck, 4), (N::Boat, 2), (N::Henley, 2)],
            sleeves: &[(S::Short, 14), (S::Elbow, 2)],
            patterns: &[
                (P::Plain, 7),
                (P::Graphic, 6),
                (P::Text, 5),
                (P::Striped, 4),
                (P::Floral, 2),
                (P::Dotted, 2),
                (P::Camo, 3),
                (P::Other, 2),
            ],
            closures: &[(F::None, 1)],
            lengths: &[],
            materials: &[(M::Jersey, 10), (M::Synthetic, 1)],
        },
        C::Polo => Rules {
            necklines: &[(N::Collar, 1)],
            sleeves: &[(S::Short, 9), (S::Long, 2)],
            patterns: &[(P::Plain, 9), (P::Striped, 4), (P::Other, 1), (P::Text, 1)],
            closures: &[(F::Buttons, 1)],
            lengths: &[],
            materials: &[(M::Jersey, 1)],
        },
        C::TankTop => Rules {
            necklines: &[(N::Scoop, 6), (N::Crew, 4), (N::Strap, 5), (N::VNeck, 2), (N::Square, 2)],
            sleeves: &[(S::None, 1)],
            patterns: &[
                (P::Plain, 6),
                (P::Graphic, 3),
                (P::Text, 2),
                (P::Striped, 3),
                (P::Floral, 3),
                (P::Dotted, 1),
                (P::Camo, 1),
                (P::Other, 2),
            ],
            closures: &[(F::None, 1)],
            lengths: &[],
            materials: &[(M::Jersey, 8), (M::Woven, 2), (M::Synthetic, 1), (M::Lace, 1)],
        },
        C::LongSleeve => Rules {
            necklines: &[
                (N::Crew, 8),
                (N::High, 5),
                (N::VNeck, 5),
                (N::Scoop, 2),
                (N::Boat, 2),
                (N::Henley, 2),
            ],
            sleeves: &[(S::Long, 9), (S::Elbow, 1)],
            patterns: &[
                (P::Plain, 9),
                (P::Striped, 5),
                (P::Graphic, 3),
                (P::Text, 3),
                (P::Floral, 1),
                (P::Dotted, 1),
                (P::Camo, 1),
                (P::Other, 2),
            ],
            closures: &[(F::None, 6), (F::Buttons, 2), (F::Zip, 1)],
            lengths: &[],
            materials: &[(M::Knit, 6), (M::Jersey, 4), (M::Fleece, 3)],
        },
        C::Hoodie => Rules {
            necklines: &[(N::Hood, 1)],
            sleeves: &[(S::Long, 1)],
            patterns: &[(P::Plain, 6), (P::Text, 3), (P::Graphic, 2), (P::Striped, 1), (P::Camo, 1)],
            closures: &[(F::Zip, 5), (F::None, 5)],
            lengths: &[],
            materials: &[(M::Fleece, 8), (M::Jersey, 2), (M::Knit, 1)],
        },
        C::Shirt => Rules {
            necklines: &[(N::Collar, 12), (N::High, 1)],
            sleeves: &[(S::Long, 7), (S::Short, 4), (S::Elbow, 1)],
            patterns: &[
                (P::Plain, 6),
                (P::Checked, 6),
                (P::Striped, 4),
                (P::Floral, 2),
                (P::Dotted, 1),
                (P::Other, 1),
            ],
            closures: &[(F::Buttons, 1)],
            lengths: &[],
            materials: &[(M::Woven, 8), (M::Denim, 1)],
        },
        C::Blouse => Rules {
            necklines: &[
                (N::VNeck, 5),
                (N::Collar, 2),
                (N::Scoop, 4),
                (N::Crew, 2),
                (N::Boat, 1),
                (N::Square, 1),
                (N::High, 1),
            ],
            sleeves: &[(S::Long, 4), (S::Short, 4), (S::Elbow, 3), (S::None, 1)],
            patterns: PRINTS,
            closures: &[(F::None, 5), (F::Buttons, 4)],
            lengths: &[],
            materials: &[(M::Woven, 8), (M::Lace, 2)],
        },
        C::Blazer => Rules {
            necklines: &[(N::Lapel, 8), (N::Collar, 3)],
            sleeves: &[(S::Long, 1)],
            patterns: &[(P::Plain, 9), (P::Checked, 2), (P::Striped, 1)],
            closures: &[(F::Buttons, 1)],
            lengths: &[],
            materials: &[(M::Woven, 7), (M::Denim, 3)],
        },
        C::Outwear => Rules {
            necklines: &[(N::High, 6), (N::Hood, 6), (N::Lapel, 3), (N::Collar, 2)],
            sleeves: &[(S::Long, 8), (S::None, 1)],
            patterns: &[(P::Plain, 12), (P::Checked, 1), (P::Camo, 1), (P::Other, 1)],
            closures: &[(F::Zip, 7), (F::Buttons, 3), (F::Belt, 1)],
            lengths: &[(L::Short, 6), (L::Knee, 3), (L::Long, 1)],
            materials: &[(M::Padded, 6), (M::Synthetic, 4), (M::Woven, 4), (M::Leather, 2), (M::Fleece, 1)],
        },
        C::Dress => Rules {
            necklines: &[
                (N::Crew, 5),
                (N::Scoop, 5),
                (N::VNeck, 5),
                (N::Strap, 4),
                (N::Collar, 2),
                (N::Boat, 2),
                (N::Square, 2),
                (N::High, 1),
            ],
            sleeves: &[(S::None, 5), (S::Short, 5), (S::Elbow, 3), (S::Long, 4)],
            patterns: PRINTS,
            closures: &[(F::None, 8), (F::Buttons, 2), (F::Belt, 2), (F::Zip, 1)],
            lengths: &[(L::Mini, 3), (L::Knee, 6), (L::Midi, 3), (L::Long, 2)],
            materials: &[(M::Woven, 6), (M::Jersey, 5), (M::Lace, 3), (M::Knit, 2), (M::Denim, 3)],
        },
        C::Bodysuit => Rules {
            necklines: &[(N::Crew, 6), (N::VNeck, 2), (N::Strap, 2), (N::Scoop, 2)],
            sleeves: &[(S::Long, 5), (S::Short, 4), (S::None, 2)],
            patterns: &[
                (P::Plain, 5),
                (P::Graphic, 3),
                (P::Text, 1),
                (P::Striped, 3),
                (P::Dotted, 2),
                (P::Floral, 2),
                (P::Other, 2),
            ],
            closures: &[(F::Buttons, 1)],
            lengths: &[],
            materials: &[(M::Jersey, 1)],
        },
        C::Skirt => Rules {
            necklines: &[],
            sleeves: &[],
            patterns: PRINTS,
            closures: &[(F::None, 6), (F::Buttons, 2), (F::Zip, 2), (F::Belt, 1)],
            lengths: &[(L::Mini, 4), (L::Knee, 4), (L::Midi, 3), (L::Long, 1)],
            materials: &[(M::Woven, 7), (M::Denim, 3), (M::Jersey, 2), (M::Leather, 1), (M::Lace, 1)],
        },
        C::Pants => Rules {
            necklines: &[],
            sleeves: &[],
            patterns: &[
                (P::Plain, 14),
                (P::Striped, 2),
                (P::Checked, 2),
                (P::Floral, 2),
                (P::Dotted, 1),
                (P::Camo, 3),
                (P::Other, 1),
            ],
            closures: &[(F::Zip, 5), (F::None, 4), (F::Buttons, 1), (F::Belt, 1)],
            lengths: &[(L::Long, 9), (L::Midi, 1)],
            materials: &[(M::Denim, 5), (M::Woven, 4), (M::Jersey, 3), (M::Fleece, 1), (M::Leather, 1)],
        },
        C::Shorts => Rules {
            necklines: &[],
            sleeves: &[],
            patterns: &[
                (P::Plain, 8),
                (P::Striped, 2),
                (P::Checked, 2),
                (P::Floral, 3),
                (P::Camo, 1),
                (P::Text, 1),
                (P::Dotted, 1),
                (P::Other, 1),
            ],
            closures: &[(F::None, 6), (F::Zip, 4), (F::Buttons, 1), (F::Belt, 1)],
            lengths: &[(L::Mini, 1), (L::Knee, 1)],
            materials: &[(M::Denim, 3), (M::Woven, 4), (M::Synthetic, 3), (M::Jersey, 3)],
        },
        C::Sneakers => Rules {
            necklines: &[],
            sleeves: &[],
            patterns: &[(P::Plain, 9), (P::Striped, 1), (P::Other, 1)],
            closures: &[(F::Laces, 5), (F::Velcro, 1)],
            lengths: &[],
            materials: &[(M::Synthetic, 4), (M::Leather, 3), (M::Canvas, 3)],
        },
        C::Boots => Rules {
            necklines: &[],
            sleeves: &[],
            patterns: &[(P::Plain, 1)],
            closures: &[(F::Laces, 4), (F::None, 3), (F::Zip, 3)],
            lengths: &[],
            materials: &[(M::Leather, 7), (M::Synthetic, 1)],
        },
        C::Sandals => Rules {
            necklines: &[],
            sleeves: &[],
            patterns: &[(P::Plain, 9), (P::Floral, 1), (P::Striped, 1)],
            closures: &[(F::None, 5), (F::Velcro, 2), (F::Buckle, 3)],
            lengths: &[],
            materials: &[(M::Leather, 5), (M::Synthetic, 5)],
        },
        C::Heels => Rules {
            necklines: &[],
            sleeves: &[],
            patterns: &[(P::Plain, 9), (P::Other, 1)],
            closures: &[(F::None, 5), (F::Buckle, 2)],
            lengths: &[],
            materials: &[(M::Leather, 1)],
        },
        C::Shoes => Rules {
            necklines: &[],
            sleeves: &[],
            patterns: SHOE_PRINTS,
            closures: &[(F::None, 5), (F::Laces, 4), (F::Velcro, 3), (F::Buckle, 1)],
            lengths: &[],
            materials: &[(M::Leather, 6), (M::Canvas, 3)],
        },
        C::Hat => Rules {
            necklines: &[],
            sleeves: &[],
            patterns: &[
                (P::Plain, 8),
                (P::Text, 4),
                (P::Striped, 2),
                (P::Graphic, 2),
                (P::Floral, 1),
                (P::Checked, 1),
                (P::Camo, 2),
            ],
            closures: &[],
            lengths: &[],
            materials: &[(M::Canvas, 6), (M::Knit, 5), (M::Straw, 3)],
        },
    }
}
