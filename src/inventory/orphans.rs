//! Leftovers of crashes on a host that carry no cluster's mark, and the age of objects.

use std::collections::HashMap;
use std::time::Duration;

/// A file or directory below our root that belongs to no cluster, by its path relative to that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphan(pub String);

impl std::fmt::Display for Orphan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "file {}", self.0)
    }
}

/// Leftovers and ages, as far as a host reports them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    /// Age of directories, links and domains, by name.
    pub ages: HashMap<String, Duration>,
    /// What belongs to no cluster, with its age.
    pub files: Vec<(Orphan, Duration)>,
}
