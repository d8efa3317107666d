//! The archive in a seed: ustar (POSIX.1-1988), regular files of root, mtime 0, so that equal seeds are equal bytes.

use super::SeedError;

/// An archive under construction.
pub(super) struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    /// An archive without files.
    pub(super) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// Adds a file by its absolute path on the node.
    pub(super) fn add(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<(), SeedError> {
        let refused = || SeedError::Path(path.to_owned());
        let relative = path.strip_prefix('/').ok_or_else(refused)?;
        let odd = |part: &str| part.is_empty() || part == "." || part == "..";
        if relative.split('/').any(odd) || path.contains('\0') {
            return Err(refused());
        }
        let mut header = tar::Header::new_ustar();
        // ustar has room for 100 bytes of name and 155 of directory.
        header.set_path(relative).map_err(|_| refused())?;
        header.set_mode(mode & 0o7777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root").map_err(|_| refused())?;
        header.set_groupname("root").map_err(|_| refused())?;
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content).map_err(|_| refused())
    }

    /// The archive, closed by two empty blocks.
    pub(super) fn finish(self) -> Vec<u8> {
        // Writing to memory cannot fail.
        self.0.into_inner().unwrap_or_default()
    }
}
