//! The waits that vcluster chooses by itself, and one place to make all of them shorter for tests.
//! `docs/timeouts.md` has the table of what each of them is for.

use std::sync::OnceLock;
use std::time::Duration;

/// A wait of our own. `VCLUSTER_TEST_PATIENCE` (a factor, 0.01 to 1) shortens all of them, so that tests of slow and
/// broken machines need not take minutes; times that a user gave are never touched.
pub(crate) fn patience(time: Duration) -> Duration {
    static FACTOR: OnceLock<f64> = OnceLock::new();
    let factor = FACTOR.get_or_init(|| {
        let given = std::env::var("VCLUSTER_TEST_PATIENCE").ok();
        let factor = given.and_then(|text| text.parse::<f64>().ok()).unwrap_or(1.0);
        if factor.is_finite() {
            factor.clamp(0.01, 1.0)
        } else {
            1.0
        }
    });
    time.mul_f64(*factor)
}
