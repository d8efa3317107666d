//! Results on disk, and their table.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use crate::args::Args;
use crate::judge::Outcome;
use crate::list::{Recovery, Scene, When};

const BEGIN: &str = "<!-- crash points: begin -->";
const END: &str = "<!-- crash points: end -->";

/// Results of earlier calls.
pub(crate) fn read(file: &Path) -> Vec<Outcome> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

pub(crate) fn note(file: &Path, outcome: &Outcome) {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .unwrap();
    writeln!(file, "{}", serde_json::to_string(outcome).unwrap()).unwrap();
}

/// The table, in Markdown.
pub(crate) fn render(args: &Args, all: &[Outcome]) -> String {
    let mut text = String::from(
        "| Killed | Points | Random instants | Recovered by `up` | by `down` | by `down` elsewhere | by `gc` | by `run --attach` | Failed or leaked | Seconds to recover, p50 / max |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    let scenes = Scene::ALL.iter().map(|scene| (scene.title(), Some(*scene)));
    for (title, scene) in scenes.chain([("all", None)]) {
        let here: Vec<&Outcome> = all
            .iter()
            .filter(|outcome| scene.is_none_or(|scene| outcome.trial.scene == scene))
            .collect();
        if here.is_empty() {
            continue;
        }
        let killed: Vec<&&Outcome> = here.iter().filter(|outcome| outcome.killed).collect();
        let count =
            |wanted: &dyn Fn(&Outcome) -> bool| killed.iter().filter(|outcome| wanted(outcome)).count();
        let by = |recovery| count(&|outcome| outcome.fault.is_none() && outcome.trial.recovery == recovery);
        let is_point = |outcome: &Outcome| matches!(outcome.trial.when, When::Point(..));
        let mut seconds: Vec<f64> = killed.iter().map(|outcome| outcome.recovery).collect();
        seconds.sort_by(f64::total_cmp);
        let p50 = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
        let max = seconds.last().copied().unwrap_or_default();
        let _ = writeln!(
            text,
            "| {title} | {} | {} | {} | {} | {} | {} | {} | {} | {p50:.1} / {max:.1} |",
            count(&is_point),
            count(&|outcome| !is_point(outcome)),
            by(Recovery::Up),
            by(Recovery::Down),
            by(Recovery::Elsewhere),
            by(Recovery::Gc),
            by(Recovery::Attach),
            here.iter().filter(|outcome| outcome.fault.is_some()).count(),
        );
    }
    let early = all.iter().filter(|outcome| !outcome.killed).count();
    let _ = writeln!(
        text,
        "\nSeed {}. {early} more commands finished before their kill; they are not counted.",
        args.seed
    );
    for outcome in all {
        if let Some(fault) = &outcome.fault {
            let _ = writeln!(text, "- FAILED {}: {fault}", outcome.trial);
        }
    }
    text
}

/// Writes the table between its marks.
pub(crate) fn put(file: &Path, table: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    std::fs::write(file, format!("{head}{BEGIN}\n{table}{END}{tail}")).unwrap();
}
