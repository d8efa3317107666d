//! The user's own cloud-config: a file beside the topology, or a mapping in it. Its meaning is cloud-init's business;
//! only what cloud-init would not even read as cloud-config is refused.

use std::path::Path;

use serde_json::Value;

use super::values::Span;
use super::{Scope, files};
use crate::topology::limits::MAX_USER_DATA_BYTES;
use crate::topology::model::{Image, ImageSource};
use crate::topology::raw::UserData;
use crate::topology::reader::At;
use crate::topology::tree::shorten;

/// The first line of a cloud-config (cloud-init documentation, "User data formats").
const HEADER: &str = "#cloud-config";

/// The text of a cloud-config; an error if it is wrong, which is then recorded.
pub(super) fn read(scope: &Scope<'_>, raw: Option<&At<UserData>>) -> Result<Option<String>, ()> {
    let Some(at) = raw else { return Ok(None) };
    let text = match at.get().ok_or(())? {
        UserData::File(path) => file(scope, &at.span, path),
        UserData::Inline(map) => inline(scope, &at.span, map),
    };
    text.map(Some).ok_or(())
}

/// Refuses the cloud-config of a group if the micro image, which would ignore it, is among the images of its nodes.
pub(super) fn check_group<'a>(
    scope: &Scope<'_>,
    raw: Option<&At<UserData>>,
    mut images: impl Iterator<Item = &'a Image>,
) {
    if let Some(at) = raw
        && images.any(|image| image.source == ImageSource::Micro)
    {
        no_cloud_init(scope, &at.span);
    }
}

/// The micro image configures itself from the seed, without cloud-init.
pub(super) fn no_cloud_init(scope: &Scope<'_>, span: &Span) {
    scope.sink.error_hint(
        span,
        "the micro image has no cloud-init",
        "use `configure` steps, or an image with cloud-init, such as `debian`".to_owned(),
    );
}

fn file(scope: &Scope<'_>, span: &Span, text: &str) -> Option<String> {
    let path = files::inside(scope, span, text, "cloud-config")?;
    let refuse = |message: String, hint: &str| {
        scope.sink.error_hint(span, message, hint.to_owned());
        None
    };
    let shown = shorten(text);
    match limited(&path) {
        Err(error) => refuse(
            format!("the cloud-config `{shown}` cannot be read: {error}"),
            "check its owner and permissions; it must be UTF-8",
        ),
        Ok(content) if content.len() as u64 > MAX_USER_DATA_BYTES => refuse(
            format!("the cloud-config `{shown}` is larger than {MAX_USER_DATA_BYTES} bytes"),
            "write large files with `configure` steps",
        ),
        Ok(content) if content.contains('\0') => refuse(
            format!("the cloud-config `{shown}` contains a NUL byte"),
            "save it as plain text",
        ),
        Ok(content) if content.starts_with('\u{feff}') => refuse(
            format!("the cloud-config `{shown}` begins with a byte order mark"),
            "save it as UTF-8 without one: cloud-init would not read it as cloud-config",
        ),
        Ok(content) if content.lines().next().map(str::trim_end) != Some(HEADER) => refuse(
            format!("the file `{shown}` is not a cloud-config: its first line is not `{HEADER}`"),
            "begin it with `#cloud-config`; run scripts with `configure` steps",
        ),
        Ok(content) => Some(content),
    }
}

/// At most one byte more than allowed, which is enough to detect that the file is too large.
fn limited(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut content = String::new();
    let file = std::fs::File::open(path)?;
    file.take(MAX_USER_DATA_BYTES + 1).read_to_string(&mut content)?;
    Ok(content)
}

/// JSON, which is YAML.
fn inline(scope: &Scope<'_>, span: &Span, map: &serde_json::Map<String, Value>) -> Option<String> {
    if map.values().any(has_numeric_mode) {
        scope.sink.error_hint(
            span,
            "`permissions` in `user_data` is a number",
            "write it as text in quotes, such as \"0644\"; cloud-init reads a number as decimal".to_owned(),
        );
        return None;
    }
    let json = serde_json::to_string_pretty(map).ok()?;
    Some(format!("{HEADER}\n{json}\n"))
}

fn has_numeric_mode(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().any(has_numeric_mode),
        Value::Object(map) => {
            map.get("permissions").is_some_and(Value::is_number) || map.values().any(has_numeric_mode)
        }
        _ => false,
    }
}
