//! The store of runs: a directory of results with `RUN/` directories and `EXPERIMENT.json` files. Reads them as strictly
//! as a topology, removes them, and writes them in the formats of other programs. Never contacts a host, prints nothing.

mod criteria;
mod entries;
mod error;
mod experiment;
pub mod export;
mod held;
mod lookup;
mod name;
mod retention;
mod samples;
mod store;
mod stored;
mod values;

pub use criteria::write_criteria;
pub use entries::{Entry, Kind};
pub use error::StoreError;
pub use experiment::{Between, Experiment, ExperimentFound, ExperimentKind, ExperimentRun, Order};
pub use held::HeldExperiment;
pub use samples::write_samples;
pub use store::{Listing, Located, Store, locate};
pub use stored::StoredRun;
pub use values::{leading, run_values, size_of, statistic_of, unit_of, variant_text};

#[cfg(test)]
mod fixture;
