//! How much of a step's output has arrived, was confirmed, and was lost.

use super::ended::Lost;

/// Output that may be unconfirmed, in bytes. Less than the supervisor's buffer, so that it never waits for us.
const CONFIRM: u64 = 256 << 10;

/// Positions in standard output and standard error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Positions {
    arrived: [u64; 2],
    confirmed: [u64; 2],
    lost: Lost,
}

/// How the output of a node continues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resumed {
    /// Bytes that arrive a second time.
    pub(super) again: [u64; 2],
    /// Bytes that the node no longer has.
    pub(super) lost: Lost,
}

impl Positions {
    /// Everything up to these positions has arrived before.
    pub(super) fn at(arrived: [u64; 2]) -> Self {
        Self {
            arrived,
            confirmed: arrived,
            lost: Lost::default(),
        }
    }

    /// Up to which output has arrived.
    pub(super) fn arrived(&self) -> [u64; 2] {
        self.arrived
    }

    /// What the node no longer had.
    pub(super) fn lost(&self) -> Lost {
        self.lost
    }

    /// Everything up to these positions counts as arrived: it is not wanted.
    pub(super) fn pass_over(&mut self, to: [u64; 2]) {
        (self.arrived, self.confirmed) = (to, to);
    }

    /// The node continues from these positions.
    pub(super) fn resume(&mut self, from: [u64; 2]) -> Resumed {
        let mut resumed = Resumed::default();
        for (index, from) in from.into_iter().enumerate() {
            let arrived = &mut self.arrived[index];
            let lost = from.saturating_sub(*arrived);
            resumed.again[index] = arrived.saturating_sub(from);
            *arrived += lost;
            match index {
                0 => resumed.lost.stdout = lost,
                _ => resumed.lost.stderr = lost,
            }
        }
        self.lost.stdout += resumed.lost.stdout;
        self.lost.stderr += resumed.lost.stderr;
        resumed
    }

    /// The position after further bytes of a stream; `None` if there is no such position.
    pub(super) fn after(&self, index: usize, bytes: usize) -> Option<u64> {
        self.arrived[index].checked_add(bytes as u64)
    }

    /// A stream is stored up to this position. Returns what to confirm, if it is time.
    pub(super) fn advance(&mut self, index: usize, to: u64) -> Option<[u64; 2]> {
        self.arrived[index] = to;
        let is_time = self.arrived[index] - self.confirmed[index] >= CONFIRM;
        is_time.then(|| {
            self.confirmed = self.arrived;
            self.arrived
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_confirmed_in_large_pieces_and_what_is_missing_is_counted() {
        let mut positions = Positions::at([10, 20]);
        let resumed = positions.resume([4, 25]);
        assert_eq!((resumed.again, resumed.lost.bytes()), ([6, 0], 5));
        assert_eq!((positions.arrived(), positions.lost().stderr), ([10, 25], 5));
        assert_eq!(positions.advance(0, 11), None);
        let far = positions.after(0, 256 << 10).unwrap();
        assert_eq!(positions.advance(0, far), Some([far, 25]));
        assert_eq!(positions.advance(0, far + 1), None);
        positions.pass_over([0, u64::MAX]);
        assert_eq!(
            (positions.after(1, 0), positions.after(1, 1)),
            (Some(u64::MAX), None)
        );
    }
}
