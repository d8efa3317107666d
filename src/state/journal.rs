//! The journal: what is about to be created on which host, written before it is created.
//! `down` checks every host in the journal, even if the topology has changed since.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::dir::ClusterDir;
use super::error::StateError;
use crate::base::crash_point;
use crate::base::name::{HostName, NodeName};
use crate::base::whole::sync_parent;
use crate::inventory::HostEndpoint;

const FILE: &str = "journal.jsonl";

/// One intent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "intent")]
pub enum Intent {
    /// The network, pool and images of the cluster are about to be created on a host.
    Host {
        /// How to reach it again.
        host: HostEndpoint,
    },
    /// A node is about to be created.
    Node {
        /// The node.
        node: NodeName,
        /// Its host.
        host: HostName,
    },
    /// A node is about to be removed.
    RemoveNode {
        /// The node.
        node: NodeName,
        /// Its host.
        host: HostName,
    },
    /// The whole cluster is about to be removed.
    Down,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: Mutex<fs::File>,
    dir: ClusterDir,
}

impl Journal {
    /// Opens the journal of a cluster for appending. A torn last line is removed, because the next entry would
    /// become part of it.
    pub fn open(dir: &ClusterDir) -> Result<Self, StateError> {
        let path = dir.join(FILE);
        let whole = dir.read(FILE)?.map(|bytes| {
            let end = bytes.iter().rposition(|&byte| byte == b'\n');
            (end.map_or(0, |end| end + 1), bytes.len())
        });
        let open = || {
            let file = fs::OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&path)?;
            match whole {
                None => sync_parent(&path)?,
                Some((whole, length)) if whole < length => file.set_len(whole as u64)?,
                Some(_) => {}
            }
            Ok(file)
        };
        crash_point::point!("journal open before");
        let file = open().map_err(StateError::io("open", &path))?;
        crash_point::point!("journal open after");
        Ok(Self {
            file: Mutex::new(file),
            dir: dir.clone(),
        })
    }

    /// Writes intents and returns once they are on disk: one flush for all of them.
    pub fn write(&self, intents: &[Intent]) -> Result<(), StateError> {
        let mut text = Vec::new();
        for intent in intents {
            serde_json::to_writer(&mut text, intent).map_err(|error| StateError::Damaged {
                path: self.dir.join(FILE),
                cause: error.to_string(),
            })?;
            text.push(b'\n');
        }
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        crash_point::point!("journal write before");
        let written = file
            .write_all(&text)
            .and_then(|()| file.sync_data())
            .map_err(StateError::io("write", &self.dir.join(FILE)));
        crash_point::point!("journal write after");
        written
    }
}

/// All intents ever written. A torn last line (the machine died while writing it) is skipped, because its
/// action cannot have begun.
pub fn read_intents(dir: &ClusterDir) -> Result<Vec<Intent>, StateError> {
    let Some(bytes) = dir.read(FILE)? else {
        return Ok(Vec::new());
    };
    let mut intents = Vec::new();
    let mut lines = bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .peekable();
    while let Some(line) = lines.next() {
        match serde_json::from_slice(line) {
            Ok(intent) => intents.push(intent),
            Err(_) if lines.peek().is_none() => {}
            Err(error) => {
                return Err(StateError::Damaged {
                    path: dir.join(FILE),
                    cause: error.to_string(),
                });
            }
        }
    }
    Ok(intents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_passed_over_and_a_torn_middle_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let dir = super::super::StateRoot::at(temp.path().into()).cluster(&"a".parse().unwrap());
        dir.create().unwrap();
        let journal = Journal::open(&dir).unwrap();
        let intent = Intent::Node {
            node: "n001".parse().unwrap(),
            host: "bm01".parse().unwrap(),
        };
        journal.write(std::slice::from_ref(&intent)).unwrap();
        let whole = dir.read(FILE).unwrap().unwrap();
        dir.write(FILE, &[&whole[..], b"{\"intent\":\"no"].concat())
            .unwrap();
        assert_eq!(read_intents(&dir).unwrap(), vec![intent.clone()]);
        // The next command appends.
        Journal::open(&dir)
            .unwrap()
            .write(std::slice::from_ref(&intent))
            .unwrap();
        assert_eq!(read_intents(&dir).unwrap(), vec![intent.clone(), intent]);
        dir.write(FILE, &[b"{\"intent\":\"no\n", &whole[..]].concat())
            .unwrap();
        assert!(read_intents(&dir).is_err());
    }
}
