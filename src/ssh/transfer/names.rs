//! Names of files, which may contain any bytes but zero: where they lead, how they are shown, and how they are passed
//! to a shell.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// The path below the destination, if the name stays there.
pub(super) fn inside(name: &[u8]) -> Result<PathBuf, &'static str> {
    let mut path = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return Err("the name is absolute"),
            Component::ParentDir => return Err("the name points outside"),
        }
    }
    Ok(path)
}

/// The name without `./` and `//`, so that all lists use the same form.
pub(super) fn plain(name: &[u8]) -> Vec<u8> {
    inside(name).map_or_else(|_| name.to_vec(), |path| path.into_os_string().into_vec())
}

/// Whether a symlink at this path, below the destination, points to something outside of it.
pub(super) fn leads_out(path: &Path, to: &Path) -> bool {
    // The depth of the link's directory; each `..` goes up one.
    let mut depth = path.components().count().saturating_sub(1);
    for part in to.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return true,
        }
    }
    to.as_os_str().is_empty()
}

/// The path without a `~/` before it, which means the login directory as for scp: relative paths begin there.
pub(super) fn from_home(path: &[u8]) -> &[u8] {
    let rest = match path {
        b"~" => &b""[..],
        [b'~', b'/', rest @ ..] => rest,
        _ => return path,
    };
    match rest.iter().position(|byte| *byte != b'/') {
        Some(start) => &rest[start..],
        None => b".",
    }
}

/// The name for messages, escaped.
pub(super) fn shown(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.extend(chunk.valid().escape_debug());
        text.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    text
}

/// The beginning of a name that is too long to show.
pub(super) fn short(shown: &str) -> String {
    shown.chars().take(100).chain("...".chars()).collect()
}

/// The name for the scripts, which decode it with `plain` of `plain.sh`: only characters that no shell treats specially.
pub(super) fn encoded(name: &[u8]) -> String {
    let mut text = String::new();
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"/._-+=:@%".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\0{byte:03o}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_name_comes_out_of_a_shell_as_it_went_in() {
        let all: Vec<u8> = (1..=255).collect();
        for name in [&b"plain/x"[..], b"it's $(x)\n\n", b"\\x2d\\0101", b"-n", &all] {
            let script = format!(
                "{}plain '{}'\nprintf %s \"$name\"",
                include_str!("plain.sh"),
                encoded(name)
            );
            let output = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .unwrap();
            assert_eq!(output.stdout, name);
        }
    }

    #[test]
    fn a_tilde_is_the_login_directory_and_nothing_else_is() {
        for (path, expected) in [
            ("~/app//x", "app//x"),
            ("~//etc/x", "etc/x"),
            ("~", "."),
            ("~/", "."),
            ("./~/x", "./~/x"),
            ("~x", "~x"),
            ("/~/x", "/~/x"),
        ] {
            assert_eq!(from_home(path.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn a_name_of_any_bytes_is_shown_without_control_characters() {
        assert_eq!(shown("é\n\x1b".as_bytes()), "é\\n\\u{1b}");
        assert_eq!(shown(b"a\xff\\x2d"), "a\\xff\\\\x2d");
    }

    #[test]
    fn all_lists_use_the_same_form_of_a_name() {
        for name in [&b".//src/./d/\xff"[..], b"./src/d/\xff", b"src//d/\xff/"] {
            assert_eq!(plain(name), b"src/d/\xff");
        }
        assert_eq!(plain(b"../x"), b"../x");
    }
}
