//! Errors of mocks. They are about files and addresses of the user; what a client does is never one.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::spec::Problem;

/// Why mocks could not be read or served.
#[derive(Debug, thiserror::Error)]
pub enum MockError {
    /// A file could not be read.
    #[error("failed to read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file is too large.
    #[error("`{}` is larger than {most} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        most: u64,
    },
    /// A file of mocks does not have the form of one.
    #[error("{}:{line}:{column}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// Its column, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// Mocks contradict themselves.
    #[error("{}", listed(problems))]
    Invalid {
        /// All mistakes, at least one.
        problems: Vec<Problem>,
    },
    /// A file that a mock uses is damaged.
    #[error("{}{}: {reason}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Data {
        /// The file.
        path: PathBuf,
        /// Its line, from 1, if the mistake has one.
        line: Option<usize>,
        /// What is wrong.
        reason: String,
    },
    /// The text of a body is no template.
    #[error("the body of `{mock}` is not a template: {reason}")]
    Template {
        /// The name of the mock.
        mock: String,
        /// What is wrong.
        reason: String,
    },
    /// An address could not be listened on.
    #[error("failed to listen on {address} for `{mock}`: {source}")]
    Listen {
        /// The name of the mock.
        mock: String,
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// The report could not be written.
    #[error("failed to write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

fn listed(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

impl MockError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "files of a mock are looked up in the directory of the file of mocks"
            }
            Self::TooLarge { .. } => "divide it, or keep a sample of its values",
            Self::Data { .. } => "write `VALUE` or `QUANTILE VALUE` in milliseconds on each line, or JSON",
            Self::Template { .. } => {
                "a body may use request.method, request.path, request.query, request.body and mock; \
                 write \\{{ for two braces"
            }
            Self::Listen { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => "another program uses the port: `ss -ltnp` shows which one",
                io::ErrorKind::PermissionDenied => "ports below 1024 need root: use a higher one",
                io::ErrorKind::AddrNotAvailable => "this machine does not have the address: use 0.0.0.0",
                // EMFILE has no kind of its own.
                _ if source.raw_os_error() == Some(24) => "raise the limit of open files: `ulimit -n 65536`",
                _ => return None,
            },
            Self::Read { .. } | Self::Syntax { .. } | Self::Invalid { .. } | Self::Write { .. } => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_subject_and_its_cause() {
        let error = MockError::Listen {
            mock: "inventory".to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], 80)),
            source: io::Error::from(io::ErrorKind::PermissionDenied),
        };
        assert_eq!(
            error.to_string(),
            "failed to listen on 127.0.0.1:80 for `inventory`: permission denied"
        );
        assert!(error.hint().unwrap().contains("higher"));
        let error = MockError::Data {
            path: PathBuf::from("times.txt"),
            line: Some(3),
            reason: "`x` is not a number".to_owned(),
        };
        assert_eq!(error.to_string(), "times.txt:3: `x` is not a number");
    }

    #[test]
    fn all_mistakes_are_shown_each_on_its_line() {
        let problem = |subject: &str| Problem {
            subject: subject.to_owned(),
            reason: "wrong".to_owned(),
        };
        let error = MockError::Invalid {
            problems: vec![problem("mocks.a"), problem("mocks.b")],
        };
        assert_eq!(error.to_string(), "mocks.a: wrong\nmocks.b: wrong");
    }
}
