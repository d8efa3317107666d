//! `vcluster exec`: a command on many nodes at once, with the flags and the look of clush.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;

use super::common::{Cluster, ClusterArg, HostArgs};
use super::{Context, Format};
use crate::engine::{EngineError, explain};
use crate::exit::ExitCode;
use crate::name::NodeName;
use crate::report::{self, LineBuffer, sanitize};
use crate::ssh::{ExecEvent, ExecRequest, Nodes, SshError};

/// Run a command on many nodes at once
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArg,
    /// Nodes (node set, `@group`) [default: all]
    #[arg(short = 'w', long, value_name = "NODESET")]
    pub nodes: Option<String>,
    /// Without these nodes
    #[arg(short = 'x', long, value_name = "NODESET")]
    pub exclude: Option<String>,
    /// Nodes at once
    #[arg(short = 'f', long, value_name = "N", default_value_t = 150)]
    pub fanout: usize,
    /// Gather equal output of nodes
    #[arg(short = 'b', long)]
    pub gather: bool,
    /// Exit with the largest exit code of the nodes
    #[arg(short = 'S', long)]
    pub maxrc: bool,
    /// Time allowed on each node
    #[arg(short = 't', long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    hosts: HostArgs,
    /// The command; several words are joined by spaces, as ssh does
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<String>,
}

/// How the command ended on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Code(u32),
    Signal(String),
    TimedOut(Duration),
    Error(String),
}

impl End {
    fn describe(&self) -> String {
        match self {
            Self::Code(code) => format!("exited with exit code {code}"),
            Self::Signal(signal) => format!("was killed by SIG{}", sanitize(signal)),
            Self::TimedOut(after) => format!("timed out after {}", humantime::format_duration(*after)),
            Self::Error(error) => sanitize(error).into_owned(),
        }
    }
}

/// What a node gave.
struct Given {
    node: NodeName,
    end: End,
    stdout: String,
    stderr: String,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::open(args.cluster.cluster.as_deref(), context)?;
    let chosen = cluster.select(args.nodes.as_deref(), args.exclude.as_deref())?;
    let nodes = cluster.nodes(&chosen, &args.hosts.options()).await?;
    let request = ExecRequest {
        command: args.command.join(" "),
        timeout: args.timeout,
        ..ExecRequest::default()
    };
    let live = context.format == Format::Human && !args.gather;
    let work = futures::stream::iter(&chosen)
        .map(|node| {
            let (nodes, request) = (&nodes, &request);
            async move { on_node(node, nodes, request, live).await }
        })
        .buffered(args.fanout.max(1));
    let all = async {
        let mut given = Vec::with_capacity(chosen.len());
        tokio::pin!(work);
        while let Some(one) = work.next().await {
            if context.format == Format::Json {
                json(&one);
            }
            given.push(one);
        }
        given
    };
    let given = context.cancel.run_until_cancelled(all).await;
    nodes.close().await;
    let Some(given) = given else {
        return Err(EngineError::Interrupted.into());
    };
    if args.gather && context.format == Format::Human {
        gathered(&given);
    }
    if context.format == Format::Human {
        failures(&given);
    }
    Ok(code(&given, args.maxrc))
}

async fn on_node(node: &NodeName, nodes: &Nodes, request: &ExecRequest, live: bool) -> Given {
    let mut given = Given {
        node: node.clone(),
        end: End::Code(0),
        stdout: String::new(),
        stderr: String::new(),
    };
    let mut receiver = match stream(node, nodes, request).await {
        Ok(receiver) => receiver,
        Err(SshError::Timeout { after, .. }) => {
            given.end = End::TimedOut(after);
            return given;
        }
        Err(error) => {
            given.end = End::Error(explain(&error));
            return given;
        }
    };
    let (mut out, mut err) = (LineBuffer::default(), LineBuffer::default());
    given.end = End::Error("the connection ended before the command".into());
    while let Some(event) = receiver.recv().await {
        match event {
            ExecEvent::Stdout(bytes) => {
                out.push(&bytes, |line| keep(&mut given.stdout, node, &line, live, false))
            }
            ExecEvent::Stderr(bytes) => {
                err.push(&bytes, |line| keep(&mut given.stderr, node, &line, live, true))
            }
            ExecEvent::Exit(code) => given.end = End::Code(code),
            ExecEvent::Signal(signal) => given.end = End::Signal(signal),
            ExecEvent::TimedOut(after) => given.end = End::TimedOut(after),
            ExecEvent::Lost(why) => given.end = End::Error(format!("connection lost: {why}")),
        }
    }
    if let Some(line) = out.finish() {
        keep(&mut given.stdout, node, &line, live, false);
    }
    if let Some(line) = err.finish() {
        keep(&mut given.stderr, node, &line, live, true);
    }
    given
}

async fn stream(
    node: &NodeName,
    nodes: &Nodes,
    request: &ExecRequest,
) -> Result<tokio::sync::mpsc::Receiver<ExecEvent>, SshError> {
    nodes.session(node).await?.stream(request).await
}

/// The most that is kept of one stream of a node for `-b` and JSON, in bytes.
const KEPT: usize = 16 << 20;

fn keep(text: &mut String, node: &NodeName, line: &str, live: bool, stderr: bool) {
    if live {
        if stderr {
            report::talk(&format!("{node}: {line}"));
        } else {
            report::data(&format!("{node}: {line}\n"));
        }
    } else if text.len() + line.len() < KEPT {
        text.push_str(line);
        text.push('\n');
    }
}

fn json(given: &Given) {
    let (code, signal, error) = match &given.end {
        End::Code(code) => (Some(*code), None, None),
        End::Signal(signal) => (None, Some(signal.clone()), None),
        other => (None, None, Some(other.describe())),
    };
    report::json::line(
        "exec",
        &serde_json::json!({
            "node": given.node, "exit_code": code, "signal": signal, "error": error,
            "timed_out": matches!(given.end, End::TimedOut(_)), "stdout": given.stdout, "stderr": given.stderr,
        }),
    );
}

fn gathered(given: &[Given]) {
    let outputs = |text: fn(&Given) -> &str| {
        given
            .iter()
            .filter(move |given| !text(given).is_empty())
            .map(move |given| (given.node.to_string(), text(given).to_owned()))
    };
    report::data(&report::gather::render(&report::gather::gather(outputs(
        |given| &given.stdout,
    ))));
    let errors = report::gather::render(&report::gather::gather(outputs(|given| &given.stderr)));
    if !errors.is_empty() {
        report::talk(errors.trim_end());
    }
}

fn failures(given: &[Given]) {
    let mut folded: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for given in given.iter().filter(|given| given.end != End::Code(0)) {
        folded
            .entry(given.end.describe())
            .or_default()
            .push(given.node.as_str());
    }
    for (what, nodes) in folded {
        report::talk(&format!("vcluster: {}: {what}", crate::nodeset::fold(nodes)));
    }
}

fn code(given: &[Given], maxrc: bool) -> ExitCode {
    if given.iter().any(|given| matches!(given.end, End::TimedOut(_))) {
        return ExitCode::Timeout;
    }
    if given.iter().any(|given| matches!(given.end, End::Error(_))) {
        return ExitCode::WorkloadFailed;
    }
    let largest = given
        .iter()
        .map(|given| match given.end {
            End::Code(code) => code,
            _ => 255,
        })
        .max()
        .unwrap_or(0);
    match (largest, maxrc) {
        (0, _) => ExitCode::Ok,
        (code, true) => ExitCode::Remote(u8::try_from(code).unwrap_or(255)),
        (_, false) => ExitCode::WorkloadFailed,
    }
}
