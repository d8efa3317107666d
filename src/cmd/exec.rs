//! `vcluster exec`: one command on many nodes, with the options of `clush`. What is here is pure:
//! arguments, the words on screen, the verdict; the running is `ssh::fanout`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::exit::ExitCode;
use crate::ssh::fanout::{DEFAULT_FANOUT, Ended, FanEvent, Stream};

/// Runs a command on nodes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Nodes to run on, as a node set ("worker[001-147],@seed"); all of the cluster if not given.
    #[arg(short = 'w', long = "nodes", value_name = "NODES")]
    pub nodes: Option<String>,
    /// Nodes to leave out.
    #[arg(short = 'x', long = "exclude", value_name = "NODES")]
    pub exclude: Option<String>,
    /// Nodes at once.
    #[arg(short = 'f', long, default_value_t = DEFAULT_FANOUT as u32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub fanout: u32,
    /// Gather: print identical output once, with the nodes that gave it.
    #[arg(short = 'b', long = "gather")]
    pub gather: bool,
    /// Exit with the largest exit status of the commands.
    #[arg(short = 'S', long = "max-status")]
    pub max_status: bool,
    /// Time allowed on each node ("30s", "5m"); then the command is killed there.
    #[arg(short = 't', long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    /// The command. Several words are joined by spaces and go to the shell of the node.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<String>,
}

/// A line as it comes, with its node in front; for standard output or error of this process.
pub fn line(node: &str, text: &str) -> String {
    format!("{node}: {}\n", visible(text))
}

/// How a node ended, where that is worth a line.
pub fn ending(node: &str, ended: &Ended) -> Option<String> {
    (!ended.is_success()).then(|| format!("vcluster: {node}: {}", visible(&ended.to_string())))
}

/// An event as a JSON line of version 1.
pub fn json(event: &FanEvent) -> String {
    let value = match event {
        FanEvent::Line { node, stream, line } => {
            serde_json::json!({"v": 1, "event": "line", "node": node, "stream": stream, "line": line})
        }
        FanEvent::Ended { node, ended } => {
            let (status, reason) = match ended {
                Ended::Exit(status) => (Some(*status), None),
                other => (None, Some(other.to_string())),
            };
            let how = match ended {
                Ended::Exit(_) => "exit",
                Ended::Signal(_) => "signal",
                Ended::TimedOut(_) => "timeout",
                Ended::Lost(_) => "lost",
                Ended::NotStarted(_) => "not_started",
                Ended::Cancelled => "cancelled",
            };
            serde_json::json!({"v": 1, "event": "ended", "node": node, "how": how, "status": status, "reason": reason})
        }
    };
    format!("{value}\n")
}

/// Control characters of a node must not reach the terminal; tabs may.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Collects what nodes say, for `-b`.
#[derive(Debug, Default)]
pub struct Gather {
    said: BTreeMap<String, String>,
}

impl Gather {
    /// Takes an event. A node that says nothing has no part in the output.
    pub fn take(&mut self, event: &FanEvent) {
        if let FanEvent::Line {
            node,
            stream: Stream::Stdout,
            line,
        } = event
        {
            let text = self.said.entry(node.clone()).or_default();
            text.push_str(&visible(line));
            text.push('\n');
        }
    }

    /// Identical output once, under its nodes; most nodes first, then by the first node's name. `fold`
    /// writes nodes as a node set.
    pub fn render(&self, fold: impl Fn(&[&str]) -> String) -> String {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (node, text) in &self.said {
            groups.entry(text).or_default().push(node);
        }
        let mut groups: Vec<(&str, Vec<&str>)> = groups.into_iter().collect();
        groups.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.1.cmp(&b.1)));
        let rule = "-".repeat(15);
        let mut out = String::new();
        for (text, nodes) in groups {
            let count = if nodes.len() > 1 {
                format!(" ({})", nodes.len())
            } else {
                String::new()
            };
            let _ = write!(out, "{rule}\n{}{count}\n{rule}\n{text}", fold(&nodes));
        }
        out
    }
}

/// The process's exit status: with `max_status` the largest of the commands' (255 where one has none),
/// else a documented [`ExitCode`].
pub fn verdict<'a>(results: impl IntoIterator<Item = &'a Ended>, max_status: bool) -> u8 {
    let mut worst = 0;
    let mut code = ExitCode::Ok;
    for ended in results {
        let (status, this) = match ended {
            Ended::Exit(0) => (0, ExitCode::Ok),
            Ended::Exit(status) => (u8::try_from(*status).unwrap_or(255), ExitCode::WorkloadFailed),
            Ended::TimedOut(_) => (124, ExitCode::Timeout),
            Ended::Cancelled => (130, ExitCode::Interrupted),
            _ => (255, ExitCode::WorkloadFailed),
        };
        worst = worst.max(status);
        // An interruption says most, then a time that ran out.
        code = if this as u8 > code as u8 { this } else { code };
    }
    if max_status { worst } else { code as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(node: &str, line: &str) -> FanEvent {
        FanEvent::Line {
            node: node.into(),
            stream: Stream::Stdout,
            line: line.into(),
        }
    }

    #[test]
    fn identical_output_is_printed_once_under_its_nodes() {
        let mut gather = Gather::default();
        for event in [
            out("n3", "b"),
            out("n1", "a"),
            out("n2", "a"),
            out("n1", "x\u{1b}[2J"),
            out("n2", "x\u{1b}[2J"),
        ] {
            gather.take(&event);
        }
        let text = gather.render(|nodes| nodes.join(","));
        insta::assert_snapshot!(text, @r"
        ---------------
        n1,n2 (2)
        ---------------
        a
        x\u{1b}[2J
        ---------------
        n3
        ---------------
        b
        ");
    }

    #[test]
    fn the_exit_status_follows_the_worst_end() {
        let timed = Ended::TimedOut(Duration::from_secs(1));
        assert_eq!(verdict([&Ended::Exit(0)], false), 0);
        assert_eq!(verdict([&Ended::Exit(0), &Ended::Exit(3)], false), 6);
        assert_eq!(verdict([&Ended::Exit(2), &Ended::Exit(3)], true), 3);
        assert_eq!(verdict([&timed, &Ended::Exit(3)], false), 124);
        assert_eq!(verdict([&Ended::Lost(String::new())], true), 255);
        assert_eq!(verdict([&Ended::Cancelled, &timed], false), 130);
        assert_eq!(verdict([], false), 0);
    }

    #[test]
    fn json_lines_are_one_line_each_whatever_a_node_says() {
        let text = json(&out("n1", "a\"b\nc"));
        assert_eq!(text.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (value["node"].as_str(), value["line"].as_str()),
            (Some("n1"), Some("a\"b\nc"))
        );
        let ended = json(&FanEvent::Ended {
            node: "n1".into(),
            ended: Ended::Exit(4),
        });
        assert!(ended.contains(r#""how":"exit","status":4"#), "{ended}");
    }

    #[test]
    fn the_command_may_hold_options_of_its_own() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        let parse = |words: &[&str]| <Cli as clap::Parser>::try_parse_from(words).map(|cli| cli.args);
        let args = parse(&["exec", "-w", "n[1-3]", "-bS", "-t", "30s", "--", "ls", "-l"]).unwrap();
        assert_eq!(args.command, ["ls", "-l"]);
        assert!(args.gather && args.max_status && args.timeout == Some(Duration::from_secs(30)));
        assert!(parse(&["exec", "uptime", "-p"]).unwrap().command == ["uptime", "-p"]);
        assert!(parse(&["exec", "-f", "0", "x"]).is_err());
        assert!(parse(&["exec"]).is_err());
    }
}
