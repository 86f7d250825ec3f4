//! Trains and evaluates what a table lacks, several trainings at a time, and writes the table.

use super::figures::figures;
use super::run_store::{FinishedRun, RunStore};
use super::tables::{Run, TableName};
use super::{plot, summary};
use crate::commands::evaluate_method::{evaluate_method, FeaturedDataset};
use crate::commands::inputs::{cache_folder, read_backbone_file, read_manifest};
use crate::commands::staged_data::{StagedData, StagedInputs};
use crate::commands::train::{tuned, ByteSize, HyperArgs, TrainArgs};
use crate::data::corruption::{corrupted, Corruption};
use crate::data::features::FrozenBackbone;
use crate::data::lower_maps::MapFolder;
use crate::data::manifest::ReadingArgs;
use crate::data::progress::progress_bar;
use crate::error::{Error, Kind, Result};
use crate::eval::Protocol;
use crate::model::FeatureSet;
use crate::train::initializer::Initializer;
use crate::train::methods::create_method;
use crate::train::settings::Settings;
use crate::train::trainer::{diverged, train, TrainingPlan};
use crate::train::training_set::TrainingSet;
use candle_core::{DType, Device};
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
    /// Room on disk for the maps on which the upper blocks are trained, such as 500MB or 20GB [default: 20GB]
    #[arg(long, value_name = "BYTES")]
    pub map_cache_limit: Option<ByteSize>,
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
    base.check_device(&Device::Cpu)?;
    let table = args.table.table(&base);
    let seeds: Vec<u64> = (base.seed..base.seed + args.seeds).collect();
    if seeds.is_empty() {
        return Err(Error::new(Kind::InvalidParameter, "--seeds must be at least 1"));
    }
    std::fs::create_dir_all(&args.out).map_err(|e| Error::io("create", &args.out, &e))?;
    let mut store = RunStore::open(&args.out.join("runs.jsonl"))?;
    let given = TrainArgs { size: args.size, map_cache_limit: args.map_cache_limit, ..Default::default() };
    let (preprocessing, device) = (given.preprocessing()?, Device::Cpu);
    let manifest = read_manifest(&args.data, &args.reading)?;
    // Only for its check that there are images to learn from.
    TrainingSet::new(&manifest)?;
    let (arch, tensors) = read_backbone_file(&args.backbone, args.arch.as_deref())?;
    let cache = cache_folder(args.cache.as_ref())?;
    let seeded = |run: &Run, seed| Run {
        settings: Settings { seed, ..run.settings.clone() },
        corruption: run.corruption,
    };
    let all: Vec<Vec<Run>> =
        table.rows.iter().map(|row| seeds.iter().map(|&seed| seeded(&row.run, seed)).collect()).collect();
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut finished: Vec<Vec<FinishedRun>> = vec![Vec::new(); all.len()];
    // Rows may differ in the features that they use: one set of features after the other.
    for set in [FeatureSet::Last, FeatureSet::Levels] {
        let of_set = |run: &&Run| run.settings.features == set;
        if !all.iter().flatten().any(|run| of_set(&run)) {
            continue;
        }
        let backbone = FrozenBackbone::new(arch, set, &tensors)?;
        let inputs = StagedInputs {
            manifest: &manifest,
            preprocessing: &preprocessing,
            backbone: &backbone,
            tensors: &tensors,
            device: &device,
            workers: 1,
            map_folder: Some(MapFolder { path: cache.clone(), limit: given.map_cache_limit() }),
            with_test: true,
        };
        let mut data = StagedData::new(inputs, &base, &cache);
        data.extract_features()?;
        let inputs = Inputs::new(data)?;
        let is_pending = |run: &&Run| store.get(&RunStore::key(&inputs.digest, run)).is_none();
        let pending: Vec<&Run> = all.iter().flatten().filter(of_set).filter(is_pending).collect();
        inputs.run_all(&pending, jobs.clamp(1, pending.len().max(1)), &mut store)?;
        for (runs, finished) in all.iter().zip(&mut finished) {
            let of = |run| store.get(&RunStore::key(&inputs.digest, run)).cloned();
            finished.extend(runs.iter().filter(of_set).filter_map(of));
        }
    }
    let finished: Vec<Vec<&FinishedRun>> = finished.iter().map(|runs| runs.iter().collect()).collect();
    let summary = summary::Summary::new(&table, &finished);
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
struct Inputs<'a> {
    data: StagedData<'a>,
    /// Identifies labels and features.
    digest: String,
}

impl<'a> Inputs<'a> {
    fn new(data: StagedData<'a>) -> Result<Self> {
        let manifest = data.manifest;
        let mut hash = Sha256::new();
        hash.update(format!("{:?}", (&manifest.images, &manifest.attributes, manifest.categories.len())));
        let (train, test) = data.plain_features(None, &Settings::default())?;
        let mirrored = data.mirrored_features()?;
        for row in [Some(train), test, mirrored].into_iter().flatten() {
            row.flatten_all()?.to_vec1::<f32>()?.iter().for_each(|x| hash.update(x.to_le_bytes()));
        }
        let digest = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { data, digest })
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
        let tuning = if run.settings.tune { tuned(&self.data, &run.settings)? } else { None };
        let (settings, objective) = match tuning {
            Some((settings, tuning)) => (settings, tuning.candidates.into_iter().next().map(|c| c.name)),
            None => (run.settings.clone(), None),
        };
        let (figures, failure) = match self.figures(&settings, run.corruption) {
            Ok(figures) => (figures, None),
            Err(e) if diverged(&e) => (Default::default(), Some(e.message)),
            Err(e) => return Err(e),
        };
        let seconds = started.elapsed().as_secs_f64();
        Ok(FinishedRun { key, run: run.clone(), figures, objective, failure, seconds })
    }

    /// Trains and evaluates one run.
    fn figures(
        &self,
        settings: &Settings,
        corruption: Option<(Corruption, f64)>,
    ) -> Result<super::figures::Figures> {
        let data = &self.data;
        let labels = match corruption {
            Some((how, share)) => corrupted(data.manifest, how, share, settings.seed),
            None => data.manifest.clone(),
        };
        let set = TrainingSet::new(&labels)?;
        let mut rng = StdRng::seed_from_u64(settings.seed);
        let initializer = Initializer::new(data.device, DType::F32, &mut rng);
        let method = create_method(&set, data.backbone.features(), settings, initializer)?;
        let sources = data.sources(settings, &data.train, &[])?;
        let hidden = ProgressBar::hidden();
        let plan = TrainingPlan::new(settings, &set.instances, &hidden);
        let learned = train(&*method, &sources, &plan, &mut |_| Ok(()))?;
        let backbone = &data.backbone;
        let learned = learned.map(|t| FrozenBackbone::new(backbone.arch, backbone.set, &t)).transpose()?;
        let (train, test) = data.plain_features(learned.as_ref(), settings)?;
        let test =
            test.ok_or_else(|| Error::new(Kind::Internal, "features of the gallery were not computed"))?;
        let featured = FeaturedDataset { manifest: data.manifest, train, test_images: &data.test, test };
        let featured = featured.scaled(sources.scaling.as_ref())?;
        let results = evaluate_method(&*method, &featured, &labels, settings, Protocol::default())?;
        Ok(figures(&results))
    }
}
