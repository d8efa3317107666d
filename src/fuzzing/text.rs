//! User input: topologies and node sets.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::base::failure::UserFacing;
use crate::base::text::sanitize;
use crate::nodeset::{NodeSet, expand, fold};
use crate::topology::Topology;

/// A directory with a template in it, kept until the process ends.
fn base() -> &'static PathBuf {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let path = super::scratch().keep();
        std::fs::write(
            path.join("a.hbs"),
            "{{node.name}} {{#each nodes}}{{address}} {{/each}}",
        )
        .unwrap();
        path
    })
}

/// Any topology is accepted, or refused with a printable message.
pub fn topology(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Topology::parse(&text, "fuzz.yaml", base()) {
        Ok(topology) => {
            assert!(!topology.hosts.is_empty());
            for host in &topology.hosts {
                assert!(crate::host::check_uri(&host.uri).is_ok(), "{}", host.uri);
            }
            // Parsing again gives the same result.
            let again = Topology::parse(&text, "fuzz.yaml", base()).unwrap();
            assert_eq!(topology.nodes.len(), again.nodes.len());
        }
        Err(mistakes) => {
            let message = mistakes.to_string();
            assert!(!message.is_empty());
            let _ = sanitize(&message);
            let _ = mistakes.hint();
        }
    }
}

/// Node sets expand within bounds, and folding does not change them.
pub fn nodeset(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let group = |name: &str| (name == "g").then(|| vec!["a1".to_owned(), "a2".to_owned(), "b".to_owned()]);
    match NodeSet::parse(&text, group) {
        Ok(set) => {
            assert!(set.len() <= crate::nodeset::LIMIT);
            if set.len() > 2_000 {
                return;
            }
            let names: Vec<String> = set.iter().collect();
            assert_eq!(names.len(), set.len());
            assert!(names.iter().all(|name| set.contains(name)));
            let folded = set.to_string();
            assert_eq!(folded, fold(&names), "folding names and folding the set differ");
            if !set.is_empty() {
                let again = NodeSet::parse(&folded, |_| None)
                    .unwrap_or_else(|error| panic!("`{folded}` cannot be parsed again: {error}"));
                assert_eq!(again, set, "`{folded}` is a different set");
                assert_eq!(expand(&folded).unwrap(), names);
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let _ = error.hint();
        }
    }
    // Folding accepts any names.
    let names: Vec<&str> = text.split('\n').take(200).collect();
    let _ = fold(&names);
}
