//! The paper's tables as lists of trainings.

use crate::data::corruption::Corruption;
use crate::model::FeatureSet;
use crate::train::losses::OrdinalLabels;
use crate::train::method_kind::MethodKind;
use crate::train::settings::{Preset, Schedule, Settings, StagePart};
use serde::{Deserialize, Serialize};

/// A table, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TableName {
    /// Which losses take part
    Table1a,
    /// Dimensions of a subspace
    Table1b,
    /// Ordered attributes with and without the order regulariser
    Table1c,
    /// Fixed or learned proxies
    Table2a,
    /// Corrupted attribute labels
    Table2b,
    /// Weight of the squared norm of embeddings
    Table2c,
    /// The cooperative method and the baselines
    Table3,
    /// Beyond the paper: features of one level or of all
    Features,
    /// Beyond the paper: how much of the backbone learns, and from when on
    Backbone,
    /// Beyond the paper: options one by one and together
    Options,
}

/// A table: the trainings of its rows, and the figures of its columns.
pub struct Table {
    /// Name of the files.
    pub name: &'static str,
    /// Heading of the table, as the paper numbers it.
    pub title: &'static str,
    /// What the rows differ in.
    pub differs: &'static str,
    /// One training configuration per row; each is trained once per seed.
    pub rows: Vec<TableRow>,
    /// The figures that the table shows.
    pub columns: Vec<Column>,
}

/// A row of a table: one training, repeated with several seeds.
pub struct TableRow {
    /// The name of the row.
    pub name: String,
    /// The training, with an arbitrary seed.
    pub run: Run,
}

/// Everything that determines a training on given features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The hyper-parameters.
    pub settings: Settings,
    /// How its labels are corrupted, and in which fraction of the instances.
    pub corruption: Option<(Corruption, f64)>,
}

/// A column of a table: a figure of [`super::figures::Figures`].
#[derive(Clone, Copy)]
pub struct Column {
    /// The name of the figure.
    pub figure: &'static str,
    /// The head of the column.
    pub title: &'static str,
    /// Factor of the figure: 100 for percent.
    pub factor: f64,
}

const fn percent(figure: &'static str, title: &'static str) -> Column {
    Column { figure, title, factor: 100.0 }
}

/// The three figures of every table of the paper.
const MAIN: [Column; 3] = [
    percent("instance_recall_at_1", "instance R@1"),
    percent("attribute_map", "attribute mAP"),
    percent("category_map", "category mAP"),
];

/// The figures of ordered attributes, averaged over these attributes.
const ORDERED: [Column; 4] = [
    Column { figure: "ordered_mae_micro", title: "MAE, micro", factor: 1.0 },
    Column { figure: "ordered_mae_macro", title: "MAE, macro", factor: 1.0 },
    Column { figure: "ordered_mrr_micro", title: "MRR, micro", factor: 1.0 },
    Column { figure: "ordered_mrr_macro", title: "MRR, macro", factor: 1.0 },
];

impl TableName {
    /// The table with the hyper-parameters of `base`, of which each row changes what it is about.
    pub fn table(self, base: &Settings) -> Table {
        match self {
            Self::Table1a => losses(base),
            Self::Table1b => dimensions(base),
            Self::Table1c => order(base),
            Self::Table2a => proxies(base),
            Self::Table2b => corruption(base),
            Self::Table2c => regularization(base),
            Self::Table3 => baselines(base),
            Self::Features => features(base),
            Self::Backbone => backbone(base),
            Self::Options => options(base),
        }
    }
}

fn row(name: impl Into<String>, base: &Settings, change: impl FnOnce(&mut Settings)) -> TableRow {
    // Rows differ in what the table is about, and in nothing that is chosen for each.
    let mut settings = Settings { tune: false, ..base.clone() };
    change(&mut settings);
    TableRow { name: name.into(), run: Run { settings, corruption: None } }
}

/// Sets the learning rate of the head, in a stage of its own or in the only one.
fn set_learning_rate(s: &mut Settings, rate: f64) {
    s.learning_rate = rate;
    let heads = s.stages.iter_mut().filter(|stage| stage.part == StagePart::Head);
    heads.for_each(|head| head.learning_rate = rate);
}

fn losses(base: &Settings) -> Table {
    let rows = [
        ("instance", [1.0, 0.0, 0.0]),
        ("attribute", [0.0, 1.0, 0.0]),
        ("category", [0.0, 0.0, 1.0]),
        ("instance + category", [1.0, 0.0, 1.0]),
        ("attribute + category", [0.0, 1.0, 1.0]),
        ("instance + attribute", [1.0, 1.0, 0.0]),
        ("all", [1.0; 3]),
    ];
    Table {
        name: "table1a",
        title: "Table 1a: losses that take part",
        differs: "losses",
        rows: rows
            .into_iter()
            .map(|(name, [instance, attribute, category])| {
                row(name, base, |s| {
                    s.losses.instance *= instance;
                    s.losses.attribute *= attribute;
                    s.losses.category *= category;
                })
            })
            .collect(),
        columns: MAIN.to_vec(),
    }
}

fn dimensions(base: &Settings) -> Table {
    Table {
        name: "table1b",
        title: "Table 1b: dimensions of a subspace",
        differs: "n",
        rows: [1, 5, 25, 50, 100].map(|n| row(n.to_string(), base, |s| s.subspace_dim = n)).into(),
        columns: MAIN.to_vec(),
    }
}

fn order(base: &Settings) -> Table {
    let with = |lambda: f64| {
        let name = if lambda > 0.0 { format!("order, weight {lambda}") } else { "no order".into() };
        row(name, base, |s| s.losses.order = lambda)
    };
    let soft = row("soft labels (SORD)", base, |s| s.losses.ordinal = OrdinalLabels::Soft);
    Table {
        name: "table1c",
        title: "Table 1c: ordered attributes, by the order regulariser's weight; beyond the paper, with soft labels",
        differs: "regulariser",
        rows: [0.0, 0.1, 1.0].map(with).into_iter().chain([soft]).collect(),
        columns: [ORDERED.as_slice(), &MAIN].concat(),
    }
}

fn proxies(base: &Settings) -> Table {
    let rows = [("F", "F"), ("L", "F"), ("F", "L"), ("L", "L")];
    Table {
        name: "table2a",
        title: "Table 2a: proxies fixed (F) or learned (L), of instances and of attributes",
        differs: "instances, attributes",
        rows: rows
            .map(|(instances, attributes)| {
                row(format!("{instances} {attributes}"), base, |s| {
                    s.fixed_instance_proxies = instances == "F";
                    s.fixed_attribute_proxies = attributes == "F";
                })
            })
            .into(),
        columns: MAIN.to_vec(),
    }
}

fn corruption(base: &Settings) -> Table {
    let mut rows = vec![row("none", base, |_| ())];
    for (name, kind) in
        [("absence", Corruption::Absence), ("swap", Corruption::Swap), ("both", Corruption::Both)]
    {
        for share in [0.2, 0.4] {
            let mut row = row(format!("{name}, {:.0} %", share * 100.0), base, |_| ());
            row.run.corruption = Some((kind, share));
            rows.push(row);
        }
    }
    Table {
        name: "table2b",
        title: "Table 2b: one attribute corrupted, by the share of instances",
        differs: "corruption",
        rows,
        columns: MAIN.to_vec(),
    }
}

fn regularization(base: &Settings) -> Table {
    let weights = [0.0, 0.005, 0.05, 0.5, 1.0];
    Table {
        name: "table2c",
        title: "Table 2c: weight of the embeddings' squared norm",
        differs: "weight",
        rows: weights.map(|w| row(w.to_string(), base, |s| s.losses.regularization = w)).into(),
        columns: MAIN.to_vec(),
    }
}

/// With `base.tune` each method has the objective that suits it, chosen on training images that are held out.
fn baselines(base: &Settings) -> Table {
    let rows = [
        ("multitask", MethodKind::Multitask),
        ("multitask + triplet", MethodKind::MultitaskTriplet),
        ("concatenation", MethodKind::Concatenation),
        ("modulation", MethodKind::Modulation),
        ("cooperative", MethodKind::Cooperative),
    ];
    Table {
        name: "table3",
        title: "Table 3: the cooperative method and the baselines",
        differs: "method",
        rows: rows
            .map(|(name, method)| {
                row(name, base, |s| {
                    s.set_method(method);
                    s.tune = base.tune;
                })
            })
            .into(),
        columns: MAIN.to_vec(),
    }
}

/// The settings with a frozen backbone.
fn frozen(s: &mut Settings) {
    s.stages.retain(|stage| stage.part == StagePart::Head);
    s.train_backbone = false;
}

/// The settings with these stages of the preset `recommended`.
fn staged(s: &mut Settings, parts: &[StagePart]) {
    s.stages = parts.iter().map(|&part| Preset::Recommended.stage(part)).collect();
    (s.train_backbone, s.frozen_batch_norm) = (false, true);
}

fn features(base: &Settings) -> Table {
    let with = |name: &str, features, standardize| {
        row(name, base, |s| {
            frozen(s);
            (s.features, s.standardize) = (features, standardize);
        })
    };
    Table {
        name: "features",
        title: "Beyond the paper: features of a frozen backbone",
        differs: "features",
        rows: vec![
            with("last mean", FeatureSet::Last, None),
            with("last mean, standardised", FeatureSet::Last, Some(0.5)),
            with("every level", FeatureSet::Levels, None),
            with("every level, standardised", FeatureSet::Levels, Some(0.5)),
        ],
        columns: MAIN.to_vec(),
    }
}

fn backbone(base: &Settings) -> Table {
    use StagePart::{All, Head, Upper};
    Table {
        name: "backbone",
        title: "Beyond the paper: how much of the backbone learns, and from when on",
        differs: "what learns",
        rows: vec![
            row("projection and proxies", base, frozen),
            row("everything from the start", base, |s| {
                s.stages.clear();
                s.train_backbone = true;
            }),
            row("upper blocks from the start", base, |s| staged(s, &[Upper])),
            row("projection and proxies, then upper blocks", base, |s| staged(s, &[Head, Upper])),
            row("projection and proxies, then everything", base, |s| staged(s, &[Head, All])),
        ],
        columns: MAIN.to_vec(),
    }
}

fn options(base: &Settings) -> Table {
    let unit = |scale: f64| {
        move |s: &mut Settings| {
            s.use_unit_length();
            s.scale = scale;
            set_learning_rate(s, 1e-3);
        }
    };
    Table {
        name: "options",
        title: "Beyond the paper: options on and off",
        differs: "option",
        rows: vec![
            row("the paper", base, |_| ()),
            row("learning rate 3e-4", base, |s| set_learning_rate(s, 3e-4)),
            row("unit subspaces, scale 16, rate 1e-3", base, unit(16.0)),
            row("unit subspaces, scale 9 (ProxyNCA++), rate 1e-3", base, unit(9.0)),
            row("unit subspaces, scale learned from 16, rate 1e-3", base, |s| {
                unit(16.0)(s);
                s.learned_scale = true;
            }),
            row("4 images of an instance together", base, |s| s.images_per_instance = Some(4)),
            row("LayerNorm of features", base, |s| s.layer_norm = true),
            row("no decay of proxies", base, |s| s.proxy_weight_decay = Some(0.0)),
            row("proxies start close (0.03)", base, |s| s.proxy_std = 0.03),
            row("absence has a proxy", base, |s| s.absent_proxies = true),
            row("weight decay 2e-3", base, |s| s.weight_decay = 2e-3),
            row("norm term 0.05", base, |s| s.losses.regularization = 0.05),
            row("queries normalised again", base, |s| s.renormalize_queries = true),
            row("cosine schedule", base, |s| {
                s.schedule = Schedule::Cosine;
                s.stages.iter_mut().for_each(|stage| stage.schedule = Schedule::Cosine);
            }),
        ],
        columns: MAIN.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn rows_have_distinct_names_and_valid_settings() {
        for name in TableName::value_variants() {
            let table = name.table(&Settings::default());
            assert_eq!(Some(table.name), name.to_possible_value().as_ref().map(|v| v.get_name()));
            for (i, row) in table.rows.iter().enumerate() {
                row.run.settings.check().unwrap();
                let others = || table.rows[..i].iter();
                assert!(others().all(|o| o.name != row.name && o.run != row.run), "{}", row.name);
            }
        }
    }

    /// Otherwise the comparison would be between a method that was tuned and others that were not.
    #[test]
    fn only_the_comparison_of_methods_chooses_objectives() {
        let base = Settings::of(Preset::Recommended);
        for name in TableName::value_variants() {
            let tuned = |row: &TableRow| row.run.settings.tune == matches!(name, TableName::Table3);
            assert!(name.table(&base).rows.iter().all(tuned), "{name:?}");
        }
    }

    #[test]
    fn tables_share_the_row_of_the_paper() {
        let base = Settings::default();
        let paper = Run { settings: base.clone(), corruption: None };
        for name in TableName::value_variants() {
            assert_eq!(name.table(&base).rows.iter().filter(|r| r.run == paper).count(), 1, "{name:?}");
        }
    }
}
