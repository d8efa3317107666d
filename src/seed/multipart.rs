//! Several cloud-configs as one user-data: a MIME message that cloud-init merges part by part (cloud-init documentation,
//! "MIME multi-part archive" and "Merging user data sections").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::digest::sha256;

/// Merges lists by adding to their end.
pub(super) const APPENDED: &str = "dict(no_replace,recurse_array)+list(append)+str()";
/// Merges lists by adding to their beginning.
pub(super) const PREPENDED: &str = "dict(no_replace,recurse_array)+list(prepend)+str()";
/// Replaces every key that was there before.
pub(super) const REPLACED: &str = "dict(replace)+list()+str()";

/// Characters of a line of base64 (RFC 2045).
const LINE: usize = 76;

/// One cloud-config.
pub(super) struct Part<'a> {
    text: &'a str,
    /// How it is merged into the parts before it; `None` for cloud-init's own way.
    merge: Option<&'static str>,
}

impl<'a> Part<'a> {
    /// A part that says itself how it is merged.
    pub(super) fn plain(text: &'a str) -> Self {
        Self { text, merge: None }
    }

    /// A part that is merged in this way.
    pub(super) fn merged(text: &'a str, merge: &'static str) -> Self {
        Self {
            text,
            merge: Some(merge),
        }
    }
}

/// The message. Equal parts give equal bytes.
pub(super) fn multipart(parts: &[Part<'_>]) -> String {
    let texts: Vec<&str> = parts.iter().map(|part| part.text).collect();
    // It cannot occur in base64.
    let boundary = format!("=={}==", &sha256(texts.join("\0"))[..32]);
    let mut message =
        format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n");
    for part in parts {
        message.push_str(&format!(
            "--{boundary}\nContent-Type: text/cloud-config; charset=\"utf-8\"\nMIME-Version: 1.0\n\
             Content-Transfer-Encoding: base64\n"
        ));
        if let Some(merge) = part.merge {
            message.push_str(&format!("Merge-Type: {merge}\n"));
        }
        message.push('\n');
        // Base64 is ASCII, so every index is the border of a character.
        let mut rest = STANDARD.encode(part.text);
        while !rest.is_empty() {
            let line = rest.split_off(rest.len().min(LINE));
            message.push_str(&rest);
            message.push('\n');
            rest = line;
        }
    }
    message.push_str(&format!("--{boundary}--\n"));
    message
}
