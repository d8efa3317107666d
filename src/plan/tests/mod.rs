mod claims;
mod convergence;
mod fixture;
mod images;
mod known_failures;
mod networks;
mod properties;
mod units;
