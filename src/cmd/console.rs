//! `vcluster console`: the serial console of a node, live. Ctrl-] leaves it.

use anyhow::Context as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::common::{ClusterArg, HostArgs};
use super::output::waits;
use super::{Context, tty};
use crate::base::event::Events;
use crate::base::exit::ExitCode;
use crate::base::name::NodeName;
use crate::base::text;
use crate::cluster::Cluster;
use crate::engine::Pending;
use crate::host::{Backend, CONSOLE_BYTES, CONSOLE_LINES};
use crate::report;
use crate::state::StateError;

/// The key that leaves the console: Ctrl-], as in `virsh console` and telnet.
const ESCAPE: u8 = 0x1d;

/// Show the serial console of a node; Ctrl-] leaves it
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArg,
    #[command(flatten)]
    hosts: HostArgs,
    /// Print the last lines of the console log and exit
    #[arg(long, value_name = "LINES", num_args = 0..=1, default_missing_value = "100")]
    pub log: Option<usize>,
    /// The node
    #[arg(value_name = "NODE")]
    pub node: NodeName,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::open(args.cluster.cluster.as_deref())?;
    cluster.select(Some(args.node.as_str()), None)?;
    let planned = cluster.plan.nodes.iter().find(|node| node.name == args.node);
    let node = planned.context("the node is not in the plan")?;
    let record = cluster.record.hosts.iter().find(|host| host.name == node.host);
    let record = record.ok_or_else(|| StateError::Damaged {
        path: cluster.dir.join("cluster.json"),
        cause: format!("host `{}` is missing in it", node.host),
    })?;
    let waits = waits(context);
    let pending = Pending::new("connecting to", [&record.name]);
    let access = args.hosts.access();
    let host = pending.shown(&waits, access.connect(record)).await?;
    let pending = Pending::new("the console of", [&args.node]);
    if let Some(lines) = args.log {
        let cluster = cluster.plan.cluster_ref();
        let tail = host.console_tail(&cluster, &args.node, lines);
        let tail = pending.shown(&waits, tail).await?;
        for line in tail.lines() {
            report::data(&format!("{}\n", text::line(line.as_bytes())));
        }
        let shown = tail.lines().count();
        if shown < lines && (shown == CONSOLE_LINES || tail.len() >= CONSOLE_BYTES) {
            report::message(&format!(
                "vcluster: only the last {shown} lines are shown: the limit is {CONSOLE_LINES} lines or {} KiB",
                CONSOLE_BYTES >> 10
            ));
        }
    } else {
        live(host.as_ref(), &node.domain, &pending, &waits).await?;
    }
    host.close().await;
    Ok(ExitCode::Ok)
}

async fn live(host: &dyn Backend, domain: &str, pending: &Pending, waits: &Events) -> anyhow::Result<()> {
    let mut console = pending.shown(waits, host.console(domain)).await?;
    let (mut output, mut input) = tokio::io::split(&mut console.stream);
    report::message("connected; Ctrl-] leaves the console");
    let mut keys = tty::keys();
    let mut typing = true;
    let raw = tty::RawMode::enter()?;
    let mut buffer = vec![0; 4096];
    let why = loop {
        tokio::select! {
            read = output.read(&mut buffer) => match read {
                Ok(count @ 1..) if report::paced(&buffer[..count]).await => {}
                Ok(1..) => break "nothing reads the output any more",
                _ => break "the console was closed: the node has stopped",
            },
            bytes = keys.recv(), if typing => match bytes {
                Some(bytes) if bytes.contains(&ESCAPE) => break "left the console",
                Some(bytes) => input.write_all(&bytes).await?,
                None => typing = false,
            },
        }
    };
    drop(raw);
    report::message(&format!("\n{why}"));
    console.close();
    Ok(())
}
