//! Which hosts the user's ssh config cannot tell apart, but for their name. Pure.
//!
//! `ssh -G` takes several milliseconds of CPU for each host. Where two hosts have the same active lines, save
//! `HostName`, one answer serves both. This reads only as much of the syntax as that needs: `Host` with its patterns
//! and plain `HostName`. Everything else (`Match`, `Include` inside a block, canonical names, tokens, quotes) means that
//! each host is asked about by itself.

use std::net::Ipv4Addr;

use super::super::pattern::list_matches;

/// The lines of all files that `ssh` reads, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lines(Vec<Line>);

#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// The beginning of a file: what follows holds for all hosts.
    File,
    /// `Host`, with its patterns.
    Host(Vec<String>),
    /// Any other keyword, in lower case, with its value.
    Setting(String, String),
}

/// What makes the settings of a host, apart from the user and port of its URI.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Places of the active lines, without `HostName`.
    pub(super) lines: Vec<usize>,
    /// `HostName`, or the name itself.
    pub(super) host_name: String,
}

/// The files that `ssh -v` says it reads. `None` if a name may be cut.
pub(super) fn files(log: &str) -> Option<Vec<&str>> {
    let read = log
        .lines()
        .filter_map(|line| line.strip_prefix("debug1: Reading configuration data "));
    // `%.200s` in readconf.c of OpenSSH.
    read.map(|name| (name.len() < 200).then_some(name)).collect()
}

impl Lines {
    /// Reads the texts of all files. `None` if hosts may differ in a way that is not looked at here.
    pub(super) fn read<'a>(files: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut lines = Vec::new();
        for text in files {
            let mut is_in_block = false;
            lines.push(Line::File);
            for line in text.lines().map(str::trim) {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let (keyword, value) = line.split_once([' ', '\t', '=']).unwrap_or((line, ""));
                let value = value.trim_start_matches([' ', '\t', '=']);
                let keyword = keyword.to_ascii_lowercase();
                match keyword.as_str() {
                    "host" => {
                        is_in_block = true;
                        if value.contains(['"', '\'', '\\', '#', ',']) {
                            return None;
                        }
                        lines.push(Line::Host(
                            value.split_ascii_whitespace().map(str::to_owned).collect(),
                        ));
                    }
                    "match" => return None,
                    "include" if is_in_block || value.contains('%') => return None,
                    _ if keyword.contains('"') => return None,
                    _ => lines.push(Line::Setting(keyword, value.to_owned())),
                }
            }
        }
        Some(Self(lines))
    }

    /// What makes the settings of this host. `None` if it has to be asked about by itself.
    pub(super) fn shape(&self, host: &str) -> Option<Shape> {
        if !is_plain(host) {
            return None;
        }
        let (mut is_active, mut lines, mut host_name) = (true, Vec::new(), None);
        for (place, line) in self.0.iter().enumerate() {
            match line {
                Line::File => is_active = true,
                Line::Host(patterns) => is_active = list_matches(patterns, host),
                Line::Setting(..) if !is_active => {}
                Line::Setting(keyword, value) if keyword == "hostname" => {
                    if host_name.is_some() || !is_plain(value) {
                        return None;
                    }
                    host_name = Some(value.clone());
                }
                Line::Setting(keyword, value) => {
                    if is_about_the_name(keyword, value, host) {
                        return None;
                    }
                    lines.push(place);
                }
            }
        }
        Some(Shape {
            lines,
            host_name: host_name.unwrap_or_else(|| host.to_owned()),
        })
    }
}

/// Whether the value that `ssh -G` prints for this line may have the name of the host in it.
fn is_about_the_name(keyword: &str, value: &str, host: &str) -> bool {
    match keyword {
        // Only expanded while it connects, and not looked at.
        "controlpath" | "localcommand" | "remotecommand" => false,
        // A host is not reached through itself.
        "proxyjump" => value.contains(host) || value.contains('%'),
        _ => keyword.starts_with("canonical") || value.contains('%'),
    }
}

/// Whether `ssh` takes a name as it is: it writes letters in lower case, and numbers as an address.
fn is_plain(name: &str) -> bool {
    let of_a_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    let has_letters = name.bytes().any(|byte| byte.is_ascii_lowercase());
    let is_address = || {
        name.parse::<Ipv4Addr>()
            .is_ok_and(|address| address.to_string() == name)
    };
    name.bytes().all(of_a_name) && !name.starts_with("0x") && (has_letters || is_address())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAB: &str = "# hosts\nHost bm01\n  HostName 10.0.0.1\nhost=bm02\n  HostName = 10.0.0.2\n\
        Host bm* !bm09 10.0.0.*\n  User root\n  ControlPath ~/.ssh/%h\n";

    fn shape(text: &str, host: &str) -> Option<Shape> {
        Lines::read([text]).unwrap().shape(host)
    }

    #[test]
    fn hosts_with_the_same_lines_have_the_same_shape_but_for_the_name() {
        let [one, two, three] = ["bm01", "bm02", "bm03"].map(|host| shape(LAB, host).unwrap());
        assert_eq!((&one.lines, &two.lines), (&three.lines, &three.lines));
        let names = [one, two, three].map(|shape| shape.host_name);
        assert_eq!(names, ["10.0.0.1", "10.0.0.2", "bm03"]);
        let other = shape(LAB, "bm09").unwrap();
        assert!(other.lines.is_empty(), "{other:?}");
        assert!(shape(LAB, "gate").unwrap().lines.is_empty());
        assert_eq!(shape(LAB, "10.0.0.7").unwrap().host_name, "10.0.0.7");
    }

    #[test]
    fn names_that_ssh_writes_in_another_way_are_asked_about() {
        for host in ["BM01", "10.1", "0x7f", "::1", "a b", "12", "10.0.0.01", ""] {
            assert_eq!(shape(LAB, host), None, "{host}");
        }
    }

    #[test]
    fn what_may_depend_on_the_name_is_asked_about() {
        for line in [
            "HostName %h.example.org",
            "HostName a\nHostName b",
            "HostName Bm01",
            "IdentityFile ~/keys/%h",
            "UserKnownHostsFile ~/.ssh/%k",
            "ProxyCommand nc %h %p",
            "ProxyJump me@bm01:22",
            "CanonicalizeHostname yes",
        ] {
            assert_eq!(shape(line, "bm01"), None, "{line}");
            // Not in a block of others.
            let elsewhere = format!("Host gate\n {line}\n");
            assert!(shape(&elsewhere, "bm01").is_some(), "{line}");
        }
        assert!(shape("ProxyJump gate", "bm01").is_some());
    }

    #[test]
    fn a_syntax_that_is_not_read_here_decides_nothing() {
        for text in [
            "Match host bm01\n User x",
            "Host *\n Include more",
            "Include %h.conf",
            "Host \"bm01\"",
            "Host bm01 # the first",
            "\"Host\" bm01",
        ] {
            assert_eq!(Lines::read([text]), None, "{text}");
        }
        // Each file begins outside of all blocks.
        let lines = Lines::read(["Include /etc/ssh/more\nHost gate\n User a", "User b"]).unwrap();
        assert_eq!(lines.shape("bm01").unwrap().lines.len(), 2);
    }

    #[test]
    fn the_files_are_those_of_the_log() {
        let log = "OpenSSH_9.2p1\ndebug1: Reading configuration data /root/.ssh/config\r\n\
            debug1: /etc/ssh/ssh_config line 21: Applying options for *\n\
            debug1: Reading configuration data /etc/ssh/ssh_config\n";
        assert_eq!(files(log).unwrap(), ["/root/.ssh/config", "/etc/ssh/ssh_config"]);
        let cut = format!("debug1: Reading configuration data /{}\n", "x".repeat(300));
        assert_eq!(files(&cut), None);
    }
}
