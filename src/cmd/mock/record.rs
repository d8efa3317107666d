//! `mock record`: a proxy that records how long a service takes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use vcluster_mock::proxy::{Options, Proxy, ProxyError, Summary};

use super::{Protocol, stop_after};
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::cmd::Context;
use crate::report::{self, Format};

/// Forward connections to a service, and record how long it takes for each request
///
/// HTTP is recorded by message, Redis by command, TCP by connection. All bytes are forwarded unchanged. The exit code is
/// 0 after an interrupt too.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where clients connect to
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The service
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// What is spoken: http, redis or tcp
    #[arg(long, value_enum, value_name = "PROTOCOL", hide_possible_values = true)]
    protocol: Protocol,
    /// New file for the recording, as JSON lines
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Stop after this time [default: no limit]
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
}

/// Runs the verb.
pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let options = Options {
        listen: args.listen,
        to: args.to,
        protocol: args.protocol.into(),
        out: args.out,
    };
    let proxy = Proxy::bind(&options).await.map_err(failed)?;
    if !context.quiet {
        let address = proxy.address().unwrap_or(options.listen);
        report::message(&format!("recording {address} -> {}", options.to));
    }
    let summary = proxy.run(stop_after(args.time, context)).await.map_err(failed)?;
    match context.format {
        Format::Json => report::data(&json(&summary)?),
        Format::Human if context.quiet => {}
        Format::Human => report::message(&format!(
            "recorded {} requests of {} connections into {}",
            summary.requests,
            summary.connections,
            options.out.display()
        )),
    }
    for (count, what) in [
        (
            summary.dropped,
            "requests were not recorded: the disk is too slow",
        ),
        (
            summary.unreachable,
            "connections failed: the service could not be reached",
        ),
        (
            summary.not_understood,
            "connections were forwarded, but not recorded to their end",
        ),
    ] {
        if count > 0 {
            report::message(&format!("warning: {count} {what}"));
        }
    }
    Ok(ExitCode::Ok)
}

fn json(summary: &Summary) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(summary)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("version".to_owned(), 1.into());
    }
    Ok(format!("{value:#}\n"))
}

fn failed(error: ProxyError) -> UserError {
    let code = match error {
        ProxyError::Protocol(_) => ExitCode::Usage,
        ProxyError::Listen { .. } | ProxyError::Write { .. } => ExitCode::Unexpected,
    };
    let mut failure = UserError::new(code, error.to_string());
    failure.hint = error.hint().map(str::to_owned);
    failure
}
