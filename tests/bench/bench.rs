//! The part of this crate that `infer.sh`, `serve.sh` and `decode.sh` time, as a program. `backbone` and `decode` repeat their work as often as
//! each line of standard input says, and print a result that shows that the work was done right.
//!
//! `cargo build --release --example bench --no-default-features --features cli`

use candle_core::{DType, Device, Tensor};
use clap::{Args, Parser};
use coopembed::error::{Error, Result};
use coopembed::image::{prepare, Limits, Preprocessing};
use coopembed::model::{load_backbone, read_backbone, read_directory, FeatureSet, Model};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Parser)]
enum Command {
    /// Run a backbone as many times as each line of standard input says (infer.sh)
    Backbone(BackboneArgs),
    /// Print images per second through a whole model, by batch size (serve.sh)
    Model(ModelArgs),
    /// Decode and scale a file as many times as each line of standard input says (decode.sh)
    Decode(DecodeArgs),
}

#[derive(Args)]
struct BackboneArgs {
    /// Weights from import-backbone
    file: PathBuf,
    /// Height and width of the images
    #[arg(long, value_name = "PIXELS")]
    size: usize,
    /// Images per batch
    #[arg(long, value_name = "N")]
    batch: usize,
}

#[derive(Args)]
struct ModelArgs {
    /// Model directory
    model: PathBuf,
    /// Batch sizes
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,2,3,4,6,8,16,32")]
    batches: Vec<usize>,
    /// Seconds to measure each batch size for
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    time: f64,
}

#[derive(Args)]
struct DecodeArgs {
    /// An image
    file: PathBuf,
    /// Height and width to scale to
    #[arg(long, value_name = "PIXELS", default_value_t = 224)]
    size: u32,
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Backbone(args) => backbone(&args),
        Command::Model(args) => model(&args),
        Command::Decode(args) => decode(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("ERROR:  {}", e.report());
            ExitCode::FAILURE
        }
    }
}

/// Answers each line with the norm of the features, which has to be the same for all engines.
fn backbone(args: &BackboneArgs) -> Result<()> {
    let read = |e| Error::io("read", &args.file, &e);
    let (arch, tensors) = read_backbone(&std::fs::read(&args.file).map_err(read)?)?;
    let backbone = load_backbone(arch, FeatureSet::Last, &tensors, &Device::Cpu)?;
    let shape = (args.batch, 3, args.size, args.size);
    // tests/bench/infer.py makes the same images.
    let numbers = (0..3 * args.batch * args.size * args.size)
        .map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 22) as f32 - 2.0);
    let images = Tensor::from_vec(numbers.collect(), shape, &Device::Cpu)?;
    for line in std::io::stdin().lines() {
        let passes = line.map_err(read)?.parse().unwrap_or(1u32);
        let mut norm = 0.0;
        for _ in 0..passes {
            norm =
                backbone.forward(&images)?.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt();
        }
        println!("{norm}");
    }
    Ok(())
}

fn model(args: &ModelArgs) -> Result<()> {
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

/// Answers each line with the sum of the pixels, which has to be near that of Pillow.
fn decode(args: &DecodeArgs) -> Result<()> {
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
