//! The findings of `doctor`: a table with the hosts folded, then why each finding matters and how to fix it.

use serde_json::json;

use super::style::{ERROR, HINT, WARNING};
use super::table;
use crate::base::group::grouped;
use crate::base::text::{self, plural};
use crate::doctor::{Evidence, Finding, Fix, Remedy, Severity, Subject};
use crate::nodeset::fold;

/// Equal findings together.
struct Folded<'a> {
    first: &'a Finding,
    all: Vec<&'a Finding>,
}

impl Folded<'_> {
    fn on(&self) -> String {
        name(self.all.iter().map(|finding| &finding.subject))
    }
}

/// The subjects of findings, folded.
fn name<'a>(subjects: impl Iterator<Item = &'a Subject>) -> String {
    let hosts: Vec<&str> = subjects
        .map(|subject| match subject {
            Subject::Topology => "topology",
            Subject::Controller => "controller",
            Subject::Host(host) => host.as_str(),
        })
        .collect();
    fold(hosts)
}

/// Folds equal findings, the worst first. Findings of hosts never fold with those of the controller.
fn folded<'a>(findings: &'a [Finding], least: Severity) -> Vec<Folded<'a>> {
    let shown = findings.iter().filter(|finding| finding.severity >= least);
    let equal = grouped(shown.map(|finding| {
        let is_host = matches!(finding.subject, Subject::Host(_));
        let key = (finding.severity, finding.check, &finding.what, &finding.why);
        ((key, is_host), finding)
    }));
    let mut groups: Vec<Folded<'a>> = equal
        .into_values()
        .map(|all| Folded { first: all[0], all })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.first.severity));
    groups
}

/// The findings for people; with `quiet` only warnings and errors.
pub fn findings(findings: &[Finding], quiet: bool) -> String {
    let least = if quiet { Severity::Warning } else { Severity::Ok };
    let groups = folded(findings, least);
    if groups.is_empty() {
        return String::new();
    }
    let mut rows = table::new(&["SEVERITY", "ON", "CHECK", "FINDING"]);
    for group in &groups {
        let first = group.first;
        rows.add_row([
            first.severity.as_str().to_owned(),
            group.on(),
            first.check.to_owned(),
            text::line(first.what.as_bytes()),
        ]);
    }
    let mut out = table::render(&rows);
    for group in groups.iter().filter(|group| group.first.severity > Severity::Ok) {
        out.push_str(&details(group));
    }
    out
}

fn details(group: &Folded<'_>) -> String {
    let first = group.first;
    let style = match first.severity {
        Severity::Error => ERROR,
        Severity::Warning => WARNING,
        Severity::Info | Severity::Ok => HINT,
    };
    let head = format!("{}: {} on {}", first.severity.as_str(), first.check, group.on());
    let mut out = format!("\n{style}{head}{style:#}\n");
    if !first.why.is_empty() {
        out.push_str(&format!("  why:  {}\n", text::line(first.why.as_bytes())));
    }
    let remedies = group
        .all
        .iter()
        .filter_map(|finding| Some((finding.remedy.as_ref()?, &finding.subject)));
    for (remedy, subjects) in grouped(remedies) {
        let on = name(subjects.into_iter());
        let line = match remedy {
            Remedy::There { command, safe: true } => format!("on {on}, or with --fix:  {command}"),
            Remedy::There { command, safe: false } => format!("on {on}:  {command}"),
            Remedy::Here { command } => command.clone(),
            Remedy::Advice { text } => text.clone(),
        };
        out.push_str(&format!("  fix:  {}\n", text::line(line.as_bytes())));
    }
    out
}

/// The line about a fix that is about to run.
pub fn fix(fix: &Fix) -> String {
    format!(
        "fix on {}: {}",
        name(std::iter::once(&fix.subject)),
        text::line(fix.command.as_bytes())
    )
}

/// The closing line.
pub fn verdict(findings: &[Finding]) -> String {
    let (errors, warnings) = (
        count(findings, Severity::Error),
        count(findings, Severity::Warning),
    );
    match (errors, warnings) {
        (0, 0) => "no errors, no warnings".into(),
        (0, warnings) => format!("no errors, {}", plural(warnings, "warning")),
        (errors, warnings) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    }
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    findings
        .iter()
        .filter(|finding| finding.severity == severity)
        .count()
}

/// JSON lines: what each host reported, every finding unfolded, the counts.
pub fn json(evidence: &Evidence<'_>, findings: &[Finding]) {
    for host in &evidence.hosts {
        let clock = host
            .clock
            .map(|clock| json!({ "apart": clock.apart.as_secs_f64(), "bound": clock.bound.as_secs_f64() }));
        super::json::line(
            "host",
            &json!({
                "host": host.name(), "machine": host.machine, "clock": clock, "kvm": host.kvm,
                "facts": host.seen.as_ref().map(|seen| &seen.facts),
            }),
        );
    }
    for finding in findings {
        super::json::line("finding", finding);
    }
    super::json::line(
        "doctor",
        &json!({
            "cluster": evidence.topology.name,
            "nodes": evidence.topology.nodes.len(),
            "hosts": evidence.hosts.len(),
            "controller": evidence.controller,
            "errors": count(findings, Severity::Error),
            "warnings": count(findings, Severity::Warning),
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::super::style::plain;
    use super::*;

    fn finding(severity: Severity, host: &str, what: &str, command: Option<&str>) -> Finding {
        Finding {
            severity,
            check: "files",
            subject: Subject::Host(host.parse().unwrap()),
            what: what.into(),
            why: if severity == Severity::Ok {
                ""
            } else {
                "guests end"
            }
            .into(),
            remedy: command.map(|command| Remedy::There {
                command: command.into(),
                safe: true,
            }),
        }
    }

    #[test]
    fn equal_findings_fold_and_the_worst_comes_first() {
        let all = [
            finding(Severity::Ok, "bm01", "fine", None),
            finding(Severity::Error, "bm02", "too few", Some("raise 1")),
            finding(Severity::Error, "bm03", "too few", Some("raise 2")),
            finding(Severity::Ok, "bm04", "fine", None),
        ];
        insta::assert_snapshot!(plain(&findings(&all, false)), @r"
        SEVERITY  ON         CHECK  FINDING
        error     bm[02-03]  files  too few
        ok        bm[01,04]  files  fine

        error: files on bm[02-03]
          why:  guests end
          fix:  on bm02, or with --fix:  raise 1
          fix:  on bm03, or with --fix:  raise 2
        ");
        assert_eq!(verdict(&all), "2 errors, 0 warnings");
        assert!(
            !findings(&all, true).contains("fine"),
            "quiet shows warnings and errors only"
        );
        assert_eq!(findings(&all[..1], true), "");
    }

    #[test]
    fn text_of_a_host_cannot_move_the_cursor() {
        let shown = findings(&[finding(Severity::Error, "bm01", "a\u{1b}[2Jb", None)], false);
        assert!(shown.contains("a^[[2Jb"), "{shown}");
    }
}
