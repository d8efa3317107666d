//! Reads a file of mocks.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::Mocks;
use crate::error::MockError;

/// The largest file of mocks, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 << 20;
/// The most values in it.
const MAX_VALUES: usize = 400_000;
/// The deepest nesting in it.
const MAX_DEPTH: usize = 32;

/// Reads and checks a file of mocks.
pub fn read(path: &Path) -> Result<Mocks, MockError> {
    let failed = |source| MockError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(MockError::TooLarge {
            path: path.to_owned(),
            most: MAX_FILE_BYTES,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| MockError::Data {
        path: path.to_owned(),
        line: None,
        reason: "it is not UTF-8".to_owned(),
    })?;
    parse(&text, path)
}

/// Reads and checks mocks from YAML or JSON. `path` is the name of the text in errors.
pub fn parse(text: &str, path: &Path) -> Result<Mocks, MockError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: Some(MAX_FILE_BYTES as usize),
            max_depth: MAX_DEPTH,
            max_nodes: MAX_VALUES,
            max_events: MAX_VALUES * 3,
            max_documents: 1,
            max_total_scalar_bytes: 2 * MAX_FILE_BYTES as usize,
        },
        with_snippet: false,
    };
    let mocks: Mocks = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let (line, column) = error
            .location()
            .map_or((1, 1), |place| (place.line() as usize, place.column() as usize));
        MockError::Syntax {
            path: path.to_owned(),
            line,
            column,
            reason: explain(&error),
        }
    })?;
    match mocks.problems() {
        problems if problems.is_empty() => Ok(mocks),
        problems => Err(MockError::Invalid { problems }),
    }
}

/// The reader's message on one line, without its position, which the error has already.
fn explain(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.split(" at line ").next().unwrap_or(line).trim().to_owned()
}
