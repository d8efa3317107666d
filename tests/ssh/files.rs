//! Files as file systems hold them, in both directions, with the tools of GNU and of busybox on the other side.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vcluster::ssh::Session;
use vcluster::ssh::transfer::{Archive, PullLimits, Pulled, TransferError, pull, push};

use crate::server::Server;

const LIMIT: Option<Duration> = Some(Duration::from_mins(1));

/// Names that some tool, or a list of names, may not expect.
const NAMES: [&[u8]; 8] = [
    b"-rf",
    b"mnt-data\\x2dbig.mount",
    b"two\nlines\n",
    b"not \xff\xfe UTF-8",
    b"'$(x)' \"*\" `y`",
    b"\\",
    b" ",
    b"\xc3\xa9",
];

/// A server with the tools of GNU, and one with those of busybox.
fn servers() -> [Server; 2] {
    [Server::openssh(""), Server::dropbear()]
}

async fn fetch(session: &Session, path: impl AsRef<OsStr>, into: &Path) -> Result<Pulled, TransferError> {
    pull(session, path, into, PullLimits::default(), LIMIT).await
}

async fn send(session: &Session, sources: &[PathBuf], to: &OsStr) -> Archive {
    let archive = Arc::new(Archive::pack(sources, to).unwrap());
    push(session, &archive, LIMIT).await.unwrap();
    Arc::into_inner(archive).unwrap()
}

/// The names below a directory, and the content of the files among them.
fn content(directory: &Path) -> Vec<(OsString, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        found.push((entry.file_name(), fs::read(entry.path()).ok()));
        if entry.file_type().unwrap().is_dir() {
            found.extend(content(&entry.path()));
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_any_bytes_go_there_and_back() {
    for server in servers() {
        let session = server.session().await;
        let source = server.path("source");
        for (index, name) in NAMES.iter().enumerate() {
            let directory = source.join(format!("d{index}")).join(OsStr::from_bytes(name));
            fs::create_dir_all(&directory).unwrap();
            // One name is too long for the header of an archive.
            let long = [*name, b"\xff".repeat(100).as_slice()].concat();
            for name in [*name, long.as_slice()] {
                fs::write(directory.join(OsStr::from_bytes(name)), format!("{index}")).unwrap();
            }
        }
        let there = server.path("there").join(OsStr::from_bytes(b"new\n\xff"));
        let archive = send(&session, std::slice::from_ref(&source), there.as_os_str()).await;
        assert_eq!(archive.files(), 2 * NAMES.len());
        let arrived = there.join("source");
        assert_eq!(content(&arrived), content(&source));
        let back = server.path("back");
        let pulled = fetch(&session, &arrived, &back).await.unwrap();
        assert_eq!((pulled.files, pulled.changed.count()), (2 * NAMES.len(), 0));
        assert_eq!(content(&back.join("source")), content(&source));
        // Also as the path that is asked for, and as a new name.
        for (index, name) in NAMES.iter().enumerate() {
            let one = arrived.join(format!("d{index}")).join(OsStr::from_bytes(name));
            let into = server.path(&format!("one{index}"));
            assert_eq!(fetch(&session, &one, &into).await.unwrap().files, 2);
            assert_eq!(content(&into.join(OsStr::from_bytes(name))), content(&one));
            let file = one.join(OsStr::from_bytes(name));
            let to = server.path("renamed").join(OsStr::from_bytes(name));
            send(&session, &[file], to.as_os_str()).await;
            assert_eq!(fs::read_to_string(to).unwrap(), index.to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_while_it_is_read_arrives_up_to_some_moment() {
    for server in servers() {
        let session = server.session().await;
        let directory = server.path("logs");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("quiet"), "quiet").unwrap();
        let log = directory.join("app.log");
        fs::write(&log, "line 0\n").unwrap();
        let stop = CancellationToken::new();
        let writing = tokio::task::spawn_blocking({
            let (log, stop) = (log.clone(), stop.clone());
            move || {
                let mut file = fs::OpenOptions::new().append(true).open(log).unwrap();
                for number in 1.. {
                    if stop.is_cancelled() {
                        break;
                    }
                    writeln!(file, "line {number}").unwrap();
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let into = server.path("into");
        let pulled = fetch(&session, &directory, &into).await.unwrap();
        assert_eq!(pulled.changed.lines(9), ["logs/app.log"]);
        stop.cancel();
        writing.await.unwrap();
        let (got, all) = (
            fs::read(into.join("logs/app.log")).unwrap(),
            fs::read(&log).unwrap(),
        );
        assert!(!got.is_empty() && all.starts_with(&got));
        assert_eq!(fs::read(into.join("logs/quiet")).unwrap(), b"quiet");
        let pulled = fetch(&session, &log, &into).await.unwrap();
        assert_eq!((pulled.files, pulled.changed.count()), (1, 0));
        assert_eq!(fs::read(into.join("app.log")).unwrap(), all);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_becomes_shorter_or_vanishes_costs_no_other() {
    // As tar sees it: it reads less than it announced, or the file is gone when it is verified.
    let server = Server::nodes(1).remove(0);
    let session = server.session().await;
    let directory = server.path("logs");
    fs::create_dir(&directory).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(directory.join(name), name.repeat(100_000)).unwrap();
    }
    let (short, gone) = (directory.join("a"), directory.join("b"));
    let after = format!("echo short >{}; rm -f {}", short.display(), gone.display());
    server.replace("tar", &format!("tar \"$@\"; code=$?; {after}; exit $code"));
    let into = server.path("into");
    let pulled = fetch(&session, &directory, &into).await.unwrap();
    assert_eq!(
        (pulled.changed.count(), pulled.skipped.count()),
        (2, 0),
        "{pulled:?}"
    );
    assert_eq!(fs::read(into.join("logs/a")).unwrap(), b"short\n");
    assert_eq!(fs::read(into.join("logs/b")).unwrap().len(), 100_000);
    assert_eq!(fs::read(into.join("logs/c")).unwrap().len(), 100_000);
    // The archive ends within an entry, as that of busybox does.
    fs::write(&short, "a".repeat(100_000)).unwrap();
    server.replace("tar", "tar \"$@\" | head -c 50000; exit 1");
    let pulled = fetch(&session, &directory, &server.path("cut")).await.unwrap();
    assert_eq!((pulled.files, pulled.skipped.count()), (2, 0), "{pulled:?}");
    assert_eq!(content(&server.path("cut/logs")), content(&directory));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_whose_size_is_not_that_of_their_content_arrive() {
    for server in servers() {
        let session = server.session().await;
        let into = server.path("into");
        let pulled = fetch(&session, "/proc/version", &into).await.unwrap();
        assert_eq!((pulled.files, pulled.changed.count()), (1, 0));
        assert_eq!(
            fs::read(into.join("version")).unwrap(),
            fs::read("/proc/version").unwrap()
        );
        let pulled = fetch(&session, "/sys/kernel/mm", &into).await;
        for name in ["transparent_hugepage/hpage_pmd_size", "ksm/pages_to_scan"] {
            let path = Path::new("/sys/kernel/mm").join(name);
            if path.exists() {
                let got = fs::read(into.join("mm").join(name)).unwrap();
                assert_eq!(got, fs::read(&path).unwrap(), "{pulled:?}");
            }
        }
        let sparse = server.path("sparse");
        fs::File::create(&sparse).unwrap().set_len(50 << 20).unwrap();
        assert_eq!(fetch(&session, &sparse, &into).await.unwrap().bytes, 50 << 20);
        let meta = fs::metadata(into.join("sparse")).unwrap();
        assert!(meta.len() == 50 << 20 && meta.blocks() * 512 < 1 << 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_asked_for_is_followed_and_those_inside_a_directory_are_kept() {
    for server in servers() {
        let session = server.session().await;
        let data = server.path("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("b.1"), "content").unwrap();
        symlink("b.1", data.join("rel")).unwrap();
        symlink(data.join("b.1"), data.join("abs")).unwrap();
        symlink(&data, server.path("current")).unwrap();
        symlink("nowhere", server.path("dangling")).unwrap();
        let into = server.path("into");
        for name in ["data/rel", "data/abs"] {
            assert_eq!(fetch(&session, server.path(name), &into).await.unwrap().files, 1);
            let got = into.join(Path::new(name).file_name().unwrap());
            assert!(!fs::symlink_metadata(&got).unwrap().is_symlink());
            assert_eq!(fs::read(got).unwrap(), b"content");
        }
        let pulled = fetch(&session, server.path("current"), &into).await.unwrap();
        assert_eq!(pulled.files, 1);
        assert_eq!(pulled.outside.lines(9), ["current/abs"]);
        assert_eq!(fs::read_link(into.join("current/rel")).unwrap(), Path::new("b.1"));
        let error = fetch(&session, server.path("dangling"), &into).await.unwrap_err();
        assert!(error.to_string().contains("does not exist"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directories_that_exist_keep_their_mode_and_stay_links() {
    for server in servers() {
        let session = server.session().await;
        let (source, there) = (server.path("source"), server.path("there"));
        for directory in ["root", "lib", "new", "shut"] {
            fs::create_dir_all(source.join(directory)).unwrap();
            fs::write(source.join(directory).join("note"), "note").unwrap();
        }
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let mode = |name: &str| fs::metadata(there.join(name)).unwrap().permissions().mode() & 0o7777;
        for (name, bits) in [("root", 0o775), ("lib", 0o777), ("new", 0o2775), ("shut", 0o555)] {
            set(&source.join(name), bits);
        }
        fs::create_dir_all(there.join("root")).unwrap();
        fs::create_dir_all(there.join("usr/lib")).unwrap();
        set(&there.join("root"), 0o700);
        set(&there.join("usr/lib"), 0o755);
        symlink("usr/lib", there.join("lib")).unwrap();
        let sources = ["root", "lib", "new", "shut"].map(|name| source.join(name));
        send(&session, &sources, there.join("").as_os_str()).await;
        let modes = ["root", "usr/lib", "new", "shut"].map(mode);
        assert_eq!(modes, [0o700, 0o755, 0o2775, 0o555]);
        assert!(fs::symlink_metadata(there.join("lib")).unwrap().is_symlink());
        for name in ["root", "usr/lib", "new", "shut"] {
            assert_eq!(fs::read(there.join(name).join("note")).unwrap(), b"note");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_and_pipes_are_named_and_cost_no_other() {
    for server in servers() {
        let session = server.session().await;
        let tree = server.path("tree");
        fs::create_dir(&tree).unwrap();
        let _socket = UnixListener::bind(tree.join("socket")).unwrap();
        nix::unistd::mkfifo(&tree.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(tree.join("z"), "text").unwrap();
        let into = server.path("into");
        let pulled = fetch(&session, &tree, &into).await.unwrap();
        let mut skipped = pulled.skipped.lines(9);
        skipped.sort();
        assert_eq!(skipped, ["tree/pipe (a named pipe)", "tree/socket (a socket)"]);
        assert_eq!(fs::read(into.join("tree/z")).unwrap(), b"text");
        let there = server.path("there/");
        let archive = send(&session, std::slice::from_ref(&tree), there.as_os_str()).await;
        assert_eq!(archive.skipped.count(), 2);
        let kinds = fs::read_dir(there.join("tree"))
            .unwrap()
            .map(|entry| entry.unwrap().file_type().unwrap());
        assert!(kinds.into_iter().all(|kind| !kind.is_fifo() && !kind.is_socket()));
        assert_eq!(fs::read(there.join("tree/z")).unwrap(), b"text");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrupt_transfer_of_a_file_that_did_not_change_is_an_error() {
    let server = Server::nodes(1).remove(0);
    let session = server.session().await;
    let file = server.path("data");
    fs::write(&file, "good").unwrap();
    let old = std::time::SystemTime::now() - Duration::from_hours(1);
    let handle = fs::File::options().write(true).open(&file).unwrap();
    handle.set_modified(old).unwrap();
    // The time of the last change of its metadata cannot be set.
    tokio::time::sleep(Duration::from_secs(4)).await;
    server.replace("tar", "tar \"$@\" | sed s/good/evil/");
    let error = fetch(&session, &file, &server.path("into")).await.unwrap_err();
    assert!(matches!(error, TransferError::Digest { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_login_shell_prints_is_no_part_of_what_is_fetched() {
    let server = Server::with_shell(r#"echo Welcome; echo hello >&2; exec sh "$@""#);
    let session = server.session().await;
    let tree = server.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("f"), "text").unwrap();
    let into = server.path("into");
    let pulled = fetch(&session, &tree, &into).await.unwrap();
    assert_eq!((pulled.files, pulled.skipped.count()), (1, 0), "{pulled:?}");
    assert_eq!(fs::read(into.join("tree/f")).unwrap(), b"text");
    // One that is fetched on its own.
    let pulled = fetch(&session, "/proc/version", &into).await.unwrap();
    assert_eq!((pulled.files, pulled.changed.count()), (1, 0), "{pulled:?}");
    let there = server.path("there/");
    send(&session, std::slice::from_ref(&tree), there.as_os_str()).await;
    assert_eq!(fs::read(there.join("tree/f")).unwrap(), b"text");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_name_of_a_link_arrives_and_that_of_a_pipe_is_named() {
    for server in servers() {
        let session = server.session().await;
        let tree = server.path("tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("f"), "text").unwrap();
        symlink("f", tree.join("a")).unwrap();
        nix::unistd::mkfifo(&tree.join("p"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        // As `cp -al` makes them.
        for (name, second) in [("a", "b"), ("p", "q")] {
            fs::hard_link(tree.join(name), tree.join(second)).unwrap();
        }
        let into = server.path("into");
        let pulled = fetch(&session, &tree, &into).await.unwrap();
        for name in ["a", "b"] {
            let link = fs::read_link(into.join("tree").join(name)).unwrap();
            assert_eq!(link, Path::new("f"), "{pulled:?}");
        }
        let mut skipped = pulled.skipped.lines(9);
        skipped.sort();
        assert_eq!(skipped, ["tree/p (a named pipe)", "tree/q (a named pipe)"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_larger_than_the_limit_is_named_and_costs_no_other() {
    for server in servers() {
        let session = server.session().await;
        let tree = server.path("tree");
        fs::create_dir_all(tree.join("d/empty")).unwrap();
        for name in ["a", "d/b", "z"] {
            fs::write(tree.join(name), name.repeat(1000)).unwrap();
        }
        symlink("a", tree.join("link")).unwrap();
        // The size of the larger one does not fit into the usual header of an archive.
        for (name, size) in [("d/core", 3 << 20), ("dump", 9 << 30)] {
            fs::File::create(tree.join(name)).unwrap().set_len(size).unwrap();
        }
        let limits = PullLimits {
            bytes: 1 << 20,
            ..PullLimits::default()
        };
        let into = server.path("into");
        let pulled = pull(&session, &tree, &into, limits, LIMIT).await.unwrap();
        let mut skipped = pulled.skipped.lines(9);
        skipped.sort();
        let why = "(it is larger than what is left of the limit (`pull --limit`))";
        assert_eq!(
            skipped,
            [format!("tree/d/core {why}"), format!("tree/dump {why}")]
        );
        assert_eq!((pulled.files, pulled.changed.count()), (3, 0), "{pulled:?}");
        for name in ["d/core", "dump"] {
            fs::remove_file(tree.join(name)).unwrap();
        }
        assert_eq!(content(&into.join("tree")), content(&tree));
        assert_eq!(fs::read_link(into.join("tree/link")).unwrap(), Path::new("a"));
        // As the path that is asked for, and as one of several that together are too large.
        let core = server.path("core");
        fs::File::create(&core).unwrap().set_len(3 << 20).unwrap();
        let pulled = pull(&session, &core, &into, limits, LIMIT).await.unwrap();
        assert_eq!(
            (pulled.files, pulled.skipped.lines(9)),
            (0, vec![format!("core {why}")])
        );
        for number in 0..5 {
            fs::write(tree.join(format!("part{number}")), vec![number; 300_000]).unwrap();
        }
        let pulled = pull(&session, &tree, &into, limits, LIMIT).await.unwrap();
        assert_eq!((pulled.files, pulled.skipped.count()), (6, 2), "{pulled:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_become_a_directory_since_costs_no_other() {
    for server in servers() {
        let session = server.session().await;
        let tree = server.path("tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("file"), "before").unwrap();
        symlink("file", tree.join("link")).unwrap();
        let into = server.path("into");
        fetch(&session, &tree, &into).await.unwrap();
        for name in ["file", "link"] {
            fs::remove_file(tree.join(name)).unwrap();
            fs::create_dir(tree.join(name)).unwrap();
            fs::write(tree.join(name).join("x"), "text").unwrap();
        }
        fs::write(tree.join("z"), "text").unwrap();
        let pulled = fetch(&session, &tree, &into).await.unwrap();
        let mut skipped = pulled.skipped.lines(9);
        skipped.sort();
        let named = ["file", "file/x", "link", "link/x"];
        let why = "a file or link is here in place of a directory of its path";
        assert_eq!(skipped, named.map(|name| format!("tree/{name} ({why})")));
        assert_eq!(fs::read(into.join("tree/file")).unwrap(), b"before");
        assert_eq!(fs::read(into.join("tree/z")).unwrap(), b"text");
    }
}
