mod claims;
mod convergence;
mod fixture;
mod properties;
mod trouble;
mod units;
