//! Which metrics there are: those of the steps, series of files, and those that vcluster measures itself.

use super::metrics::{Made, Named};
use crate::base::suggest::{nearest, suggest};
use crate::measure::{
    Builtin, BuiltinKind, MEASURED_VERBS, MetricSource, MetricSpec, Reading, Unit, up_stages,
};
use crate::topology::tree::shorten;

/// Names that are searched for a suggestion.
const MAX_NAMES: usize = 500;

/// A metric that some step or vcluster makes.
pub(super) enum Known<'a> {
    /// A step defines it.
    Defined(&'a Named),
    /// A series of a file, which a step reads.
    Series(&'a Named),
    /// vcluster measures it.
    Builtin(Builtin<'a>),
}

/// The unit of a metric.
pub(super) enum KnownUnit<'a> {
    /// It has this unit, or none.
    Is(Option<&'a Unit>),
    /// A file says it.
    Later,
}

/// What is wrong with the name of a metric, and what to write.
pub(super) struct Unknown {
    pub(super) message: String,
    pub(super) hint: String,
}

/// The metric of this name; `None` if the steps could not all be read, so that it may be one of theirs.
pub(super) fn find<'a>(made: &'a Made, name: &'a str) -> Result<Option<Known<'a>>, Unknown> {
    if let Some(named) = made.named.get(name) {
        return match &named.spec {
            Some(spec) if gives_many(spec) => Err(Unknown {
                message: format!("`{name}` stands for all series of a file"),
                hint: format!("name one of them, `{name}.SERIES`"),
            }),
            _ => Ok(Some(Known::Defined(named))),
        };
    }
    if let Some((prefix, series)) = name.split_once('.')
        && let Some(named) = made.named.get(prefix)
        && !series.is_empty()
        && named.spec.as_ref().is_none_or(gives_many)
    {
        return Ok(Some(Known::Series(named)));
    }
    let builtin = Builtin::read(name);
    let unknown = match builtin {
        Some(builtin) if is_made(made, &builtin) => return Ok(Some(Known::Builtin(builtin))),
        _ if !made.complete => return Ok(None),
        Some(builtin) if matches!(builtin.kind, BuiltinKind::Node | BuiltinKind::Own) => Unknown {
            message: format!("`{name}` is measured during steps, and the topology has none"),
            hint: "add a step to `workload`".to_owned(),
        },
        Some(builtin) if builtin.kind == BuiltinKind::Step => Unknown {
            message: format!("there is no step `{}`", shorten(builtin.of)),
            hint: suggest(builtin.of, made.step_names())
                .unwrap_or_else(|| "the topology has no steps in `workload`".to_owned()),
        },
        Some(builtin) if builtin.kind == BuiltinKind::Watch => Unknown {
            message: format!("no step watches the process `{}`", shorten(builtin.of)),
            hint: nearest(builtin.of, watched(made)).map_or_else(
                || format!("add `watch: [{}]` to a step in `workload`", shorten(builtin.of)),
                |near| format!("did you mean `{near}`?"),
            ),
        },
        _ => {
            let names: Vec<String> = names(made).take(MAX_NAMES).collect();
            Unknown {
                message: format!("unknown metric `{}`", shorten(name)),
                hint: suggest(name, names.iter().map(String::as_str))
                    .unwrap_or_else(|| "add it to `metrics` of a step in `workload`".to_owned()),
            }
        }
    };
    Err(unknown)
}

fn gives_many(spec: &MetricSpec) -> bool {
    spec.reading.as_ref().is_some_and(Reading::gives_many)
}

/// Whether there is the step, or one that watches the process.
fn is_made(made: &Made, builtin: &Builtin<'_>) -> bool {
    match builtin.kind {
        BuiltinKind::Step => made.step_names().any(|step| step == builtin.of),
        BuiltinKind::Watch => watched(made).any(|process| process == builtin.of),
        BuiltinKind::Node => !made.steps.is_empty(),
        BuiltinKind::Own => builtin.of == "up" || !made.steps.is_empty(),
        BuiltinKind::Up => true,
    }
}

fn watched(made: &Made) -> impl Iterator<Item = &str> + Clone {
    made.steps
        .iter()
        .flat_map(|step| step.watch.iter().map(String::as_str))
}

/// The names of all metrics, those of the user first.
fn names(made: &Made) -> impl Iterator<Item = String> {
    let defined = made.named.iter().map(|(name, named)| match &named.spec {
        Some(spec) if gives_many(spec) => format!("{name}.SERIES"),
        _ => name.clone(),
    });
    let steps = made.step_names().flat_map(|step| BuiltinKind::Step.names(step));
    let processes = watched(made).flat_map(|process| BuiltinKind::Watch.names(process));
    let stages = up_stages().flat_map(|stage| BuiltinKind::Up.names(stage));
    let own = MEASURED_VERBS
        .into_iter()
        .flat_map(|verb| BuiltinKind::Own.names(verb));
    defined
        .chain(steps)
        .chain(processes)
        .chain(BuiltinKind::Node.names(""))
        .chain(stages)
        .chain(own)
}

impl Known<'_> {
    /// Its unit; that of a series only if `properties` give it.
    pub(super) fn unit<'a>(&'a self, name: &str, properties: &'a [MetricSpec]) -> KnownUnit<'a> {
        match self {
            Self::Builtin(builtin) => KnownUnit::Is(builtin.unit.as_ref()),
            Self::Defined(named) => match &named.spec {
                Some(spec) => KnownUnit::Is(spec.unit.as_ref()),
                None => KnownUnit::Later,
            },
            Self::Series(_) => {
                let mut properties = properties.iter();
                let own = properties.find(|spec| spec.name.as_str() == name);
                own.and_then(|spec| spec.unit.as_ref())
                    .map_or(KnownUnit::Later, |unit| KnownUnit::Is(Some(unit)))
            }
        }
    }

    /// Whether its samples are known while its step runs.
    pub(super) fn is_live(&self) -> bool {
        let Self::Defined(named) = self else { return false };
        named.spec.as_ref().is_none_or(|spec| {
            matches!(spec.reading, Some(Reading::Regex(_)))
                && matches!(spec.source, Some(MetricSource::Stdout | MetricSource::Stderr))
        })
    }

    /// The steps in which it is measured.
    pub(super) fn steps<'a>(&'a self, made: &'a Made) -> Vec<&'a str> {
        match self {
            Self::Defined(named) | Self::Series(named) => {
                let step = made.steps.get(named.step);
                step.and_then(|step| step.name.as_deref()).into_iter().collect()
            }
            Self::Builtin(builtin) => match builtin.kind {
                BuiltinKind::Step => vec![builtin.of],
                BuiltinKind::Node => made.step_names().collect(),
                BuiltinKind::Watch => {
                    let watching = made.steps.iter().filter(|step| {
                        let mut watched = step.watch.iter();
                        watched.any(|process| process == builtin.of)
                    });
                    watching.filter_map(|step| step.name.as_deref()).collect()
                }
                BuiltinKind::Up | BuiltinKind::Own => Vec::new(),
            },
        }
    }
}
