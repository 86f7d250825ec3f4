//! The offline program: data sets, training and evaluation.

use candle_core::{DType, Device, Tensor};
use clap::{Args, Parser, Subcommand};
use coopembed::error::{Error, Result};
use coopembed::eval::experiment::{self, ExperimentArgs};
use coopembed::eval::html::{self as report, ReportArgs};
use coopembed::eval::run::{self as eval, EvalArgs};
use coopembed::image::{prepare, Limits, Preprocessing};
use coopembed::look::{self, ServeArgs};
use coopembed::model::{import_backbone, load_backbone, read_backbone, read_directory, Model};
use coopembed::serve::program::EngineArgs;
use coopembed::train::emoji::gallery::{self, GalleryArgs};
use coopembed::train::emoji::{self, EmojiArgs};
use coopembed::train::fonts::{self, FontArgs};
use coopembed::train::options::TrainArgs;
use coopembed::train::run as train;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

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
    /// Run a backbone as many times as each line of standard input says (for tests/bench/infer.sh)
    #[command(hide = true)]
    BenchBackbone(BenchArgs),
    /// Pictures a second through a whole model, by size of batch (for tests/bench/serve.sh)
    #[command(hide = true)]
    BenchModel(BenchModelArgs),
    /// Decode and scale files as many times as each line of standard input says (for tests/bench/decode.sh)
    #[command(hide = true)]
    BenchDecode(BenchDecodeArgs),
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

#[derive(Args)]
struct ImportArgs {
    /// Checkpoint: .pth or .safetensors
    file: PathBuf,
    /// resnet18, resnet34, resnet50 or efficientnet_lite0
    #[arg(long, value_name = "NAME")]
    arch: String,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Args)]
struct BenchArgs {
    /// Weights from import-backbone
    file: PathBuf,
    /// Height and width of the pictures
    #[arg(long, value_name = "PIXELS")]
    size: usize,
    /// Pictures that are passed together
    #[arg(long, value_name = "N")]
    batch: usize,
}

#[derive(Args)]
struct BenchModelArgs {
    /// Model directory
    model: PathBuf,
    /// Sizes of batches
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,2,3,4,6,8,16,32")]
    batches: Vec<usize>,
    /// For how long each is measured, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    time: f64,
}

#[derive(Args)]
struct BenchDecodeArgs {
    /// A picture
    file: PathBuf,
    /// Height and width to scale to
    #[arg(long, value_name = "PIXELS", default_value_t = 224)]
    size: u32,
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
        Command::ImportBackbone(args) => import(&args),
        Command::Train(args) => train::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Experiment(args) => experiment::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Engine(args) => std::process::exit(args.run().code()),
        Command::Serve(args) => look::run(&args),
        Command::BenchBackbone(args) => bench(&args),
        Command::BenchModel(args) => bench_model(&args),
        Command::BenchDecode(args) => bench_decode(&args),
    }
}

fn import(args: &ImportArgs) -> Result<()> {
    let weights = import_backbone(&args.file, args.arch.parse()?)?;
    std::fs::write(&args.out, &weights).map_err(|e| Error::io("write", &args.out, &e))?;
    println!("wrote {}: {} in {} bytes", args.out.display(), args.arch, weights.len());
    Ok(())
}

/// Answers each line with the norm of the features, by which it can be seen that all engines computed the same.
fn bench(args: &BenchArgs) -> Result<()> {
    let read = |e| Error::io("read", &args.file, &e);
    let (arch, tensors) = read_backbone(&std::fs::read(&args.file).map_err(read)?)?;
    let backbone = load_backbone(arch, &tensors, &Device::Cpu)?;
    let shape = (args.batch, 3, args.size, args.size);
    // tests/bench/infer.py makes the same pictures.
    let numbers = (0..3 * args.batch * args.size * args.size)
        .map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 22) as f32 - 2.0);
    let pictures = Tensor::from_vec(numbers.collect(), shape, &Device::Cpu)?;
    for line in std::io::stdin().lines() {
        let passes = line.map_err(read)?.parse().unwrap_or(1u32);
        let mut norm = 0.0;
        for _ in 0..passes {
            norm = backbone
                .forward(&pictures)?
                .to_dtype(DType::F64)?
                .sqr()?
                .sum_all()?
                .to_scalar::<f64>()?
                .sqrt();
        }
        println!("{norm}");
    }
    Ok(())
}

fn bench_model(args: &BenchModelArgs) -> Result<()> {
    let (config, weights) = read_directory(&args.model)?;
    let model = Model::from_parts(&config, &weights)?;
    for batch in &args.batches {
        let bytes = batch * model.config().preprocessing.pixel_bytes();
        let pixels: Vec<u8> =
            (0..bytes).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        model.embed(&pixels, *batch)?;
        let (start, mut passes) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < args.time {
            model.embed(&pixels, *batch)?;
            passes += 1;
        }
        let a_batch = start.elapsed().as_secs_f64() / f64::from(passes);
        println!("{batch} {:.1} {:.2}", *batch as f64 / a_batch, a_batch * 1000.0);
    }
    Ok(())
}

/// Answers each line with the sum of the pixels.
fn bench_decode(args: &BenchDecodeArgs) -> Result<()> {
    let read = |e| Error::io("read", &args.file, &e);
    let bytes = std::fs::read(&args.file).map_err(read)?;
    let preprocessing = Preprocessing::imagenet(args.size);
    for line in std::io::stdin().lines() {
        let passes = line.map_err(read)?.parse().unwrap_or(1u32);
        let mut sum = 0;
        for _ in 0..passes {
            let pixels = prepare(&bytes, None, &preprocessing, &Limits::default())?;
            sum = pixels.iter().map(|p| u64::from(*p)).sum::<u64>();
        }
        println!("{sum}");
    }
    Ok(())
}
