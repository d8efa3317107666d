//! Where the nodes of a run are, from its `plan.json`, and the end of what one of them printed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use crate::base::name::{GroupName, NodeName};
use crate::base::text::line;

/// Bytes and lines shown of the end of an output.
const BYTES: u64 = 4096;
const LINES: usize = 15;

/// Groups and hosts of the nodes of a run.
#[derive(Debug, Default)]
pub(super) struct Placement {
    pub(super) groups: BTreeMap<NodeName, GroupName>,
    pub(super) hosts: BTreeMap<NodeName, String>,
}

/// A plan, as far as it is needed.
#[derive(Deserialize)]
struct Document {
    nodes: Vec<Placed>,
}

#[derive(Deserialize)]
struct Placed {
    name: NodeName,
    group: GroupName,
    host: String,
}

/// Reads `plan.json`; nothing is known if the run has none.
pub(super) fn placement(run: &Path) -> io::Result<Placement> {
    let bytes = match std::fs::read(run.join("plan.json")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Placement::default()),
        other => other?,
    };
    let document: Document = serde_json::from_slice(&bytes)?;
    let mut placement = Placement::default();
    for node in document.nodes {
        placement.groups.insert(node.name.clone(), node.group);
        placement.hosts.insert(node.name, node.host);
    }
    Ok(placement)
}

/// The last lines that a step printed on a node, with the name of the file: standard error, or if that is empty, standard
/// output. `None` if there are none, or they cannot be read.
pub(super) fn printed(run: &Path, step: &str, node: &NodeName) -> Option<(String, String)> {
    // The name comes from a file, and must not lead out of the run.
    if step.starts_with('.') || step.contains('/') {
        return None;
    }
    ["err", "out"].into_iter().find_map(|stream| {
        let name = format!("{step}/{node}.{stream}");
        let text = tail(&run.join(&name)).ok()?;
        (!text.is_empty()).then_some((name, text))
    })
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    // The first line may be torn.
    let whole = lines
        .get(usize::from(start > 0 && lines.len() > 1)..)
        .unwrap_or_default();
    let last = &whole[whole.len().saturating_sub(LINES)..];
    let shown: Vec<String> = last.iter().map(|bytes| line(bytes)).collect();
    Ok(shown.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_output_is_its_last_whole_lines() {
        let temp = tempfile::tempdir().unwrap();
        let step = temp.path().join("join");
        std::fs::create_dir(&step).unwrap();
        let node: NodeName = "n1".parse().unwrap();
        assert_eq!(printed(temp.path(), "join", &node), None);
        std::fs::write(step.join("n1.err"), "").unwrap();
        std::fs::write(step.join("n1.out"), b"one\nt\x1b[2Jwo\xff").unwrap();
        let (name, text) = printed(temp.path(), "join", &node).unwrap();
        assert_eq!(
            (name.as_str(), text.as_str()),
            ("join/n1.out", "one\nt^[[2Jwo\u{fffd}")
        );
        let many: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        std::fs::write(step.join("n1.err"), many).unwrap();
        let (name, text) = printed(temp.path(), "join", &node).unwrap();
        assert_eq!((name.as_str(), text.lines().count()), ("join/n1.err", 15));
        assert_eq!(printed(&step, "../join", &node), None);
        assert!(
            text.starts_with("line 985\n") && text.ends_with("line 999"),
            "{text}"
        );
    }

    #[test]
    fn groups_and_hosts_are_those_of_the_plan() {
        let temp = tempfile::tempdir().unwrap();
        assert!(placement(temp.path()).unwrap().hosts.is_empty());
        let plan = r#"{"version":1,"nodes":[{"name":"n1","group":"worker","index":0,"host":"bm01"}]}"#;
        std::fs::write(temp.path().join("plan.json"), plan).unwrap();
        let found = placement(temp.path()).unwrap();
        let node: NodeName = "n1".parse().unwrap();
        assert_eq!(
            (found.groups[&node].as_str(), found.hosts[&node].as_str()),
            ("worker", "bm01")
        );
        std::fs::write(temp.path().join("plan.json"), "{").unwrap();
        assert!(placement(temp.path()).is_err());
    }
}
