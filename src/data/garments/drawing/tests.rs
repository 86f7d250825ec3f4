//! Tests of the whole: labels, determinism, and what the pictures show.

use super::look::Look;
use super::palette::{encoded, hex, shades};
use super::*;

fn wish(attribute: &str, word: &str) -> Wish {
    Wish::default().with(attribute, word).unwrap_or_default()
}

#[test]
fn same_seed_same_bytes() {
    for seed in 0..6 {
        let (garment, shot) = (Garment::sample(seed), Shot::sample(seed));
        assert_eq!(draw(&garment, &shot, 48).as_raw(), draw(&garment, &shot, 48).as_raw());
    }
}

#[test]
fn different_shots_differ() {
    for garment in (0..40).map(Garment::sample) {
        let mut seeds: Vec<u64> = (0..50).map(|seed| Shot::suiting(&garment, seed).seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 50, "{}", garment.title());
    }
    let garment = Garment::sample(1);
    let [a, b] = [1, 2].map(|seed| draw(&garment, &Shot::suiting(&garment, seed), 48));
    assert_ne!(a.as_raw(), b.as_raw());
}

/// Draws a garment for every value of an attribute and checks that it has that value.
fn every_value<T: Copy + PartialEq + std::fmt::Debug>(
    attribute: &str,
    values: &[T],
    word: fn(T) -> &'static str,
    label: fn(&Garment) -> Option<T>,
) {
    for &value in values {
        for seed in 0..2 {
            let garment = Garment::wished(seed, &wish(attribute, word(value)));
            let garment = garment.unwrap_or_else(|| panic!("{attribute} {value:?} cannot be had"));
            assert_eq!(label(&garment), Some(value));
            let picture = draw(&garment, &Shot::suiting(&garment, seed), 32);
            assert_eq!(picture.dimensions(), (32, 32));
        }
    }
}

#[test]
fn every_word_can_be_drawn() {
    every_value("category", Category::ALL, Category::word, |g| Some(g.category));
    every_value("neckline", Neckline::ALL, Neckline::word, |g| g.neckline);
    every_value("sleeves", Sleeves::ALL, Sleeves::word, |g| g.sleeves);
    every_value("pattern", Pattern::ALL, Pattern::word, |g| Some(g.pattern));
    every_value("closure", Closure::ALL, Closure::word, |g| g.closure);
    every_value("length", Length::ALL, Length::word, |g| g.length);
    every_value("colour", Colour::ALL, Colour::word, |g| Some(g.colour));
    every_value("material", Material::ALL, Material::word, |g| Some(g.material));
}

#[test]
fn every_word_turns_up_by_chance() {
    let garments: Vec<Garment> = (0..4000).map(Garment::sample).collect();
    for &category in Category::ALL {
        assert!(garments.iter().any(|g| g.category == category), "{category:?}");
    }
    for &neckline in Neckline::ALL {
        assert!(garments.iter().any(|g| g.neckline == Some(neckline)), "{neckline:?}");
    }
    for &sleeves in Sleeves::ALL {
        assert!(garments.iter().any(|g| g.sleeves == Some(sleeves)), "{sleeves:?}");
    }
    for &pattern in Pattern::ALL {
        assert!(garments.iter().any(|g| g.pattern == pattern), "{pattern:?}");
    }
    for &closure in Closure::ALL {
        assert!(garments.iter().any(|g| g.closure == Some(closure)), "{closure:?}");
    }
    for &material in Material::ALL {
        assert!(garments.iter().any(|g| g.material == material), "{material:?}");
    }
    for &colour in Colour::ALL {
        assert!(garments.iter().any(|g| g.colour == colour), "{colour:?}");
    }
}

#[test]
fn labels_are_consistent() {
    for garment in (0..3000).map(Garment::sample) {
        let wearable_on_top = garment.neckline.is_some();
        assert_eq!(wearable_on_top, garment.sleeves.is_some(), "{garment:?}");
        let lower = matches!(garment.category, Category::Pants | Category::Shorts | Category::Skirt);
        if lower {
            assert!(!wearable_on_top && garment.length.is_some(), "{garment:?}");
        }
        if garment.neckline == Some(Neckline::Strap) {
            assert_eq!(garment.sleeves, Some(Sleeves::None), "{garment:?}");
        }
        assert!(rules::exists(&garment), "{garment:?}");
    }
}

#[test]
fn impossible_wishes_are_refused() {
    let trousers = wish("category", "pants");
    assert!(trousers.with("neckline", "hood").and_then(|w| Garment::wished(0, &w)).is_none());
    assert!(trousers.with("neckline", "turtle").is_none());
    assert!(trousers.with("smell", "fresh").is_none());
}

#[test]
fn wishes_combine() {
    let wished = wish("category", "dress").with("pattern", "floral").and_then(|w| w.with("length", "knee"));
    let garment = wished.and_then(|w| w.with("sleeves", "long")).and_then(|w| Garment::wished(7, &w));
    let title = garment.map(|g| g.title()).unwrap_or_default();
    assert!(
        title.contains("floral") && title.contains("knee-length") && title.contains("long sleeves"),
        "{title}"
    );
}

#[test]
fn shades_are_near_the_named_colour() {
    for garment in (0..600).map(Garment::sample).filter(|g| g.colour != Colour::Multi) {
        let base = Look::of(&garment).cloth.base.map(encoded);
        let distance = |code: &u32| {
            let nominal = hex(*code).map(encoded);
            (0..3).map(|k| (base[k] - nominal[k]).powi(2)).sum::<f32>().sqrt()
        };
        let nearest = shades(garment.colour).iter().map(distance).fold(f32::MAX, f32::min);
        assert!(nearest < 0.22, "{}: {base:?} is {nearest} away", garment.title());
    }
}

#[test]
fn the_middle_of_a_plain_garment_has_its_colour() {
    let plain = wish("category", "t-shirt").with("pattern", "plain").unwrap_or_default();
    for garment in (0..20).filter_map(|seed| Garment::wished(seed, &plain)) {
        let mut shot = Shot::suiting(&garment, garment.seed);
        (shot.white_balance, shot.exposure) = ([1.0; 3], 1.0);
        let picture = draw(&garment, &shot, 64);
        let base = Look::of(&garment).cloth.base.map(encoded);
        for (k, want) in base.iter().enumerate() {
            let sum: f32 = (24..40)
                .flat_map(|y| (24..40).map(move |x| (x, y)))
                .map(|(x, y)| f32::from(picture.get_pixel(x, y)[k]) / 255.0)
                .sum();
            assert!((sum / 256.0 - want).abs() < 0.2, "{}: {} for {want}", garment.title(), sum / 256.0);
        }
    }
}

#[test]
fn extreme_sizes_are_drawn() {
    let garment = Garment::sample(3);
    assert_eq!(draw(&garment, &Shot::sample(3), 1).dimensions(), (16, 16));
    assert_eq!(draw(&garment, &Shot::sample(3), 333).dimensions(), (333, 333));
}
