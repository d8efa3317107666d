//! What a bare-metal host says: any bytes may come, sense or an error comes out.

use super::pieces::Pieces;
use crate::network::{self, Seen};

/// The readers of hosts' words.
pub fn host(data: &[u8]) {
    let mut pieces = Pieces(data);
    match pieces.byte() % 6 {
        0 => crate::host::fuzzing::probe(&pieces.rest()),
        1 => {
            if let Ok(seen) = Seen::read(&pieces.rest()) {
                let wanted = crate::host::fuzzing::wanted();
                if let Ok(changes) = network::changes(&wanted, &seen) {
                    // What a host says of itself becomes part of no command but as checked values.
                    let script = changes.script();
                    assert!(!script.contains('\0'));
                }
            }
        }
        2 => crate::host::fuzzing::mark(&pieces.rest()),
        3 => crate::host::fuzzing::consoles(&mut || pieces.bytes()),
        4 => {
            let text = pieces.rest();
            if let Some((cluster, id)) = network::read_alias(&text) {
                assert_eq!(network::alias(&cluster, id), text);
            }
            if let Ok(mac) = crate::plan::Mac::try_from(text.clone()) {
                assert_eq!(mac.to_string(), text.to_lowercase());
            }
            crate::host::fuzzing::names(&text);
        }
        _ => crate::host::fuzzing::uri(&pieces.rest()),
    }
}
