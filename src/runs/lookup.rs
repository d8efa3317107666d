//! What a name on the command line means.

use std::path::Path;

use super::entries::{Entry, Kind, scan};
use super::error::StoreError;
use super::name::check;

/// Chooses the entry with this name, else the only one whose name begins with it. Returns the position of its store too.
pub(super) fn choose(stores: &[&Path], name: &str, only: Option<Kind>) -> Result<(usize, Entry), StoreError> {
    check(name)?;
    let mut known = Vec::new();
    for (position, store) in stores.iter().enumerate() {
        let entries = scan(store)?.entries.into_iter();
        let wanted = entries.filter(|entry| only.is_none_or(|kind| kind == entry.kind));
        known.extend(wanted.map(|entry| (position, entry)));
    }
    let is_exact = known.iter().any(|(_, entry)| entry.name == name);
    let (mut found, others): (Vec<_>, Vec<_>) = known
        .into_iter()
        .partition(|(_, entry)| entry.name == name || (!is_exact && entry.name.starts_with(name)));
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => Err(StoreError::Unknown {
            what: only.map_or("run or experiment", Kind::as_str),
            name: name.to_owned(),
            place: place(stores),
            known: others.into_iter().map(|(_, entry)| entry.name).collect(),
        }),
        _ => Err(StoreError::Ambiguous {
            name: name.to_owned(),
            candidates: found
                .iter()
                .map(|(position, entry)| candidate(stores, *position, entry))
                .collect(),
        }),
    }
}

/// A candidate; of several stores, with its path.
fn candidate(stores: &[&Path], position: usize, entry: &Entry) -> String {
    match stores {
        [_] => entry.name.clone(),
        stores => stores[position].join(&entry.name).display().to_string(),
    }
}

fn place(stores: &[&Path]) -> String {
    match stores {
        [] => "the results on this machine: there are none".to_owned(),
        [store] => store.display().to_string(),
        stores => format!("the results of {} clusters", stores.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn store(names: &[&str]) -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        for name in names {
            if name.strip_suffix(".json").is_some() {
                fs::write(temp.path().join(name), "{}").unwrap();
            } else {
                fs::create_dir(temp.path().join(name)).unwrap();
                fs::write(temp.path().join(name).join("run.json"), "{}").unwrap();
            }
        }
        temp
    }

    #[test]
    fn a_whole_name_is_preferred_and_a_beginning_is_enough_if_it_is_unique() {
        let store = store(&[
            "20260131T120000Z",
            "20260131T120000Z-2",
            "20260131T120000Z-test.json",
            "20260201T120000Z",
        ]);
        let stores = [store.path()];
        let chosen = |name: &str, only| choose(&stores, name, only).map(|(_, entry)| entry.name);
        assert_eq!(chosen("20260131T120000Z", None).unwrap(), "20260131T120000Z");
        assert_eq!(chosen("202602", None).unwrap(), "20260201T120000Z");
        let experiment = chosen("20260131", Some(Kind::Experiment)).unwrap();
        assert_eq!(experiment, "20260131T120000Z-test");
        let error = chosen("20260131", Some(Kind::Run)).unwrap_err().to_string();
        assert_eq!(error, "`20260131` may be 20260131T120000Z, 20260131T120000Z-2");
        let error = chosen("2027", None).unwrap_err().to_string();
        assert!(
            error.starts_with("there is no run or experiment `2027` in "),
            "{error}"
        );
        assert!(matches!(chosen("../x", None), Err(StoreError::Name { .. })));
    }

    #[test]
    fn equal_names_in_two_stores_are_ambiguous_and_have_their_path() {
        let (one, two) = (store(&["20260131T120000Z"]), store(&["20260131T120000Z"]));
        let error = choose(&[one.path(), two.path()], "20260131T120000Z", None).unwrap_err();
        let path = two.path().join("20260131T120000Z").display().to_string();
        assert!(error.to_string().contains(&path), "{error}");
        let error = choose(&[], "20260131T120000Z", None).unwrap_err().to_string();
        assert!(error.contains("there are none"), "{error}");
    }
}
