//! The SSH module, and what runs over it, against real servers: OpenSSH with stock limits, and Dropbear as in the micro image.
//! Everything listens on 127.0.0.1 and lives in a temporary directory.
#![expect(clippy::unwrap_used, reason = "a test may fail, and prints its figures")]

mod cluster;
mod commands;
mod configure;
mod fan;
mod files;
mod hostile;
mod hosts;
mod impostor;
mod input;
mod measured;
mod paths;
mod server;
mod shells;
mod silence;
mod slowness;
mod stopping;
mod supervise;
mod turns;
mod workload;
