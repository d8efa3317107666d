//! The commands of a test: run to the end with a limit, or begun and ended with the test.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Timeout of a command, so that a test that hangs fails with its output.
const LIMIT: Duration = Duration::from_mins(9);

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Panics with all output unless the exit code is the expected one.
    #[track_caller]
    pub(crate) fn code(self, wanted: i32) -> Self {
        assert_eq!(
            self.code,
            Some(wanted),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Panics unless stderr contains the text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "no `{text}` in\nstdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

/// A command that was started. It ends with the test: one that went on after a failed test would keep its lock, and the
/// test's clean-up and all later tests on these hosts would fail as well.
pub(crate) struct Begun(Child);

impl Deref for Begun {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Begun {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Nothing if it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a child with a limit.
pub(crate) fn finish(mut child: Begun) -> Ran {
    let began = Instant::now();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read = |stream: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut text);
            }
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let out = read(out.map(|stream| Box::new(stream) as Box<dyn std::io::Read + Send>));
    let err = read(err.map(|stream| Box::new(stream) as Box<dyn std::io::Read + Send>));
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if began.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Ran {
        code,
        stdout: out.join().unwrap(),
        stderr: err.join().unwrap(),
    }
}

/// Runs any program.
pub(crate) fn program(command: &mut Command) -> Ran {
    finish(begin(command.stdin(Stdio::null())))
}

/// Starts any program; its output is read after it has ended.
pub(crate) fn begin(command: &mut Command) -> Begun {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    Begun(child.unwrap())
}

/// Sends a signal to a running command.
pub(crate) fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}
