//! What an error of libvirt or of a script means, where that makes a difference. Besides `transport::link`, which recognises
//! sudo and a missing command, the only place that looks at their words.

use virt::error::{Error, ErrorNumber};

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A file system is full.
    NoSpace,
    /// There is too little memory.
    NoMemory,
    /// The guest does not run.
    GuestOff,
    /// The user lacks a right.
    NotAllowed,
}

impl Reason {
    /// What libvirt means. What QEMU or the kernel refuses has no code of its own there: it is an internal error, a
    /// failed operation or a failed system call, and only the words tell them apart.
    pub(super) fn of_libvirt(error: &Error) -> Option<Self> {
        match error.code().known() {
            Some(ErrorNumber::NoMemory) => return Some(Self::NoMemory),
            Some(
                ErrorNumber::AuthFailed
                | ErrorNumber::AuthCancelled
                | ErrorNumber::AuthUnavailable
                | ErrorNumber::AccessDenied,
            ) => return Some(Self::NotAllowed),
            _ => {}
        }
        let says = |words: &str| error.message().contains(words);
        if is_full(error.message()) {
            Some(Self::NoSpace)
        } else if says("Cannot allocate memory") || says("cannot set up guest memory") {
            Some(Self::NoMemory)
        } else if says("domain is not running") {
            Some(Self::GuestOff)
        } else if says("Permission denied") {
            Some(Self::NotAllowed)
        } else {
            None
        }
    }

    /// What a script means that failed with these words: those of the C library, because scripts run with `LC_ALL=C`.
    pub(crate) fn of_script(words: &str) -> Option<Self> {
        is_full(words).then_some(Self::NoSpace)
    }
}

/// The words of ENOSPC.
fn is_full(words: &str) -> bool {
    words.contains("No space left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_system_is_found_in_the_words_of_a_script() {
        let words = "cp: error writing 'x': No space left on device\n";
        assert_eq!(Reason::of_script(words), Some(Reason::NoSpace));
        assert_eq!(Reason::of_script("cp: cannot stat 'x'\n"), None);
    }
}
