//! The standard input of a command.

use russh::ChannelWriteHalf;
use russh::client::Msg;
use tokio::sync::mpsc;

/// Where standard input comes from.
#[derive(Debug)]
pub enum Input {
    /// All of it.
    Bytes(Vec<u8>),
    /// In pieces; the end of the channel is the end of input.
    Pieces(mpsc::Receiver<Vec<u8>>),
}

impl Default for Input {
    fn default() -> Self {
        Self::Bytes(Vec::new())
    }
}

/// Writes it to the channel of a command, and then its end.
pub(super) async fn feed(write: &ChannelWriteHalf<Msg>, input: Input) {
    match input {
        Input::Bytes(bytes) => {
            if !bytes.is_empty() && write.data_bytes(bytes).await.is_err() {
                return;
            }
        }
        Input::Pieces(mut pieces) => {
            while let Some(piece) = pieces.recv().await {
                if write.data_bytes(piece).await.is_err() {
                    return;
                }
            }
        }
    }
    let _ = write.eof().await;
}
