//! What a bare-metal host sends: any bytes must give a value or an error.

use super::pieces::Pieces;
use crate::network::{self, Seen};

/// The parsers of hosts' output.
pub fn host(data: &[u8]) {
    let mut pieces = Pieces(data);
    match pieces.byte() % 6 {
        0 => crate::host::fuzzing::probe(&pieces.rest()),
        1 => {
            if let Ok(seen) = Seen::read(&pieces.rest()) {
                let wanted = crate::host::fuzzing::wanted();
                if let Ok(changes) = network::changes(&wanted, &seen) {
                    // A host's output may enter a command only as checked values.
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
            if let Ok(mac) = crate::inventory::Mac::try_from(text.clone()) {
                assert_eq!(mac.to_string(), text.to_lowercase());
            }
            crate::host::fuzzing::names(&text);
        }
        _ => crate::host::fuzzing::uri(&pieces.rest()),
    }
}
