//! The numerics of comparisons and of scaling: significance, effect size, power, growth models. Pure
//! functions on finite values; what is random has a seed, so that equal input gives equal results. Reads no
//! file, knows no metric, and never panics: where there is too little data, the result says so.

mod bootstrap;
mod growth_fit;
mod holm;
mod hypotheses;
mod interval;
mod least_squares;
mod permutation;
mod power;
mod predict;
mod random;
mod rank_sum;
mod series;
mod spread;

pub use bootstrap::{bootstrap_difference, bootstrap_relative, relative_change};
pub use growth_fit::{Above, Fit, Model, fit};
pub use holm::holm;
pub use interval::Interval;
pub use permutation::{Permutation, draws, permutation_p};
pub use power::{detectable, inside_with, runs_needed, runs_to_decide, smallest_p};
pub use predict::{HeldOut, Prediction, held_out};
pub use series::Point;
