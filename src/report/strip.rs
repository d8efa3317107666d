//! Strips: values as a row of bars, one character each, so that every run is visible and not only their middle.

/// Bars from the lowest to the highest.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];

/// A strip of values on a scale from `low` to `high`. `?` is a value that is not a number.
pub fn strip(values: &[f64], low: f64, high: f64, is_utf8: bool) -> String {
    let bars = if is_utf8 { BLOCKS } else { ASCII };
    let last = bars.len() - 1;
    let bar = |value: &f64| {
        if !value.is_finite() {
            return '?';
        }
        let share = if high > low {
            (value - low) / (high - low)
        } else {
            0.0
        };
        let at = (share * last as f64).round().max(0.0) as usize;
        bars[at.min(last)]
    };
    values.iter().map(bar).collect()
}

/// The smallest and the largest of finite values; `None` if there are none.
pub fn extent<'a>(values: impl IntoIterator<Item = &'a f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().copied().filter(|value| value.is_finite());
    finite.fold(None::<(f64, f64)>, |extent, value| {
        let (low, high) = extent.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_has_a_bar_per_value_on_the_given_scale() {
        assert_eq!(strip(&[0.0, 1.0, 3.5, 7.0], 0.0, 7.0, true), "▁▂▅█");
        assert_eq!(strip(&[0.0, 1.0, 3.5, 7.0], 0.0, 7.0, false), "_.=#");
        assert_eq!(strip(&[-5.0, 99.0, f64::NAN], 0.0, 7.0, false), "_#?");
        assert_eq!(strip(&[2.0, 2.0], 2.0, 2.0, true), "▁▁");
        assert_eq!(strip(&[], 0.0, 1.0, true), "");
    }

    #[test]
    fn the_extent_is_that_of_the_finite_values() {
        assert_eq!(extent(&[3.0, f64::NAN, -1.0, f64::INFINITY]), Some((-1.0, 3.0)));
        assert_eq!(extent(&[f64::NAN]), None);
    }
}
