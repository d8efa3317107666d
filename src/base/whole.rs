//! Files that are written whole or not at all: a reader never sees a part of one, also not after a power loss.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::crash_point;

/// Writes a file, readable by its owner only: under the temporary name `NAME.new`, flushed to disk, then renamed.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary = OsString::from(name);
    temporary.push(".new");
    let temporary = path.with_file_name(temporary);
    crash_point::point!("write whole before");
    let written = (|| {
        // A leftover of a crash may have any mode or type; a new file has the right mode from its first byte.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        crash_point::point!("write whole rename");
        fs::rename(&temporary, path)?;
        sync_parent(path)
    })();
    if written.is_err() {
        // On a full disk, a part of a file only takes space.
        let _ = fs::remove_file(&temporary);
    }
    crash_point::point!("write whole after");
    written
}

/// Syncs the directory of a path, so that a name in it survives a power loss as well.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_for_its_owner_only() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a.json");
        fs::write(&path, "an older and longer text").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        // What a write that was killed left.
        fs::write(temp.path().join("a.json.new"), "half").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        // A directory cannot be replaced by a file.
        let path = temp.path().join("a.json");
        fs::create_dir(&path).unwrap();
        assert!(write_whole(&path, b"new").is_err());
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
        assert!(write_whole(Path::new("/"), b"new").is_err());
    }
}
