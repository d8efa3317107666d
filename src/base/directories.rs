//! The user's base directories, as the XDG base directory specification defines them.

use std::path::PathBuf;

/// The directory in an environment variable such as `XDG_STATE_HOME`, or else one below `HOME`; `None` if neither is
/// an absolute path.
pub(crate) fn base_directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}
