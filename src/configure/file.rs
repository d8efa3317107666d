//! Files for a node as shell scripts. One script takes any number of small files, and asks which large ones are needed;
//! a large one is then sent alone, as it is.
//!
//! A node needs `sh`, `sha256sum`, `stat`, `base64` and the usual coreutils; busybox has them all.

use std::collections::BTreeSet;
use std::fmt::Write;

use base64::Engine as _;

use super::source::{Content, INLINE};
use crate::base::digest::sha256;
use crate::base::shell::quote;

/// The functions that the scripts call.
const FUNCTIONS: &str = include_str!("file.sh");

/// The wanted state of a file on a node.
#[derive(Clone, Debug)]
pub(super) struct FileStep {
    /// The number by which a script reports it: its step in the wave.
    pub(super) index: usize,
    /// Absolute path on the node.
    pub(super) path: String,
    /// What it contains.
    pub(super) content: Content,
    /// Permission bits.
    pub(super) mode: u32,
    /// `user` or `user:group`; root when absent.
    pub(super) owner: Option<String>,
    /// Marks its temporary names: no other file has it, nor another node with which this one may share the directory.
    key: String,
}

impl FileStep {
    /// A file for a node.
    pub(super) fn new(node: &str, index: usize, path: String, content: Content) -> Self {
        let mut key = sha256(format!("{node}\0{path}"));
        key.truncate(16);
        Self {
            index,
            path,
            content,
            mode: 0o644,
            owner: None,
            key,
        }
    }

    /// The same file with these permission bits and this owner.
    pub(super) fn with(self, mode: u32, owner: Option<&str>) -> Self {
        Self {
            mode,
            owner: owner.map(str::to_owned),
            ..self
        }
    }

    fn quoted_owner(&self) -> String {
        quote(self.owner.as_deref().unwrap_or("root:root"))
    }
}

/// Files for one script each, in order. Of a script, the large files are written after the small ones, so a path is in it
/// once.
pub(super) fn batches(files: &[FileStep]) -> Vec<&[FileStep]> {
    let mut batches = Vec::new();
    let mut paths = BTreeSet::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, file) in files.iter().enumerate() {
        let size = file.content.inline().map_or(0, <[u8]>::len);
        if bytes + size > INLINE || paths.contains(file.path.as_str()) {
            batches.push(&files[start..at]);
            paths.clear();
            (start, bytes) = (at, 0);
        }
        paths.insert(file.path.as_str());
        bytes += size;
    }
    if start < files.len() {
        batches.push(&files[start..]);
    }
    batches
}

/// The script for a batch, for `sh -s ATTEMPT`: it writes the small files, and asks for the large ones that are not there.
pub(super) fn files_script(files: &[FileStep]) -> String {
    let mut script = FUNCTIONS.to_owned();
    for file in files {
        let arguments = format!(
            "{} {} {} {} {:o} {}",
            file.index,
            quote(&file.path),
            file.content.size,
            file.content.digest,
            file.mode,
            file.quoted_owner()
        );
        let Some(content) = file.content.inline() else {
            let _ = writeln!(script, "look {arguments}");
            continue;
        };
        let _ = writeln!(script, "put {arguments} {} 3<<'VCLUSTER_END'", file.key);
        // Lines of 76 characters: some shells limit the length of a line.
        let encoded = base64::engine::general_purpose::STANDARD.encode(content);
        for chunk in encoded.as_bytes().chunks(76) {
            script.push_str(&String::from_utf8_lossy(chunk));
            script.push('\n');
        }
        script.push_str("VCLUSTER_END\n");
    }
    script
}

/// The command line that receives the content of a file on standard input; an attempt is added as its last word.
pub(super) fn receive_command(file: &FileStep) -> String {
    let script = format!(
        "{FUNCTIONS}receive {} {} {} {:o} {} {}\n",
        file.index,
        quote(&file.path),
        file.content.digest,
        file.mode,
        file.quoted_owner(),
        file.key
    );
    format!("sh -c {} sh", quote(&script))
}

/// What a script reports, by the numbers of files. A node may send any numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Files that it changed.
    pub(super) changed: BTreeSet<usize>,
    /// Large files whose content it needs.
    pub(super) wanted: BTreeSet<usize>,
    /// The last file that it looked at.
    pub(super) last: Option<usize>,
}

/// Reads the output of a script.
pub(crate) fn parse_report(stdout: &[u8]) -> Report {
    let mut report = Report::default();
    for line in String::from_utf8_lossy(stdout).lines() {
        let Some((word, number)) = line.split_once(' ') else {
            continue;
        };
        let Ok(index) = number.parse() else { continue };
        match word {
            "changed" => _ = report.changed.insert(index),
            "send" => _ = report.wanted.insert(index),
            "at" => report.last = Some(index),
            _ => {}
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    /// Runs a command line with this input: whether it succeeded, its report, and its errors.
    fn run(command: &str, input: &[u8]) -> (bool, Report, String) {
        let mut child = Command::new("sh")
            .args(["-c", &format!("{command} a1")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end without reading all of it.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        (
            output.status.success(),
            parse_report(&output.stdout),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// The files that a script changed.
    fn changed(files: &[FileStep]) -> Vec<usize> {
        let (ok, report, error) = run("sh -s", files_script(files).as_bytes());
        assert!(ok, "{error}");
        assert_eq!(error, "");
        report.changed.into_iter().collect()
    }

    fn owner() -> String {
        format!("{}:{}", nix::unistd::getuid(), nix::unistd::getgid())
    }

    fn file(index: usize, path: &Path, content: impl Into<Vec<u8>>, mode: u32) -> FileStep {
        let (path, content): (_, Vec<u8>) = (path.to_str().unwrap().to_owned(), content.into());
        FileStep::new("n1", index, path, content.into()).with(mode, Some(&owner()))
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    /// The names in a directory.
    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_written_once_and_only_what_differs_afterwards() {
        let temp = tempfile::tempdir().unwrap();
        let odd = temp.path().join("new dir/it's $(here) \\x2d \"q\"");
        let plain = temp.path().join("plain");
        let mut files = vec![
            file(0, &odd, *b"a\0b", 0o640),
            file(1, &plain, *b"no newline", 0o600),
        ];
        assert_eq!(changed(&files), [0, 1]);
        assert_eq!(std::fs::read(&odd).unwrap(), b"a\0b");
        assert_eq!((mode(&odd), mode(odd.parent().unwrap())), (0o640, 0o755));
        assert_eq!(changed(&files), [0_usize; 0]);
        files[1].mode = 0o4755;
        assert_eq!(changed(&files), [1]);
        assert_eq!(mode(&plain), 0o4755);
        // The set-user-ID bit survives: it is there, so nothing has changed.
        assert_eq!(changed(&files), [0_usize; 0]);
        files[0] = file(0, &odd, *b"other", 0o640);
        assert_eq!(changed(&files), [0]);
        assert_eq!(names(temp.path()), ["new dir", "plain"]);
        assert_eq!(names(odd.parent().unwrap()).len(), 1);
    }

    #[test]
    fn a_large_file_is_asked_for_only_where_it_differs_and_replaces_the_old_one_at_once() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("new/it's \\ large");
        let content: Vec<u8> = (0..INLINE * 3).map(|at| (at / 11) as u8).collect();
        let large = file(4, &path, content.clone(), 0o640);
        let script = files_script(std::slice::from_ref(&large));
        let asked = run("sh -s", script.as_bytes()).1;
        assert_eq!((asked.wanted, asked.last), (BTreeSet::from([4]), Some(4)));
        assert_eq!(names(temp.path()), Vec::<String>::new());

        let (ok, report, error) = run(&receive_command(&large), &content);
        assert!(ok && report.changed == BTreeSet::from([4]), "{error}");
        assert!(std::fs::read(&path).unwrap() == content);
        assert_eq!(mode(&path), 0o640);
        let inode = std::fs::metadata(&path).unwrap().ino();
        assert_eq!(run("sh -s", script.as_bytes()).1.wanted, BTreeSet::new());
        // Only its mode differs.
        let large = large.with(0o600, Some(&owner()));
        let report = run("sh -s", files_script(std::slice::from_ref(&large)).as_bytes()).1;
        assert_eq!(
            (report.changed, report.wanted),
            (BTreeSet::from([4]), BTreeSet::new())
        );
        assert_eq!(
            (mode(&path), std::fs::metadata(&path).unwrap().ino()),
            (0o600, inode)
        );
    }

    #[test]
    fn content_that_arrives_incomplete_leaves_the_old_file_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        std::fs::write(&path, "old").unwrap();
        let large = file(0, &path, vec![7_u8; INLINE + 1], 0o644);
        // Of an attempt that was killed.
        std::fs::write(temp.path().join(format!(".vcluster-{}.a0", large.key)), "x").unwrap();
        let (ok, report, error) = run(&receive_command(&large), &vec![7_u8; INLINE]);
        assert!(!ok && report.changed.is_empty());
        assert!(error.contains("file differs after the transfer"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(temp.path()), ["file"]);
    }

    #[test]
    fn a_full_disk_is_an_error_and_leaves_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let large = file(0, &temp.path().join("file"), vec![7_u8; INLINE + 1], 0o644);
        let writes = "cat >\"$new\"";
        let command = receive_command(&large);
        assert_eq!(command.matches(writes).count(), 1);
        // Behaves as on a full file system, after the temporary file was created.
        let command = command.replace(writes, &format!("{writes}; cat /proc/self/stat >/dev/full"));
        let (ok, _, error) = run(&command, &vec![7_u8; INLINE + 1]);
        assert!(!ok && error.contains("No space left on device"), "{error}");
        assert_eq!(names(temp.path()), Vec::<String>::new());
    }

    #[test]
    fn links_and_special_files_are_replaced_and_never_written_through() {
        let temp = tempfile::tempdir().unwrap();
        let (link, pipe, other) = (
            temp.path().join("link"),
            temp.path().join("pipe"),
            temp.path().join("other"),
        );
        std::fs::write(&other, "new").unwrap();
        symlink(&other, &link).unwrap();
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let files = [file(0, &link, *b"new", 0o600), file(1, &pipe, *b"new", 0o600)];
        let temporary = temp.path().join(format!(".vcluster-{}.a1", files[0].key));
        symlink(&other, temporary).unwrap();
        assert_eq!(changed(&files), [0, 1]);
        for path in [&link, &pipe] {
            assert!(std::fs::symlink_metadata(path).unwrap().is_file());
        }
        assert_eq!(names(temp.path()), ["link", "other", "pipe"]);
    }

    #[test]
    fn a_directory_in_the_way_is_an_error_that_names_it_and_its_file() {
        let temp = tempfile::tempdir().unwrap();
        let files = [
            file(3, &temp.path().join("first"), *b"", 0o644),
            file(5, temp.path(), *b"", 0o644),
        ];
        let (ok, report, error) = run("sh -s", files_script(&files).as_bytes());
        assert!(!ok);
        assert_eq!((report.last, report.changed), (Some(5), BTreeSet::from([3])));
        let expected = format!("{} is a directory", temp.path().display());
        assert!(error.contains(&expected), "{error}");
    }

    #[test]
    fn a_batch_is_small_and_has_each_path_once() {
        let size = |path: &str, size: usize| file(0, Path::new(path), vec![0_u8; size], 0o644);
        let files = [
            size("/a", INLINE / 2),
            size("/b", INLINE / 2),
            size("/large", INLINE * 9),
            size("/c", 1),
            size("/d", 1),
            size("/large", INLINE * 9),
            size("/d", 1),
        ];
        let batches: Vec<Vec<&str>> = batches(&files)
            .iter()
            .map(|batch| batch.iter().map(|file| file.path.as_str()).collect())
            .collect();
        assert_eq!(
            batches,
            [vec!["/a", "/b", "/large"], vec!["/c", "/d", "/large"], vec!["/d"]]
        );
        assert!(files_script(&files[..3]).len() < 2 * INLINE);
    }

    #[test]
    fn the_command_line_of_a_long_path_fits_into_the_limit_of_dropbear() {
        // MAX_CMD_LEN of its sysoptions.h.
        let path = format!("/{}", "a".repeat(3_990));
        let large = file(0, Path::new(&path), vec![0_u8; INLINE + 1], 0o644);
        let marked = quote(&receive_command(&large));
        assert!(marked.len() < 8_800, "{}", marked.len());
        assert!(!FUNCTIONS.contains('\''));
    }
}
