//! The command line: global options, signals, and the mapping of errors to exit codes.

mod usage;

use std::io;
use std::time::Duration;

use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::cmd::common::FlagVariable;
use crate::cmd::{self, Context};
use crate::report::{self, Format};

/// Raise a cluster of hundreds of real virtual machines for a scale test, and remove it completely
#[derive(Debug, Parser)]
#[command(name = "vcluster", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    /// Format of the results
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "VCLUSTER_FORMAT",
        help_heading = GLOBAL
    )]
    format: Format,
    /// Print only failures
    #[arg(
        short,
        long,
        global = true,
        env = "VCLUSTER_QUIET",
        action = ArgAction::SetTrue,
        value_parser = FlagVariable,
        help_heading = GLOBAL
    )]
    quiet: bool,
    /// Print every stage of every node
    #[arg(
        short,
        long,
        global = true,
        env = "VCLUSTER_VERBOSE",
        action = ArgAction::SetTrue,
        value_parser = FlagVariable,
        help_heading = GLOBAL
    )]
    verbose: bool,
    #[command(subcommand)]
    verb: Verb,
}

/// Heading of the options that every command has.
const GLOBAL: &str = "Global options";

/// Time for blocking calls to return before the process ends.
const SHUTDOWN: Duration = Duration::from_secs(1);

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 unexpected, 2 usage, 3 invalid topology, 4 does not fit, \
5 apply failed, 6 workload or command failed, 7 something left behind, 8 declined, 124 timeout, 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check topologies and report every mistake at once
    Validate(cmd::validate::Args),
    Plan(cmd::plan::Args),
    Doctor(cmd::doctor::Args),
    Up(cmd::up::Args),
    Down(cmd::down::Args),
    Run(cmd::run::Args),
    Test(cmd::test::Args),
    Scale(Box<cmd::scale::Args>),
    Compare(cmd::compare::Args),
    Runs(cmd::runs::Args),
    Report(cmd::report::Args),
    Configure(cmd::configure::Args),
    Status(cmd::status::Args),
    Restart(cmd::power::RestartArgs),
    Stop(cmd::power::StopArgs),
    Start(cmd::power::StartArgs),
    Recreate(cmd::power::RecreateArgs),
    List(cmd::list::Args),
    Extend(cmd::extend::Args),
    Gc(cmd::gc::Args),
    Reaper(cmd::reaper::Args),
    Exec(cmd::exec::Args),
    Push(cmd::push::Args),
    Pull(cmd::pull::Args),
    Ssh(cmd::ssh::Args),
    Console(cmd::console::Args),
    Image(cmd::image::Args),
    Mock(cmd::mock::Args),
    /// Expand, fold or count node sets, as ClusterShell's nodeset does
    Nodeset(cmd::nodeset::Args),
    /// Print an ssh config of the nodes, for `Include`
    SshConfig(cmd::export::Args),
    /// Print an Ansible inventory of the nodes
    Inventory(cmd::export::Args),
    /// Print lines for /etc/hosts
    Hosts(cmd::export::Args),
    /// Print the nodes as Prometheus file_sd targets
    Targets(cmd::export::TargetsArgs),
    Schema(cmd::schema::Args),
    /// Print shell completions
    Completions(cmd::completions::Args),
    /// Print the man pages
    Man(cmd::man::Args),
}

/// Runs the program and returns its exit code.
pub fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return wrong_usage(&error).into(),
        Err(help) => {
            // Help and version are not errors.
            let _ = help.print();
            return ExitCode::Ok.into();
        }
    };
    start_log();
    crate::ssh::raise_file_limit();
    let started = runtime().and_then(|runtime| Ok((runtime, watch_signals()?)));
    let (runtime, cancel) = match started {
        Ok(started) => started,
        Err(error) => {
            report::message(&format!("error: failed to start: {error}"));
            return ExitCode::Unexpected.into();
        }
    };
    let code = runtime.block_on(async {
        let context = Context {
            format: cli.format,
            quiet: cli.quiet,
            verbose: cli.verbose,
            cancel,
        };
        match dispatch(cli.verb, &context).await {
            Ok(code) => code,
            Err(error) => report::error::error(&error, context.format),
        }
    });
    // A libvirt call that never returns must not delay the exit: its connection is already closed.
    runtime.shutdown_timeout(SHUTDOWN);
    written(code).into()
}

/// The exit code of a command whose output was to be written: one that did its work, but not all of its output could be
/// written, has failed.
fn written(code: ExitCode) -> ExitCode {
    let Some(cause) = report::failure() else {
        return code;
    };
    let error = UserError::new(
        ExitCode::Unexpected,
        format!("failed to write standard output: {cause}"),
    );
    let error = error.with_hint("what was printed is not complete: free space there and try again");
    let failed = report::error::error(&error.into(), Format::Human);
    match code.code() {
        // `exec` ends its commands as an interrupt does.
        0 | 130 => failed,
        _ => code,
    }
}

/// Reports a wrong command line: to people as clap prints it, to programs as any other error.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    if usage::wants_json(std::env::args_os().skip(1), std::env::var_os("VCLUSTER_FORMAT")) {
        return report::error::error(&anyhow::Error::from(usage::describe(error)), Format::Json);
    }
    let _ = error.print();
    ExitCode::Usage
}

async fn dispatch(verb: Verb, context: &Context) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Validate(args) => cmd::validate::run(args, context).await,
        Verb::Plan(args) => cmd::plan::run(args, context).await,
        Verb::Doctor(args) => or_interrupted(context, cmd::doctor::run(args, context)).await,
        Verb::Up(args) => cmd::up::run(args, context).await,
        Verb::Down(args) => cmd::down::run(args, context).await,
        Verb::Run(args) => cmd::run::run(args, context).await,
        Verb::Test(args) => Box::pin(cmd::test::run(args, context)).await,
        Verb::Scale(args) => Box::pin(cmd::scale::run(*args, context)).await,
        Verb::Compare(args) => or_interrupted(context, cmd::compare::run(args, context)).await,
        Verb::Runs(args) => cmd::runs::run(args, context).await,
        Verb::Report(args) => or_interrupted(context, cmd::report::run(args, context)).await,
        Verb::Configure(args) => cmd::configure::run(args, context).await,
        Verb::Status(args) => or_interrupted(context, cmd::status::run(args, context)).await,
        Verb::Restart(args) => cmd::power::restart(args, context).await,
        Verb::Stop(args) => cmd::power::stop(args, context).await,
        Verb::Start(args) => cmd::power::start(args, context).await,
        Verb::Recreate(args) => cmd::power::recreate(args, context).await,
        Verb::List(args) => cmd::list::run(&args, context),
        Verb::Extend(args) => or_interrupted(context, cmd::extend::run(args, context)).await,
        Verb::Gc(args) => cmd::gc::run(args, context).await,
        Verb::Reaper(args) => or_interrupted(context, cmd::reaper::run(args, context)).await,
        Verb::Exec(args) => cmd::exec::run(args, context).await,
        Verb::Push(args) => cmd::push::run(args, context).await,
        Verb::Pull(args) => cmd::pull::run(args, context).await,
        Verb::Ssh(args) => cmd::ssh::run(args, context).await,
        Verb::Console(args) => or_interrupted(context, cmd::console::run(args, context)).await,
        Verb::Image(args) => cmd::image::run(args, context).await,
        Verb::Mock(args) => cmd::mock::run(args, context).await,
        Verb::Nodeset(args) => cmd::nodeset::run(args, context).await,
        Verb::SshConfig(args) => cmd::export::ssh_config(&args, context),
        Verb::Inventory(args) => cmd::export::inventory(&args, context),
        Verb::Hosts(args) => cmd::export::hosts(&args, context),
        Verb::Targets(args) => cmd::export::targets(&args, context),
        Verb::Schema(args) => cmd::schema::run(args, context).await,
        Verb::Completions(args) => cmd::completions::run(&args, Cli::command()),
        Verb::Man(args) => cmd::man::run(&args, Cli::command()),
    }
}

/// For verbs that have nothing to undo: an interrupt stops them immediately.
async fn or_interrupted(
    context: &Context,
    verb: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    tokio::select! {
        // A verb that has already ended takes precedence.
        biased;
        result = verb => result,
        () = context.cancel.cancelled() => Err(crate::engine::EngineError::Interrupted.into()),
    }
}

/// `VCLUSTER_LOG=debug` and the like; silent otherwise.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("VCLUSTER_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

/// One thread for all connections: they mostly wait for each other, and waking another thread for every message took a
/// fifth of the CPU time. What blocks has threads of its own: libvirt, files, output, signals.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// First signal: the token is cancelled, and the command cleans up. Second: the user learns that it is still
/// cleaning up. Third: the process exits immediately; the journal records what is left.
///
/// On a thread of its own, so that the third signal works whatever the program is doing.
fn watch_signals() -> io::Result<CancellationToken> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    let watching = async move {
        for count in 1.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            match count {
                1 => token.cancel(),
                2 => report::message(
                    "still cleaning up; press Ctrl-C again to exit immediately (`vcluster down` removes what is left)",
                ),
                _ => abort(),
            }
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || runtime.block_on(watching))?;
    Ok(cancel)
}

#[expect(clippy::exit, reason = "the third signal requests an immediate exit")]
fn abort() {
    std::process::exit(i32::from(ExitCode::Interrupted.code()));
}

#[cfg(test)]
mod tests;
