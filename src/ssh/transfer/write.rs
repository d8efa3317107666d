//! One file with owner and mode, written only where it differs: what the configuration needs.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::super::quote;
use super::super::session::{ExecRequest, Session};
use super::pack::hex;
use super::{TransferError, checked};

/// A file as it shall be on a node.
#[derive(Clone, Debug)]
pub struct FileSpec {
    /// Absolute path there.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
    /// `chown` argument, such as `redis:redis`; none leaves a new file to the login user.
    pub owner: Option<String>,
    /// Permission bits; none is 0644 for a new file.
    pub mode: Option<u32>,
}

/// Makes a file be as it shall be; returns whether the content, owner or mode was changed. The new
/// content takes the place of the old at once, and only after its digest was found right.
pub async fn write_file(
    session: &Session,
    spec: &FileSpec,
    limit: Option<Duration>,
) -> Result<bool, TransferError> {
    if !spec.path.starts_with('/') || spec.path.ends_with('/') || spec.path.contains(['\0', '\n']) {
        let message = "not an absolute path of a file".into();
        return Err(TransferError::Source {
            path: spec.path.clone().into(),
            message,
        });
    }
    let digest = hex(&Sha256::digest(&spec.content));
    let mode = spec.mode.map(|mode| format!("{:o}", mode & 0o7777));
    // `stat -c` is in busybox as well.
    let script = format!(
        r#"set -e; p={path}; want={digest}; owner={owner}; mode={mode}
if [ -d "$p" ]; then echo "$p is a directory" >&2; exit 1; fi
sum() {{ sha256sum < "$1" | cut -d' ' -f1; }}
changed=no; f=$p
if [ ! -f "$p" ] || [ "$(sum "$p")" != "$want" ]; then
  mkdir -p -- "$(dirname -- "$p")"; f=$(mktemp "$p.XXXXXX"); trap 'rm -f -- "$f"' EXIT
  cat > "$f"
  if [ "$(sum "$f")" != "$want" ]; then echo "$p: the content arrived damaged" >&2; exit 1; fi
  if [ -f "$p" ]; then chown "$(stat -c %u:%g "$p")" "$f"; chmod "$(stat -c %a "$p")" "$f"; else chmod 644 "$f"; fi
  changed=yes
else cat > /dev/null; fi
before=$(stat -c %u:%g:%a "$f")
if [ -n "$owner" ]; then chown -- "$owner" "$f"; fi
if [ -n "$mode" ]; then chmod "$mode" "$f"; fi
if [ "$before" != "$(stat -c %u:%g:%a "$f")" ]; then changed=yes; fi
if [ "$f" != "$p" ]; then mv -f -- "$f" "$p"; fi
echo $changed"#,
        path = quote(&spec.path),
        owner = quote(spec.owner.as_deref().unwrap_or("")),
        mode = quote(mode.as_deref().unwrap_or("")),
    );
    // The script may meet any login shell, so it is given to sh.
    let command = format!("sh -c {}", quote(&script));
    let request = ExecRequest {
        command,
        stdin: spec.content.clone(),
        timeout: limit,
        limit: 64 * 1024,
    };
    let output = checked(session.name(), session.exec(&request).await?)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim() == "yes")
}
