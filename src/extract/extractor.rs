//! The metrics of a step, ready to be read from the files of its nodes. Each file is read once for all metrics in it.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use super::extracted::Extracted;
use super::json::{self, Pointer};
use super::jsonl;
use super::limits;
use super::lines::{Line, Lines, Next};
use super::missing::Missing;
use super::openmetrics::{self, Families};
use super::paths::{self, Found, Matches};
use super::problems::Problem;
use super::regex::Pattern;
use super::sink::Sink;
use crate::base::name::NodeName;
use crate::base::text;
use crate::measure::{MetricSource, MetricSpec, Reading};
use crate::topology::WorkloadStep;

/// Reads the metrics of a step.
#[derive(Clone, Debug)]
pub struct Extractor {
    step: String,
    sources: Vec<Source>,
}

/// A source with its metrics.
#[derive(Clone, Debug)]
struct Source {
    from: MetricSource,
    metrics: Vec<Metric>,
}

#[derive(Clone, Debug)]
struct Metric {
    spec: MetricSpec,
    format: Format,
}

#[derive(Clone, Debug)]
enum Format {
    Regex(Pattern),
    Json(Pointer),
    OpenMetrics,
    JsonLines,
}

impl Format {
    fn new(reading: &Reading) -> Result<Self, String> {
        Ok(match reading {
            Reading::Regex(expression) => Self::Regex(Pattern::new(expression)?),
            Reading::Json(pointer) => Self::Json(Pointer::new(pointer)?),
            Reading::OpenMetrics => Self::OpenMetrics,
            Reading::JsonLines => Self::JsonLines,
        })
    }

    fn has_lines(&self) -> bool {
        !matches!(self, Self::Json(_))
    }
}

impl Extractor {
    /// Compiles what a step reads. Metrics without a source are left out. Fails for an expression or pointer that the
    /// topology would have refused.
    pub fn new(step: &WorkloadStep) -> Result<Self, String> {
        let mut sources: Vec<Source> = Vec::new();
        for spec in &step.metrics {
            let (Some(from), Some(reading)) = (&spec.source, &spec.reading) else {
                continue;
            };
            let format = Format::new(reading).map_err(|why| format!("metric `{}`: {why}", spec.name))?;
            let metric = Metric {
                spec: spec.clone(),
                format,
            };
            match sources.iter_mut().find(|source| source.from == *from) {
                Some(source) => source.metrics.push(metric),
                None => sources.push(Source {
                    from: from.clone(),
                    metrics: vec![metric],
                }),
            }
        }
        Ok(Self {
            step: step.name.clone(),
            sources,
        })
    }

    /// Reads the samples of a node from the directory of a run; `missing` is what of it did not arrive. Nodes may declare
    /// different units for a metric: [`Extracted::merge`] brings them to one.
    pub fn extract(&self, node: &NodeName, run: &Path, missing: Missing<'_>) -> Extracted {
        let mut extracted = Extracted::default();
        for source in &self.sources {
            for part in source.extract(&self.step, node, run, missing) {
                extracted.merge(part);
            }
        }
        extracted
    }
}

impl Source {
    /// Its name, for people.
    fn name(&self) -> &str {
        match &self.from {
            MetricSource::Stdout => "stdout",
            MetricSource::Stderr => "stderr",
            MetricSource::File(pattern) => pattern,
        }
    }

    fn is_output(&self) -> bool {
        !matches!(self.from, MetricSource::File(_))
    }

    fn files(&self, directory: &Path, node: &NodeName) -> Matches {
        match &self.from {
            MetricSource::Stdout => paths::output(directory.join(format!("{node}.out"))),
            MetricSource::Stderr => paths::output(directory.join(format!("{node}.err"))),
            MetricSource::File(pattern) => paths::matching(&directory.join(node.as_str()), pattern),
        }
    }

    fn extract(&self, step: &str, node: &NodeName, run: &Path, missing: Missing<'_>) -> Vec<Extracted> {
        let mut works: Vec<Work<'_>> = self
            .metrics
            .iter()
            .map(|metric| Work {
                format: &metric.format,
                families: Families::default(),
                sink: Sink::new(step, node, &metric.spec),
            })
            .collect();
        let matches = self.files(&run.join(step), node);
        let unfetched = missing.why_unfetched(&self.from);
        let lost = if self.is_output() { missing.lost } else { 0 };
        for work in &mut works {
            if let Some(why) = unfetched {
                // The text is that of a node.
                let why = text::line(why.as_bytes());
                let text = || format!("files could not be collected: {why}");
                work.sink.problem(Problem::NotFetched, text);
            } else if matches.files.is_empty() {
                work.sink.problem(Problem::NoFile, || match &self.from {
                    MetricSource::File(pattern) => format!("no file matches {pattern}"),
                    _ => format!("no {} was stored", self.name()),
                });
            }
            if matches.more {
                let most = limits::FILES;
                let text = || format!("more than {most} files match {}", self.name());
                work.sink.problem(Problem::TooManyFiles, text);
            }
            if lost > 0 {
                let bytes = text::plural(lost as usize, "byte");
                let text = || format!("the output has lost {bytes}");
                work.sink.problem(Problem::Lost, text);
            }
        }
        let are_several = matches.files.len() > 1;
        for file in &matches.files {
            for work in &mut works {
                work.families = Families::default();
                work.sink.set_file(are_several.then(|| file.shown.clone()));
            }
            self.read(file, lost > 0, &mut works);
        }
        works
            .into_iter()
            .map(|work| work.sink.finish(self.name()))
            .collect()
    }

    fn read(&self, file: &Found, has_holes: bool, works: &mut [Work<'_>]) {
        let lines = works.iter().any(|work| work.format.has_lines());
        let documents = works.iter().any(|work| !work.format.has_lines());
        let form = Form {
            is_output: self.is_output(),
            has_holes,
        };
        if lines && let Err(error) = read_lines(&file.path, form, works) {
            unreadable(file, &error, works, true);
        }
        if documents && let Err(error) = read_document(&file.path, works) {
            unreadable(file, &error, works, false);
        }
    }
}

/// The reading of one metric on one node.
struct Work<'a> {
    format: &'a Format,
    families: Families,
    sink: Sink,
}

impl Work<'_> {
    fn line(&mut self, line: &Line<'_>) {
        match self.format {
            Format::Regex(pattern) => pattern.line(line.bytes, &mut self.sink),
            Format::OpenMetrics => openmetrics::line(line, &mut self.families, &mut self.sink),
            Format::JsonLines => jsonl::line(line, &mut self.sink),
            Format::Json(_) => {}
        }
    }
}

fn unreadable(file: &Found, error: &io::Error, works: &mut [Work<'_>], lines: bool) {
    for work in works.iter_mut().filter(|work| work.format.has_lines() == lines) {
        work.sink
            .problem(Problem::Unreadable, || format!("{}: {error}", file.shown));
    }
}

/// What kind of file is read by line.
#[derive(Clone, Copy)]
struct Form {
    /// Whether it is an output stream.
    is_output: bool,
    /// Whether zeros in it stand for bytes that are lost.
    has_holes: bool,
}

fn read_lines(path: &Path, form: Form, works: &mut [Work<'_>]) -> io::Result<()> {
    let file = File::open(path)?;
    let is_cut = form.is_output && file.metadata()?.len() >= limits::OUTPUT;
    let mut works: Vec<&mut Work<'_>> = works.iter_mut().filter(|work| work.format.has_lines()).collect();
    let mut lines = Lines::new(BufReader::with_capacity(limits::LINE, file));
    while let Some(next) = lines.read()? {
        for work in &mut works {
            match &next {
                // Its end was cut off.
                Next::Line(line) if is_cut && !line.ended => {}
                // Two ends of different lines.
                Next::Line(line) if form.has_holes && line.bytes.contains(&0) => {}
                Next::Line(line) => work.line(line),
                Next::TooLong => work.sink.problem(Problem::LongLine, String::new),
            }
        }
    }
    if is_cut {
        for work in &mut works {
            work.sink.problem(Problem::Cut, String::new);
        }
    }
    Ok(())
}

fn read_document(path: &Path, works: &mut [Work<'_>]) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?.take(limits::DOCUMENT + 1);
    file.read_to_end(&mut bytes)?;
    let is_large = bytes.len() as u64 > limits::DOCUMENT;
    for work in works {
        let Format::Json(pointer) = work.format else {
            continue;
        };
        if is_large {
            work.sink.problem(Problem::TooLarge, String::new);
        } else {
            json::document(&bytes, pointer, &mut work.sink);
        }
    }
    Ok(())
}
