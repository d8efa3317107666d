//! `criteria.json`: what became of the criteria of a run, and what was wrong with its metrics.

use std::io;
use std::path::Path;

use serde::Deserialize;

use super::error::StoreError;
use crate::base::versioned;
use crate::base::whole::write_whole;
use crate::extract::Trouble;
use crate::measure::Finding;

/// The name of the file.
pub(super) const CRITERIA: &str = "criteria.json";

/// Version of the file.
const VERSION: u32 = 1;

/// The contents of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Criteria {
    #[serde(rename = "version")]
    _version: u32,
    pub(super) findings: Vec<Finding>,
    pub(super) troubles: Vec<Trouble>,
}

impl Criteria {
    pub(super) fn read(path: &Path) -> Result<Self, StoreError> {
        let bytes = std::fs::read(path).map_err(StoreError::io("read", path))?;
        versioned::read(&bytes, &(VERSION..=VERSION)).map_err(|error| StoreError::document(path, &error))
    }
}

/// Writes the findings and troubles of the run in a directory.
pub fn write_criteria(run: &Path, findings: &[Finding], troubles: &[Trouble]) -> io::Result<()> {
    let value = serde_json::json!({ "version": VERSION, "findings": findings, "troubles": troubles });
    write_whole(&run.join(CRITERIA), format!("{value:#}\n").as_bytes())
}
