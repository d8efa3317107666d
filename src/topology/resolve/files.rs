//! Paths: files next to the topology, and paths on a node.

use std::io::Read;
use std::path::PathBuf;

use super::Scope;
use super::values::Span;
use crate::topology::limits::MAX_TEMPLATE_BYTES;
use crate::topology::tree::shorten;

/// The hint for a path on a node that [`check_remote_path`] refuses.
pub(super) const REMOTE: &str = "write the absolute path of a file on the node, such as /etc/app.conf";

/// The hint for a file here that cannot be read.
const READABLE: &str = "check its owner and permissions";

/// A file that the topology names, inside its directory: a foreign topology cannot read
/// `../../etc/shadow`, neither by its path nor through a symbolic link.
pub(super) fn inside(scope: &Scope<'_>, span: &Span, text: &str, what: &str) -> Option<PathBuf> {
    let refuse = |message: String, hint: String| {
        scope.sink.error_hint(span, message, hint);
        None
    };
    let shown = shorten(text);
    if text.is_empty() || text.chars().any(char::is_control) {
        return refuse(
            format!("`{shown}` is not a valid path of a {what}"),
            "write a relative path, without control characters".to_owned(),
        );
    }
    let leaves = || {
        refuse(
            format!("the {what} `{shown}` is outside of the topology's directory"),
            "move it next to the topology file and give its relative path".to_owned(),
        )
    };
    let path = std::path::Path::new(text);
    if path.is_absolute()
        || path
            .components()
            .any(|part| part == std::path::Component::ParentDir)
    {
        return leaves();
    }
    let joined = scope.base_dir.join(path);
    match joined.canonicalize() {
        Ok(path) if !path.starts_with(&scope.base_dir) => leaves(),
        Ok(path) if !path.is_file() => refuse(
            format!("the {what} `{shown}` is not a file"),
            "name one file; a step copies no directory".to_owned(),
        ),
        Ok(path) => Some(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => refuse(
            format!("the {what} `{shown}` does not exist"),
            near_file(&joined).map_or_else(
                || "paths are relative to the directory of the topology".to_owned(),
                |name| format!("did you mean `{name}`?"),
            ),
        ),
        Err(error) => refuse(
            format!("the {what} `{shown}` cannot be read: {error}"),
            READABLE.to_owned(),
        ),
    }
}

/// A file with a similar name in the same directory.
fn near_file(path: &std::path::Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let names: Vec<String> = std::fs::read_dir(path.parent()?)
        .ok()?
        .take(1_000)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    crate::base::suggest::nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned)
}

/// The text of a template file.
pub(super) fn template(scope: &Scope<'_>, span: &Span, text: &str) -> Option<String> {
    let path = inside(scope, span, text, "template")?;
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MAX_TEMPLATE_BYTES + 1).read_to_end(&mut bytes));
    let shown = shorten(text);
    match read {
        Err(error) => {
            scope.sink.error_hint(
                span,
                format!("the template `{shown}` cannot be read: {error}"),
                READABLE.to_owned(),
            );
            None
        }
        Ok(size) if size as u64 > MAX_TEMPLATE_BYTES => {
            scope.sink.error_hint(
                span,
                format!("the template `{shown}` is larger than {MAX_TEMPLATE_BYTES} bytes"),
                "use `file:` for a file that is copied unchanged".to_owned(),
            );
            None
        }
        Ok(_) => String::from_utf8(bytes)
            .inspect_err(|_| {
                scope.sink.error_hint(
                    span,
                    format!("the template `{shown}` is not UTF-8"),
                    "use `file:` for files that are not text".to_owned(),
                );
            })
            .ok(),
    }
}

/// Checks the path of a file on a node: absolute, of ordinary parts. A rendered path must be checked
/// again. The error is a fragment for a message.
pub fn check_remote_path(path: &str) -> Result<(), String> {
    let shown = shorten(path);
    if !path.starts_with('/') {
        return Err(format!("`{shown}` is not an absolute path"));
    }
    if path.len() > 4_000 || path.chars().any(char::is_control) {
        return Err(format!("`{shown}` is not a path"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(format!("`{shown}` contains `..`"));
    }
    if path.ends_with('/') {
        return Err(format!("`{shown}` is a directory, not a file"));
    }
    Ok(())
}

/// Checks a path on a node that may contain shell globs, and nothing else that is special in a shell.
pub(super) fn check_glob(path: &str) -> Result<(), String> {
    check_remote_path(path)?;
    let safe = |c: char| c.is_alphanumeric() || "/._-+,:@=%*?[]!^~".contains(c);
    match path.chars().find(|&c| !safe(c)) {
        Some(c) => Err(format!("`{}` contains `{}`", shorten(path), c.escape_debug())),
        None => Ok(()),
    }
}

/// The name of a user or group as useradd(8) accepts it.
pub(super) fn is_login(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
}
