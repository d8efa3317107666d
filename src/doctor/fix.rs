//! Runs the safe fixes: each only adds or raises something and takes nothing away from others.

use std::collections::BTreeSet;

use serde::Serialize;

use super::examine::LOCAL_URI;
use super::finding::{Finding, Remedy, Severity, Subject};
use crate::base::event::Events;
use crate::base::failure::explain;
use crate::engine::{HOSTS_AT_ONCE, Pending};
use crate::host::{ConnectOptions, HostLogin};
use crate::topology;

/// A command that will be run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fix {
    /// Where to run it.
    #[serde(flatten)]
    pub subject: Subject,
    /// The command, for `sh` as root.
    pub command: String,
}

/// The result of a fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What was run.
    #[serde(flatten)]
    pub fix: Fix,
    /// Why it failed; `None` if it did not.
    pub error: Option<String>,
}

/// The safe commands for warnings and errors, each once.
pub fn fixes(findings: &[Finding]) -> Vec<Fix> {
    let bad = findings
        .iter()
        .filter(|finding| finding.severity >= Severity::Warning);
    let fixes: BTreeSet<Fix> = bad
        .filter_map(|finding| match &finding.remedy {
            Some(Remedy::There { command, safe: true }) => Some(Fix {
                subject: finding.subject.clone(),
                command: command.clone(),
            }),
            _ => None,
        })
        .collect();
    fixes.into_iter().collect()
}

/// Runs them: all hosts at the same time, the commands of one host in order. The events only name the hosts
/// that are waited for.
pub async fn fix(
    fixes: &[Fix],
    hosts: &[topology::Host],
    options: &ConnectOptions,
    events: &Events,
) -> Vec<Outcome> {
    let subjects: BTreeSet<&Subject> = fixes.iter().map(|fix| &fix.subject).collect();
    let outcomes = Pending::each(
        events,
        "the fixes on",
        HOSTS_AT_ONCE,
        subjects,
        |subject| name(subject),
        |subject| async move {
            let login = match host(subject, hosts) {
                Some(host) => HostLogin::open(&host.endpoint(), options).await,
                // Findings are about hosts of the topology.
                None => return Vec::new(),
            };
            let mut outcomes = Vec::new();
            for fix in fixes.iter().filter(|fix| fix.subject == *subject) {
                let error = match &login {
                    Ok(login) => {
                        let result = login.script("run the fix", &script(&fix.command)).await;
                        result.err().map(|error| explain(&error))
                    }
                    Err(error) => Some(explain(error)),
                };
                outcomes.push(Outcome {
                    fix: fix.clone(),
                    error,
                });
            }
            if let Ok(login) = login {
                login.close().await;
            }
            outcomes
        },
    )
    .await;
    outcomes.into_iter().flatten().collect()
}

/// Where a fix runs, for people.
fn name(subject: &Subject) -> &str {
    match subject {
        Subject::Host(name) => name.as_str(),
        Subject::Controller | Subject::Topology => "this machine",
    }
}

/// The output of a started daemon must not keep the connection open.
fn script(command: &str) -> String {
    format!("{{ {command}; }} </dev/null >/dev/null\n")
}

fn host(subject: &Subject, hosts: &[topology::Host]) -> Option<topology::Host> {
    match subject {
        Subject::Host(name) => hosts.iter().find(|host| host.name == *name).cloned(),
        Subject::Controller => {
            let mut host = hosts.first().cloned()?;
            LOCAL_URI.clone_into(&mut host.uri);
            Some(host)
        }
        Subject::Topology => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_commands_for_warnings_and_errors_are_run_and_each_once() {
        let host = "bm1".parse().unwrap();
        let bad = |severity| Finding::host(severity, "x", &host, "y");
        let findings = [
            bad(Severity::Error).fixed_by("modprobe tun"),
            bad(Severity::Warning).fixed_by("modprobe tun"),
            bad(Severity::Error).left_to_owner("apt-get install -y tar"),
            bad(Severity::Error).fixed_here("vcluster down x"),
            bad(Severity::Info).fixed_by("true"),
        ];
        let fixes = fixes(&findings);
        assert_eq!(fixes.len(), 1);
        assert_eq!(fixes[0].command, "modprobe tun");
    }

    #[tokio::test]
    async fn a_failed_command_reports_why_and_the_next_is_still_run() {
        let topology = crate::topology::Topology::parse(
            "name: x\ngroups: { n: { count: 1 } }\n",
            "t.yaml",
            std::path::Path::new("/"),
        )
        .unwrap();
        let commands = ["echo no >&2; exit 3", "true"];
        let fixes = commands.map(|command| Fix {
            subject: Subject::Controller,
            command: command.into(),
        });
        let (events, _receiver) = Events::channel();
        let outcomes = fix(&fixes, &topology.hosts, &ConnectOptions::default(), &events).await;
        // If the user may not become root, both fail with that error.
        let errors: Vec<Option<&str>> = outcomes.iter().map(|outcome| outcome.error.as_deref()).collect();
        assert!(
            errors[0].is_some_and(|error| error.contains("no") || error.contains("root")),
            "{errors:?}"
        );
        assert_eq!(errors.len(), 2);
    }
}
