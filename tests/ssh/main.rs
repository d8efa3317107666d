//! The SSH module against real servers: OpenSSH with stock limits, and Dropbear as the micro image has it.
//! Everything listens on 127.0.0.1 and lives in a temporary directory.

mod commands;
mod fan;
mod hosts;
mod server;
