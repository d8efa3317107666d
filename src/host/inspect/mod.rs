//! What is on a host. Reads only.

pub(crate) mod conditions;
pub(crate) mod observe;
pub(crate) mod orphans;
pub(crate) mod probe;
pub(crate) mod states;
