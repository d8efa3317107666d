//! Fault points: places before and after every side effect where the crash proof can kill this process.
//!
//! They exist only with the cargo feature `fault-points`; without it the macro expands to nothing, not even the
//! name of a point. `VCLUSTER_FAULT` then selects the action: `trace:FILE` appends the name of each point to a
//! file, `kill:N` kills the process (SIGKILL, as the kernel's OOM killer or a CI runner would) at the N-th point,
//! `kill:NAME:N` at the N-th point of that name. The feature changes nothing else.

/// Passes a fault point; takes the arguments of `format!`.
macro_rules! point {
    ($($name:tt)*) => {
        #[cfg(feature = "fault-points")]
        $crate::base::crash_point::reach(&format!($($name)*));
    };
}

pub(crate) use point;

#[cfg(feature = "fault-points")]
pub(crate) use active::{place, reach};

#[cfg(feature = "fault-points")]
mod active {
    use std::collections::HashMap;
    use std::io::Write as _;
    use std::panic::Location;
    use std::sync::{Mutex, OnceLock, PoisonError};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    /// The action that the environment selects.
    enum Fault {
        Trace(Mutex<std::fs::File>),
        KillAt(u64),
        KillAtName(String, u64),
    }

    #[derive(Default)]
    struct Passed {
        all: u64,
        by_name: HashMap<String, u64>,
    }

    /// Passes a point.
    pub(crate) fn reach(name: &str) {
        static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
        static PASSED: OnceLock<Mutex<Passed>> = OnceLock::new();
        let Some(fault) = FAULT.get_or_init(wanted) else {
            return;
        };
        let mut passed = PASSED
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        passed.all += 1;
        let count = passed.by_name.entry(name.to_owned()).or_default();
        *count += 1;
        let count = *count;
        let dies = match fault {
            Fault::Trace(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                // An incomplete trace shows as missing points.
                let _ = file.write_all(format!("{name}\n").as_bytes());
                false
            }
            Fault::KillAt(number) => passed.all == *number,
            Fault::KillAtName(wanted, number) => wanted == name && count == *number,
        };
        if dies {
            // The lock is held: no other thread passes a point any more.
            let _ = kill(Pid::this(), Signal::SIGKILL);
            std::process::abort();
        }
    }

    /// A place in the source as part of a name: `host/storage/pool.rs:150`.
    pub(crate) fn place(at: &Location<'_>) -> String {
        let file = at.file();
        format!("{}:{}", file.strip_prefix("src/").unwrap_or(file), at.line())
    }

    fn wanted() -> Option<Fault> {
        let text = std::env::var("VCLUSTER_FAULT").ok()?;
        let fault = read(&text);
        assert!(fault.is_some(), "invalid VCLUSTER_FAULT: {text}");
        fault
    }

    fn read(text: &str) -> Option<Fault> {
        let (verb, rest) = text.split_once(':')?;
        match verb {
            "trace" => {
                let file = std::fs::OpenOptions::new().append(true).create(true).open(rest);
                Some(Fault::Trace(Mutex::new(file.ok()?)))
            }
            "kill" => match rest.rsplit_once(':') {
                None => rest.parse().ok().map(Fault::KillAt),
                Some((name, number)) => Some(Fault::KillAtName(name.to_owned(), number.parse().ok()?)),
            },
            _ => None,
        }
    }
}
