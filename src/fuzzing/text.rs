//! What people write: topologies and node sets.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::nodeset::{NodeSet, expand, fold};
use crate::report::sanitize;
use crate::topology::Topology;

/// A directory with a template in it. It stays for the time of the process.
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

/// A topology is read or refused with words that can be shown, whatever stands in it.
pub fn topology(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Topology::parse(&text, "fuzz.yaml", base()) {
        Ok(topology) => {
            assert!(!topology.hosts.is_empty());
            for host in &topology.hosts {
                assert!(crate::host::check_uri(&host.uri).is_ok(), "{}", host.uri);
            }
            // What is read once is read again to the same.
            let again = Topology::parse(&text, "fuzz.yaml", base()).unwrap();
            assert_eq!(topology.nodes.len(), again.nodes.len());
        }
        Err(mistakes) => {
            let said = mistakes.to_string();
            assert!(!said.is_empty());
            let _ = sanitize(&said);
            let _ = mistakes.hint();
        }
    }
}

/// Node sets are written out within bounds, and folding changes nothing.
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
                    .unwrap_or_else(|error| panic!("`{folded}` is not read back: {error}"));
                assert_eq!(again, set, "`{folded}` is another set");
                assert_eq!(expand(&folded).unwrap(), names);
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let _ = error.hint();
        }
    }
    // Names from anywhere are taken as they are.
    let names: Vec<&str> = text.split('\n').take(200).collect();
    let _ = fold(&names);
}
