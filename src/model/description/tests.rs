use super::*;

fn clothes() -> Vocabulary {
    Vocabulary::new(
        [
            ("neckline", vec!["crew", "v-neck"]),
            ("sleeves", vec!["none", "short", "long"]),
            ("pattern", vec!["plain", "floral", "other"]),
            ("length", vec!["knee", "long"]),
            ("colour", vec!["black", "grey", "red"]),
            ("people", vec!["1", "2"]),
        ],
        ["dress", "t-shirt", "shorts", "tank-top"],
    )
}

/// Terms as `phrase=meaning`, with `*weight` if that is not 1, and `!` for what is negated; and unknown words.
fn read(text: &str) -> String {
    let description = clothes().read(text);
    let term = |term: &Term| {
        let meaning = match &term.meaning {
            Meaning::Value { attribute, value } => format!("{attribute}:{value}"),
            Meaning::Category { name } => name.clone(),
            Meaning::Absence { attribute } => format!("{attribute}:-"),
        };
        let not = if term.is_negated { "!" } else { "" };
        let weight = if term.weight == 1.0 { String::new() } else { format!("*{}", term.weight) };
        format!("{}={not}{meaning}{weight}", term.phrase)
    };
    let unknown = description.unknown.iter().map(|word| format!("?{word}"));
    description.terms.iter().map(term).chain(unknown).collect::<Vec<_>>().join(" ")
}

#[test]
fn names_of_values_and_categories() {
    assert_eq!(
        read("A floral dress with long sleeves"),
        "floral=pattern:floral dress=dress long sleeves=sleeves:long"
    );
    assert_eq!(
        read("V NECK, vneck; v-necks"),
        "v neck=neckline:v-neck vneck=neckline:v-neck v necks=neckline:v-neck"
    );
    assert_eq!(
        read("T-shirts/tshirts/Women's Dresses"),
        "t shirts=t-shirt tshirts=t-shirt dresses=dress ?women"
    );
    assert_eq!(
        read("grey shorts, gray color, short"),
        "grey=colour:grey shorts=shorts gray color=colour:grey short=sleeves:short"
    );
    assert_eq!(read("v\u{2011}neck"), "v neck=neckline:v-neck");
    assert_eq!(read("category dress, T-shirts category"), "category dress=dress t shirts category=t-shirt");
    assert_eq!(read(""), "");
}

#[test]
fn a_phrase_of_several_meanings_shares_out_its_weight() {
    assert_eq!(read("very long dress"), "long=sleeves:long long=length:long dress=dress");
    assert_eq!(read("long"), "long=sleeves:long*0.5 long=length:long*0.5");
    assert_eq!(read("long length"), "long length=length:long");
}

#[test]
fn negations_reach_the_next_phrase_and_its_alternatives() {
    assert_eq!(read("not black dress"), "black=!colour:black*0.25 dress=dress");
    assert_eq!(
        read("not black or a grey, red"),
        "black=!colour:black*0.25 grey=!colour:grey*0.25 red=colour:red"
    );
    assert_eq!(read("black or red"), "black=colour:black red=colour:red");
    assert_eq!(read("without any sleeves"), "sleeves=sleeves:none");
    assert_eq!(
        read("no pattern, sleeveless, not sleeveless"),
        "pattern=pattern:- sleeveless=sleeves:none sleeveless=!sleeves:none*0.25"
    );
    assert_eq!(read("not colourless, colorless"), "colourless=!colour:-*0.25 colorless=colour:-");
    // The name of an attribute alone says nothing.
    assert_eq!(read("sleeves"), "?sleeves");
}

#[test]
fn weights_reach_the_next_phrase() {
    assert_eq!(
        read("very very floral, slightly red dress"),
        "floral=pattern:floral*4 red=colour:red*0.5 dress=dress"
    );
    assert_eq!(read("very, red"), "red=colour:red");
}

#[test]
fn numbers_and_common_words_need_their_attribute() {
    assert_eq!(read("2 other people"), "?2 ?other ?people");
    assert_eq!(read("2 people, other pattern"), "2 people=people:2 other pattern=pattern:other");
}

#[test]
fn synonyms_replace_what_a_phrase_meant() {
    let mut vocabulary = clothes();
    let dress = Meaning::Category { name: "dress".into() };
    vocabulary.define("little black gown", dress.clone());
    vocabulary.define("long", dress.clone());
    for text in ["the little black gowns", "long"] {
        let description = vocabulary.read(text);
        assert_eq!(description.terms.iter().map(|t| &t.meaning).collect::<Vec<_>>(), [&dress], "{text}");
        assert_eq!(description.unknown, [""; 0]);
    }
    assert_eq!(vocabulary.similar("florall")[0], "floral");
}
