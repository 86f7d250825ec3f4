use super::*;
use crate::data::fixture::manifest;
use candle_core::{Device, Tensor};

/// Features that show the colour, and a little of the image.
fn features(manifest: &Manifest, colour: impl Fn(usize) -> usize) -> Tensor {
    let row = |i: usize| {
        let mut row = [0f32; 5];
        row[colour(i)] = 1.0;
        row[3..].copy_from_slice(&[(i as f32).sin() * 0.1, (i as f32).cos() * 0.1]);
        row
    };
    let rows: Vec<f32> = (0..manifest.images.len()).flat_map(row).collect();
    Tensor::from_vec(rows, (manifest.images.len(), 5), &Device::Cpu).unwrap()
}

#[test]
fn a_label_that_the_neighbours_contradict_is_an_issue_in_every_split() {
    let mut m = manifest();
    let right: Vec<usize> = m.images.iter().map(|i| i.values[0].single().unwrap() as usize).collect();
    let rows = features(&m, |i| right[i]);
    let colours = |m: &Manifest| -> Vec<LabelIssue> {
        let issues = label_issues(m, &Probabilities::new(), &neighbour_votes(&rows, m).unwrap());
        issues.into_iter().filter(|issue| issue.column == "colour").collect()
    };
    assert_eq!(colours(&m), []);
    for image in [4, 71, 122] {
        m.images[image].values[0] = Some((right[image] as u32 + 1) % 3).into();
    }
    let found = colours(&m);
    let mut paths: Vec<&str> = found.iter().map(|issue| issue.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["122", "4", "71"]);
    let issue = found.iter().find(|issue| issue.path == "122").unwrap();
    assert_eq!((issue.instance.as_str(), issue.split.as_str()), ("40", "gallery"));
    assert_eq!((issue.label.as_str(), issue.suggested.as_str()), ("2", "1"));
    assert!(
        issue.score > 0.7 && issue.model_label.is_none() && issue.neighbours_suggested > Some(0.7),
        "{issue:?}"
    );
}

#[test]
fn images_of_one_group_do_not_vouch_for_each_other() {
    let mut m = manifest();
    let right: Vec<usize> = m.images.iter().map(|i| i.values[0].single().unwrap() as usize).collect();
    let rows = features(&m, |i| right[i]);
    // All images of instance 7, which are each other's nearest.
    (21..24).for_each(|image| m.images[image].values[0] = Some((right[image] as u32 + 1) % 3).into());
    let issues = label_issues(&m, &Probabilities::new(), &neighbour_votes(&rows, &m).unwrap());
    let colours = issues.iter().filter(|issue| issue.column == "colour");
    assert!(colours.map(|issue| issue.instance.as_str()).eq(["7"; 3]), "{issues:?}");
}

#[test]
fn each_value_has_its_own_threshold() {
    let m = manifest();
    let column = LabelColumn::Attribute(0);
    let mut model = Probabilities::new();
    for (image, entry) in m.images.iter().enumerate() {
        // The model is sure of colour 0, and believes in 1 and 2 alike.
        let p = match entry.values[0].single() {
            Some(0) => vec![0.9, 0.05, 0.05],
            Some(1) => vec![0.2, 0.4, 0.4],
            _ => vec![0.2, 0.39, 0.41],
        };
        model.insert((image, column), p);
    }
    let of = |model: &Probabilities| label_issues(&m, model, &Probabilities::new());
    assert_eq!(of(&model), []);
    // Colour 0 is more probable than the label, but far from what is usual for it.
    model.insert((3, column), vec![0.6, 0.3, 0.1]);
    assert_eq!(of(&model), []);
    model.insert((3, column), vec![0.95, 0.03, 0.02]);
    let issues = of(&model);
    assert_eq!(issues.len(), 1);
    let (issue, text) = (&issues[0], |s: &str| s.to_owned());
    assert_eq!((&issue.path, &issue.label, &issue.suggested), (&text("3"), &text("1"), &text("0")));
    assert_eq!((issue.score, issue.model_label, issue.model_suggested), (0.92, Some(0.03), Some(0.95)));
}

#[test]
fn values_of_few_instances_are_not_judged() {
    let mut m = manifest();
    let right: Vec<usize> = m.images.iter().map(|i| i.values[0].single().unwrap() as usize).collect();
    let rows = features(&m, |i| right[i]);
    m.attributes[0].values.push("rare".into());
    for instance in [0, 9] {
        (3 * instance..3 * instance + 3).for_each(|image| m.images[image].values[0] = Some(3).into());
    }
    let issues = label_issues(&m, &Probabilities::new(), &neighbour_votes(&rows, &m).unwrap());
    assert!(issues.iter().all(|issue| issue.label != "rare"), "{issues:?}");
}

#[test]
fn a_list_of_issues_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("label_issues.csv");
    write_issues(&path, &[]).unwrap();
    assert_eq!(read_issues(&path).unwrap(), []);
    let issue = LabelIssue {
        path: "a \"b\",\n.png".into(),
        instance: "x".into(),
        split: "train".into(),
        column: "colour".into(),
        label: "=1+1".into(),
        suggested: "ü".into(),
        score: 0.5,
        model_label: None,
        model_suggested: None,
        neighbours_label: Some(0.1),
        neighbours_suggested: Some(0.6),
    };
    write_issues(&path, std::slice::from_ref(&issue)).unwrap();
    assert_eq!(read_issues(&path).unwrap(), [issue]);
    std::fs::write(&path, "path,losses\nx,1\n").unwrap();
    assert!(read_issues(&path).unwrap_err().message.contains("is not a list of label issues"));
}
