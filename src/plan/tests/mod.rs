mod claims;
mod convergence;
mod fixture;
mod known_failures;
mod properties;
mod units;
