//! From the command line to comparisons: which runs are the sides, and whether a regression was confirmed.

use super::accepted;
use super::args::Args;
use super::operand::{Operand, Places, Usable, names};
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::shell::quote;
use crate::base::units::Moment;
use crate::compare::{
    Accepted, CompareOptions, Comparison, Refusal, Side, compare, confirmed, covers, pairs, read, sides,
    to_confirm,
};
use crate::runs::Experiment;

/// All comparisons that the arguments ask for.
pub(super) fn comparisons(args: &Args) -> anyhow::Result<Vec<Comparison>> {
    let places = Places::new(args.place.stores()?);
    let a = places.load(&args.a)?;
    let b = match &args.b {
        Some(text) => Some(places.load(text)?),
        None => None,
    };
    let operands: Vec<&Operand> = b.iter().chain([&a]).collect();
    let accepted = accepted::entries(args.accepted.as_deref(), &operands)?;
    let commands = reproduce(args, &operands);
    let comparisons = match (b, &args.by) {
        (Some(b), _) => two(a, b, args, &accepted).map(|comparison| vec![comparison]),
        (None, Some(key)) => by(a, key, args, &accepted),
        // The command line needs one of the two.
        (None, None) => Ok(Vec::new()),
    };
    let mut comparisons = comparisons.map_err(|error| with_command(error, commands.last()))?;
    for comparison in &mut comparisons {
        comparison.reproduce.clone_from(&commands);
    }
    Ok(comparisons)
}

/// A refusal says which command takes it on the user's word.
fn with_command(error: anyhow::Error, command: Option<&String>) -> anyhow::Error {
    match error.downcast::<Refusal>() {
        Ok(mut refusal) => {
            refusal.command = command.cloned();
            refusal.into()
        }
        Err(error) => error,
    }
}

/// One side against another.
fn two(a: Operand, b: Operand, args: &Args, accepted: &[Accepted]) -> anyhow::Result<Comparison> {
    let (name_a, name_b) = names(&a, &b);
    let (a, b) = (a.usable(&name_a)?, b.usable(&name_b)?);
    let first = read(vec![(name_a.clone(), a.runs), (name_b.clone(), b.runs)])?;
    let again = if a.again.is_empty() || b.again.is_empty() {
        Vec::new()
    } else {
        read(vec![(name_a, a.again), (name_b, b.again)])?
    };
    let mut comparison = judged(&first[0], &first[1], &again, args, accepted)?;
    comparison
        .warnings
        .extend(a.left_out.into_iter().chain(b.left_out));
    Ok(comparison)
}

/// Every further value of a key of an experiment against the first one.
fn by(mut a: Operand, key: &str, args: &Args, accepted: &[Accepted]) -> anyhow::Result<Vec<Comparison>> {
    let Some(experiment) = &a.experiment else {
        let text = format!("`{}` is not an experiment, which --by needs", a.text);
        let hint = "to compare two runs, name both: `vcluster compare A B`";
        return Err(UserError::new(ExitCode::Usage, text).with_hint(hint).into());
    };
    let (key, values) = values(experiment, key)?;
    // At a size that was only tried to find a boundary, not every variant has runs.
    a.runs.retain(|run| experiment.is_planned(&run.record.variant));
    let text = a.text.clone();
    let Usable {
        runs,
        again,
        left_out,
    } = a.usable(&text)?;
    let (first, again) = (sides(runs)?, sides(again)?);
    let pairs = pairs(&first, &key, &values).map_err(|side| {
        let text = format!("no run of {side} in `{text}` can be compared");
        let hint = match &left_out {
            Some(why) => why.clone(),
            None => "`vcluster runs` shows the runs of the experiment".to_owned(),
        };
        UserError::new(ExitCode::Usage, text).with_hint(hint)
    })?;
    let mut comparisons = Vec::new();
    for (a, b) in pairs {
        let mut comparison = judged(a, b, &again, args, accepted)?;
        comparison.warnings.extend(left_out.clone());
        comparisons.push(comparison);
    }
    Ok(comparisons)
}

/// The key of an experiment's variants that is meant, and its values in the order of their first runs. The first one is
/// the baseline.
fn values(experiment: &Experiment, key: &str) -> Result<(String, Vec<String>), UserError> {
    let runs = || {
        let runs = experiment.runs.iter();
        runs.filter(move |run| !run.confirmation && experiment.is_planned(&run.variant))
    };
    let mut known: Vec<&String> = Vec::new();
    for name in runs().flat_map(|run| run.variant.keys()) {
        if !known.contains(&name) {
            known.push(name);
        }
    }
    let found: Vec<&String> = known.iter().copied().filter(|name| covers(key, name)).collect();
    let listed = || {
        known
            .iter()
            .map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let [name] = found[..] else {
        let name = &experiment.name;
        let (text, hint) = if known.is_empty() {
            let hint = "compare it with another experiment: `vcluster compare A B`".to_owned();
            (format!("nothing was varied in `{name}`"), hint)
        } else if found.is_empty() {
            (
                format!("`{key}` was not varied in `{name}`"),
                format!("varied were: {}", listed()),
            )
        } else {
            (
                format!("`{key}` is several keys of `{name}`"),
                format!("name one of: {}", listed()),
            )
        };
        return Err(UserError::new(ExitCode::Usage, text).with_hint(hint));
    };
    let mut values: Vec<String> = Vec::new();
    for value in runs().filter_map(|run| run.variant.get(name)) {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    if values.len() < 2 {
        let text = format!("`{name}` has only one value in `{}`", experiment.name);
        let hint = "compare it with another experiment: `vcluster compare A B`";
        return Err(UserError::new(ExitCode::Usage, text).with_hint(hint));
    }
    Ok((name.clone(), values))
}

/// Compares two sides. What is worse must be worse again in the runs that were made to confirm it, if there are any.
fn judged(
    a: &Side,
    b: &Side,
    again: &[Side],
    args: &Args,
    accepted: &[Accepted],
) -> anyhow::Result<Comparison> {
    let mut options = CompareOptions::new(Moment::now());
    options.despite.clone_from(&args.despite);
    let first = compare(a, b, &options, accepted)?;
    let suspects = to_confirm(&first);
    let find = |side: &Side| again.iter().find(|other| other.name == side.name);
    match (find(a), find(b)) {
        (Some(a), Some(b)) if !suspects.is_empty() => {
            options.only = Some(suspects);
            let again = compare(a, b, &options, accepted)?;
            Ok(confirmed(first, &again))
        }
        _ => Ok(first),
    }
}

/// The commands that made the experiments, and this one.
fn reproduce(args: &Args, operands: &[&Operand]) -> Vec<String> {
    let line = |words: &[String]| words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    let mut commands: Vec<String> = Vec::new();
    for experiment in operands
        .iter()
        .rev()
        .filter_map(|operand| operand.experiment.as_ref())
    {
        let command = line(&experiment.command);
        if !command.is_empty() && !commands.contains(&command) {
            commands.push(command);
        }
    }
    let mut words = vec!["vcluster".to_owned(), "compare".to_owned(), args.a.clone()];
    words.extend(args.b.clone());
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    if let Some(key) = &args.by {
        option("--by", key.clone());
    }
    for key in &args.despite {
        option("--despite", key.clone());
    }
    if let Some(cluster) = &args.place.cluster {
        option("--cluster", cluster.to_string());
    }
    for (name, path) in [("--results", &args.place.results), ("--accepted", &args.accepted)] {
        if let Some(path) = path {
            option(name, path.display().to_string());
        }
    }
    commands.push(line(&words));
    commands
}
