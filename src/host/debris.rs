//! What crashes leave on a host that no cluster's mark names, and how old things are. Removes only what bears a
//! name that nobody but vcluster gives.

use std::collections::HashMap;
use std::time::Duration;

use virt::error::ErrorNumber;

use super::connect::Host;
use super::error::HostError;
use super::libvirt::is;
use super::pool::{IMAGES_DIRECTORY, ROOT};
use crate::ssh::quote;

/// Something that no cluster owns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waste {
    /// A guest that proved KVM, or did not.
    ProbeDomain(String),
    /// A file or directory below our own root, by its path in that.
    File(String),
}

impl std::fmt::Display for Waste {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ProbeDomain(name) => write!(f, "domain {name}"),
            Self::File(path) => write!(f, "file {path}"),
        }
    }
}

/// Ages, as far as a host knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Debris {
    /// Age of directories, links and domains, by name.
    pub ages: HashMap<String, Duration>,
    /// What nobody owns, with its age.
    pub waste: Vec<(Waste, Duration)>,
}

impl Host {
    /// Looks for debris. The age of a link is that of its first being seen at least: an age here is never too high.
    pub async fn debris(&self) -> Result<Debris, HostError> {
        let said = self
            .script(&script())
            .await
            .map_err(self.failed("look for debris"))?;
        Ok(read(&said))
    }

    /// Removes a piece of waste; returns whether it was there.
    pub async fn remove_waste(&self, waste: &Waste) -> Result<bool, HostError> {
        let doing = format!("remove {waste}");
        match waste {
            Waste::ProbeDomain(name) => {
                let name = name.clone();
                self.call(move |connection| {
                    let domain = match connection.lookup_domain_by_name(&name) {
                        Ok(domain) => domain,
                        Err(error) if is(&error, ErrorNumber::NoDomain) => return Ok(false),
                        Err(error) => return Err(error),
                    };
                    // It is transient: stopped, it is gone.
                    match domain.destroy() {
                        Err(error) if !is(&error, ErrorNumber::NoDomain) => Err(error),
                        _ => Ok(true),
                    }
                })
                .await
                .map_err(self.failed(doing))
            }
            Waste::File(path) => {
                let path = quote(&format!("{ROOT}/{path}"));
                let script = format!("[ -e {path} ] || exit 0; rm -rf -- {path} && echo removed");
                let said = self.script(&script).await.map_err(self.failed(doing))?;
                Ok(said.trim() == "removed")
            }
        }
    }
}

fn script() -> String {
    format!(
        r#"now=$(date +%s)
age() {{ t=$(stat -c %Y "$3" 2>/dev/null) && printf '%s\t%s\t%s\n' "$1" "$2" $((now - t)); }}
for p in {ROOT}/*.????????; do age seen "${{p##*/}}" "$p"; done
for p in /sys/class/net/vc[bx]????????; do age seen "${{p##*/}}" "$p"; done
for p in /etc/libvirt/qemu/*.xml /run/libvirt/qemu/*.xml; do n=${{p##*/}}; age domain "${{n%.xml}}" "$p"; done
for p in {ROOT}/.new.?????? {IMAGES_DIRECTORY}/*.part {IMAGES_DIRECTORY}/vcluster-probe-*; do age file "${{p#{ROOT}/}}" "$p"; done
exit 0
"#
    )
}

fn read(said: &str) -> Debris {
    let mut debris = Debris::default();
    for line in said.lines() {
        let mut parts = line.split('\t');
        let (Some(kind), Some(name), Some(age), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        // A clock that was set back makes things from the future: those are new.
        let Ok(age) = age.parse::<i64>() else { continue };
        let age = Duration::from_secs(u64::try_from(age).unwrap_or(0));
        match kind {
            "file" if is_waste_path(name) => debris.waste.push((Waste::File(name.to_owned()), age)),
            "domain" if is_probe(name) => debris.waste.push((Waste::ProbeDomain(name.to_owned()), age)),
            "domain" | "seen" => {
                let known = debris.ages.entry(name.to_owned()).or_insert(age);
                *known = age.min(*known);
            }
            _ => {}
        }
    }
    debris.waste.sort();
    // A domain has a file for its definition and one for its run.
    debris.waste.dedup_by(|a, b| a.0 == b.0);
    debris
}

fn is_probe(name: &str) -> bool {
    let id = name.strip_prefix("vcluster-probe-");
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_waste_path(path: &str) -> bool {
    let plain = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    };
    if let Some(random) = path.strip_prefix(".new.") {
        return random.len() == 6 && plain(random) && !random.contains('.');
    }
    let Some(name) = path.strip_prefix("images/") else {
        return false;
    };
    let ending = std::path::Path::new(name).extension();
    let ours = ending.is_some_and(|end| end == "part") || name.starts_with("vcluster-probe-");
    plain(name) && !name.starts_with('.') && ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_vcluster_gives_are_waste() {
        let id = "0123456789abcdef0123456789abcdef";
        let said = format!(
            "file\timages/0011223344556677.{id}.part\t90\nfile\timages/kvm.json\t90\nfile\t.new.a1B2c3\t7\n\
             file\t.new.../..\t7\nfile\timages/../x.part\t7\nfile\timages/vcluster-probe-{id}.console\t5\n\
             domain\tvcluster-probe-{id}\t8\ndomain\tvcluster-probe-{id}\t9\ndomain\tvcluster-probe-mine\t8\n\
             seen\tdemo.00000000\t100\ndomain\tdemo.n1\t50\ndomain\tdemo.n1\t40\nseen\tvcb00000000\t-5\nbad line\n"
        );
        let debris = read(&said);
        let waste: Vec<String> = debris
            .waste
            .iter()
            .map(|(waste, age)| format!("{waste} {}", age.as_secs()))
            .collect();
        assert_eq!(
            waste,
            [
                format!("domain vcluster-probe-{id} 8"),
                "file .new.a1B2c3 7".into(),
                format!("file images/0011223344556677.{id}.part 90"),
                format!("file images/vcluster-probe-{id}.console 5"),
            ]
        );
        assert_eq!(debris.ages["demo.n1"], Duration::from_secs(40));
        assert_eq!(debris.ages["vcb00000000"], Duration::ZERO);
        assert!(
            debris.ages.contains_key("vcluster-probe-mine"),
            "it is a domain like any other"
        );
    }
}
