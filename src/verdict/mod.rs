//! Judges criteria: what a run measured, against what must hold; and writes the result down as JUnit XML. Pure: reads
//! no file.

mod bound;
mod judge;
pub mod junit;
mod origin;
mod samples;
mod words;
mod worst;

pub use bound::{Bound, unit_of};
pub use judge::judge;
pub use origin::comes_from;
pub use samples::JudgedSamples;
pub use words::{explained, titled};

#[cfg(test)]
mod tests;
