//! `vcluster exec`: runs a command on many nodes at once, with the flags and output format of clush.

use std::collections::BTreeMap;

use super::Context;
use super::common::Selection;
use super::output::waits;
use crate::base::event::Stream;
use crate::base::exit::ExitCode;
use crate::base::group::grouped;
use crate::base::text::sanitize;
use crate::cluster::nodes::close;
use crate::cluster::transfer::NODES_AT_ONCE;
use crate::engine::EngineError;
use crate::report::{self, Format};
use crate::ssh::fanout::{self, FanEnd, FanEvent, FanRequest};
use crate::ssh::{Ended, ExecRequest};

/// Run a command on many nodes at once
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Group nodes with identical output
    #[arg(short = 'b', long)]
    pub gather: bool,
    /// Exit with the largest exit code of the nodes
    #[arg(short = 'S', long)]
    pub maxrc: bool,
    /// Command; several words are joined by spaces, as in ssh
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<String>,
}

/// The result of a node.
struct NodeOutput {
    node: String,
    ended: FanEnd,
    stdout: String,
    stderr: String,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (cluster, chosen) = args.selection.open()?;
    let waits = waits(context);
    let nodes = args.selection.connect(&cluster, &chosen, &waits).await?;
    let names: Vec<String> = chosen.into_iter().map(String::from).collect();
    let request = FanRequest {
        exec: ExecRequest {
            command: args.command.join(" "),
            timeout: args.selection.timeout,
            ..ExecRequest::default()
        },
        fanout: args.selection.fanout.unwrap_or(NODES_AT_ONCE),
        cancel: context.cancel.child_token(),
    };
    let mut unread = false;
    let (sender, mut events) = tokio::sync::mpsc::channel(256);
    let mut given: BTreeMap<String, NodeOutput> = BTreeMap::new();
    let show = async {
        while let Some(event) = events.recv().await {
            if !take(event, &mut given, &args, context.format) {
                // The reader has exited, as in `exec ... | head`: end the commands as Ctrl-C does.
                unread = true;
                request.cancel.cancel();
            }
        }
    };
    tokio::join!(fanout::run(&nodes, &names, &request, sender), show);
    close(&nodes, &waits).await;
    if context.cancel.is_cancelled() {
        return Err(EngineError::Interrupted.into());
    }
    if unread {
        return Ok(ExitCode::Interrupted);
    }
    let given: Vec<NodeOutput> = names.iter().filter_map(|name| given.remove(name)).collect();
    if context.format == Format::Human {
        if args.gather {
            gathered(&given);
        }
        failures(&given);
    }
    Ok(code(&given, args.maxrc))
}

/// Prints or keeps one event. Returns whether stdout still has a reader.
fn take(event: FanEvent, given: &mut BTreeMap<String, NodeOutput>, args: &Args, format: Format) -> bool {
    let (FanEvent::Line { node, .. } | FanEvent::Ended { node, .. }) = &event;
    let entry = given.entry(node.clone()).or_insert_with(|| NodeOutput {
        node: node.clone(),
        ended: FanEnd::Cancelled,
        stdout: String::new(),
        stderr: String::new(),
    });
    match event {
        FanEvent::Ended { ended, .. } => {
            entry.ended = ended;
            if format == Format::Json {
                json(entry);
            }
        }
        FanEvent::Line {
            node,
            stream,
            line,
            ended,
        } => {
            let line = sanitize(&line);
            if format == Format::Human && !args.gather {
                return match stream {
                    Stream::Stdout => report::data_read(&format!("{node}: {line}\n")),
                    Stream::Stderr => {
                        report::message(&format!("{node}: {line}"));
                        true
                    }
                };
            }
            let text = match stream {
                Stream::Stdout => &mut entry.stdout,
                Stream::Stderr => &mut entry.stderr,
            };
            if text.len() + line.len() < KEPT {
                text.push_str(&line);
                if ended {
                    text.push('\n');
                }
            }
        }
    }
    true
}

/// Maximum output kept per stream of a node for `-b` and JSON, in bytes.
const KEPT: usize = 16 << 20;

fn json(given: &NodeOutput) {
    let (code, signal, error) = match &given.ended {
        FanEnd::Ended(Ended::Exit(code)) => (Some(*code), None, None),
        FanEnd::Ended(Ended::Signal(signal)) => (None, Some(signal.clone()), None),
        other => (None, None, Some(other.to_string())),
    };
    report::json::line(
        "exec",
        &serde_json::json!({
            "node": given.node, "exit_code": code, "signal": signal, "error": error,
            "timed_out": matches!(given.ended, FanEnd::TimedOut(_)), "stdout": given.stdout, "stderr": given.stderr,
        }),
    );
}

fn gathered(given: &[NodeOutput]) {
    let outputs = |text: fn(&NodeOutput) -> &str| {
        given
            .iter()
            .filter(move |given| !text(given).is_empty())
            .map(move |given| (given.node.clone(), text(given).to_owned()))
    };
    report::data(&report::gather::render(&report::gather::gather(outputs(
        |given| &given.stdout,
    ))));
    let errors = report::gather::render(&report::gather::gather(outputs(|given| &given.stderr)));
    if !errors.is_empty() {
        report::message(errors.trim_end());
    }
}

fn failures(given: &[NodeOutput]) {
    let failed = given.iter().filter(|given| !given.ended.is_success());
    let mut folded = grouped(failed.map(|given| {
        let ended = given.ended.to_string();
        (sanitize(&ended).into_owned(), &given.node)
    }));
    folded.sort_keys();
    for (what, nodes) in folded {
        report::message(&format!("vcluster: {}: {what}", crate::nodeset::fold(nodes)));
    }
}

fn code(given: &[NodeOutput], maxrc: bool) -> ExitCode {
    let all = || given.iter().map(|given| &given.ended);
    if all().any(|ended| matches!(ended, FanEnd::TimedOut(_))) {
        return ExitCode::Timeout;
    }
    let largest = all().map(|ended| match ended {
        FanEnd::Ended(ended) => ended.passed_on(),
        _ => 255,
    });
    match (largest.max().unwrap_or(0), maxrc) {
        (0, _) => ExitCode::Ok,
        (code, true) => ExitCode::Remote(code),
        (_, false) => ExitCode::WorkloadFailed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn exit(code: u32) -> FanEnd {
        FanEnd::Ended(Ended::Exit(code))
    }

    fn ended(ends: &[FanEnd]) -> Vec<NodeOutput> {
        let given = |ended: &FanEnd| NodeOutput {
            node: "n".into(),
            ended: ended.clone(),
            stdout: String::new(),
            stderr: String::new(),
        };
        ends.iter().map(given).collect()
    }

    #[test]
    fn the_exit_code_is_the_largest_only_when_asked_for() {
        let given = ended(&[exit(0), exit(3), exit(2)]);
        assert_eq!(code(&given, true), ExitCode::Remote(3));
        assert_eq!(code(&given, false), ExitCode::WorkloadFailed);
        assert_eq!(code(&ended(&[exit(0)]), true), ExitCode::Ok);
        let lost = ended(&[exit(0), FanEnd::Lost("gone".into())]);
        assert_eq!(code(&lost, true), ExitCode::Remote(255));
    }

    #[test]
    fn a_timeout_wins_over_other_failures() {
        let given = ended(&[exit(3), FanEnd::TimedOut(Duration::from_secs(1))]);
        assert_eq!(code(&given, true), ExitCode::Timeout);
    }
}
