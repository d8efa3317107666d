//! The names of groups in an Ansible inventory, where a group may not have the name of a host.

use std::collections::{BTreeMap, BTreeSet};

/// Names that Ansible gives a meaning of their own.
const RESERVED: [&str; 3] = ["all", "ungrouped", "localhost"];

/// Ansible's name of each group: an identifier that no node of the inventory and no other group has. `db` becomes
/// `db_group` if there is a node `db`, because Ansible would take both for one.
pub(super) fn group_names<'a>(
    groups: impl IntoIterator<Item = &'a str>,
    nodes: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<&'a str, String> {
    let nodes: BTreeSet<&str> = nodes.into_iter().collect();
    let groups: BTreeSet<&str> = groups.into_iter().collect();
    let clashes = |name: &str| nodes.contains(name) || RESERVED.contains(&name);
    let (renamed, kept): (Vec<&str>, Vec<&str>) = groups
        .into_iter()
        .partition(|group| clashes(&group.replace('-', "_")));
    let mut names: BTreeMap<&str, String> = kept
        .into_iter()
        .map(|group| (group, group.replace('-', "_")))
        .collect();
    for group in renamed {
        let plain = group.replace('-', "_");
        let free = |name: &String| !clashes(name) && !names.values().any(|taken| taken == name);
        let numbered = (2..).map(|number| format!("{plain}_group{number}"));
        let name = std::iter::once(format!("{plain}_group"))
            .chain(numbered)
            .find(free);
        names.insert(group, name.unwrap_or(plain));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_gets_another_name_only_where_ansible_would_take_it_for_something_else() {
        let names = group_names(
            ["web", "db", "db-group", "a-b", "ungrouped"],
            ["web001", "db", "x"],
        );
        let names: Vec<(&str, &str)> = names
            .iter()
            .map(|(group, name)| (*group, name.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                ("a-b", "a_b"),
                ("db", "db_group2"),
                ("db-group", "db_group"),
                ("ungrouped", "ungrouped_group"),
                ("web", "web"),
            ]
        );
    }
}
