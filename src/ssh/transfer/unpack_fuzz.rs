//! What a node may send, from a fuzzer: whatever the bytes are, nothing is created outside, nothing points outside, and
//! nothing is writable by others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::entry::PullLimits;
use super::local::Local;
use super::names::leads_out;
use super::{frames, listing, unpack};

/// Unpacks bytes, and reads them as frames.
pub(crate) fn unpack(bytes: &[u8]) {
    let shm = Path::new("/dev/shm");
    let parent = if shm.is_dir() {
        shm.to_owned()
    } else {
        std::env::temp_dir()
    };
    let Ok(outer) = tempfile::tempdir_in(parent) else {
        return;
    };
    let into = outer.path().join("in");
    let limits = PullLimits {
        bytes: 1 << 20,
        entries: 100,
    };
    if fs::create_dir(&into).is_ok() {
        let mut local = Local::new(&into, limits);
        let _ = unpack::unpack(bytes, limits, &mut local);
        frames::fuzz(bytes, &mut local);
        let outside = fs::read_dir(outer.path()).map(Iterator::count);
        assert!(
            outside.is_ok_and(|count| count == 1),
            "something was created outside"
        );
        let mut total = 0;
        look(&into, &into, &mut total);
        assert!(total <= limits.bytes + (64 << 10), "{total} bytes arrived");
    }
}

/// Reads bytes as the lists of files that a node sends.
pub(crate) fn lists(bytes: &[u8]) {
    for name in listing::digests(bytes).keys() {
        assert!(!name.contains(&0) || bytes.contains(&0));
    }
    let _ = listing::Listing::parse(bytes);
}

fn look(root: &Path, at: &Path, total: &mut u64) {
    for entry in fs::read_dir(at).into_iter().flatten().filter_map(Result::ok) {
        let (path, Ok(meta)) = (entry.path(), entry.metadata()) else {
            continue;
        };
        if meta.is_symlink() {
            let to = fs::read_link(&path).unwrap_or_default();
            let relative = path.strip_prefix(root).unwrap_or(&path);
            assert!(!leads_out(relative, &to), "{} points outside", path.display());
            continue;
        }
        assert_eq!(meta.permissions().mode() & 0o7022, 0, "{}", path.display());
        if meta.is_dir() {
            look(root, &path, total);
        } else {
            assert!(meta.is_file(), "{} is not a file", path.display());
            *total += meta.len();
        }
    }
}
