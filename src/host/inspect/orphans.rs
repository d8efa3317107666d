//! Leftovers of crashes that no cluster's mark names, and the ages of objects. Removes only objects whose name only
//! vcluster uses.

use std::time::Duration;

use async_trait::async_trait;

use crate::base::shell::{quote, with_variables};
use crate::base::text::is_lower_hex;
use crate::host::connect::Host;
use crate::host::error::HostError;
use crate::host::layout::{IMAGES_DIRECTORY, ROOT};
use crate::inventory::{Orphan, Orphans};

/// The leftovers on a host that no cluster owns.
#[async_trait]
pub trait Sweep: Send + Sync {
    /// Leftovers that no cluster owns, and the ages of objects. The age of a link counts from when it was first seen, so
    /// an age here is never too high.
    async fn orphans(&self) -> Result<Orphans, HostError>;

    /// Removes a leftover; returns whether it existed.
    async fn remove_orphan(&self, orphan: &Orphan) -> Result<bool, HostError>;
}

#[async_trait]
impl Sweep for Host {
    async fn orphans(&self) -> Result<Orphans, HostError> {
        let output = self
            .script(&script())
            .await
            .map_err(self.failed("look for leftovers"))?;
        Ok(read(&output))
    }

    async fn remove_orphan(&self, orphan: &Orphan) -> Result<bool, HostError> {
        let path = quote(&format!("{ROOT}/{}", orphan.0));
        let script = format!("[ -e {path} ] || exit 0; rm -rf -- {path} && echo removed");
        let output = self
            .script(&script)
            .await
            .map_err(self.failed(format!("remove {orphan}")))?;
        Ok(output.trim() == "removed")
    }
}

fn script() -> String {
    let variables = [("root", ROOT), ("images", IMAGES_DIRECTORY)];
    with_variables(&variables, include_str!("orphans.sh"))
}

fn read(output: &str) -> Orphans {
    let mut orphans = Orphans::default();
    for line in output.lines() {
        let mut parts = line.split('\t');
        let (Some(kind), Some(name), Some(age), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        // A time in the future, after the clock was set back, counts as new.
        let Ok(age) = age.parse::<i64>() else { continue };
        let age = Duration::from_secs(u64::try_from(age).unwrap_or(0));
        match kind {
            "file" if is_orphan_path(name) => orphans.files.push((Orphan(name.to_owned()), age)),
            "domain" | "seen" => {
                // A running domain has one file for its definition and one for its state.
                let known = orphans.ages.entry(name.to_owned()).or_insert(age);
                *known = age.min(*known);
            }
            _ => {}
        }
    }
    orphans.files.sort();
    orphans
}

fn is_orphan_path(path: &str) -> bool {
    let plain = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    };
    if let Some(random) = path.strip_prefix(".new.") {
        return random.len() == 6 && plain(random) && !random.contains('.');
    }
    // As of `upload_file`: others may keep files of their own in the pool.
    let upload = path
        .strip_prefix("images/")
        .and_then(|name| name.strip_suffix(".part")?.split_once('.'));
    upload.is_some_and(|(digest, id)| {
        digest.len() == 16 && id.len() == 32 && is_lower_hex(digest) && is_lower_hex(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_vcluster_uses_are_leftovers() {
        let id = "0123456789abcdef0123456789abcdef";
        let output = format!(
            "file\timages/0011223344556677.{id}.part\t90\nfile\timages/kvm.json\t90\nfile\t.new.a1B2c3\t7\n\
             file\t.new.../..\t7\nfile\timages/../x.part\t7\nfile\timages/download.part\t7\n\
             seen\tdemo.00000000\t100\ndomain\tdemo.n1\t50\ndomain\tdemo.n1\t40\nseen\tvcb00000000\t-5\nbad line\n"
        );
        let orphans = read(&output);
        let files: Vec<String> = orphans
            .files
            .iter()
            .map(|(orphan, age)| format!("{orphan} {}", age.as_secs()))
            .collect();
        assert_eq!(
            files,
            [
                "file .new.a1B2c3 7".to_owned(),
                format!("file images/0011223344556677.{id}.part 90"),
            ]
        );
        assert_eq!(orphans.ages["demo.n1"], Duration::from_secs(40));
        assert_eq!(orphans.ages["vcb00000000"], Duration::ZERO);
    }
}
