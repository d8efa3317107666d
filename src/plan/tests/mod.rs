mod convergence;
mod fixture;
mod properties;
mod units;
