//! Pauses between attempts: they grow, and have a random part where many would otherwise retry in step.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// The pauses of a series of attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    first: Duration,
    longest: Duration,
    /// Each pause in percent of the one before.
    growth: u32,
    next: Duration,
}

impl Pauses {
    /// Begins with `first`; each pause is `growth` percent of the one before, up to `longest`.
    pub(crate) const fn new(first: Duration, longest: Duration, growth: u32) -> Self {
        Self {
            first,
            longest,
            growth,
            next: first,
        }
    }

    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * self.growth / 100).min(self.longest);
        pause
    }

    /// The next pause, shortened by up to a half at random.
    pub(crate) fn next_with_jitter(&mut self) -> Duration {
        let pause = self.next();
        pause / 2 + random_up_to(pause / 2)
    }

    /// Begins again with the first pause.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// A random time between zero and `longest`.
pub(crate) fn random_up_to(longest: Duration) -> Duration {
    // The standard library's hash seeds are random enough for this.
    let draw = RandomState::new().build_hasher().finish() % 1000;
    longest * u32::try_from(draw).unwrap_or(0) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_begin_again() {
        let second = Duration::from_secs(1);
        let mut pauses = Pauses::new(second, 3 * second, 150);
        let seen: Vec<f64> = (0..5).map(|_| pauses.next().as_secs_f64()).collect();
        assert_eq!(seen, [1.0, 1.5, 2.25, 3.0, 3.0]);
        pauses.reset();
        for whole in [1.0, 1.5] {
            let pause = pauses.next_with_jitter().as_secs_f64();
            assert!((whole / 2.0..=whole).contains(&pause), "{pause}");
        }
    }
}
