//! Images read and decoded by several workers, and embedded in batches as they arrive.

use crate::commands::workers::answer_in_threads;
use crate::data::image_source::ImageSource;
use crate::error::{Error, Kind, Result};
use crate::image::{prepare, CropBox, Limits, Preprocessing};
use crate::inference::{Embedder, LoadModel as _, ModelLoader};
use crate::model::{open_device, Model};
use crate::space::{Embedding, Layout};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;

/// Most images of a batch, on the CPU and on a GPU.
const MAX_BATCH: usize = 32;

/// A model, ready to embed.
pub struct Engine {
    embedder: Arc<dyn Embedder>,
    /// Shape and fingerprint of its embeddings.
    pub layout: Layout,
    preprocessing: Preprocessing,
}

impl Engine {
    /// The model of these files on a device; `None` is a GPU if there is one.
    ///
    /// # Errors
    /// Those of the model and of [`open_device`].
    pub fn new(config: &str, weights: &[u8], device: Option<&str>) -> Result<Self> {
        let device = match device {
            Some(name) => open_device(name)?,
            None => open_device("cuda").or_else(|_| open_device("cpu"))?,
        };
        let model = Model::from_parts(config, weights)?;
        let (layout, digest) = (model.layout(), model.digest());
        let preprocessing = model.config().preprocessing.clone();
        let embedder: Arc<dyn Embedder> = if device.is_cpu() {
            Arc::new(model)
        } else {
            ModelLoader { device, max_batch: MAX_BATCH }.load(&digest, config, weights)?
        };
        Ok(Self { embedder, layout, preprocessing })
    }

    fn embed(&self, pixels: &[Vec<u8>]) -> Result<Vec<Embedding>> {
        let raw = self.embedder.embed(&pixels.concat(), pixels.len())?;
        let each = raw.chunks_exact(self.layout.dimensions());
        each.map(|raw| Embedding::from_raw(self.layout, raw)).collect()
    }
}

/// An image to embed: what it belongs to, and its name.
pub struct Task<T> {
    /// Whatever the caller knows it by.
    pub of: T,
    /// Path or URL.
    pub name: String,
    /// The part of the image to embed; `None` for all of it.
    pub crop: Result<Option<CropBox>>,
}

/// The channels of the workers. They end when it is dropped.
struct Workers<T> {
    tasks: Sender<Task<T>>,
    answers: Receiver<(Task<T>, Result<Vec<u8>>)>,
}

impl<T: Send + 'static> Workers<T> {
    fn start(count: usize, source: &Arc<dyn ImageSource>, preprocessing: &Preprocessing) -> Result<Self> {
        let (tasks, waiting) = channel::<Task<T>>();
        let (source, preprocessing) = (Arc::clone(source), preprocessing.clone());
        let answers = answer_in_threads(count, waiting, move |task| {
            let pixels = task.crop.clone().and_then(|crop| {
                prepare(&source.read(&task.name)?, crop, &preprocessing, &Limits::default())
            });
            (task, pixels)
        })?;
        Ok(Self { tasks, answers })
    }
}

/// Embeds all that `more` gives out (`None`: no more), and passes each result to `finish`, in the order in which they are ready.
/// `more` is called whenever fewer than `ahead` images are under way.
///
/// # Errors
/// Those of `more` and `finish`, and [`Kind::Io`] if the system gives no thread.
pub fn embed_all<T: Send + 'static>(
    engine: &Engine,
    source: &Arc<dyn ImageSource>,
    workers: usize,
    ahead: usize,
    run: &mut dyn Run<T>,
) -> Result<()> {
    let workers = Workers::start(workers, source, &engine.preprocessing)?;
    let gone = || Error::new(Kind::Internal, "the workers have ended");
    let (mut under_way, mut exhausted) = (0, false);
    loop {
        while !exhausted && under_way < ahead {
            match run.more()? {
                Some(tasks) => {
                    under_way += tasks.len();
                    tasks.into_iter().try_for_each(|task| workers.tasks.send(task).map_err(|_| gone()))?;
                }
                None => exhausted = true,
            }
        }
        if under_way == 0 {
            return Ok(());
        }
        let first = workers.answers.recv().map_err(|_| gone())?;
        let answers: Vec<_> =
            std::iter::once(first).chain(workers.answers.try_iter().take(MAX_BATCH - 1)).collect();
        under_way -= answers.len();
        finish_batch(engine, answers, run)?;
    }
}

/// What gives out the images of a run and takes their embeddings.
pub trait Run<T> {
    /// Some more images; `None` if there are no more.
    ///
    /// # Errors
    /// What ends the run.
    fn more(&mut self) -> Result<Option<Vec<Task<T>>>>;

    /// Takes the embedding of an image, or why it has none.
    ///
    /// # Errors
    /// What ends the run.
    fn finish(&mut self, task: Task<T>, embedding: Result<Embedding>) -> Result<()>;
}

fn finish_batch<T>(
    engine: &Engine,
    answers: Vec<(Task<T>, Result<Vec<u8>>)>,
    run: &mut dyn Run<T>,
) -> Result<()> {
    let (mut tasks, mut pixels) = (Vec::new(), Vec::new());
    for (task, answer) in answers {
        match answer {
            Ok(image) => {
                tasks.push(task);
                pixels.push(image);
            }
            Err(error) => run.finish(task, Err(error))?,
        }
    }
    if tasks.is_empty() {
        return Ok(());
    }
    match engine.embed(&pixels) {
        Ok(embeddings) => {
            tasks.into_iter().zip(embeddings).try_for_each(|(task, emb)| run.finish(task, Ok(emb)))
        }
        // One image may have spoilt it for all.
        Err(_) => tasks.into_iter().zip(pixels).try_for_each(|(task, image)| {
            let embedding = engine.embed(&[image]);
            let embedding = embedding.map(|mut one| one.swap_remove(0));
            run.finish(task, embedding)
        }),
    }
}
