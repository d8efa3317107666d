//! Errors of images.

use std::path::{Path, PathBuf};

use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is no cache directory.
    #[error("no directory for images: neither XDG_CACHE_HOME nor HOME is an absolute path")]
    NoPlace,
    /// The user's file does not exist.
    #[error("the image file `{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// The user's file has a format that cannot be used.
    #[error("the image file `{}` cannot be used: {cause}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
        /// What to do.
        hint: String,
    },
    /// The digest of the user's file differs from the one in the topology.
    #[error("the image file `{}` has the digest {found}, but the topology requires {expected}", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: String,
        /// The digest that it should have.
        expected: String,
    },
    /// The recipe failed.
    #[error("failed to build image `{image}` with the recipe `{recipe}`: {cause}")]
    Build {
        /// Image in the topology.
        image: String,
        /// Recipe.
        recipe: &'static str,
        /// The recipe's own error, or the end of its output.
        cause: String,
        /// The log with its full output.
        log: PathBuf,
    },
    /// The files of a built image do not match its manifest.
    #[error("the built image `{image}` in `{}` is incomplete: {cause}", path.display())]
    Incomplete {
        /// Image in the topology.
        image: String,
        /// Its directory.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// Stopped by the user.
    #[error("the build of image `{0}` was stopped")]
    Cancelled(String),
    /// A file operation failed.
    #[error("failed to {doing} `{}`", path.display())]
    Io {
        /// The operation.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl UserFacing for ImageError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoPlace => Some("set XDG_CACHE_HOME".into()),
            Self::Missing(_) => Some("relative paths are relative to the topology file".into()),
            Self::Unusable { hint, .. } => Some(hint.clone()),
            Self::Digest { .. } => Some("fetch the file again, or correct `sha256` in the topology".into()),
            Self::Build { log, .. } => Some(format!("see the full output in {}", log.display())),
            Self::Incomplete { image, .. } => Some(format!(
                "build it again with `vcluster image build {image} --rebuild`, and `-t FILE` if a topology defines it"
            )),
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free space on the file system of this path".into())
            }
            Self::Io { .. } => Some("check the type, owner and permissions of this path".into()),
            Self::Cancelled(_) => None,
        }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Cancelled(_) => ExitCode::Interrupted,
            Self::NoPlace => ExitCode::Unexpected,
            _ => ExitCode::ApplyFailed,
        }
    }
}

impl ImageError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
