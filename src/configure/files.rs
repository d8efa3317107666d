//! The files of a wave on one node: a script for the small ones, which also asks for the large ones that are not there
//! yet; these follow one by one.

use std::collections::BTreeSet;
use std::time::Duration;

use bytesize::ByteSize;

use super::attempts::{Attempts, OUTPUT, Stdin};
use super::fault::{StepFault, tail};
use super::file::{FileStep, Report, batches, files_script, parse_report, receive_command};
use super::job::{Configuration, NodeResult};
use super::source::{Content, Sources};
use crate::base::name::NodeName;
use crate::host::Reason;
use crate::ssh::Output;
use crate::topology::{ConfigureAction, ConfigureStep, check_remote_path};

/// Writes the files of these steps on a node; `name` is the first of them that it has.
pub(super) async fn write(
    work: &Configuration<'_>,
    sources: &Sources,
    node: &NodeName,
    members: &[&ConfigureStep],
    name: &str,
) -> NodeResult {
    let mut files = Vec::new();
    let mut allowed = Duration::ZERO;
    for (index, step) in members
        .iter()
        .enumerate()
        .filter(|(_, step)| step.on.contains(node))
    {
        files.push(file_of(work, sources, step, index, node).await?);
        allowed += step.timeout;
    }
    let attempts = Attempts::new(work, node, allowed);
    let mut changed = BTreeSet::new();
    for batch in batches(&files) {
        changed.extend(write_batch(&attempts, batch, members, name).await?);
    }
    let done = |file: &FileStep| (file.index, changed.contains(&file.index));
    Ok(files.iter().map(done).collect())
}

async fn file_of(
    work: &Configuration<'_>,
    sources: &Sources,
    step: &ConfigureStep,
    index: usize,
    node: &NodeName,
) -> Result<FileStep, StepFault> {
    let (to, mode, owner) = match &step.action {
        ConfigureAction::Template { to, mode, owner, .. } | ConfigureAction::File { to, mode, owner, .. } => {
            (to, *mode, owner.as_deref())
        }
        ConfigureAction::Run { .. } => return Err(unusable(step, "a command is not a file")),
    };
    let path = work.render(step, to, node)?;
    // Validation has rendered it for one node of each group.
    check_remote_path(&path).map_err(|reason| unusable(step, &format!("to: {reason}")))?;
    let content: Content = match &step.action {
        ConfigureAction::Template { text, .. } => work.render(step, text, node)?.into_bytes().into(),
        ConfigureAction::File { source, .. } => sources.content(source).await.map_err(|cause| {
            let path = source.display().to_string();
            let step = step.name.clone();
            StepFault::Source { step, path, cause }
        })?,
        ConfigureAction::Run { .. } => Content::from(Vec::new()),
    };
    Ok(FileStep::new(node.as_str(), index, path, content).with(mode, owner))
}

fn unusable(step: &ConfigureStep, cause: &str) -> StepFault {
    StepFault::Template {
        step: step.name.clone(),
        cause: cause.to_owned(),
    }
}

/// Writes one batch, and returns the steps that changed something.
async fn write_batch(
    attempts: &Attempts<'_>,
    batch: &[FileStep],
    members: &[&ConfigureStep],
    name: &str,
) -> Result<BTreeSet<usize>, StepFault> {
    let script = files_script(batch);
    let output = attempts
        .run("sh -s", &Stdin::Script(&script), name, "write files")
        .await?;
    let report = report_of(&output, batch, members, name)?;
    let mut changed = report.changed;
    let wanted = batch
        .iter()
        .filter(|file| report.wanted.contains(&file.index) && file.content.inline().is_none());
    for file in wanted {
        let step = &members[file.index].name;
        let content = Stdin::Content(&file.content);
        let output = attempts
            .run(&receive_command(file), &content, step, &writes(file))
            .await?;
        if !output.is_success() {
            return Err(failed(&output, step, Some(file)));
        }
        changed.insert(file.index);
    }
    Ok(changed)
}

/// What the script of a batch reports, if it succeeded and all of it has arrived.
fn report_of(
    output: &Output,
    batch: &[FileStep],
    members: &[&ConfigureStep],
    name: &str,
) -> Result<Report, StepFault> {
    let report = parse_report(&output.stdout);
    if !output.is_success() {
        let file = batch.iter().find(|file| Some(file.index) == report.last);
        let step = file.map_or(name, |file| members[file.index].name.as_str());
        return Err(failed(output, step, file));
    }
    // The rest may ask for a large file, which would be missing on the node.
    if output.truncated {
        let size = ByteSize::b(OUTPUT as u64).display().iec().to_string();
        return Err(StepFault::Failed {
            step: name.to_owned(),
            how: format!("it wrote more than {size}, so its report is incomplete"),
            command: "write files".to_owned(),
            output: words(output),
        });
    }
    Ok(report)
}

/// What a command of ours wrote to standard error, for an error message.
fn words(output: &Output) -> String {
    let mut words = tail(&[], &output.stderr);
    if output.truncated {
        words.push_str("\n  | [later output is left out]");
    }
    words
}

fn writes(file: &FileStep) -> String {
    format!("write {}", file.path)
}

/// Why a command of ours failed on a node.
fn failed(output: &Output, step: &str, file: Option<&FileStep>) -> StepFault {
    let stderr = String::from_utf8_lossy(&output.stderr);
    if let (Some(file), Some(Reason::NoSpace)) = (file, Reason::of_script(&stderr)) {
        return StepFault::NoSpace {
            step: step.to_owned(),
            path: file.path.clone(),
            size: ByteSize::b(file.content.size).display().iec().to_string(),
        };
    }
    StepFault::Failed {
        step: step.to_owned(),
        how: output
            .ended
            .as_ref()
            .map_or_else(|| "no exit code".to_owned(), crate::ssh::Ended::reason),
        command: file.map_or_else(|| "write files".to_owned(), writes),
        output: words(output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::Ended;

    fn output(code: u32, truncated: bool) -> Output {
        Output {
            ended: Some(Ended::Exit(code)),
            stdout: b"changed 0\nsend 1\n".to_vec(),
            stderr: b"noise\n".to_vec(),
            truncated,
        }
    }

    #[test]
    fn a_report_that_is_cut_off_is_an_error() {
        let report = report_of(&output(0, false), &[], &[], "files").unwrap();
        assert_eq!((report.changed, report.wanted), ([0].into(), [1].into()));
        let fault = report_of(&output(0, true), &[], &[], "files").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "step `files` failed: it wrote more than 1.0 MiB, so its report is incomplete\n  \
             command: write files\n  | noise\n  | [later output is left out]"
        );
    }

    #[test]
    fn an_error_of_a_script_says_whether_its_words_are_cut_off() {
        let shown = |truncated| {
            let fault = report_of(&output(2, truncated), &[], &[], "files").unwrap_err();
            fault.to_string()
        };
        assert!(shown(false).ends_with("exit code 2\n  command: write files\n  | noise"));
        assert!(shown(true).ends_with("\n  | noise\n  | [later output is left out]"));
    }
}
