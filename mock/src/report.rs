//! What mocks report when they end.

use indexmap::IndexMap;
use serde::Serialize;

use crate::observed::Observed;
use crate::spec::{Listen, Protocol};

/// The version of the report. It rises when a field changes its meaning.
pub const VERSION: u32 = 1;

/// What all mocks received and answered. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// How long they were served.
    pub seconds: f64,
    /// The mocks by name.
    pub mocks: IndexMap<String, MockReport>,
}

/// What one mock received and answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MockReport {
    /// What it spoke.
    pub protocol: Protocol,
    /// Where it listened, as it is written.
    pub listen: Listen,
    /// The number of its endpoints.
    pub endpoints: usize,
    /// The seed of its random draws.
    pub seed: u64,
    /// The counters of all its endpoints together.
    #[serde(flatten)]
    pub observed: Observed,
}
