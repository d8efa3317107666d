//! `vcluster exec`: runs a command on many nodes at once, with the flags and output format of clush.

mod input;
mod kept;
mod show;

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use self::kept::NodeOutput;
use super::Context;
use super::common::Selection;
use super::output::waits;
use crate::base::exit::ExitCode;
use crate::cluster::nodes::close;
use crate::cluster::transfer::NODES_AT_ONCE;
use crate::engine::EngineError;
use crate::report::{self, Format};
use crate::ssh::ExecRequest;
use crate::ssh::fanout::{self, FanEnd, FanEvent, FanRequest};

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
    /// Do not pass standard input to the nodes
    #[arg(short = 'n', long, alias = "nostdin")]
    pub no_stdin: bool,
    /// Command; several words are joined by spaces, as in ssh
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<String>,
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
        stdin: if args.no_stdin {
            None
        } else {
            input::standard_input()
        },
        fanout: args.selection.fanout.unwrap_or(NODES_AT_ONCE),
        cancel: context.cancel.child_token(),
    };
    let mut outputs = Outputs::new(&args, context.format);
    let mut unread = false;
    let broken = {
        let (sender, mut events) = mpsc::channel(256);
        let show = async {
            while let Some(event) = events.recv().await {
                if !outputs.take(event).await {
                    // The reader has exited, as in `exec ... | head`: end the commands as Ctrl-C does.
                    unread = true;
                    request.cancel.cancel();
                }
            }
        };
        let work = async { tokio::join!(fanout::run(&nodes, &names, &request, sender), show) };
        tokio::pin!(work);
        tokio::select! {
            biased;
            _ = &mut work => None,
            failure = input::failed(request.stdin.as_ref()) => {
                // End the commands as Ctrl-C does: they must not go on with a part of their input.
                request.cancel.cancel();
                work.await;
                Some(failure)
            }
        }
    };
    close(&nodes, &waits).await;
    let mut given = outputs.finish(&names);
    if context.cancel.is_cancelled() {
        return Err(EngineError::Interrupted.into());
    }
    if let Some(failure) = broken {
        return Err(input::error(&failure).into());
    }
    if unread {
        return Ok(ExitCode::Interrupted);
    }
    if context.format == Format::Human {
        let cuts = show::cuts(&given);
        if args.gather {
            show::gathered(&mut given);
        }
        for line in cuts {
            report::message(&line);
        }
        show::failures(&given);
    }
    Ok(code(&given, args.maxrc))
}

/// The output of the nodes: printed as it arrives, or kept.
struct Outputs {
    format: Format,
    gather: bool,
    printer: show::Printer,
    given: BTreeMap<String, NodeOutput>,
}

impl Outputs {
    fn new(args: &Args, format: Format) -> Self {
        Self {
            format,
            gather: args.gather,
            printer: show::Printer::default(),
            given: BTreeMap::new(),
        }
    }

    /// Prints or keeps one event. Returns whether standard output still has a reader.
    async fn take(&mut self, event: FanEvent) -> bool {
        let (FanEvent::Line { node, .. } | FanEvent::Ended { node, .. }) = &event;
        let entry = self
            .given
            .entry(node.clone())
            .or_insert_with(|| NodeOutput::new(node.clone()));
        match event {
            FanEvent::Ended { node, ended } => {
                entry.ended = ended;
                self.printer.end(&node);
                if self.format == Format::Json {
                    let ended = entry.ended.clone();
                    let whole = std::mem::replace(
                        entry,
                        NodeOutput {
                            ended,
                            ..NodeOutput::new(node)
                        },
                    );
                    show::json(whole).await;
                }
            }
            FanEvent::Line {
                node,
                stream,
                line,
                ended,
            } => {
                if self.format == Format::Human && !self.gather {
                    return self.printer.print(&node, stream, &line, ended).await;
                }
                entry.keep(stream, &line, ended);
            }
        }
        true
    }

    /// The results of the nodes that have one, in this order.
    fn finish(mut self, names: &[String]) -> Vec<NodeOutput> {
        self.printer.finish();
        names.iter().filter_map(|name| self.given.remove(name)).collect()
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
    use crate::ssh::Ended;

    fn exit(code: u32) -> FanEnd {
        FanEnd::Ended(Ended::Exit(code))
    }

    fn ended(ends: &[FanEnd]) -> Vec<NodeOutput> {
        let given = |ended: &FanEnd| NodeOutput {
            ended: ended.clone(),
            ..NodeOutput::new("n".into())
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
