//! Domains, their consoles, and the check of KVM.

pub(crate) mod console;
pub(crate) mod domain;
pub(crate) mod kvm;
