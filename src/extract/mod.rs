//! From the output and the collected files of a step to samples. Reads only files below the directory of a run, which
//! hold what nodes wrote: everything is bounded, and what cannot be read is counted and reported, never guessed.

mod extracted;
mod extractor;
mod json;
mod jsonl;
mod limits;
mod lines;
mod live;
mod missing;
mod number;
mod openmetrics;
mod paths;
mod problems;
mod regex;
mod sink;
#[cfg(test)]
mod tests;

pub use extracted::{Extracted, Trouble};
pub use extractor::Extractor;
pub use live::Live;
pub use missing::Missing;
