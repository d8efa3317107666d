//! One place to shorten vcluster's own timeouts for tests. `docs/timeouts.md` lists all of them.

use std::sync::OnceLock;
use std::time::Duration;

/// A timeout of our own. `VCLUSTER_TEST_PATIENCE` (a factor, 0.01 to 1) shortens all of them, so that tests of slow
/// and broken machines need not take minutes. Timeouts set by the user are never changed.
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
