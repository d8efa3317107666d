//! The file of a run with all that was measured.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::base::crash_point;
use crate::base::whole::sync_parent;
use crate::measure::Sample;

/// `samples.jsonl`, under a temporary name until it is whole: there may be too many samples for the memory.
pub(super) struct SamplesFile {
    temporary: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
}

impl SamplesFile {
    pub(super) fn create(run: &Path) -> io::Result<Self> {
        let path = run.join("samples.jsonl");
        let temporary = run.join("samples.jsonl.new");
        crash_point::point!("samples written before");
        // What a killed command left may be anything.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = File::options();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        Ok(Self {
            temporary,
            path,
            file: BufWriter::new(file),
        })
    }

    pub(super) fn write(&mut self, sample: &Sample) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, sample)?;
        self.file.write_all(b"\n")
    }

    pub(super) fn finish(self) -> io::Result<()> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        crash_point::point!("samples written rename");
        fs::rename(&self.temporary, &self.path)?;
        sync_parent(&self.path)?;
        crash_point::point!("samples written after");
        Ok(())
    }
}
