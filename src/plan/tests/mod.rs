mod fixture;
mod properties;
mod units;
