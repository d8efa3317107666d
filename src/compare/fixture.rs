//! A comparison of five runs a side without metrics, for tests of what follows from its verdict.

use super::{ChangeVerdict, Comparison};

/// A comparison with this verdict.
pub(crate) fn decided(verdict: ChangeVerdict) -> Comparison {
    Comparison {
        a: "rev=old".into(),
        b: "rev=new".into(),
        runs: (5, 5),
        run_names: (Vec::new(), Vec::new()),
        judged: Vec::new(),
        shown: Vec::new(),
        missing_runs: None,
        varied: Vec::new(),
        despite: Vec::new(),
        warnings: Vec::new(),
        verdict,
        reproduce: Vec::new(),
    }
}
