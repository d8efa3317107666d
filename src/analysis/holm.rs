//! Several tests at once: the p values that make up for their number.

/// The adjusted p values of Holm (1979, "A simple sequentially rejective multiple test procedure"), in the
/// order given: the smallest is multiplied by the number of tests, the next by one less, and so on; none is
/// smaller than one before it in that order, and none above 1. If those below alpha are called significant,
/// the probability of any false alarm among all is at most alpha, however the tests depend on each other.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|left, right| p[*left].total_cmp(&p[*right]));
    let mut adjusted = vec![1.0; p.len()];
    let mut largest = 0.0_f64;
    for (before, index) in order.into_iter().enumerate() {
        let left = (p.len() - before) as f64;
        largest = largest.max(p[index] * left).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
        }
    }

    /// The example of Wikipedia, "Holm-Bonferroni method": of 0.01, 0.04, 0.03, 0.005 at 0.05 the first and
    /// the last are rejected; R: `p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")` is 0.03 0.06 0.06 0.02.
    #[test]
    fn the_published_example_has_its_adjusted_values() {
        assert_near(&holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]);
    }

    #[test]
    fn one_test_needs_no_adjustment_and_none_has_none() {
        assert_near(&holm(&[0.2]), &[0.2]);
        assert_near(&holm(&[]), &[]);
    }

    #[test]
    fn large_values_are_capped_at_one() {
        assert_near(&holm(&[0.9, 0.6, 1.0]), &[1.0, 1.0, 1.0]);
    }

    proptest! {
        #[test]
        fn adjusting_never_lowers_a_value_or_changes_their_order(
            p in prop::collection::vec(0.0..=1.0_f64, 0..12),
        ) {
            let adjusted = holm(&p);
            for (left, raw) in p.iter().enumerate() {
                prop_assert!(*raw <= adjusted[left] && adjusted[left] <= 1.0);
                for (right, other) in p.iter().enumerate() {
                    prop_assert!(raw > other || adjusted[left] <= adjusted[right]);
                }
            }
        }
    }
}
