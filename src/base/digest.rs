//! SHA-256 in hexadecimal, by which images, files and keys are named and compared.

use std::fmt::Write as _;
use std::io;

use sha2::{Digest, Sha256};

/// Bytes read at a time: a large file must not be in memory.
const PIECE: usize = 128 << 10;

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The SHA-256 of bytes, in hexadecimal.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of all that `read` gives, in hexadecimal. `read` fills a buffer, and says how much; 0 is the end.
pub(crate) fn sha256_of(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match read(&mut piece)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&piece[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_read_in_pieces_has_the_digest_of_the_whole() {
        for size in [0, 1, PIECE, 3 * PIECE + 7] {
            let bytes: Vec<u8> = (0..size).map(|at| (at / 7) as u8).collect();
            let mut rest = bytes.as_slice();
            let digest = sha256_of(|piece| rest.read(piece)).unwrap();
            assert_eq!(digest, sha256(&bytes), "{size}");
        }
        assert!(sha256_of(|_| Err(io::ErrorKind::Other.into())).is_err());
    }

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        assert_eq!(
            sha256(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
