//! Entry points for fuzzing, one per target of `fuzz/`: they take bytes and panic if a guarantee is broken.
//! Built only for the unit tests, which replay the stored corpus, and with the feature `fuzzing`.
#![expect(clippy::unwrap_used, reason = "a panic reports a broken guarantee")]

mod builders;
mod files;
mod host;
mod metrics;
mod node;
mod pieces;
mod text;

pub use builders::builders;
pub use files::files;
pub use host::host;
pub use metrics::metrics;
pub use node::node;
pub use text::{nodeset, topology};

use std::path::PathBuf;

/// A target: takes bytes, panics if a guarantee is broken.
pub type Target = fn(&[u8]);

/// All targets, with the names of their directories in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 7] = [
    ("topology", topology),
    ("nodeset", nodeset),
    ("builders", builders),
    ("host", host),
    ("node", node),
    ("files", files),
    ("metrics", metrics),
];

/// A directory for files, in memory if possible: some targets write thousands per second.
fn scratch() -> tempfile::TempDir {
    let shm = PathBuf::from("/dev/shm");
    let parent = if shm.is_dir() { shm } else { std::env::temp_dir() };
    tempfile::Builder::new()
        .prefix("vcluster-fuzz-")
        .tempdir_in(parent)
        .unwrap()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use nix::sys::resource::{UsageWho, getrusage};

    use super::*;

    /// Limit for one input in CPU seconds, for the slow build of the tests. Other load does not count.
    const PATIENCE: f64 = 10.0;

    fn cpu() -> f64 {
        let used = getrusage(UsageWho::RUSAGE_THREAD).unwrap().user_time();
        used.tv_sec() as f64 + used.tv_usec() as f64 / 1e6
    }

    #[test]
    fn every_input_of_the_stored_corpus_keeps_the_guarantees() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let mut inputs: Vec<_> = fs::read_dir(corpus.join(name))
                .unwrap_or_else(|error| panic!("fuzz/corpus/{name}: {error}"))
                .map(|entry| entry.unwrap().path())
                .collect();
            inputs.sort();
            assert!(!inputs.is_empty(), "fuzz/corpus/{name} is empty");
            for path in inputs {
                let input = fs::read(&path).unwrap();
                let begun = cpu();
                let kept = std::panic::catch_unwind(|| target(&input)).is_ok();
                assert!(kept, "{} breaks a guarantee", path.display());
                assert!(cpu() - begun < PATIENCE, "{} is slow", path.display());
            }
        }
    }
}
