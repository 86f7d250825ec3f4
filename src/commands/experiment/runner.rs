//! Trains and evaluates what a table lacks, several trainings at a time, and writes the table.

use super::figures::figures;
use super::run_store::{FinishedRun, RunStore};
use super::tables::{Run, TableName};
use super::{plot, summary};
use crate::commands::evaluate_method::{evaluate_method, FeaturedDataset};
use crate::commands::inputs::{cache_folder, read_backbone_file, read_manifest};
use crate::commands::train::{HyperArgs, TrainArgs};
use crate::data::corruption::corrupted;
use crate::data::features::FrozenBackbone;
use crate::data::manifest::{ReadingArgs, Split};
use crate::data::progress::progress_bar;
use crate::error::{Error, Kind, Result};
use crate::eval::Protocol;
use crate::train::feature_source::FrozenFeatures;
use crate::train::initializer::Initializer;
use crate::train::methods::create_method;
use crate::train::settings::Settings;
use crate::train::trainer::{train, TrainingPlan};
use crate::train::training_set::TrainingSet;
use candle_core::{Device, Tensor};
use indicatif::ProgressBar;
use rand::rngs::StdRng;
use rand::SeedableRng;
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The flags of `coopembed experiment`.
#[derive(Debug, Clone, clap::Args)]
pub struct ExperimentArgs {
    /// Table to make
    #[arg(value_enum)]
    pub table: TableName,
    /// Folder of the data set: images.csv and attributes.json
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Weights of the backbone: a file from import-backbone, or with --arch a PyTorch checkpoint
    #[arg(long, value_name = "FILE")]
    pub backbone: PathBuf,
    /// Backbone: resnet18, resnet34, resnet50 or efficientnet_lite0 [default: named in the backbone's file]
    #[arg(long, value_name = "NAME")]
    pub arch: Option<String>,
    /// Height and width of the network's input in pixels [default: 224]
    #[arg(long, value_name = "PIXELS")]
    pub size: Option<u32>,
    /// Folder for cached features [default: coopembed/features in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Folder for the table (text, CSV, JSON, SVG) and for the finished runs
    #[arg(long, value_name = "DIR", default_value = "experiments")]
    pub out: PathBuf,
    /// Number of trainings of each row, with consecutive seeds from --seed
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    pub seeds: u64,
    /// Number of trainings at the same time, each on one thread [default: one per processor]
    #[arg(long, value_name = "COUNT")]
    pub jobs: Option<usize>,
    /// Hyper-parameters that all rows have in common.
    #[command(flatten)]
    pub hyper: HyperArgs,
    /// How to read the data set.
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// Trains and evaluates the runs that are not finished yet, then prints and writes the table.
///
/// # Errors
/// Those of reading data set and backbone, of training and of writing. A training that diverges is not an error but a result.
pub fn run(args: &ExperimentArgs) -> Result<()> {
    let base = args.hyper.settings()?;
    let table = args.table.table(&base);
    let seeds: Vec<u64> = (base.seed..base.seed + args.seeds).collect();
    if seeds.is_empty() {
        return Err(Error::new(Kind::InvalidParameter, "--seeds must be at least 1"));
    }
    std::fs::create_dir_all(&args.out).map_err(|e| Error::io("create", &args.out, &e))?;
    let mut store = RunStore::open(&args.out.join("runs.jsonl"))?;
    let inputs = Inputs::read(args)?;
    let seeded = |run: &Run, seed| Run {
        settings: Settings { seed, ..run.settings.clone() },
        corruption: run.corruption,
    };
    let all: Vec<Vec<Run>> =
        table.rows.iter().map(|row| seeds.iter().map(|&seed| seeded(&row.run, seed)).collect()).collect();
    let pending: Vec<&Run> =
        all.iter().flatten().filter(|run| store.get(&RunStore::key(&inputs.digest, run)).is_none()).collect();
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    inputs.run_all(&pending, jobs.clamp(1, pending.len().max(1)), &mut store)?;

    let finished = all.iter().map(|runs| {
        let of = |run| store.get(&RunStore::key(&inputs.digest, run));
        runs.iter().filter_map(of).collect()
    });
    let summary = summary::Summary::new(&table, &finished.collect::<Vec<_>>());
    print!("{summary}");
    let written = [
        ("txt", summary.to_string()),
        ("csv", summary.csv()),
        ("json", summary.json()),
        ("svg", plot::svg(&summary)),
    ];
    for (extension, text) in written {
        let path = args.out.join(format!("{}.{extension}", table.name));
        std::fs::write(&path, text).map_err(|e| Error::io("write", &path, &e))?;
    }
    Ok(())
}

/// What all runs have in common: a data set and its features.
struct Inputs {
    data: FeaturedDataset,
    /// Features of the mirrored training images.
    flipped: Option<Tensor>,
    /// Identifies labels and features.
    digest: String,
}

impl Inputs {
    fn read(args: &ExperimentArgs) -> Result<Self> {
        let given = TrainArgs { size: args.size, ..Default::default() };
        let preprocessing = given.preprocessing()?;
        let manifest = read_manifest(&args.data, &args.reading)?;
        let train_images = TrainingSet::new(&manifest)?.images;
        let test_images = [manifest.split(Split::Query), manifest.split(Split::Gallery)].concat();
        let (arch, tensors) = read_backbone_file(&args.backbone, args.arch.as_deref())?;
        let backbone = FrozenBackbone::new(arch, &tensors)?;
        let cache = cache_folder(args.cache.as_ref())?;
        let matrix = |images: &[usize], flip: bool| -> Result<Tensor> {
            let rows = backbone.extract(&manifest, images, flip, &preprocessing, &cache)?;
            Ok(Tensor::from_vec(rows, (images.len(), backbone.features()), &Device::Cpu)?)
        };
        let train = matrix(&train_images, false)?;
        let test = matrix(&test_images, false)?;
        let flips = args.hyper.settings()?.flip;
        let flipped = flips.then(|| matrix(&train_images, true)).transpose()?;
        let mut hash = Sha256::new();
        hash.update(format!("{:?}", (&manifest.images, &manifest.attributes, manifest.categories.len())));
        for row in [&train, &test].into_iter().chain(&flipped) {
            row.flatten_all()?.to_vec1::<f32>()?.iter().for_each(|x| hash.update(x.to_le_bytes()));
        }
        let digest = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { data: FeaturedDataset { manifest, train, test_images, test }, flipped, digest })
    }

    /// Runs everything that is pending, and stores each result as soon as it is there. The first error ends it.
    fn run_all(&self, pending: &[&Run], jobs: usize, store: &mut RunStore) -> Result<()> {
        if pending.is_empty() {
            return Ok(());
        }
        // candle's matrix products read this variable each time. Features are computed already, and several trainings on one thread each
        // are faster than one training on several threads.
        std::env::set_var("RAYON_NUM_THREADS", "1");
        let progress = progress_bar("trainings", pending.len());
        let (next, store) = (Mutex::new(pending.iter()), Mutex::new(store));
        // A panic in another thread leaves list and store valid, and is reported when the threads are joined.
        let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next().copied();
        let job = || -> Result<()> {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .build()
                .map_err(|e| Error::new(Kind::Unavailable, format!("could not start a thread: {e}")))?;
            while let Some(run) = take() {
                let finished = pool.install(|| self.run(run))?;
                store.lock().unwrap_or_else(PoisonError::into_inner).add(finished)?;
                progress.inc(1);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(job)).collect();
            let joined = threads
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|_| Err(Error::new(Kind::Internal, "a training panicked"))));
            joined.collect::<Vec<_>>().into_iter().collect::<Result<()>>()
        })?;
        progress.finish_and_clear();
        Ok(())
    }

    /// One run. A training that diverges is a result, too.
    fn run(&self, run: &Run) -> Result<FinishedRun> {
        let started = Instant::now();
        let key = RunStore::key(&self.digest, run);
        let (figures, failure) = match self.figures(run) {
            Ok(figures) => (figures, None),
            Err(e) if e.message.contains("not a finite number") => (Default::default(), Some(e.message)),
            Err(e) => return Err(e),
        };
        Ok(FinishedRun { key, run: run.clone(), figures, failure, seconds: started.elapsed().as_secs_f64() })
    }

    /// Trains and evaluates one run.
    fn figures(&self, run: &Run) -> Result<super::figures::Figures> {
        let (settings, data) = (&run.settings, &self.data);
        let labels = match run.corruption {
            Some((how, share)) => corrupted(&data.manifest, how, share, settings.seed),
            None => data.manifest.clone(),
        };
        let set = TrainingSet::new(&labels)?;
        let mut rng = StdRng::seed_from_u64(settings.seed);
        let initializer = Initializer::new(&Device::Cpu, data.train.dtype(), &mut rng);
        let method = create_method(&set, data.train.dim(1)?, settings, initializer)?;
        let flipped = self.flipped.clone().filter(|_| settings.flip);
        let mut source = FrozenFeatures::new(data.train.clone(), flipped);
        let hidden = ProgressBar::hidden();
        train(&*method, &mut source, &TrainingPlan::new(settings, &set.instances, &hidden), &mut |_| Ok(()))?;
        let results = evaluate_method(&*method, data, &labels, settings, Protocol::default())?;
        Ok(figures(&results))
    }
}
