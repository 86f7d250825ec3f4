use super::*;
use crate::data::fixture::manifest;
use crate::eval::protocol::{evaluate, Protocol};
use crate::space::{Embedding, Layout, Part, Query};
use candle_core::{Device, Tensor};

/// Features that show the colour alone: three orthogonal directions, of different lengths.
fn colours(name: &str, manifest: &Manifest) -> UntrainedFeatures {
    let row = |i: usize| {
        let colour = manifest.images[i].values[0].single().unwrap() as usize;
        (0..3).map(move |d| if d == colour { 1.0 + d as f32 } else { 0.0 })
    };
    let images = manifest.images.len();
    let numbers: Vec<f32> = (0..images).flat_map(row).collect();
    UntrainedFeatures {
        name: name.into(),
        rows: Tensor::from_vec(numbers, (images, 3), &Device::Cpu).unwrap(),
    }
}

/// Features in which all images are the same.
fn constant(name: &str, manifest: &Manifest) -> UntrainedFeatures {
    let rows = Tensor::ones((manifest.images.len(), 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    UntrainedFeatures { name: name.into(), rows }
}

fn figures(name: &str, three: [f64; 3], by_attribute: &[f64]) -> Figures {
    let by_attribute = by_attribute.iter().map(|&x| Some(x)).collect();
    Figures { name: name.into(), three: three.map(Some), by_attribute }
}

fn attribute(name: &str, [map, chance, untrained]: [f64; 3], k: usize) -> AttributeVerdict {
    let check = LabelCheck::new(&manifest(), k, &[]);
    AttributeVerdict {
        name: name.into(),
        map: Some(map),
        chance: Some(chance),
        untrained: Some(untrained),
        check,
    }
}

/// A verdict on three attributes, one of which is weak.
fn verdict(trained: [f64; 3]) -> Verdict {
    Verdict {
        measured_on: MeasuredOn::Gallery { queries: 4000 },
        figures: vec![
            figures("trained", trained, &[0.8, 0.2, 0.5]),
            figures("untrained last mean", [0.302, 0.22, 0.281], &[0.6, 0.1, 0.4]),
            figures("untrained levels", [0.33, 0.301, 0.310], &[0.7, 0.1, 0.55]),
        ],
        attributes: vec![
            attribute("hue", [0.8, 0.1, 0.7], 0),
            attribute("gaze", [0.2, 0.1, 0.1], 1),
            attribute("shape", [0.5, 0.1, 0.55], 2),
        ],
    }
}

#[test]
fn a_training_that_paid_in_words() {
    let want = "verdict
                                 R@1  attribute mAP   category mAP
  trained                       41.5           40.5           43.1
  untrained last mean           30.2           22.0           28.1
  untrained levels              33.0           30.1           31.0
Training paid, in points against the best untrained features: R@1 (+8.5), attribute mAP (+10.4) and category mAP (+12.1).
Untrained features rank better by shape (55.0 against 50.0).
Weak attributes, with their mAP and that of a random order:
  gaze 20.0 (10.0): its labels give no reason; perhaps the features do not show it
";
    assert_eq!(verdict([0.415, 0.405, 0.431]).to_string(), want);
    let card = verdict([0.415, 0.405, 0.431]).markdown();
    assert!(card.contains("| untrained levels | 33.0 | 30.1 | 31.0 |\n\nTraining paid"), "{card}");
    assert!(card.contains("random order:\n\n- gaze 20.0 (10.0): its"), "{card}");
}

#[test]
fn a_training_that_did_not_pay_or_only_in_part_is_said_so() {
    let text = verdict([0.2, 0.305, 0.3]).to_string();
    let want = "Training did not pay, in points against the best untrained features: \
                R@1 (-13.0), attribute mAP (+0.4) and category mAP (-1.0).";
    assert!(text.contains(want), "{text}");
    let text = verdict([0.4, 0.305, 0.3]).to_string();
    assert!(
        text.contains("paid in part") && text.contains(": R@1 (+7.0), but not attribute mAP (+0.4)"),
        "{text}"
    );
}

#[test]
fn few_queries_are_a_caution_and_held_out_images_are_named() {
    let few = |measured_on| Verdict { measured_on, ..verdict([0.5; 3]) }.to_string();
    let text = few(MeasuredOn::Gallery { queries: 100 });
    // Two standard errors: 2 * sqrt(0.5 * 0.5 / 100).
    assert!(text.contains("R@1 is of 100 queries: chance moves it by up to 10 points."), "{text}");
    assert!(few(MeasuredOn::HeldOut { images: 70 }).contains("Measured on 70 training images"));
}

#[test]
fn at_most_six_weak_attributes_have_a_line() {
    let mut v = verdict([0.5; 3]);
    v.attributes =
        (0..9).map(|i| attribute(&format!("a{i}"), [0.2 - 0.01 * i as f64, 0.1, 0.1], 2)).collect();
    let text = v.to_string();
    let lines: Vec<&str> = text.lines().skip_while(|l| !l.starts_with("Weak")).collect();
    assert_eq!(lines.len(), 1 + LISTED_LINES, "{text}");
    assert!(lines[1].starts_with("  a8 12.0 (10.0): its labels give no reason"), "{text}");
    assert_eq!(lines[7], "  also a2, a1 and a0");
}

/// Six attributes, and a line that names the others.
const LISTED_LINES: usize = 7;

/// The figures of a model that embeds each image as its colour.
fn results(measured: &Manifest) -> EvaluationResults {
    let layout = Layout::new(1, 3, 0).unwrap();
    let unit = |d: usize| (0..3).map(|i| if i == d { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
    let colour = |i: &crate::data::manifest::ImageEntry| i.values[0].single().unwrap() as usize;
    let embed = |i| Some(Embedding::from_raw(layout, &unit(colour(i))).unwrap());
    let embeddings: Vec<_> = measured.images.iter().map(embed).collect();
    let named = |name: &str, values: &[String]| crate::eval::stored_queries::NamedQueries {
        name: name.into(),
        queries: values
            .iter()
            .enumerate()
            .map(|(d, v)| (v.clone(), Some(Query::superspace(layout, unit(d)).unwrap())))
            .collect(),
    };
    let queries = crate::eval::stored_queries::StoredQueries {
        instance: Part::Superspace,
        attributes: measured.attributes.iter().map(|a| named(&a.name, &a.values)).collect(),
        categories: named("category", &measured.categories),
    };
    evaluate(measured, &embeddings, &queries, Protocol::default()).unwrap()
}

#[test]
fn untrained_features_are_measured_by_their_nearest_means() {
    let m = manifest();
    let measured = measured_set(&m, &[]).unwrap();
    let untrained = [constant("flat", &m), colours("colours", &m)];
    let v = Verdict::new(&m, Some((&measured, &results(&measured))), &untrained).unwrap();
    assert_eq!(v.figures.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["trained", "flat", "colours"]);
    // The features that show the colour rank by it perfectly; a constant ranks as the images come.
    assert_eq!(v.figures[2].by_attribute[..2], [Some(1.0); 2]);
    assert!(v.figures[1].by_attribute[0].unwrap() < 0.5);
    assert_eq!(v.attributes[0].untrained, Some(1.0));
    // 50 gallery images of three colours.
    let chance = v.attributes[0].chance.unwrap();
    assert!((chance - 1.0 / 3.0).abs() < 1e-12, "{chance}");
    // Every instance has one gallery image and there are no queries, so nothing has a match.
    assert_eq!((v.measured_on, v.figures[0].three[0]), (MeasuredOn::Gallery { queries: 0 }, None));
    let mut metrics = serde_json::json!({});
    v.add_to(&mut metrics);
    assert_eq!(metrics["untrained"][1]["name"], "colours");
    assert_eq!(metrics["weak_attributes"][0]["name"], "print");
    let e = evaluate_untrained(&constant("half", &first_half(&m)), &m, &m);
    assert!(e.unwrap_err().message.contains("expected features of 150 images, not 75"));
}

/// The first half of a set.
fn first_half(m: &Manifest) -> Manifest {
    Manifest { images: m.images[..75].to_vec(), ..m.clone() }
}

#[test]
fn without_a_gallery_held_out_images_are_measured() {
    let mut m = manifest();
    m.images.iter_mut().for_each(|i| i.split = Split::Train);
    assert_eq!(measured_set(&m, &[]), None);
    let held_out: Vec<usize> = (0..30).collect();
    let measured = measured_set(&m, &held_out).unwrap();
    assert_eq!(measured.split(Split::Gallery), held_out);
    let results = results(&measured);
    let v = Verdict::new(&m, Some((&measured, &results)), &[colours("colours", &m)]).unwrap();
    assert_eq!(v.measured_on, MeasuredOn::HeldOut { images: 30 });
    // Ten instances of three images, whose colours are those of every third other instance.
    assert_eq!(v.figures[1].three[0], v.figures[0].three[0]);
    assert!(v.figures[1].three[0].is_some());
}

#[test]
fn where_nothing_is_measured_labels_are_judged() {
    let mut m = manifest();
    m.images.retain(|i| i.split == Split::Train);
    m.images.iter_mut().skip(10).for_each(|i| i.values[2] = None.into());
    let v = Verdict::new(&m, None, &[colours("colours", &m)]).unwrap();
    let text = v.to_string();
    assert!(text.starts_with("verdict\nNothing could be measured"), "{text}");
    assert!(text.contains("Attributes that may be weak:\n  print: 2 of 2 values have fewer"), "{text}");
    assert!(text.contains("only 6 % of the training images"), "{text}");
}
