use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tar::{Builder, Header};

use super::super::entry::Seen;
use super::*;

/// Unpacks all of a stream.
fn unpack(stream: impl Read, into: &Path, limits: &PullLimits) -> Result<Local, UnpackError> {
    let mut local = Local::new(into, *limits);
    match super::unpack(stream, *limits, &mut local)? {
        End::Whole | End::Left => Ok(local),
        End::Cut(error) => Err(UnpackError::Stream(error)),
    }
}

fn limits() -> PullLimits {
    PullLimits {
        bytes: 1 << 20,
        entries: 100,
    }
}

fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o4755);
        // Bypasses the checks of the crate, as a hostile node would.
        let field = &mut header.as_gnu_mut().unwrap().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        let body = if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.as_gnu_mut().unwrap().linkname[..content.len()].copy_from_slice(content.as_bytes());
            ""
        } else {
            content
        };
        header.set_size(body.len() as u64);
        header.set_cksum();
        builder.append(&header, body.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn try_unpack(entries: &[(EntryType, &str, &str)], into: &Path) -> Result<Local, UnpackError> {
    unpack(archive(entries).as_slice(), into, &limits())
}

#[test]
fn names_that_point_outside_are_rejected_and_write_nothing() {
    let outer = tempfile::tempdir().unwrap();
    let into = outer.path().join("in");
    fs::create_dir(&into).unwrap();
    for name in ["../x", "a/../../x", "/tmp/vcluster-x", "", ".", ".."] {
        let error = try_unpack(&[(EntryType::Regular, name, "bad")], &into).unwrap_err();
        assert!(matches!(error, UnpackError::Refused { .. }), "{name}: {error:?}");
    }
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
}

#[test]
fn later_entries_cannot_escape_through_a_symlink() {
    let outer = tempfile::tempdir().unwrap();
    let into = outer.path().join("in");
    fs::create_dir(&into).unwrap();
    let entries = [
        (EntryType::Symlink, "a", ".."),
        (EntryType::Regular, "a/x", "kept inside"),
    ];
    let done = try_unpack(&entries, &into).unwrap();
    assert_eq!((done.outside.count(), done.skipped.count()), (1, 0));
    assert!(!outer.path().join("x").exists());
    // A link that existed before, whatever its origin.
    symlink(outer.path(), into.join("old")).unwrap();
    let done = try_unpack(&[(EntryType::Regular, "old/x", "bad")], &into).unwrap();
    assert_eq!(done.skipped.count(), 1);
    assert!(!outer.path().join("x").exists());
    // A file with the name of a link replaces the link, not its target.
    fs::write(outer.path().join("victim"), "safe").unwrap();
    symlink(outer.path().join("victim"), into.join("log")).unwrap();
    try_unpack(&[(EntryType::Regular, "log", "new")], &into).unwrap();
    assert_eq!(fs::read_to_string(outer.path().join("victim")).unwrap(), "safe");
}

#[test]
fn symlinks_inside_are_kept_and_those_that_point_outside_are_skipped() {
    let into = tempfile::tempdir().unwrap();
    let entries = [
        (EntryType::Symlink, "d/good", "../f"),
        (EntryType::Symlink, "abs", "/etc/passwd"),
        (EntryType::Symlink, "d/up", "../../f"),
        (EntryType::Regular, "f", "text"),
        (EntryType::Fifo, "pipe", ""),
    ];
    let done = try_unpack(&entries, into.path()).unwrap();
    assert_eq!(fs::read_to_string(into.path().join("d/good")).unwrap(), "text");
    assert_eq!(done.outside.count(), 2, "{:?}", done.outside);
    assert_eq!(done.skipped.lines(9), ["pipe (a named pipe)"]);
    let mode = fs::metadata(into.path().join("f")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "set-id bits are dropped");
}

#[test]
fn a_hard_link_points_only_to_a_file_that_was_sent() {
    let into = tempfile::tempdir().unwrap();
    let good = [(EntryType::Regular, "./a", "x"), (EntryType::Link, "./b", "./a")];
    let done = try_unpack(&good, into.path()).unwrap();
    assert_eq!(done.seen[&b"a"[..]], done.seen[&b"b"[..]]);
    for to in ["/etc/passwd", "../a", "missing"] {
        assert!(
            try_unpack(&[(EntryType::Link, "l", to)], into.path()).is_err(),
            "{to}"
        );
    }
}

#[test]
fn a_file_that_exceeds_the_limit_is_named_and_what_follows_is_left_to_be_fetched_on_its_own() {
    let into = tempfile::tempdir().unwrap();
    let (half, most) = ("x".repeat(600_000), "x".repeat(1 << 20));
    for (first, second) in [("", format!("{most}x")), (half.as_str(), half.clone())] {
        let entries = [
            (EntryType::Regular, "a", first),
            (EntryType::Regular, "big", second.as_str()),
            (EntryType::Regular, "z", "text"),
        ];
        let mut local = Local::new(into.path(), limits());
        let end = super::unpack(archive(&entries).as_slice(), limits(), &mut local).unwrap();
        assert!(matches!(end, End::Left), "{end:?}");
        assert_eq!(
            local.skipped.lines(9),
            ["big (it is larger than what is left of the limit (`pull --limit`))"]
        );
        assert_eq!(local.seen[&b"big"[..]], Seen::Other);
        assert!(!into.path().join("big").exists() && !local.seen.contains_key(&b"z"[..]));
        assert_eq!(fs::read_to_string(into.path().join("a")).unwrap(), first);
    }
    // One whose size is not in its header.
    for (size, count) in [("1048577", 1), ("1048576", 0), ("x", 1)] {
        let record = format!(" size={size}\n");
        let record = format!("{}{record}", record.len() + 2);
        let entries = [
            (EntryType::XHeader, "x", record.as_str()),
            (EntryType::Regular, "huge", ""),
            (EntryType::Regular, "z", "text"),
        ];
        let done = try_unpack(&entries, into.path()).unwrap();
        assert_eq!(done.skipped.count(), count, "{size}");
        assert_eq!(done.seen.contains_key(&b"huge"[..]), count > 0);
        assert!(!done.seen.contains_key(&b"z"[..]));
    }
}

#[test]
fn what_is_sent_and_not_written_counts_for_the_stream() {
    let into = tempfile::tempdir().unwrap();
    fs::write(into.path().join("f"), "file").unwrap();
    let big = "x".repeat(400_000);
    let mut entries: Vec<_> = ["f/1", "f/2", "f/3"]
        .into_iter()
        .map(|name| (EntryType::Regular, name, big.as_str()))
        .collect();
    let mut local = Local::new(into.path(), limits());
    let end = super::unpack(archive(&entries).as_slice(), limits(), &mut local).unwrap();
    assert!(matches!(end, End::Left), "{end:?}");
    assert_eq!((local.skipped.count(), local.bytes), (2, 0));
    assert!(!local.seen.contains_key(&b"f/3"[..]));
    entries.pop();
    assert_eq!(try_unpack(&entries, into.path()).unwrap().skipped.count(), 2);
}

#[test]
fn too_many_are_cut_off() {
    let into = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..101).map(|i| format!("f{i}")).collect();
    let many: Vec<_> = names
        .iter()
        .map(|name| (EntryType::Regular, name.as_str(), ""))
        .collect();
    assert!(matches!(
        try_unpack(&many, into.path()),
        Err(UnpackError::Refused { .. })
    ));
    let long = "n".repeat(HEADER_LIMIT as usize + 1);
    let error = try_unpack(&[(EntryType::GNULongName, "././@LongLink", &long)], into.path()).unwrap_err();
    assert!(matches!(error, UnpackError::Refused { .. }));
}

#[test]
fn garbage_and_a_cut_stream_are_errors() {
    let into = tempfile::tempdir().unwrap();
    assert!(unpack(&[7_u8; 2048][..], into.path(), &limits()).is_err());
    let whole = archive(&[(EntryType::Regular, "f", &"x".repeat(5000))]);
    assert!(unpack(&whole[..2000], into.path(), &limits()).is_err());
    // What came of it stays: it is the beginning of the file.
    let mut local = Local::new(into.path(), limits());
    let end = super::unpack(&whole[..2000], limits(), &mut local).unwrap();
    assert!(matches!(end, End::Cut(_)), "{end:?}");
    assert!(matches!(local.seen[&b"f"[..]], Seen::Broken(sent) if sent.size == 5000));
    assert_eq!(fs::read(into.path().join("f")).unwrap().len(), 2000 - 512);
}

/// A header of a type and size without content.
fn header(kind: EntryType, size: u64) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_path("x").unwrap();
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn a_stream_of_headers_without_end_is_cut_off() {
    let into = tempfile::tempdir().unwrap();
    for kind in [
        EntryType::XGlobalHeader,
        EntryType::XHeader,
        EntryType::GNULongName,
    ] {
        let endless = Endless(header(kind, 0), 0);
        assert!(unpack(endless, into.path(), &limits()).is_err(), "{kind:?}");
    }
    // Skipped entries count as well: a pipe with the content of a disk.
    let mut pipe = header(EntryType::Fifo, 1 << 60);
    pipe.resize(1 << 20, 0);
    assert!(unpack(Endless(pipe, 0), into.path(), &limits()).is_err());
}

/// The same bytes repeatedly. Panics after 1 GiB, so that a test ends.
struct Endless(Vec<u8>, usize);

impl Read for Endless {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        assert!(self.1 < 1 << 30, "a gigabyte was read");
        let at = self.1 % self.0.len();
        let count = buf.len().min(self.0.len() - at);
        buf[..count].copy_from_slice(&self.0[at..at + count]);
        self.1 += count;
        Ok(count)
    }
}

#[test]
fn files_from_a_node_are_not_writable_by_others() {
    let into = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(Vec::new());
    for (kind, name) in [(EntryType::Directory, "d/"), (EntryType::Regular, "d/f")] {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o6777);
        header.set_size(0);
        builder.append_data(&mut header, name, io::empty()).unwrap();
    }
    unpack(builder.into_inner().unwrap().as_slice(), into.path(), &limits()).unwrap();
    for name in ["d", "d/f"] {
        let mode = fs::metadata(into.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755, "{name}");
    }
}

#[test]
fn names_of_any_bytes_are_kept_and_zeros_are_not_stored() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    let into = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(Vec::new());
    let name = Path::new(std::ffi::OsStr::from_bytes(b"nl\n\\x2d\xff"));
    let content = [vec![0; 600_000], b"end".to_vec(), vec![0; 300_000]].concat();
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    builder
        .append_data(&mut header, name, content.as_slice())
        .unwrap();
    let stream = builder.into_inner().unwrap();
    unpack(stream.as_slice(), into.path(), &limits()).unwrap();
    let path = into.path().join(name);
    assert_eq!(fs::read(&path).unwrap(), content);
    assert!(fs::metadata(&path).unwrap().blocks() * 512 < 300_000);
}

#[test]
fn a_path_without_end_is_named_and_costs_no_other() {
    let into = tempfile::tempdir().unwrap();
    let deep = "d/".repeat(1000);
    let done = try_unpack(
        &[
            (EntryType::GNULongName, "././@LongLink", &deep),
            (EntryType::Directory, "x", ""),
            (EntryType::Regular, "f", "text"),
        ],
        into.path(),
    )
    .unwrap();
    assert_eq!(done.skipped.count(), 1);
    let named = done.skipped.lines(1).concat();
    assert!(
        named.len() < 200 && named.ends_with("... (it is nested too deeply)"),
        "{named}"
    );
    assert!(!into.path().join("d").exists());
    assert_eq!(fs::read_to_string(into.path().join("f")).unwrap(), "text");
}

#[test]
fn what_is_in_the_place_of_an_entry_costs_no_other() {
    let into = tempfile::tempdir().unwrap();
    for name in ["file/kept", "link/kept", "other/kept"] {
        fs::create_dir_all(into.path().join(name)).unwrap();
    }
    let entries = [
        (EntryType::Regular, "file", "text"),
        (EntryType::Symlink, "link", "f"),
        (EntryType::Regular, "f", "text"),
        (EntryType::Link, "other", "f"),
    ];
    let done = try_unpack(&entries, into.path()).unwrap();
    let mut skipped = done.skipped.lines(9);
    skipped.sort();
    let named = ["file", "link", "other"].map(|name| format!("{name} (a directory of its name is here)"));
    assert_eq!(skipped, named);
    assert!(into.path().join("file/kept").exists() && into.path().join("link/kept").exists());
    assert_eq!(fs::read_to_string(into.path().join("f")).unwrap(), "text");
}

#[test]
fn what_is_in_the_place_of_a_directory_costs_no_other_and_is_never_written_through() {
    let outer = tempfile::tempdir().unwrap();
    let into = outer.path().join("in");
    fs::create_dir_all(outer.path().join("victim")).unwrap();
    fs::create_dir(&into).unwrap();
    // Of an earlier transfer.
    fs::write(into.join("file"), "before").unwrap();
    symlink("../victim", into.join("link")).unwrap();
    let entries = [
        (EntryType::Directory, "file/", ""),
        (EntryType::Regular, "file/x", "text"),
        (EntryType::Directory, "link/d/", ""),
        (EntryType::Regular, "link/x", "text"),
        (EntryType::Regular, "f", "text"),
        (EntryType::Symlink, "link/s", "x"),
        (EntryType::Link, "link/h", "f"),
    ];
    let done = try_unpack(&entries, &into).unwrap();
    let mut skipped = done.skipped.lines(9);
    skipped.sort();
    let named = ["file", "file/x", "link/d", "link/h", "link/s", "link/x"];
    let why = "a file or link is here in place of a directory of its path";
    assert_eq!(skipped, named.map(|name| format!("{name} ({why})")));
    assert_eq!(fs::read_to_string(into.join("file")).unwrap(), "before");
    assert_eq!(fs::read_to_string(into.join("f")).unwrap(), "text");
    assert_eq!(fs::read_dir(outer.path().join("victim")).unwrap().count(), 0);
}

#[test]
fn another_name_of_what_is_no_file_is_left_to_be_fetched_on_its_own() {
    let into = tempfile::tempdir().unwrap();
    let entries = [
        (EntryType::Symlink, "a", "f"),
        (EntryType::Link, "b", "a"),
        (EntryType::Fifo, "p", ""),
        (EntryType::Link, "q", "p"),
        (EntryType::Regular, "f", "text"),
    ];
    let done = try_unpack(&entries, into.path()).unwrap();
    assert!(done.has_gaps);
    assert!(!done.seen.contains_key(&b"b"[..]) && !done.seen.contains_key(&b"q"[..]));
    assert_eq!(fs::read_to_string(into.path().join("a")).unwrap(), "text");
}
