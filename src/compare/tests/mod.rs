//! The rules of a comparison, with runs made by hand.

mod accepted;
mod assumptions;
mod fixture;
mod rules;
mod variants;
