//! The program `coopembed`: one subcommand per job, each implemented in the library.

use clap::{Parser, Subcommand};
use coopembed::commands::data_table::{self, TableArgs};
use coopembed::commands::dump_model::{self, DumpArgs};
use coopembed::commands::embed::{self, EmbedArgs};
use coopembed::commands::eval::{self, EvalArgs};
use coopembed::commands::experiment::{self, ExperimentArgs};
use coopembed::commands::export::{self, ExportArgs};
use coopembed::commands::import_backbone::{self, ImportArgs};
use coopembed::commands::load::{self, LoadArgs};
use coopembed::commands::models::{self, ModelsArgs};
use coopembed::commands::report::{self, ReportArgs};
use coopembed::commands::train::{self, TrainArgs};
use coopembed::data::clothes::{self, ClothesArgs};
use coopembed::data::emoji::{self, EmojiArgs};
use coopembed::data::fonts::{self, FontArgs};
use coopembed::data::garments::{self, GarmentArgs};
use coopembed::demo::emoji_gallery::{self, GalleryArgs};
use coopembed::error::Result;
use coopembed::explorer::{self, ServeArgs};
use coopembed::inference::engine_command::EngineArgs;
use std::process::ExitCode;

/// Build data sets, train and evaluate cooperative embedding models, and search a table in a browser
#[derive(Parser)]
#[command(name = "coopembed", version, max_term_width = 100, after_help = EXAMPLES)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  coopembed data clothes --photos clothing-dataset --out data/clothes
  coopembed data table --db shop --table products --image photo --instance sku --category kind --attributes neckline --out data/shop
  coopembed data emoji --out data/emoji
  coopembed data fonts --out data/fonts
  coopembed import-backbone efficientnet-lite0.pth --arch efficientnet_lite0 --out lite0.safetensors
  coopembed train --data data/emoji --backbone lite0.safetensors --size 128 --out model/emoji
  coopembed eval --model model/emoji --data data/emoji --json figures.json
  coopembed report --model model/emoji --data data/emoji --out emoji.html
  coopembed export --model model/emoji --onnx emoji.onnx
  coopembed load --db postgres://localhost/shop --name shop --default model/shop
  coopembed serve --db postgres://localhost/shop --table products";

const TRAIN_EXAMPLES: &str = "\
Examples:
  coopembed train --data data/emoji --backbone lite0.safetensors --size 128 --out model/emoji
  coopembed train --config model/emoji.toml --seed 1 --out trial
  coopembed train --data data/shop --backbone resnet50.pth --arch resnet50 --train-backbone --checkpoint state --out model/shop
  coopembed train --data data/shop --backbone resnet50.pth --arch resnet50 --epochs 60 --schedule cosine --out model/shop

Features of the frozen backbone are computed once and cached; an interrupted run resumes from them, and with --checkpoint
from its last complete epoch. With --train-backbone the backbone is trained too, including batch normalisation.
The data set's folder contains images.csv with the columns path,instance,category,split (train, query or gallery),
optionally group (variants of one thing) and x1,y1,x2,y2, then one column per attribute (empty: absent), and optionally attributes.json:
  {\"size\": {\"ordered\": true, \"values\": [\"small\", \"large\"]}, \"direction\": {\"values\": [\"left\", \"right\"], \"mirror\": false}}
Images that have a value of an attribute with \"mirror\": false are not mirrored in training.";

const EVAL_EXAMPLES: &str = "\
Examples:
  coopembed eval --model model/emoji --data data/emoji
  coopembed eval --model model/emoji --data data/emoji --absent exclude --json figures.json";

const EXPERIMENT_EXAMPLES: &str = "\
Examples:
  coopembed experiment table1a --data data/emoji --backbone lite0.safetensors --size 128 --out results/emoji
  coopembed experiment table3 --data data/shop --backbone resnet50.pth --arch resnet50 --seeds 5 --epochs 60

Features of the frozen backbone are computed once and cached. Finished trainings are recorded in runs.jsonl in the folder
--out and are not repeated: an interrupted command resumes, and tables share rows.";

const REPORT_EXAMPLES: &str = "\
Examples:
  coopembed report --model model/emoji --data data/emoji --out emoji.html
  coopembed report --model model/shop --data data/shop --images 10000 --seed 1 --out shop.html --json shop.json

The page shows queries of each kind with their nearest images, the figures of eval, a confusion matrix of each ordered
attribute, a map of each attribute's subspace, and the training losses. It is one file that works offline.";

const EXPORT_EXAMPLES: &str = "\
Examples:
  coopembed export --model model/emoji --onnx emoji.onnx

The graph takes 8-bit RGB pixels [batch, size, size, 3] and returns embeddings, each subspace of unit length. emoji.onnx.json
says how images become pixels, and which columns belong to which attribute; the graph's metadata has the same text.";

const LOAD_EXAMPLES: &str = "\
Examples:
  coopembed load --db postgres://me@db.lan/shop --name spring --default model/spring
  coopembed load --db postgres://me@db.lan/shop --name spring --replace model/spring

The model is checked here before the database is asked, and by the server before anything changes; all is one transaction.
The role needs what coop_load_model() needs: a superuser has it, others can be granted it. With --replace, embeddings of the old
model stay and keep its fingerprint: they cannot be compared with the new model's. To move a table without downtime, load the
new model under a name of its own instead.";

const EMBED_EXAMPLES: &str = "\
Examples:
  coopembed embed --model model/shop photos/*.jpg > embeddings.csv
  find photos -type f | coopembed embed --model model/shop --list - --format binary --out embeddings.bin
  coopembed embed --db postgres://me@db.lan/shop --table products --column photo --root /srv/photos
  coopembed embed --db postgres://me@db.lan/shop --table products --column photo_url --http --allow-host '*.shop.com'

Embeddings are those of coop_embed(), to the bit. With --db, rows without an embedding of the model get one, batch after batch;
run the command again to go on after an interruption, for rows that came since, and for the failures, which are in the table
TABLE_embed_failures. URLs that lead to this machine or a private network are refused unless --allow-private is given.";

const SERVE_EXAMPLES: &str = "\
Examples:
  coopembed serve --db postgres://me@localhost/shop --table products
  coopembed serve --db postgres:///demo?host=/var/tmp/coopembed-demo-me --table products --category-column category
  PGHOST=db.lan PGUSER=reader coopembed serve --db 'dbname=shop sslmode=verify-full sslrootcert=ca.crt' --table shop.products

Open the printed address in a browser. PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGSSLMODE and the password file
work as in psql. Everything runs in READ ONLY transactions; a role with SELECT on the table is enough. The page loads nothing
from other servers, and answers only to the names localhost, its --listen address and each --host-name.";

#[derive(Subcommand)]
enum Command {
    /// Build a data set for training or for the demo
    #[command(subcommand)]
    Data(Data),
    /// Convert a PyTorch checkpoint to a backbone file
    ImportBackbone(ImportArgs),
    /// Train a model on a data set and write it as a model directory
    #[command(after_help = TRAIN_EXAMPLES)]
    Train(Box<TrainArgs>),
    /// Evaluate a model: instance recall, attribute and category mean average precision, errors of ordered attributes
    #[command(after_help = EVAL_EXAMPLES)]
    Eval(EvalArgs),
    /// Reproduce a table of the paper on a data set: train and evaluate each of its rows with several seeds
    #[command(after_help = EXPERIMENT_EXAMPLES)]
    Experiment(Box<ExperimentArgs>),
    /// Write a report on a model as one HTML file: example queries, figures, maps and training curves
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// Write a model for programs without coopembed: as an ONNX graph from pixels to embeddings
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Load a model directory into a database, over a connection
    #[command(after_help = LOAD_EXAMPLES)]
    Load(LoadArgs),
    /// Embed images in files, or a table's by their paths or URLs, outside of the server
    #[command(after_help = EMBED_EXAMPLES)]
    Embed(Box<EmbedArgs>),
    /// List the models in a database
    Models(ModelsArgs),
    /// Write a model of a database as a model directory; for superusers and the owner of the database
    DumpModel(DumpArgs),
    /// Run the inference service of a database cluster; started by the extension to use a GPU
    #[command(hide = true)]
    Engine(EngineArgs),
    /// Search a table of images in a browser, by clicking or dropping an image, and see the SQL
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeArgs>),
}

#[derive(Subcommand)]
enum Data {
    Table(Box<TableArgs>),
    /// Build the clothes retrieval set: 5,379 photographs of garments by 347 people
    Clothes(ClothesArgs),
    /// Build the emoji retrieval set: the same emoji drawn by up to nine designers
    Emoji(EmojiArgs),
    /// Build the fonts retrieval set: short words in 106 font families
    Fonts(FontArgs),
    /// Draw garments as they lie on a sheet or a floor, with the labels of the clothes set
    Garments(GarmentArgs),
    /// Select a few hundred images of the emoji set as the table of the demo
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
        Command::Data(Data::Table(args)) => data_table::run(&args),
        Command::Data(Data::Clothes(args)) => clothes::run(&args),
        Command::Data(Data::Emoji(args)) => emoji::run(&args),
        Command::Data(Data::Fonts(args)) => fonts::run(&args),
        Command::Data(Data::Garments(args)) => garments::run(&args),
        Command::Data(Data::Gallery(args)) => emoji_gallery::run(&args),
        Command::ImportBackbone(args) => import_backbone::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Experiment(args) => experiment::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Models(args) => models::run(&args),
        Command::DumpModel(args) => dump_model::run(&args),
        Command::Engine(args) => std::process::exit(args.run().code()),
        Command::Serve(args) => explorer::run(&args),
    }
}
