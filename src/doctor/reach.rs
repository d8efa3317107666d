//! Whether every host accepts the login and can be examined.

use super::evidence::{Evidence, Stage};
use super::finding::{Finding, Severity};
use crate::base::text::plural;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let all = evidence.hosts.len();
    let mut findings = Vec::new();
    for host in &evidence.hosts {
        let login = host.failure(Stage::Login);
        let Some(failure) = login.or(host.failure(Stage::Examine)) else {
            findings.push(Finding::host(
                Severity::Ok,
                "reach",
                host.name(),
                "accepts the login as root",
            ));
            continue;
        };
        let left = evidence
            .hosts
            .iter()
            .filter(|host| host.failures.is_empty())
            .count();
        let why = format!(
            "`up` needs every host of the topology; without this one, {} would have to fit on {left} of {}",
            plural(evidence.topology.nodes.len(), "node"),
            plural(all, "host")
        );
        let advice = match (&failure.hint, login) {
            (Some(hint), _) => hint.clone(),
            (None, Some(_)) => format!(
                "make sure that it is on and that `ssh` reaches it as in its URI ({}), or remove it from the topology",
                host.config.uri
            ),
            (None, None) => "make sure that the login shell there can run `sh`".to_owned(),
        };
        findings.push(
            Finding::host(Severity::Error, "reach", host.name(), &failure.error)
                .because(why)
                .advised(advice),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::evidence::ProbeError;
    use super::super::fixture::World;
    use super::*;

    #[test]
    fn a_dead_host_is_an_error_and_the_others_are_fine() {
        let mut world = World::new(3, 6);
        world.hosts[1].failures.push(ProbeError {
            stage: Stage::Login,
            error: "cannot log in: no route to host".into(),
            hint: None,
            denied: false,
        });
        let findings = check(&world.evidence());
        let severities: Vec<Severity> = findings.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Ok, Severity::Error, Severity::Ok]);
        assert!(findings[1].why.contains("6 nodes") && findings[1].why.contains("2 of 3 hosts"));
    }
}
