//! Embeddings of files, as CSV, JSON lines or COPY BINARY, in the order in which the files were named.

use super::args::{EmbedArgs, Format};
use super::pipeline::{embed_all, Engine, Run, Task};
use super::some_failed;
use crate::connection::CopyBinary;
use crate::data::progress::progress_bar;
use crate::error::{Error, Kind, Result};
use crate::space::Embedding;
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Images that are read ahead.
const AHEAD: usize = 256;

/// Embeds the files and writes their embeddings. Failures go to standard error, and the others are written.
///
/// # Errors
/// Those of reading the list and of writing; [`Kind::InvalidData`] at the end if some images could not be embedded.
pub fn run(args: &EmbedArgs, engine: &Engine) -> Result<()> {
    let names = names(args)?;
    let out: Box<dyn Write> = match &args.out {
        Some(path) => Box::new(File::create(path).map_err(|e| Error::io("write", path, &e))?),
        None => Box::new(std::io::stdout()),
    };
    let all = names.len();
    let mut files = Files {
        writer: Writer { out: BufWriter::new(out), format: args.format },
        names: names.into_iter().enumerate(),
        ready: BTreeMap::new(),
        next: 0,
        failed: 0,
        bar: progress_bar("embedding", all),
    };
    files.writer.begin()?;
    embed_all(engine, &args.images_at.source()?, args.images_at.worker_count(), AHEAD, &mut files)?;
    files.writer.end()?;
    files.bar.finish_and_clear();
    if files.failed > 0 {
        return Err(some_failed(files.failed, all as u64));
    }
    Ok(())
}

/// The names on the command line, then those in the list.
fn names(args: &EmbedArgs) -> Result<Vec<String>> {
    let mut names = args.images.clone();
    if let Some(list) = &args.list {
        let input: Box<dyn Read> = if list == Path::new("-") {
            Box::new(std::io::stdin())
        } else {
            Box::new(File::open(list).map_err(|e| Error::io("read", list, &e))?)
        };
        for line in BufReader::new(input).lines() {
            names.push(line.map_err(|e| Error::io("read", list, &e))?);
        }
        names.retain(|name| !name.is_empty());
    }
    if names.is_empty() {
        return Err(Error::new(Kind::InvalidParameter, "no images are named")
            .hint("Name files, or a list of them with --list; or a table with --db and --table."));
    }
    Ok(names)
}

/// A run over files.
struct Files {
    writer: Writer,
    names: std::iter::Enumerate<std::vec::IntoIter<String>>,
    /// Results that wait for those of earlier files.
    ready: BTreeMap<usize, (String, Result<Embedding>)>,
    next: usize,
    failed: u64,
    bar: ProgressBar,
}

impl Run<usize> for Files {
    fn more(&mut self) -> Result<Option<Vec<Task<usize>>>> {
        let tasks: Vec<_> =
            self.names.by_ref().take(AHEAD).map(|(of, name)| Task { of, name, crop: Ok(None) }).collect();
        Ok((!tasks.is_empty()).then_some(tasks))
    }

    fn finish(&mut self, task: Task<usize>, embedding: Result<Embedding>) -> Result<()> {
        self.ready.insert(task.of, (task.name, embedding));
        while let Some((name, embedding)) = self.ready.remove(&self.next) {
            self.next += 1;
            self.bar.inc(1);
            match embedding {
                Ok(embedding) => self.writer.write(&name, &embedding)?,
                Err(e) => {
                    self.failed += 1;
                    self.bar.suspend(|| eprintln!("WARNING:  \"{name}\" gets no embedding: {}", e.report()));
                }
            }
        }
        Ok(())
    }
}

struct Writer {
    out: BufWriter<Box<dyn Write>>,
    format: Format,
}

impl Writer {
    fn begin(&mut self) -> Result<()> {
        match self.format {
            Format::Csv => self.bytes(b"path,embedding\n"),
            Format::Jsonl => Ok(()),
            Format::Binary => self.binary(CopyBinary::header),
        }
    }

    fn write(&mut self, name: &str, embedding: &Embedding) -> Result<()> {
        let emb = embedding.as_ref();
        match self.format {
            Format::Csv => {
                let mut line = csv::Writer::from_writer(Vec::new());
                line.write_record([name, &emb.to_string()]).map_err(|e| internal(&e))?;
                let line = line.into_inner().map_err(|e| internal(&e))?;
                self.bytes(&line)
            }
            Format::Jsonl => {
                let model = format!("{:08x}", emb.layout.fingerprint());
                let object = serde_json::json!({"path": name, "model": model, "embedding": emb.to_string()});
                self.bytes(format!("{object}\n").as_bytes())
            }
            Format::Binary => self.binary(|rows| rows.row(&[name.as_bytes(), &emb.to_bytes()])),
        }
    }

    fn end(&mut self) -> Result<()> {
        if self.format == Format::Binary {
            self.binary(CopyBinary::trailer)?;
        }
        self.out.flush().map_err(|e| write_error(&e))
    }

    fn binary(&mut self, write: impl FnOnce(&mut CopyBinary)) -> Result<()> {
        let mut rows = CopyBinary::default();
        write(&mut rows);
        self.bytes(&rows.take())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| write_error(&e))
    }
}

fn write_error(e: &std::io::Error) -> Error {
    Error::new(Kind::Io, format!("could not write the embeddings: {e}"))
}

fn internal(e: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("CSV: {e}"))
}
