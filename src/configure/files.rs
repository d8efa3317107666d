//! The files of a wave on one node: one script for all of them. It writes only what differs, so it is simply retried
//! if the connection is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::fault::{StepFault, tail};
use super::file::{FileStep, files_script, parse_changed};
use super::job::{Configuration, NodeResult};
use crate::base::failure::{UserFacing, explain};
use crate::base::name::NodeName;
use crate::base::patience::patience;
use crate::ssh::{ExecRequest, Output, SshError};
use crate::topology::{ConfigureAction, ConfigureStep};

/// The pause before a retry after a lost connection.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes the files of these steps on a node.
pub(super) async fn write(
    work: &Configuration<'_>,
    node: &NodeName,
    members: &[&ConfigureStep],
    name: &str,
) -> NodeResult {
    let mut indices = Vec::new();
    let mut files = Vec::new();
    let mut allowed = Duration::ZERO;
    for (index, step) in members
        .iter()
        .enumerate()
        .filter(|(_, step)| step.on.contains(node))
    {
        indices.push(index);
        files.push(file_of(work, step, node)?);
        allowed += step.timeout;
    }
    let script = files_script(&files).into_bytes();
    let output = exec(work, node, &script, name, allowed).await?;
    let changed: BTreeSet<usize> = parse_changed(&output.stdout).into_iter().collect();
    Ok(indices
        .into_iter()
        .enumerate()
        .map(|(file, step)| (step, changed.contains(&file)))
        .collect())
}

fn file_of(work: &Configuration<'_>, step: &ConfigureStep, node: &NodeName) -> Result<FileStep, StepFault> {
    let template = |text: &str| work.render(step, text, node);
    match &step.action {
        ConfigureAction::Template {
            text,
            to,
            mode,
            owner,
            ..
        } => Ok(FileStep {
            path: template(to)?,
            contents: template(text)?.into_bytes(),
            mode: *mode,
            owner: owner.clone(),
        }),
        ConfigureAction::File {
            source,
            to,
            mode,
            owner,
        } => Ok(FileStep {
            path: template(to)?,
            contents: std::fs::read(source).map_err(|error| StepFault::Source {
                step: step.name.clone(),
                path: source.display().to_string(),
                cause: error.to_string(),
            })?,
            mode: *mode,
            owner: owner.clone(),
        }),
        ConfigureAction::Run { .. } => Err(StepFault::Template {
            step: step.name.clone(),
            cause: "a command is not a file".into(),
        }),
    }
}

async fn exec(
    work: &Configuration<'_>,
    node: &NodeName,
    script: &[u8],
    step: &str,
    allowed: Duration,
) -> Result<Output, StepFault> {
    let deadline = Instant::now() + allowed;
    let what = "write files";
    let mut last = None;
    crate::base::crash_point::point!("configure {step} before");
    let output = loop {
        let once = async {
            let session = work.nodes.session(node).await?;
            let _waits = work.nodes.waits(node);
            let request = ExecRequest {
                command: work.nodes.as_root(node, "sh -s"),
                stdin: script.to_vec(),
                timeout: Some(deadline.saturating_duration_since(Instant::now())),
                limit: 1 << 20,
                ..ExecRequest::default()
            };
            tokio::select! {
                output = session.exec(&request) => output,
                why = work.nodes.dead_while_probed(node, &session) => Err(SshError::NotRunning(why)),
            }
        };
        match timeout_at(deadline, once).await {
            Ok(Ok(output)) => break output,
            Ok(Err(error @ SshError::Lost { .. })) => last = Some(explain(&error)),
            Err(_) | Ok(Err(SshError::CommandTimeout { .. })) => {
                return Err(StepFault::Timeout {
                    step: step.to_owned(),
                    allowed: humantime::format_duration(allowed).to_string(),
                    command: what.to_owned(),
                    doing: last.map(|why| format!("\n  {why}")).unwrap_or_default(),
                    output: String::new(),
                });
            }
            Ok(Err(error)) => {
                return Err(StepFault::Ssh {
                    step: step.to_owned(),
                    cause: explain(&error),
                    kind: error.kind(),
                });
            }
        }
        sleep(patience(PAUSE)).await;
    };
    crate::base::crash_point::point!("configure {step} after");
    if output.is_success() {
        return Ok(output);
    }
    let how = match &output.ended {
        Some(ended) => ended.reason(),
        None => "no exit code".to_owned(),
    };
    Err(StepFault::Failed {
        step: step.to_owned(),
        how,
        command: what.to_owned(),
        output: tail(&output.stdout, &output.stderr),
    })
}
