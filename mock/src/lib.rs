//! Mocks of services with the performance of the real ones: service times from a distribution, a capacity that
//! makes latency rise with load, and errors at a rate.
//!
//! [`spec`] is the language, [`serve`] listens, [`endpoint`] decides every answer, and one module for each
//! protocol speaks it. [`record`], [`learn`] and [`check`] relate mocks to recordings of real services.

pub mod access_log;
pub mod body;
pub mod capacity;
pub mod check;
mod chunks;
mod connection;
pub mod empirical;
pub mod endpoint;
pub mod error;
pub mod faults;
pub mod fit;
pub mod grpc;
pub mod har;
pub mod http;
pub mod json_lines;
pub mod latency;
pub mod learn;
mod lent;
pub mod observed;
pub mod pattern;
pub mod postgres;
pub mod proxy;
pub mod random;
pub mod record;
pub mod redis;
pub mod report;
pub mod serve;
pub mod spec;
pub mod tcp;
pub mod timer;
