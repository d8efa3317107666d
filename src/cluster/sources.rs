//! The files of this machine that a topology brings to its nodes, as assumptions of a run: a digest of each, by its path as
//! the topology writes it.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::assumptions::Assumptions;
use crate::base::digest::{hex, sha256, sha256_of};
use crate::base::event::Events;
use crate::topology::{ConfigureAction, Topology};

/// The digests of all files, as they are now; of templates and cloud-configs, as they were when the topology was read. One
/// that cannot be read has none, and a warning names it.
pub(super) async fn of_sources(topology: &Topology, events: &Events) -> Assumptions {
    let mut found = texts(topology);
    let files = files(topology);
    let stop = CancellationToken::new();
    // After an interrupt nobody waits for the thread, which then ends as well.
    let _guard = stop.clone().drop_guard();
    let reading = tokio::task::spawn_blocking(move || {
        let digests = files.into_iter().map(|(key, path)| (key, digest(&path, &stop)));
        digests.collect::<Vec<_>>()
    });
    for (key, digest) in reading.await.unwrap_or_default() {
        match digest {
            Ok(digest) => {
                found.insert(key, digest);
            }
            Err(error) => events.warn(format!(
                "{key} cannot be read: {error}: the assumptions of this run lack it"
            )),
        }
    }
    found
}

/// What was read with the topology: templates, and the user's own cloud-configs.
fn texts(topology: &Topology) -> Assumptions {
    let templates = topology.configure.iter().filter_map(|step| match &step.action {
        ConfigureAction::Template {
            text,
            source: Some(name),
            ..
        } => Some((key(name), sha256(text))),
        _ => None,
    });
    let groups = topology.groups.iter().filter_map(|group| {
        let name = format!("user_data.group.{}", group.name);
        Some((key(&name), sha256(group.user_data.as_ref()?)))
    });
    let images = topology.images.iter().filter_map(|(name, image)| {
        let name = format!("user_data.image.{name}");
        Some((key(&name), sha256(image.user_data.as_ref()?)))
    });
    templates.chain(groups).chain(images).collect()
}

/// The files that are copied unchanged, each once.
fn files(topology: &Topology) -> BTreeMap<String, PathBuf> {
    let files = topology.configure.iter().filter_map(|step| match &step.action {
        ConfigureAction::File { name, source, .. } => Some((key(name), source.clone())),
        _ => None,
    });
    files.collect()
}

/// The name of the assumption: `sources.conf/app.py`.
fn key(name: &str) -> String {
    format!("sources.{}", name.strip_prefix("./").unwrap_or(name))
}

/// The digest of a file, or one of all that a directory has.
fn digest(path: &Path, stop: &CancellationToken) -> io::Result<String> {
    let kind = fs::metadata(path)?;
    if kind.is_dir() {
        of_directory(path, stop)
    } else if kind.is_file() {
        of_file(path, stop)
    } else {
        // Opening a named pipe would wait for a writer.
        Err(io::Error::other("it is neither a file nor a directory"))
    }
}

fn of_file(path: &Path, stop: &CancellationToken) -> io::Result<String> {
    let mut file = File::open(path)?;
    sha256_of(|piece| {
        if stop.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        file.read(piece)
    })
}

/// One digest over names, modes and contents, in the order of the names. Of a link, the target counts.
fn of_directory(path: &Path, stop: &CancellationToken) -> io::Result<String> {
    let mut entries: Vec<DirEntry> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(DirEntry::file_name);
    let mut hash = Sha256::new();
    for entry in entries {
        let (place, kind) = (entry.path(), entry.metadata()?);
        let content = if kind.is_symlink() {
            format!("link {}", sha256(fs::read_link(&place)?.as_os_str().as_bytes()))
        } else if kind.is_dir() {
            format!("directory {}", of_directory(&place, stop)?)
        } else if kind.is_file() {
            format!("file {}", of_file(&place, stop)?)
        } else {
            "other".to_owned()
        };
        let mode = kind.permissions().mode() & 0o7777;
        hash.update(format!("{mode:o} {content} "));
        // No name contains a NUL, so it ends one.
        hash.update(entry.file_name().as_bytes());
        hash.update([0_u8]);
    }
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::event::Event;

    fn of(path: &Path) -> String {
        digest(path, &CancellationToken::new()).unwrap()
    }

    #[test]
    fn a_file_has_the_digest_of_its_content_whatever_its_size() {
        let temp = tempfile::tempdir().unwrap();
        for size in [0, 1, 128 << 10, (384 << 10) + 7] {
            let bytes: Vec<u8> = (0..size).map(|at| (at / 7) as u8).collect();
            let path = temp.path().join(size.to_string());
            fs::write(&path, &bytes).unwrap();
            assert_eq!(of(&path), sha256(&bytes), "{size}");
        }
        let stopped = CancellationToken::new();
        stopped.cancel();
        assert!(digest(&temp.path().join("1"), &stopped).is_err());
    }

    #[test]
    fn a_directory_has_one_digest_over_names_modes_and_contents() {
        let temp = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let root = temp.path().join(name);
            fs::create_dir_all(root.join("lib")).unwrap();
            for (file, text) in [("run", "#!/bin/sh\n"), ("lib/a", "a"), ("lib/b", "b")] {
                fs::write(root.join(file), text).unwrap();
                fs::set_permissions(root.join(file), fs::Permissions::from_mode(0o644)).unwrap();
            }
            fs::set_permissions(root.join("lib"), fs::Permissions::from_mode(0o755)).unwrap();
            std::os::unix::fs::symlink("lib/a", root.join("link")).unwrap();
            root
        };
        let first = of(&make("first"));
        assert_eq!(of(&make("second")), first);
        let content = make("content");
        fs::write(content.join("lib/a"), "c").unwrap();
        let mode = make("mode");
        fs::set_permissions(mode.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        let name = make("name");
        fs::rename(name.join("lib/b"), name.join("lib/c")).unwrap();
        let link = make("link");
        fs::remove_file(link.join("link")).unwrap();
        std::os::unix::fs::symlink("lib/b", link.join("link")).unwrap();
        let added = make("added");
        fs::create_dir(added.join("empty")).unwrap();
        let mut all: Vec<String> = [content, mode, name, link, added]
            .iter()
            .map(|path| of(path))
            .collect();
        all.push(first);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6, "each change gives another digest");
    }

    #[tokio::test]
    async fn every_file_that_comes_to_the_nodes_has_a_digest_by_its_name() {
        const TEXT: &str = "name: demo\nimages: { cloud: { from: debian, user_data: own.yaml } }\n\
            groups: { worker: { count: 2, image: cloud } }\nconfigure:\n\
            - { file: ./bin/app, to: /opt/app }\n- { file: bin/app, to: /opt/same }\n\
            - { file: gone, to: /opt/gone }\n- { template: app.conf, to: /etc/app.conf }\n\
            - { content: inline, to: /etc/inline }\nworkload: [{ run: \"true\" }]\n";
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("bin")).unwrap();
        for (file, text) in [
            ("bin/app", "binary"),
            ("gone", ""),
            ("app.conf", "port={{node.index}}\n"),
            ("own.yaml", "#cloud-config\n{}\n"),
        ] {
            fs::write(temp.path().join(file), text).unwrap();
        }
        let topology = Topology::parse(TEXT, "t.yaml", temp.path());
        let topology = topology.unwrap_or_else(|error| panic!("{error}"));
        fs::remove_file(temp.path().join("gone")).unwrap();
        // A template is used as it was when the topology was read.
        fs::write(temp.path().join("app.conf"), "changed").unwrap();
        let (events, mut receiver) = Events::channel();
        let found = of_sources(&topology, &events).await;
        let wanted = [
            ("sources.app.conf", "port={{node.index}}\n"),
            ("sources.bin/app", "binary"),
            ("sources.user_data.image.cloud", "#cloud-config\n{}\n"),
        ];
        let wanted = wanted.map(|(key, text)| (key.to_owned(), sha256(text)));
        assert_eq!(found, BTreeMap::from(wanted));
        let Ok(Event::Warning { text }) = receiver.try_recv() else {
            panic!("no warning");
        };
        assert!(
            text.starts_with("sources.gone cannot be read: No such file"),
            "{text}"
        );
    }
}
