//! `vcluster reaper`: the script on the hosts that removes clusters whose lease has ended when no controller comes back.

use std::time::Duration;

use super::common::HostArgs;
use super::leases::HostChoice;
use super::{Context, Format};
use crate::engine::{EngineError, Events, Failure, Fleet, HostStage};
use crate::exit::ExitCode;
use crate::host::{HostError, ReaperState, reaper_install_script, reaper_script};
use crate::name::HostName;
use crate::report;
use crate::report::error::Failure as Misuse;
use crate::state::HostRecord;

/// Let the hosts themselves remove clusters whose lease has ended
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Put the script on the hosts, with a systemd timer
    Install {
        #[command(flatten)]
        on: On,
        /// How often it looks
        #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_every)]
        every: Duration,
    },
    /// Take it away
    Remove(On),
    /// Show where it is, and whether it is this version's
    Status(On),
    /// Print the script, or with `--install` one that puts it on a host
    Script {
        /// A script for root on a host, where it does what `reaper install` does: for images and other installers
        #[arg(long)]
        install: bool,
        /// How often the reaper looks
        #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_every, requires = "install")]
        every: Duration,
    },
}

#[derive(Debug, clap::Args)]
struct On {
    #[command(flatten)]
    choice: HostChoice,
    #[command(flatten)]
    connect: HostArgs,
}

/// The shortest time between two looks of the reaper.
const SHORTEST: Duration = Duration::from_secs(10);

fn parse_every(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if every < SHORTEST {
        return Err(format!(
            "the shortest is {}",
            humantime::format_duration(SHORTEST)
        ));
    }
    Ok(every)
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Script { install, every } => {
            report::data(&if install {
                reaper_install_script(every)
            } else {
                reaper_script()
            });
            Ok(ExitCode::Ok)
        }
        Verb::Install { on, every } => on_hosts(&on, context, Deed::Install(every)).await,
        Verb::Remove(on) => on_hosts(&on, context, Deed::Remove).await,
        Verb::Status(on) => on_hosts(&on, context, Deed::Look).await,
    }
}

#[derive(Clone, Copy)]
enum Deed {
    Install(Duration),
    Remove,
    Look,
}

async fn on_hosts(on: &On, context: &Context, deed: Deed) -> anyhow::Result<ExitCode> {
    let records = on.choice.records(context)?;
    if records.is_empty() {
        return Err(Misuse::new(ExitCode::Usage, "no hosts are named")
            .with_hint("name them by `--hosts 'bm[01-15]'` or by a topology file")
            .into());
    }
    let members: Vec<_> = records.iter().map(HostRecord::to_host).collect();
    let (events, _silent) = Events::channel();
    let (fleet, mut failures) = Fleet::connect(&members, &on.connect.options(), &events).await;
    let states: Vec<(HostName, Result<ReaperState, HostError>)> = fleet
        .stage(HostStage::Probe, &events, |member| async move {
            let state = match deed {
                Deed::Install(every) => member.host.install_reaper(every).await,
                Deed::Remove => member.host.remove_reaper().await,
                Deed::Look => member.host.reaper_state().await,
            };
            Ok((true, state?))
        })
        .await;
    fleet.close().await;
    let mut rows = Vec::new();
    for (host, state) in states {
        match state {
            Ok(state) => rows.push((host, state)),
            Err(error) => failures.push(Failure::of_host(host, error)),
        }
    }
    show(&rows, context);
    EngineError::from_failures("failed on some hosts", failures)?;
    Ok(ExitCode::Ok)
}

fn show(rows: &[(HostName, ReaperState)], context: &Context) {
    if context.format == Format::Json {
        let hosts: Vec<_> = rows
            .iter()
            .map(|(host, state)| {
                serde_json::json!({ "host": host, "installed": state.installed, "current": state.current, "timer": state.timer })
            })
            .collect();
        report::data(&format!(
            "{:#}\n",
            serde_json::json!({ "version": 1, "hosts": hosts })
        ));
        return;
    }
    let mut table = report::table::new(&["HOST", "REAPER", "TIMER"]);
    for (host, state) in rows {
        let reaper = match (state.installed, state.current) {
            (false, _) => "not installed",
            (true, true) => "installed",
            (true, false) => "of another version",
        };
        let timer = match state.timer {
            Some(true) => "runs",
            Some(false) => "off",
            None => "no systemd",
        };
        table.add_row(vec![host.to_string(), reaper.to_owned(), timer.to_owned()]);
    }
    report::data(&report::table::render(
        &table,
        report::Terminal::detect().stdout_colour,
    ));
    let by_hand: Vec<&HostName> = rows
        .iter()
        .filter(|(_, state)| state.installed && state.timer.is_none())
        .map(|(host, _)| host)
        .collect();
    if !by_hand.is_empty() {
        report::talk(&format!(
            "warning: no systemd, so no timer on {}: run it by cron there, such as `*/5 * * * * root \
             /usr/local/sbin/vcluster-reaper >/dev/null` in /etc/cron.d/vcluster-reaper",
            crate::nodeset::fold(by_hand)
        ));
    }
}
