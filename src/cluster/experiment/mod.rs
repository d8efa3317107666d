//! Experiments: runs of several variants and sizes of a cluster in a planned order, and what follows from them. Raises
//! the cluster, and removes it again if it was not there before.

mod confirm;
mod contrast;
mod find;
mod growth;
mod lease;
mod measured;
mod plan;
mod progress;
mod ranking;
mod row;
mod run;
mod session;
mod setup;
mod summary;
mod topologies;

pub use confirm::Compared;
pub use contrast::{Contrast, contrast};
pub use find::{Boundary, Find, Found, Tried, VariantFound};
pub use growth::GrowthReport;
pub use measured::growing_group;
pub use plan::{Design, Planned, Variant};
pub use progress::{Progress, Show};
pub use ranking::RankedCost;
pub use row::{GrowthRow, models};
pub use run::{Left, Outcome, conduct, growth};
pub use setup::{Options, Setup};
pub use summary::{Tally, VariantTally, tally};
pub use topologies::Topologies;
