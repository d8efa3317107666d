//! Names for the user, bounded: a node can send any number of them.

/// Names that are kept; the rest is counted.
const KEPT: usize = 100;

/// Names for the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    names: Vec<String>,
    count: usize,
}

impl Noted {
    /// Adds a name.
    pub fn add(&mut self, name: String) {
        if self.names.len() < KEPT {
            self.names.push(name);
        }
        self.count += 1;
    }

    /// Adds those of another list.
    pub fn extend(&mut self, other: Self) {
        let room = KEPT.saturating_sub(self.names.len());
        self.names.extend(other.names.into_iter().take(room));
        self.count += other.count;
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first names; the last line is `N more` if there are more.
    pub fn lines(&self, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = self.names.iter().take(most).cloned().collect();
        if self.count > lines.len() {
            lines.push(format!("{} more", self.count - lines.len()));
        }
        lines
    }
}

/// What to tell of files that changed while they were read; `None` if there are none.
pub fn changed_while_read(changed: &Noted) -> Option<String> {
    const SHOWN: usize = 5;
    let what = match changed.count() {
        0 => return None,
        1 => "1 file changed while it was read".to_owned(),
        count => format!("{count} files changed while they were read"),
    };
    Some(format!("{what}: {}", changed.lines(SHOWN).join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_names_are_kept_and_all_are_counted() {
        let mut noted = Noted::default();
        (0..1000).for_each(|number| noted.add(format!("f{number}")));
        let mut sum = Noted::default();
        sum.add("first".into());
        sum.extend(noted);
        assert_eq!(sum.count(), 1001);
        assert_eq!(sum.lines(2), ["first", "f0", "999 more"]);
        assert_eq!(sum.lines(1000).len(), KEPT + 1);
        assert_eq!(Noted::default().lines(5), Vec::<String>::new());
        assert_eq!(changed_while_read(&Noted::default()), None);
        let mut one = Noted::default();
        one.add("app.log".into());
        assert_eq!(
            changed_while_read(&one).unwrap(),
            "1 file changed while it was read: app.log"
        );
    }
}
