//! Opens recordings and recognises their formats.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use super::lines::Lines;
use super::{Recording, RecordingError};
use crate::access_log::{self, Layout};
use crate::{har, json_lines};

/// What is looked at to recognise a format.
const HEAD: usize = 64 * 1024;
/// The byte order mark of UTF-8. HAR 1.2 has readers ignore it.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// How recordings are read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The format of access logs; without it Common or Combined with the time in seconds as the last field.
    pub access_format: Option<String>,
}

/// Reads recordings and puts their requests together. `-` is standard input. The format of each is recognised by its
/// content: JSON with a `log` is HAR, JSON lines have `seconds`, anything else is an access log.
pub fn read(paths: &[&Path], options: &Options) -> Result<Recording, RecordingError> {
    let layout = match &options.access_format {
        Some(format) => Layout::parse(format)?,
        None => Layout::default(),
    };
    let mut recording = Recording::default();
    for path in paths {
        let before = recording.entries().len();
        read_one(path, &layout, &mut recording)?;
        if recording.entries().len() == before {
            return Err(RecordingError::Empty {
                path: path.to_path_buf(),
            });
        }
    }
    Ok(recording)
}

fn read_one(path: &Path, layout: &Layout, recording: &mut Recording) -> Result<(), RecordingError> {
    let unreadable = |source| RecordingError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            let error = std::io::Error::from(std::io::ErrorKind::IsADirectory);
            return Err(unreadable(error));
        }
        Box::new(file)
    };
    let mut reader = BufReader::with_capacity(HEAD, source);
    let head = reader.fill_buf().map_err(unreadable)?;
    let format = Format::of(head);
    if head.starts_with(MARK) {
        reader.consume(MARK.len());
    }
    match format {
        Format::Har => har::read(reader, path, recording),
        Format::JsonLines => json_lines::read(&mut Lines::new(reader, path), recording),
        Format::AccessLog => access_log::read(&mut Lines::new(reader, path), layout, recording),
    }
}

/// The format of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Har,
    JsonLines,
    AccessLog,
}

impl Format {
    /// Recognises it by the first bytes.
    fn of(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if !text.starts_with('{') {
            return Self::AccessLog;
        }
        let line = text.lines().next().unwrap_or_default();
        // The first line of a HAR file is a part of it, or all of it with `log` as its first key.
        let is_har = text[1..].trim_start().starts_with("\"log\"");
        let is_line = line.trim_end().ends_with('}') || line.contains("\"seconds\"");
        if is_line && !is_har {
            Self::JsonLines
        } else {
            Self::Har
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognised_by_their_content() {
        for (text, wanted) in [
            ("{\"log\": {\"version\": \"1.2\"}}", Format::Har),
            ("{\n  \"log\": {", Format::Har),
            ("\u{feff}{ \"log\":{", Format::Har),
            (
                "{\"route\": \"GET /\", \"started\": 1, \"seconds\": 0.1}\n{",
                Format::JsonLines,
            ),
            ("\n{\"started\":1,\"seconds\":1", Format::JsonLines),
            (
                "127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 5 0.1",
                Format::AccessLog,
            ),
            ("", Format::AccessLog),
        ] {
            assert_eq!(Format::of(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        let har = r#"{"log": {"entries": [{"startedDateTime": "2009-04-16T12:07:23.596Z", "time": 1,
            "request": {"method": "GET", "url": "http://shop/"}, "response": {"status": 200}}]}}"#;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("recording");
        for text in [har, "{\"seconds\": 1}\n"] {
            std::fs::write(&file, format!("\u{feff}{text}")).unwrap();
            let recording = read(&[file.as_path()], &Options::default()).unwrap();
            assert_eq!(recording.entries().len(), 1, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_missing_or_a_directory_or_empty_is_an_error_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("empty.log");
        std::fs::write(&file, "").unwrap();
        for (path, wanted) in [
            (directory.path().join("none.log"), "failed to read"),
            (directory.path().to_owned(), "failed to read"),
            (file, "has no request"),
        ] {
            let error = read(&[path.as_path()], &Options::default()).unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
            assert!(!error.hint().is_empty());
        }
    }
}
