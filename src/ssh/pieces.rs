//! Content in pieces for the standard input of a command: the memory that it takes does not grow with its size.

use std::io;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Bytes of a piece.
const PIECE: usize = 128 << 10;

/// Pieces that wait for the connection.
const WAITING: usize = 4;

/// Reads content until nothing more is read, or until the receiver is dropped. `read_at` fills a buffer from an offset,
/// as [`std::os::unix::fs::FileExt::read_at`] does. Its error ends the pieces early, and the task returns it.
pub fn pieces(
    read_at: impl Fn(&mut [u8], u64) -> io::Result<usize> + Send + 'static,
) -> (mpsc::Receiver<Vec<u8>>, JoinHandle<io::Result<()>>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let reading = tokio::task::spawn_blocking(move || {
        let mut at = 0;
        loop {
            let mut piece = vec![0; PIECE];
            let read = read_at(&mut piece, at)?;
            piece.truncate(read);
            at += read as u64;
            // If the remote side stops reading, its exit status has the reason.
            if read == 0 || sender.blocking_send(piece).is_err() {
                return Ok(());
            }
        }
    });
    (receiver, reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn content_arrives_in_order_and_in_bounded_pieces() {
        let content: Vec<u8> = (0..3 * PIECE + 7).map(|at| (at / 100) as u8).collect();
        let source = content.clone();
        let (mut pieces, reading) = pieces(move |buffer, at| {
            let rest = &source[at as usize..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        });
        let mut arrived = Vec::new();
        while let Some(piece) = pieces.recv().await {
            assert!(piece.len() <= PIECE);
            arrived.extend(piece);
        }
        assert!(arrived == content);
        reading.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_error_ends_the_pieces_and_so_does_a_receiver_that_is_gone() {
        let (mut broken, reading) = pieces(|_, at| match at {
            0 => Ok(1),
            _ => Err(io::Error::other("gone")),
        });
        assert_eq!(broken.recv().await, Some(vec![0]));
        assert_eq!(broken.recv().await, None);
        assert_eq!(reading.await.unwrap().unwrap_err().to_string(), "gone");

        let (endless, reading) = pieces(|buffer, _| Ok(buffer.len()));
        drop(endless);
        reading.await.unwrap().unwrap();
    }
}
