//! Files for a node as one shell script, so that any number of files takes one command.
//!
//! The script compares digests on the node and writes only what differs, to a temporary file that
//! it then renames, so that no reader ever sees a partial file. It needs `sh`, `sha256sum`, `stat`,
//! `base64` and the usual coreutils; busybox has them all.

use std::fmt::Write;

use base64::Engine as _;

use crate::base::shell::quote;

/// The wanted state of a file on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStep {
    /// Absolute path on the node.
    pub path: String,
    /// Contents.
    pub contents: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// `user` or `user:group`; root when absent.
    pub owner: Option<String>,
}

/// The script that writes the files on a node. It prints `changed N` for every file (by index) that it changed.
pub fn files_script(files: &[FileStep]) -> String {
    let mut script = include_str!("file.sh").to_owned();
    for (index, file) in files.iter().enumerate() {
        let digest = crate::base::digest::sha256(&file.contents);
        let owner = match file.owner.as_deref() {
            None => "root:root".to_owned(),
            Some(owner) => owner.to_owned(),
        };
        let _ = writeln!(
            script,
            "put {index} {} {digest} {:o} {} 3<<'VCLUSTER_END'",
            quote(&file.path),
            file.mode,
            quote(&owner)
        );
        // Lines of 76 characters: some shells limit the length of a line.
        let encoded = base64::engine::general_purpose::STANDARD.encode(&file.contents);
        for chunk in encoded.as_bytes().chunks(76) {
            script.push_str(&String::from_utf8_lossy(chunk));
            script.push('\n');
        }
        script.push_str("VCLUSTER_END\n");
    }
    script
}

/// Reads the script's output: indices of the files that it changed.
pub fn parse_changed(stdout: &[u8]) -> Vec<usize> {
    String::from_utf8_lossy(stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("changed ")?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    use super::*;

    fn run(script: &str) -> (bool, Vec<usize>, String) {
        let mut child = Command::new("sh")
            .arg("-s")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (
            output.status.success(),
            parse_changed(&output.stdout),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    fn owner() -> String {
        format!("{}:{}", nix::unistd::getuid(), nix::unistd::getgid())
    }

    #[test]
    fn files_are_written_once_and_only_what_differs_afterwards() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
        let mut files = vec![
            FileStep {
                path: path("new dir/it's $(here)"),
                contents: b"a\0b".to_vec(),
                mode: 0o640,
                owner: Some(owner()),
            },
            FileStep {
                path: path("plain"),
                contents: b"no newline".to_vec(),
                mode: 0o600,
                owner: Some(owner()),
            },
        ];
        assert_eq!(run(&files_script(&files)), (true, vec![0, 1], String::new()));
        assert_eq!(std::fs::read(&files[0].path).unwrap(), b"a\0b");
        assert_eq!(
            std::fs::metadata(&files[0].path).unwrap().permissions().mode() & 0o7777,
            0o640
        );
        assert_eq!(run(&files_script(&files)), (true, vec![], String::new()));
        files[1].mode = 0o644;
        assert_eq!(run(&files_script(&files)), (true, vec![1], String::new()));
        files[0].contents = b"other".to_vec();
        assert_eq!(run(&files_script(&files)), (true, vec![0], String::new()));
    }

    #[test]
    fn a_directory_in_the_way_is_an_error_that_names_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().to_str().unwrap().to_owned();
        let (ok, _, error) = run(&files_script(&[FileStep {
            path: path.clone(),
            contents: vec![],
            mode: 0o644,
            owner: Some(owner()),
        }]));
        assert!(!ok);
        assert!(error.contains(&format!("{path} is a directory")), "{error}");
    }
}
