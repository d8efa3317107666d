//! Names of runs and experiments: the time at which they began, and a number if there are several of that second.

use super::error::StoreError;
use crate::base::units::Moment;

/// Checks a name that comes from a command line or from a file: it must not lead out of the store.
pub(super) fn check(name: &str) -> Result<(), StoreError> {
    // Names that begin with a dot are those of what is being removed.
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(StoreError::Name {
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// A moment as names have it: `20260131T120000Z`.
pub(super) fn stamp(moment: Moment) -> String {
    moment.to_string().replace([':', '-'], "")
}

/// The moment at the beginning of a name.
pub(super) fn moment_of(name: &str) -> Option<Moment> {
    let stamp = name.split('-').next()?;
    if stamp.len() != 16 || !stamp.is_ascii() {
        return None;
    }
    let (date, time) = stamp.split_at(8);
    let text = format!(
        "{}-{}-{}{}:{}:{}",
        &date[..4],
        &date[4..6],
        &date[6..],
        &time[..3],
        &time[3..5],
        &time[5..]
    );
    text.parse().ok()
}

/// What names of the same second are sorted by: `NAME-10` comes after `NAME-9`.
pub(super) fn order(name: &str) -> (&str, u32) {
    let numbered = name
        .rsplit_once('-')
        .and_then(|(stem, number)| Some((stem, number.parse().ok()?)));
    numbered.unwrap_or((name, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_the_store() {
        for bad in ["", ".", "..", "../x", "a/b", "/etc", ".removed-a", "a\0b"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check("20260131T120000Z-2").is_ok());
    }

    #[test]
    fn the_moment_of_a_name_is_read_as_it_was_written() {
        let moment: Moment = "2026-01-31T12:34:56Z".parse().unwrap();
        assert_eq!(stamp(moment), "20260131T123456Z");
        for name in ["20260131T123456Z", "20260131T123456Z-2", "20260131T123456Z-test"] {
            assert_eq!(moment_of(name), Some(moment), "{name}");
        }
        for name in [
            "",
            "baseline",
            "20260131T1234567",
            "2026013éT12345Z",
            "20261331T123456Z",
        ] {
            assert_eq!(moment_of(name), None, "{name}");
        }
    }

    #[test]
    fn names_of_one_second_are_in_the_order_of_their_numbers() {
        let mut names = ["a-10", "a", "a-9", "a-2"];
        names.sort_by(|a, b| order(a).cmp(&order(b)));
        assert_eq!(names, ["a", "a-2", "a-9", "a-10"]);
    }
}
