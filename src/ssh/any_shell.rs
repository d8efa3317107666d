//! Commands for `sh` on a machine whose login shell may be any: one that prints a greeting, or is no POSIX shell.
//!
//! sshd gives each command line to the login shell. These lines have only words that bash, zsh, fish, csh and tcsh read
//! alike, and replace that shell by `sh`. Marks in the output show where the command itself begins and ends: whatever
//! the login shell prints before and after is dropped. Pure.

use std::fmt::Write as _;

use super::ended::Ended;
use super::request::ExecEvent;

/// Bytes kept of what a login shell prints before the command, for the error if that never begins.
const KEPT: usize = 600;

/// The exit code for a command that was not run, as in POSIX shells.
const NOT_RUN: u32 = 126;

/// A word that every shell reads alike, and `printf %b` turns back into the text. fish reads backslashes between single
/// quotes, csh newlines and exclamation marks.
fn word(text: &str) -> String {
    let mut word = String::from("'");
    for byte in text.bytes() {
        match byte {
            b'\\' | b'\'' | b'!' | 0..=0x1f | 0x7f.. => {
                // Writing to a string cannot fail.
                let _ = write!(word, "\\0{byte:03o}");
            }
            _ => word.push(char::from(byte)),
        }
    }
    word.push('\'');
    word
}

/// The beginning of a line: `exec`, and a variable for the environment if there is one.
fn exec(variable: Option<&str>) -> String {
    variable.map_or_else(|| "exec".to_owned(), |variable| format!("exec env {variable}"))
}

/// A line that runs a script in `sh`. What the login shell prints is in its output too.
pub(super) fn line(script: &str) -> String {
    format!(r#"exec sh -c 'eval "$(printf %b "$1")"' sh {}"#, word(script))
}

/// A line that runs a script in `sh`, and the marks around its output. `variable` is `NAME=VALUE` of plain characters.
/// The script may read its standard input. `$PPID` is the parent of the login shell, or that shell if it stays.
pub(super) fn framed(script: &str, variable: Option<&str>) -> (String, Frame) {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let (begin, end) = (format!("vcluster-begin-{id}"), format!("vcluster-end-{id}"));
    let line = format!(
        r#"{exec} sh -c 'echo {begin}; echo {begin} >&2; (eval "$(printf %b "$1")"); s=$?; echo {end}; echo {end} >&2; exit $s' sh {script}"#,
        exec = exec(variable),
        script = word(script),
    );
    let cut = || Cut::new(format!("{begin}\n"), format!("{end}\n"));
    let frame = Frame {
        stdout: cut(),
        stderr: cut(),
    };
    (line, frame)
}

/// The output of a framed command.
pub(super) struct Frame {
    stdout: Cut,
    stderr: Cut,
}

impl Frame {
    /// The part of an event that belongs to the command; `None` if nothing does.
    pub(super) fn pass(&mut self, event: ExecEvent) -> Option<ExecEvent> {
        let event = match event {
            ExecEvent::Stdout(bytes) => ExecEvent::Stdout(self.stdout.push(&bytes)),
            ExecEvent::Stderr(bytes) => ExecEvent::Stderr(self.stderr.push(&bytes)),
            other => other,
        };
        (!is_empty(&event)).then_some(event)
    }

    /// What was held back, at the end of the output. If the command never began: what was printed in its place.
    pub(super) fn rest(&mut self) -> Vec<ExecEvent> {
        if !self.has_begun() {
            let printed = [self.stderr.instead(), self.stdout.instead()].concat();
            let printed = String::from_utf8_lossy(&printed).trim().to_owned();
            let text = match printed.as_str() {
                "" => "the login shell did not start `sh`".to_owned(),
                printed => format!("the login shell did not start `sh`; it printed: {printed}"),
            };
            return vec![ExecEvent::Stderr(text.into_bytes())];
        }
        let rest = [
            ExecEvent::Stdout(self.stdout.rest()),
            ExecEvent::Stderr(self.stderr.rest()),
        ];
        rest.into_iter().filter(|event| !is_empty(event)).collect()
    }

    /// The end of the command. One that never began has not succeeded.
    pub(super) fn end(&self, ended: ExecEvent) -> ExecEvent {
        match ended {
            ExecEvent::Ended(Ended::Exit(0)) if !self.has_begun() => ExecEvent::Ended(Ended::Exit(NOT_RUN)),
            other => other,
        }
    }

    fn has_begun(&self) -> bool {
        self.stdout.place != Place::Before
    }
}

fn is_empty(event: &ExecEvent) -> bool {
    matches!(event, ExecEvent::Stdout(bytes) | ExecEvent::Stderr(bytes) if bytes.is_empty())
}

/// Where in a stream the marks have been found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Inside,
    After,
}

/// One stream, of which the part between two marks is kept.
struct Cut {
    begin: String,
    end: String,
    place: Place,
    /// What may be a part of a mark.
    held: Vec<u8>,
    /// The beginning of what came before the first mark.
    printed: Vec<u8>,
}

impl Cut {
    fn new(begin: String, end: String) -> Self {
        Self {
            begin,
            end,
            place: Place::Before,
            held: Vec::new(),
            printed: Vec::new(),
        }
    }

    /// Takes bytes, and returns those that are certainly between the marks.
    fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        if self.place == Place::Before {
            let Some(at) = find(&self.held, self.begin.as_bytes()) else {
                let surplus = self.held.len().saturating_sub(self.begin.len() - 1);
                let room = KEPT.saturating_sub(self.printed.len()).min(surplus);
                self.printed.extend_from_slice(&self.held[..room]);
                self.held.drain(..surplus);
                return Vec::new();
            };
            self.held.drain(..at + self.begin.len());
            self.place = Place::Inside;
        }
        if self.place == Place::After {
            self.held.clear();
            return Vec::new();
        }
        let end = self.end.as_bytes();
        if let Some(at) = find(&self.held, end) {
            self.place = Place::After;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let part = (1..end.len())
            .rev()
            .find(|&part| self.held.ends_with(&end[..part]));
        let rest = self.held.split_off(self.held.len() - part.unwrap_or(0));
        std::mem::replace(&mut self.held, rest)
    }

    /// What is left between the marks when the stream has ended.
    fn rest(&mut self) -> Vec<u8> {
        match self.place {
            Place::Inside => std::mem::take(&mut self.held),
            Place::Before | Place::After => Vec::new(),
        }
    }

    /// The beginning of what came without any mark.
    fn instead(&self) -> Vec<u8> {
        let room = KEPT.saturating_sub(self.printed.len()).min(self.held.len());
        [self.printed.as_slice(), &self.held[..room]].concat()
    }
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Scripts with what some shell reads otherwise.
    const SCRIPTS: &[&str] = &[
        "echo plain",
        "printf '%s|' 'it'\\''s' \"a\\\\b\" '!' 'é'\nprintf '\\t%s\\n' \"$HOME$(echo x)\" `echo y`",
        "cat <<'E'\n\\0101 %s ! 'quoted'\nE\nexit 7",
    ];

    fn run(shell: &[&str], line: &str) -> std::process::Output {
        let mut command = Command::new(shell[0]);
        command
            .args(&shell[1..])
            .args(["-c", line])
            .env("HOME", "/home/me")
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    /// The shells of this machine; `sh` is always there.
    fn shells() -> Vec<Vec<&'static str>> {
        let all = ["sh", "bash", "zsh", "fish", "tcsh", "csh", "mksh"];
        let is_here = |shell: &&str| {
            let found = Command::new("sh")
                .args(["-c", &format!("command -v {shell}")])
                .output();
            found.is_ok_and(|output| output.status.success())
        };
        all.into_iter().filter(is_here).map(|shell| vec![shell]).collect()
    }

    #[test]
    fn a_script_arrives_as_it_is_in_every_shell() {
        for script in SCRIPTS {
            let expected = run(&["sh"], script);
            for shell in shells() {
                let got = run(&shell, &line(script));
                assert_eq!(got.stdout, expected.stdout, "{shell:?} {script:?}");
                assert_eq!(got.status.code(), expected.status.code(), "{shell:?} {script:?}");
            }
        }
    }

    #[test]
    fn a_line_has_only_what_every_shell_reads_alike() {
        for script in SCRIPTS {
            for line in [line(script), framed(script, Some("A=b")).0] {
                assert!(!line.contains(['!', '\n', '\r']), "{line:?}");
                assert!(line.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{line:?}");
                // Between single quotes, fish reads these two.
                assert!(!line.contains("\\\\") && !line.contains("\\'"), "{line:?}");
                assert_eq!(line.matches('\'').count(), 4, "{line:?}");
            }
        }
    }

    /// The events of output in pieces of this size, with what is left at the end.
    fn pass(frame: &mut Frame, output: &std::process::Output, size: usize) -> (Vec<u8>, Vec<u8>) {
        let mut events = Vec::new();
        for piece in output.stdout.chunks(size) {
            events.extend(frame.pass(ExecEvent::Stdout(piece.to_vec())));
        }
        for piece in output.stderr.chunks(size) {
            events.extend(frame.pass(ExecEvent::Stderr(piece.to_vec())));
        }
        events.extend(frame.rest());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                ExecEvent::Stdout(bytes) => stdout.extend(bytes),
                ExecEvent::Stderr(bytes) => stderr.extend(bytes),
                other => panic!("{other:?}"),
            }
        }
        (stdout, stderr)
    }

    #[test]
    fn what_a_login_shell_prints_before_and_after_is_dropped() {
        let script = "echo out; echo vcluster-end-; echo err >&2; exit 3";
        for size in [1, 7, 1000] {
            let (line, mut frame) = framed(script, Some("VCLUSTER_EXEC=x"));
            let wrapped = "printf Welcome; echo hello >&2; sh \"$@\"; s=$?; echo bye; echo bye >&2; exit $s";
            // As a login shell that does not replace itself.
            let output = run(&["sh", "-c", wrapped, "sh"], &line);
            let (stdout, stderr) = pass(&mut frame, &output, size);
            assert_eq!(String::from_utf8(stdout).unwrap(), "out\nvcluster-end-\n");
            assert_eq!(String::from_utf8(stderr).unwrap(), "err\n");
            assert_eq!(output.status.code(), Some(3));
        }
    }

    #[test]
    fn output_without_an_end_is_kept() {
        let (_, mut frame) = framed("true", None);
        let output = format!("Welcome{}a\nvcluster-e", frame.stdout.begin);
        let event = frame.pass(ExecEvent::Stdout(output.into_bytes()));
        assert_eq!(event, Some(ExecEvent::Stdout(b"a\n".to_vec())));
        assert_eq!(frame.rest(), [ExecEvent::Stdout(b"vcluster-e".to_vec())]);
    }

    #[test]
    fn a_login_shell_that_runs_nothing_is_an_error_with_its_words() {
        let (_, mut frame) = framed("true", None);
        let words = b"This account is not available.\n".to_vec();
        assert_eq!(frame.pass(ExecEvent::Stdout(words)), None);
        let rest = frame.rest();
        let text = match &rest[..] {
            [ExecEvent::Stderr(bytes)] => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{other:?}"),
        };
        assert!(
            text.ends_with("it printed: This account is not available."),
            "{text}"
        );
        let end = frame.end(ExecEvent::Ended(Ended::Exit(0)));
        assert_eq!(end, ExecEvent::Ended(Ended::Exit(NOT_RUN)));
        // However much it prints, little is kept.
        let (_, mut frame) = framed("true", None);
        for _ in 0..100 {
            assert_eq!(frame.pass(ExecEvent::Stdout(vec![b'x'; 1000])), None);
        }
        assert!(frame.stdout.held.len() < 100 && frame.stdout.printed.len() == KEPT);
    }
}
