//! The vocabulary of clothes: every word that may describe a garment, as one enum per attribute. Photographs are labelled with it,
//! and drawings are made from it.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $(#[doc = concat!("`", $word, "`")] $variant),* }

        impl $name {
            /// Every value, in the order of the vocabulary.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Every word, in the order of the vocabulary.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word as it stands in label files.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The value for a word, or `None` if the vocabulary has no such word.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }
    };
}

words! {
    /// What kind of garment it is.
    Category {
        TShirt = "t-shirt", Polo = "polo", TankTop = "tank-top", LongSleeve = "long-sleeve",
        Hoodie = "hoodie", Shirt = "shirt", Blouse = "blouse", Blazer = "blazer", Outwear = "outwear",
        Dress = "dress", Bodysuit = "bodysuit", Skirt = "skirt", Pants = "pants", Shorts = "shorts",
        Sneakers = "sneakers", Boots = "boots", Sandals = "sandals", Heels = "heels", Shoes = "shoes",
        Hat = "hat",
    }
}

words! {
    /// Shape of the neck opening of a top or a dress.
    Neckline {
        Crew = "crew", Scoop = "scoop", VNeck = "v-neck", Collar = "collar", Lapel = "lapel",
        Hood = "hood", High = "high", Boat = "boat", Square = "square", Strap = "strap",
        Henley = "henley",
    }
}

words! {
    /// Length of the sleeves, in ascending order.
    Sleeves { None = "none", Short = "short", Elbow = "elbow", Long = "long" }
}

words! {
    /// What is printed on, or woven into, the cloth.
    Pattern {
        Plain = "plain", Striped = "striped", Checked = "checked", Dotted = "dotted", Floral = "floral",
        Graphic = "graphic", Text = "text", Camo = "camo", Other = "other",
    }
}

words! {
    /// How the garment is fastened.
    Closure {
        None = "none", Buttons = "buttons", Zip = "zip", Laces = "laces", Velcro = "velcro",
        Belt = "belt", Buckle = "buckle",
    }
}

words! {
    /// Length of a dress, skirt, coat, or pair of trousers, in ascending order.
    Length { Mini = "mini", Short = "short", Knee = "knee", Midi = "midi", Long = "long" }
}

words! {
    /// The dominant colour; `Multi` where no single colour dominates.
    Colour {
        White = "white", Black = "black", Grey = "grey", Blue = "blue", Red = "red", Pink = "pink",
        Green = "green", Multi = "multi", Brown = "brown", Beige = "beige", Purple = "purple",
        Yellow = "yellow", Orange = "orange",
    }
}

words! {
    /// What the garment is made of.
    Material {
        Jersey = "jersey", Woven = "woven", Denim = "denim", Synthetic = "synthetic", Knit = "knit",
        Fleece = "fleece", Leather = "leather", Canvas = "canvas", Padded = "padded", Lace = "lace",
        Straw = "straw",
    }
}
