//! End-to-end tests: the real binary against real libvirtd, QEMU and sshd, in a lab of simulated
//! hosts. They run inside the lab's controller namespace, started by `scripts/test`.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod change;
mod changed;
mod command;
mod criteria;
mod debian;
mod doctor;
mod errors;
mod experiment;
mod faults;
mod foreign;
mod interrupt;
mod main_job;
mod networks;
mod overlay;
mod reading;
mod secrets;
mod sharing;
mod stock;
mod world;
