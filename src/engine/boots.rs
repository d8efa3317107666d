//! The boots of nodes: which boot of its kernel a node was in when it was raised.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::base::name::NodeName;

/// Where Linux has the ID of its current boot: `Documentation/admin-guide/sysctl/kernel.rst`, `random`.
pub const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The last reported boot of each node. What a node reports is only compared with what it reports later.
#[derive(Debug, Default)]
pub struct SeenBoots(Mutex<BTreeMap<NodeName, Uuid>>);

impl SeenBoots {
    /// Records the boot of a node, if it reported one.
    pub fn record(&self, node: &NodeName, boot: Option<Uuid>) {
        let mut boots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match boot {
            Some(boot) => boots.insert(node.clone(), boot),
            // An earlier one is no longer true.
            None => boots.remove(node),
        };
    }

    /// The boot of a node; `None` if it reported none.
    pub fn get(&self, node: &NodeName) -> Option<Uuid> {
        let boots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        boots.get(node).copied()
    }
}

/// The first boot ID among these words.
pub fn boot_in(text: &str) -> Option<Uuid> {
    text.split_whitespace()
        .find_map(|word| Uuid::try_parse(word).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_is_found_after_other_words_and_nothing_else_is_one() {
        let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let boot = Uuid::parse_str(id).unwrap();
        for text in [
            id.to_owned(),
            format!("12.30 4.56\n{id}\n"),
            format!("i-1 {id} {}", Uuid::nil()),
        ] {
            assert_eq!(boot_in(&text), Some(boot), "{text}");
        }
        for text in ["", "i-1", "0f8fad5b-d9cb-469f-a165", "12.30 4.56\n"] {
            assert_eq!(boot_in(text), None, "{text}");
        }
    }

    #[test]
    fn a_node_that_reports_no_boot_is_not_in_an_earlier_one() {
        let (boots, node) = (SeenBoots::default(), "n1".parse().unwrap());
        boots.record(&node, Some(Uuid::max()));
        assert_eq!(boots.get(&node), Some(Uuid::max()));
        boots.record(&node, None);
        assert_eq!(boots.get(&node), None);
    }
}
