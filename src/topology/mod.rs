//! The topology language: YAML text to [`Topology`], all mistakes reported at once.
//! Reads the topology and the template files that it names; contacts no host.

pub(crate) mod data;
mod diagnostics;
mod foreign;
pub mod limits;
mod min_ready;
mod model;
mod overrides;
mod range;
mod raw;
mod raw_metrics;
mod raw_values;
mod reader;
mod resolve;
mod shapes;
mod surprise;
mod tree;

use std::io::Read;
use std::path::Path;

pub use diagnostics::{Diagnostic, Diagnostics};
pub use min_ready::MinReady;
pub use model::{
    Accel, BootFirmware, CloudInitPolicy, ConfigureAction, ConfigureStep, Group, Host, Image, ImageSource,
    Location, Network, Node, Place, Topology, WorkloadStep,
};
pub use overrides::Overrides;
pub(crate) use range::usable;
pub use range::{AddressRange, AddressRangeError};
pub use raw::schema;
pub use resolve::check_remote_path;

use diagnostics::Sink;
use limits::MAX_FILE_BYTES;
use raw::RawTopology;

/// Name of standard input in messages.
const STDIN: &str = "<stdin>";

impl Topology {
    /// Reads a topology file; `-` is standard input. Relative paths in it are relative to its
    /// directory, those of standard input to the current one.
    pub fn load(file: &str) -> Result<Self, Diagnostics> {
        Self::load_with(file, &Overrides::default())
    }

    /// As [`Self::load`], with values that replace those of the file.
    pub fn load_with(file: &str, overrides: &Overrides) -> Result<Self, Diagnostics> {
        let (name, base_dir, text) = if file == "-" {
            (STDIN, Path::new("."), read(std::io::stdin().lock()))
        } else {
            let base_dir = Path::new(file)
                .parent()
                .filter(|dir| !dir.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            (file, base_dir, std::fs::File::open(file).and_then(read))
        };
        match text {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Self::parse_with(&text, name, base_dir, overrides),
                Err(error) => Err(Diagnostics::of_file(
                    name,
                    format!(
                        "the topology is not UTF-8: invalid byte at offset {}",
                        error.utf8_error().valid_up_to()
                    ),
                    Some("save it as UTF-8".to_owned()),
                )),
            },
            Err(error) => Err(Diagnostics::of_file(
                name,
                format!("the topology cannot be read: {error}"),
                Some(
                    if error.kind() == std::io::ErrorKind::PermissionDenied {
                        "check its owner and permissions"
                    } else {
                        "give the path of a topology file, or `-` for standard input"
                    }
                    .to_owned(),
                ),
            )),
        }
    }

    /// Reads a topology. `file` names it in messages; relative paths in it are relative to `base_dir`.
    pub fn parse(text: &str, file: &str, base_dir: &Path) -> Result<Self, Diagnostics> {
        Self::parse_with(text, file, base_dir, &Overrides::default())
    }

    /// As [`Self::parse`], with values that replace those of the text. [`Topology::text`] stays as it is written.
    pub fn parse_with(
        text: &str,
        file: &str,
        base_dir: &Path,
        overrides: &Overrides,
    ) -> Result<Self, Diagnostics> {
        let sink = Sink::new(file, text);
        let mut raw: Option<RawTopology> =
            tree::parse(text, &sink).and_then(|tree| reader::read(&tree, &sink).value);
        let mistakes = raw.as_mut().map(|raw| overrides.apply(raw));
        if let Some(mistakes) = mistakes.filter(|mistakes| !mistakes.is_empty()) {
            return Err(Diagnostics::of_command_line(mistakes));
        }
        match raw.and_then(|raw| resolve::topology(&raw, &sink, base_dir)) {
            Some(topology) if sink.is_empty() => Ok(Self {
                text: text.to_owned(),
                ..topology
            }),
            _ => Err(sink.finish()),
        }
    }
}

/// Reads at most one byte more than allowed, which is enough to detect that the file is too large.
fn read(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
