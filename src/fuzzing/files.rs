//! Files that are read back: known_hosts, the answer of `ssh -G`, the journal and record, manifests and headers of images.

use super::pieces::Pieces;
use crate::state::{ClusterRecord, StateRoot, read_intents};

/// The parsers of files.
pub fn files(data: &[u8]) {
    thread_local! {
        static SCRATCH: tempfile::TempDir = super::scratch();
    }
    let mut pieces = Pieces(data);
    let kind = pieces.byte() % 5;
    SCRATCH.with(|scratch| match kind {
        0 => crate::ssh::fuzzing::known_hosts(&pieces.rest()),
        1 => crate::ssh::fuzzing::ssh_answer(&pieces.rest()),
        2 => {
            let name = "a".parse().unwrap();
            let dir = StateRoot::at(scratch.path().join("state")).cluster(&name);
            std::fs::create_dir_all(dir.path()).unwrap();
            std::fs::write(dir.join("journal.jsonl"), pieces.0).unwrap();
            std::fs::write(dir.join("cluster.json"), pieces.0).unwrap();
            std::fs::write(dir.join("plan.json"), pieces.0).unwrap();
            let _ = read_intents(&dir);
            let _ = ClusterRecord::load(&dir);
            let _ = ClusterRecord::load_plan(&dir);
        }
        3 => {
            let _ = serde_json::from_slice::<crate::image::Manifest>(pieces.0);
        }
        _ => {
            let path = scratch.path().join("disk");
            std::fs::write(&path, pieces.0).unwrap();
            crate::image::fuzz_header(&path);
        }
    });
}
