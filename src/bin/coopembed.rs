//! The offline program: data sets, training and evaluation.

use clap::{Parser, Subcommand};
use coopembed::commands::eval::{self, EvalArgs};
use coopembed::commands::experiment::{self, ExperimentArgs};
use coopembed::commands::import_backbone::{self, ImportArgs};
use coopembed::commands::report::{self, ReportArgs};
use coopembed::commands::train::{self, TrainArgs};
use coopembed::data::emoji::{self, EmojiArgs};
use coopembed::data::fonts::{self, FontArgs};
use coopembed::demo::gallery::{self, GalleryArgs};
use coopembed::error::Result;
use coopembed::explorer::{self, ServeArgs};
use coopembed::inference::engine_command::EngineArgs;
use std::process::ExitCode;

/// Cooperative embeddings, offline: data sets, backbones, training, evaluation
#[derive(Parser)]
#[command(name = "coopembed", version, max_term_width = 100, after_help = EXAMPLES)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  coopembed data emoji --out data/emoji
  coopembed data fonts --out data/fonts
  coopembed import-backbone efficientnet-lite0.pth --arch efficientnet_lite0 --out lite0.safetensors
  coopembed train --data data/emoji --backbone lite0.safetensors --size 128 --out model/emoji
  coopembed eval --model model/emoji --data data/emoji --json figures.json
  coopembed report --model model/emoji --data data/emoji --out emoji.html
  coopembed serve --db postgres://localhost/shop --table products";

const TRAIN_EXAMPLES: &str = "\
Examples:
  coopembed train --data data/emoji --backbone lite0.safetensors --size 128 --out model/emoji
  coopembed train --config model/emoji.toml --seed 1 --out trial
  coopembed train --data data/shop --backbone resnet50.pth --arch resnet50 --train-backbone --checkpoint state --out model/shop
  coopembed train --data data/shop --backbone resnet50.pth --arch resnet50 --epochs 60 --schedule cosine --out model/shop

Features of the frozen backbone are computed once and kept; a run that was interrupted goes on from them, and with
--checkpoint from its last whole epoch. With --train-backbone the backbone learns too, batch normalisation included.
The data set's folder holds images.csv with the columns path,instance,category,split (train, query or gallery),
optionally group (variants of one thing) and x1,y1,x2,y2, then one column per attribute (empty: absent), and optionally attributes.json:
  {\"size\": {\"ordered\": true, \"values\": [\"small\", \"large\"]}}";

const EVAL_EXAMPLES: &str = "\
Examples:
  coopembed eval --model model/emoji --data data/emoji
  coopembed eval --model model/emoji --data data/emoji --absent exclude --json figures.json";

const EXPERIMENT_EXAMPLES: &str = "\
Examples:
  coopembed experiment table1a --data data/emoji --backbone lite0.safetensors --size 128 --out results/emoji
  coopembed experiment table3 --data data/shop --backbone resnet50.pth --arch resnet50 --seeds 5 --epochs 60

Features of the frozen backbone are computed once and kept. Trainings that are done are kept in runs.jsonl in the folder
--out and are not done again, by no table: a command that was interrupted goes on, and tables share rows.";

const REPORT_EXAMPLES: &str = "\
Examples:
  coopembed report --model model/emoji --data data/emoji --out emoji.html
  coopembed report --model model/shop --data data/shop --images 10000 --seed 1 --out shop.html --json shop.json

The page shows questions of each kind with their nearest answers, the figures of eval, how the values of ordered attributes
are confused, a map of each attribute's subspace, and the losses of training. It needs no network.";

const SERVE_EXAMPLES: &str = "\
Examples:
  coopembed serve --db postgres://me@localhost/shop --table products
  coopembed serve --db postgres:///demo?host=/var/tmp/coopembed-demo-me --table products --category-column category
  PGHOST=db.lan PGUSER=reader coopembed serve --db 'dbname=shop sslmode=verify-full sslrootcert=ca.crt' --table shop.products

Then open the address that it prints. PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGSSLMODE and the password file
count as for psql. Everything runs in READ ONLY transactions; a role that may only SELECT is enough. The page loads nothing
from elsewhere, and answers only browsers that call it localhost, its --listen address or a --host-name.";

#[derive(Subcommand)]
enum Command {
    /// Build a data set
    #[command(subcommand)]
    Data(Data),
    /// Make a backbone's weights from a PyTorch checkpoint
    ImportBackbone(ImportArgs),
    /// Learn the projection and the proxies on frozen features, and write a model directory
    #[command(after_help = TRAIN_EXAMPLES)]
    Train(Box<TrainArgs>),
    /// Measure a model: instance recall, attribute and category mean average precision, errors of ordered values
    #[command(after_help = EVAL_EXAMPLES)]
    Eval(EvalArgs),
    /// Make a table of the paper on a data set: train and evaluate each row with several seeds
    #[command(after_help = EXPERIMENT_EXAMPLES)]
    Experiment(Box<ExperimentArgs>),
    /// Show a model: its answers, figures, maps and training curves, as one HTML file
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// Serve a database cluster's pictures; started by the extension, for GPUs
    #[command(hide = true)]
    Engine(EngineArgs),
    /// Look at a table of pictures in a browser: click, drop photos, weigh wishes, and see the SQL
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeArgs>),
}

#[derive(Subcommand)]
enum Data {
    /// The emoji retrieval set: the same emoji drawn by up to nine designers
    Emoji(EmojiArgs),
    /// The fonts retrieval set: short words set in 106 families
    Fonts(FontArgs),
    /// A few hundred pictures of the emoji set as a shop's table, for a demonstration
    Gallery(GalleryArgs),
}

fn main() -> ExitCode {
    match run(Program::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("ERROR:  {}", e.report());
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Data(Data::Emoji(args)) => emoji::run(&args),
        Command::Data(Data::Fonts(args)) => fonts::run(&args),
        Command::Data(Data::Gallery(args)) => gallery::run(&args),
        Command::ImportBackbone(args) => import_backbone::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Experiment(args) => experiment::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Engine(args) => std::process::exit(args.run().code()),
        Command::Serve(args) => explorer::run(&args),
    }
}
