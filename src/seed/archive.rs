//! A minimal writer of ustar archives (POSIX.1-1988): regular files of root, mtime 0.

use super::SeedError;

const BLOCK: usize = 512;

/// An archive in the making.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
}

impl Archive {
    /// Adds a file by its absolute path on the node.
    pub(super) fn add(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<(), SeedError> {
        let refused = || SeedError::Path(path.to_owned());
        let relative = path.strip_prefix('/').ok_or_else(refused)?;
        let odd = |part: &str| part.is_empty() || part == "." || part == "..";
        if relative.split('/').any(odd) || path.contains('\0') {
            return Err(refused());
        }
        let (prefix, name) = split(relative).ok_or_else(refused)?;
        // The size field holds eleven octal digits.
        if content.len() >= 1 << 33 {
            return Err(refused());
        }

        let mut header = [0_u8; BLOCK];
        put(&mut header, 0, name.as_bytes());
        put(&mut header, 100, format!("{:07o}", mode & 0o7777).as_bytes());
        put(&mut header, 108, b"0000000");
        put(&mut header, 116, b"0000000");
        put(&mut header, 124, format!("{:011o}", content.len()).as_bytes());
        put(&mut header, 136, b"00000000000");
        put(&mut header, 148, b"        ");
        put(&mut header, 156, b"0");
        put(&mut header, 257, b"ustar\x0000");
        put(&mut header, 265, b"root");
        put(&mut header, 297, b"root");
        put(&mut header, 345, prefix.as_bytes());
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());

        self.bytes.extend(header);
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        Ok(())
    }

    /// The archive, closed by two empty blocks.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}

fn put(header: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    header[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Cuts a path into the prefix (155 bytes at most) and name (100 at most) of a header.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= 100 {
        return Some(("", path));
    }
    path.match_indices('/')
        .map(|(at, _)| (&path[..at], &path[at + 1..]))
        .find(|(prefix, name)| prefix.len() <= 155 && name.len() <= 100)
}
