//! `vcluster reaper`: the script on the hosts that removes clusters whose lease has ended, without a controller.

use std::time::Duration;

use super::Context;
use super::common::HostArgs;
use super::leases::HostChoice;
use super::output::waits;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::name::HostName;
use crate::cluster::reaper::{self, ReaperOperation};
use crate::host::{REAPER_PATH, ReaperState, reaper_install_script, reaper_script};
use crate::report::{self, Format};

/// Let the hosts remove clusters whose lease has ended
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Install the script on the hosts, with a systemd timer
    Install {
        #[command(flatten)]
        on: On,
        /// Interval between checks
        #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_every)]
        every: Duration,
    },
    /// Remove the script and its timer
    Remove(On),
    /// Show where it is installed, and whether it is of this version
    Status(On),
    /// Print the script, or with `--install` a script that installs it on a host
    Script {
        /// Print a script that does on a host, as root, what `reaper install` does: for images and installers
        #[arg(long)]
        install: bool,
        /// Interval between checks
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

/// Minimum interval between checks of the reaper.
const SHORTEST: Duration = Duration::from_secs(10);

fn parse_every(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if every < SHORTEST {
        return Err(format!("the minimum is {}", humantime::format_duration(SHORTEST)));
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
        Verb::Install { on, every } => on_hosts(&on, context, ReaperOperation::Install(every)).await,
        Verb::Remove(on) => on_hosts(&on, context, ReaperOperation::Remove).await,
        Verb::Status(on) => on_hosts(&on, context, ReaperOperation::Status).await,
    }
}

async fn on_hosts(on: &On, context: &Context, operation: ReaperOperation) -> anyhow::Result<ExitCode> {
    let hosts = on.choice.endpoints()?;
    if hosts.is_empty() {
        return Err(UserError::new(ExitCode::Usage, "no hosts given")
            .with_hint("pass `--hosts 'bm[01-15]'` or a topology file")
            .into());
    }
    let reapers = reaper::on_hosts(&hosts, operation, &on.connect.access(), &waits(context)).await;
    show(&reapers.states, context);
    reapers.outcome?;
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
            (true, false) => "other version",
        };
        let timer = match state.timer {
            Some(true) => "runs",
            Some(false) => "off",
            None => "no systemd",
        };
        table.add_row(vec![host.to_string(), reaper.to_owned(), timer.to_owned()]);
    }
    report::show(&report::table::render(&table));
    let by_hand: Vec<&HostName> = rows
        .iter()
        .filter(|(_, state)| state.installed && state.timer.is_none())
        .map(|(host, _)| host)
        .collect();
    if !by_hand.is_empty() {
        report::message(&format!(
            "warning: no systemd on {}, so no timer: run the script from cron, for example `*/5 * * * * root \
             {REAPER_PATH} >/dev/null` in /etc/cron.d/vcluster-reaper",
            crate::nodeset::fold(by_hand)
        ));
    }
}
