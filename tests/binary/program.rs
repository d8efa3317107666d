//! Runs the binary in a place of its own: a temporary directory, which is its current directory and has its state,
//! its cache and its home directory below it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::termios::Termios;
use serde_json::Value;

use crate::filter;

/// A command that hangs is ended after this time, so that the test fails with its output.
const LIMIT: Duration = Duration::from_mins(2);

/// Variables that change what is printed, or that lead out of the test.
const REMOVED: [&str; 4] = ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "SSH_AUTH_SOCK"];

/// The binary with its arguments, ready to run.
pub(crate) struct Vcluster {
    temp: tempfile::TempDir,
    args: Vec<String>,
    environment: Vec<(String, String)>,
    stdin: String,
}

/// What a command printed, and its exit code.
pub(crate) struct Ran {
    temp: tempfile::TempDir,
    args: Vec<String>,
    /// `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Vcluster {
    /// The binary in a new place, without arguments.
    pub(crate) fn new() -> Self {
        Self {
            temp: tempfile::tempdir().unwrap(),
            args: Vec::new(),
            environment: Vec::new(),
            stdin: String::new(),
        }
    }

    /// Adds arguments.
    pub(crate) fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(str::to_owned));
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives it a text on standard input, which is empty otherwise.
    pub(crate) fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    /// Writes a file into its place.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    /// A path in its place.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Ran {
        let mut command = assert_cmd::Command::from_std(self.command());
        command.write_stdin(self.stdin.as_str()).timeout(LIMIT);
        let output = command.output().unwrap();
        self.ended(output)
    }

    /// Starts it; [`Self::finish`] waits for its end.
    pub(crate) fn begin(&self) -> Child {
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Waits for the end of what was started. Its output must fit into a pipe.
    pub(crate) fn finish(self, mut child: Child) -> Ran {
        wait(&mut child);
        let output = child.wait_with_output().unwrap();
        self.ended(output)
    }

    /// Runs it to its end with a terminal as standard input and standard error, on which this is typed.
    pub(crate) fn run_on_terminal(self, typed: &str) -> Ran {
        let terminal = openpty(None::<&Winsize>, None::<&Termios>).unwrap();
        let mut command = self.command();
        command
            // Without cursor movement and colours.
            .env("TERM", "dumb")
            .stdin(terminal.slave.try_clone().unwrap())
            .stdout(Stdio::piped())
            .stderr(terminal.slave);
        let mut child = command.spawn().unwrap();
        // The terminal ends with the last process that has it open, so it must not stay open here.
        drop(command);
        let mut master = File::from(terminal.master);
        master.write_all(typed.as_bytes()).unwrap();
        let shown = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // At the end of a terminal, reading is an error.
            let _ = master.read_to_end(&mut bytes);
            bytes
        });
        wait(&mut child);
        let mut output = child.wait_with_output().unwrap();
        output.stderr = shown.join().unwrap();
        self.ended(output)
    }

    fn ended(self, output: Output) -> Ran {
        Ran {
            temp: self.temp,
            args: self.args,
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vcluster"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("VCLUSTER_") {
                command.env_remove(name);
            }
        }
        for name in REMOVED {
            command.env_remove(name);
        }
        command
            .args(&self.args)
            .current_dir(self.temp.path())
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            // Help is as wide as this where no terminal tells its width.
            .env("COLUMNS", "100")
            // A terminal that has colours: none of them may show in a pipe.
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C")
            .envs(self.environment.clone());
        command
    }
}

/// Waits for the end of a process. One that hangs is killed, so that the test fails with its output.
fn wait(child: &mut Child) {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > LIMIT {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Ran {
    /// Panics with all output unless the exit code is the wanted one.
    #[track_caller]
    pub(crate) fn code(self, wanted: i32) -> Self {
        assert_eq!(self.code, Some(wanted), "{}", self.text());
        self
    }

    /// Panics unless stderr holds the text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        let shown = self.text();
        assert!(self.stderr.contains(text), "no `{text}` on stderr of\n{shown}");
        self
    }

    /// Panics unless stdout holds the text.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        let shown = self.text();
        assert!(self.stdout.contains(text), "no `{text}` on stdout of\n{shown}");
        self
    }

    /// Panics if anything is on stderr.
    #[track_caller]
    pub(crate) fn says_nothing(self) -> Self {
        assert!(self.stderr.is_empty(), "stderr is not empty:\n{}", self.text());
        self
    }

    /// Panics if anything is on stdout.
    #[track_caller]
    pub(crate) fn prints_nothing(self) -> Self {
        assert!(self.stdout.is_empty(), "stdout is not empty:\n{}", self.text());
        self
    }

    /// stdout as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        parse(&self.stdout)
    }

    /// stdout as JSON lines.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(parse).collect()
    }

    /// The error in JSON: the last line of stdout, while stderr is empty.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        assert!(self.stderr.is_empty(), "stderr is not empty:\n{}", self.text());
        let error = parse(self.stdout.lines().next_back().unwrap_or_default());
        assert_eq!(error["type"], "error", "{}", self.text());
        error
    }

    /// The binary again, in the same place.
    pub(crate) fn again(self) -> Vcluster {
        Vcluster {
            temp: self.temp,
            ..Vcluster::new()
        }
    }

    /// A path in the place where it ran.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// The command, its exit code and all its output, without what differs from run to run.
    pub(crate) fn text(&self) -> String {
        let code = self
            .code
            .map_or_else(|| "none".to_owned(), |code| code.to_string());
        let text = format!(
            "$ vcluster {}\nexit code: {code}\n----- stdout -----\n{}\n----- stderr -----\n{}\n",
            self.args.join(" "),
            self.stdout,
            self.stderr
        );
        filter::stable(&text, self.temp.path())
    }
}

#[track_caller]
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Where snapshots are and what they are called: `snapshots/NAME_OF_THE_TEST.snap`.
pub(crate) fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}
