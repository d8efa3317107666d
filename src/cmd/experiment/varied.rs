//! Options that say what is varied.

use indexmap::IndexMap;

use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::name::GroupName;
use crate::base::text::sanitize;

/// Most values of one option.
const MOST: usize = 100;

/// Values of a variable: `rev=old,new`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vary {
    pub(crate) name: String,
    pub(crate) values: Vec<String>,
}

impl Vary {
    /// Reads it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, values) = text
            .split_once('=')
            .ok_or("write the variable and its values, such as `rev=old,new`")?;
        let name = name.trim();
        if name.is_empty() || name.starts_with("nodes.") {
            return Err(
                "write the name of a variable of the topology before the `=`; `--nodes` of `test` and `--group` of \
                 `scale` vary sizes"
                    .to_owned(),
            );
        }
        let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
        for (at, value) in values.iter().enumerate() {
            if value.is_empty() {
                return Err("a value is empty".to_owned());
            }
            if values[..at].contains(value) {
                return Err(format!("the value `{}` is there twice", sanitize(value)));
            }
        }
        if values.len() > MOST {
            return Err(format!(
                "there are {} values, at most {MOST} are allowed",
                values.len()
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            values,
        })
    }
}

/// Sizes of a group: `worker=10,30,60`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) group: GroupName,
    pub(crate) sizes: Vec<u32>,
}

impl Sizes {
    /// Reads it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (group, sizes) = text
            .split_once('=')
            .ok_or("write the group and its sizes, such as `worker=10,30,60`")?;
        let group = group
            .trim()
            .parse::<GroupName>()
            .map_err(|error| error.to_string())?;
        let mut ascending: Vec<u32> = Vec::new();
        for size in sizes.split(',') {
            let size = size.trim();
            let number = size.parse::<u32>().ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| format!("`{}` is not a number of nodes", sanitize(size)))?;
            match ascending.last() {
                Some(last) if *last == number => return Err(format!("the size {number} is there twice")),
                Some(last) if *last > number => {
                    return Err(format!("sizes must ascend, but {number} comes after {last}"));
                }
                _ => ascending.push(number),
            }
        }
        if ascending.len() > MOST {
            return Err(format!(
                "there are {} sizes, at most {MOST} are allowed",
                ascending.len()
            ));
        }
        Ok(Self {
            group,
            sizes: ascending,
        })
    }
}

/// A label: `ticket=4711`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl Label {
    /// Reads it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .ok_or("write a key and a value, such as `ticket=4711`")?;
        if key.trim().is_empty() {
            return Err("write a key before the `=`".to_owned());
        }
        Ok(Self {
            key: key.trim().to_owned(),
            value: value.to_owned(),
        })
    }
}

/// What an option that can be repeated says, by name. A name that is there twice is wrong usage.
pub(crate) fn unique<K: std::hash::Hash + Eq + std::fmt::Display, V>(
    option: &str,
    given: impl Iterator<Item = (K, V)>,
) -> Result<IndexMap<K, V>, UserError> {
    let mut all = IndexMap::new();
    for (name, value) in given {
        if all.contains_key(&name) {
            let name = name.to_string();
            let text = format!("`{option}` is there twice for `{}`", sanitize(&name));
            let hint = "write all of its values in one option, with commas between them";
            return Err(UserError::new(ExitCode::Usage, text).with_hint(hint));
        }
        all.insert(name, value);
    }
    Ok(all)
}

/// Checks that groups with several sizes have equally many: they grow together.
pub(crate) fn grow_together(nodes: &IndexMap<GroupName, Vec<u32>>) -> Result<(), UserError> {
    let mut several = nodes.iter().filter(|(_, sizes)| sizes.len() > 1);
    let Some((first, sizes)) = several.next() else {
        return Ok(());
    };
    for (group, others) in several {
        if others.len() != sizes.len() {
            let text = format!(
                "`{first}` has {} sizes, and `{group}` has {}",
                sizes.len(),
                others.len()
            );
            let hint = "groups grow together: give them equally many sizes, or one size to a group that stays as it is";
            return Err(UserError::new(ExitCode::Usage, text).with_hint(hint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_variable_are_read_in_their_order() {
        let vary = Vary::parse("rev=new, old,v1.2=x").unwrap();
        assert_eq!(vary.name, "rev");
        assert_eq!(vary.values, ["new", "old", "v1.2=x"]);
        for (text, why) in [
            ("rev", "such as"),
            ("=a,b", "name of a variable"),
            ("nodes.worker=1,2", "`--nodes`"),
            ("rev=a,,b", "empty"),
            ("rev=", "empty"),
            ("rev=a,b,a", "`a` is there twice"),
        ] {
            let error = Vary::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_ascend() {
        let sizes = Sizes::parse("worker=10,30, 60").unwrap();
        assert_eq!((sizes.group.as_str(), sizes.sizes), ("worker", vec![10, 30, 60]));
        for (text, why) in [
            ("worker", "such as"),
            ("Worker=1", "`Worker`"),
            ("worker=", "not a number"),
            ("worker=0,1", "`0` is not a number of nodes"),
            ("worker=10,x", "`x` is not a number"),
            ("worker=10,10", "10 is there twice"),
            ("worker=30,10", "10 comes after 30"),
            ("worker=99999999999", "not a number"),
        ] {
            let error = Sizes::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn groups_that_grow_have_equally_many_sizes() {
        let nodes = |texts: &[&str]| -> IndexMap<GroupName, Vec<u32>> {
            let parsed = texts.iter().map(|text| Sizes::parse(text).unwrap());
            parsed.map(|sizes| (sizes.group, sizes.sizes)).collect()
        };
        assert!(grow_together(&nodes(&["worker=1,2,3", "db=1", "proxy=2,4,6"])).is_ok());
        let error = grow_together(&nodes(&["worker=1,2,3", "db=1,2"])).unwrap_err();
        assert_eq!(error.message, "`worker` has 3 sizes, and `db` has 2");
    }

    #[test]
    fn a_name_that_is_there_twice_is_wrong_usage() {
        assert_eq!(
            unique("--vary", [("a", 1), ("b", 2)].into_iter()).unwrap().len(),
            2
        );
        let error = unique("--vary", [("a", 1), ("a", 2)].into_iter()).unwrap_err();
        assert_eq!(error.message, "`--vary` is there twice for `a`");
        assert!(Label::parse("ticket=4711").is_ok() && Label::parse("ticket").is_err());
    }
}
