//! The growths that a series is compared with.

use crate::measure::Growth;

/// The exponents that Extra-P uses by default (its `create_default_building_blocks`, version 4): numerator
/// and denominator of the exponent of n, and the exponent of log2(n). Chosen by its authors from what
/// algorithms really have (Calotoiu et al. 2013, "Using automated performance modeling to find scalability
/// bugs in complex codes").
const EXTRA_P: [(u8, u8, u8); 42] = [
    (0, 1, 1),
    (0, 1, 2),
    (1, 4, 0),
    (1, 3, 0),
    (1, 4, 1),
    (1, 3, 1),
    (1, 4, 2),
    (1, 3, 2),
    (1, 2, 0),
    (1, 2, 1),
    (1, 2, 2),
    (2, 3, 0),
    (3, 4, 0),
    (2, 3, 1),
    (3, 4, 1),
    (4, 5, 0),
    (2, 3, 2),
    (3, 4, 2),
    (1, 1, 0),
    (1, 1, 1),
    (1, 1, 2),
    (5, 4, 0),
    (5, 4, 1),
    (4, 3, 0),
    (4, 3, 1),
    (3, 2, 0),
    (3, 2, 1),
    (3, 2, 2),
    (5, 3, 0),
    (7, 4, 0),
    (2, 1, 0),
    (2, 1, 1),
    (2, 1, 2),
    (9, 4, 0),
    (7, 3, 0),
    (5, 2, 0),
    (5, 2, 1),
    (5, 2, 2),
    (8, 3, 0),
    (11, 4, 0),
    (3, 1, 0),
    (3, 1, 1),
];

/// Constant, then the growths of Extra-P, simplest first: a whole exponent before a half, that before a
/// third, and each factor of the logarithm counts as much as one more in the denominator. Equally simple
/// ones: the slower first.
pub(super) fn hypotheses() -> Vec<Growth> {
    let mut blocks = EXTRA_P.to_vec();
    let growth = |(numerator, denominator, logs): (u8, u8, u8)| Growth {
        exponent: f64::from(numerator) / f64::from(denominator),
        logs: f64::from(logs),
    };
    blocks.sort_by(|left, right| {
        let complexity = |(_, denominator, logs): (u8, u8, u8)| denominator + logs;
        let simpler = complexity(*left).cmp(&complexity(*right));
        simpler.then_with(|| growth(*left).compare(growth(*right)))
    });
    std::iter::once(Growth::CONSTANT)
        .chain(blocks.into_iter().map(growth))
        .collect()
}

/// Whether a growth is none.
pub(super) fn is_constant(growth: Growth) -> bool {
    growth == Growth::CONSTANT
}

/// What the factor of a model is multiplied by at a size: 0 for a constant, which has no factor.
pub(super) fn term(growth: Growth, size: f64) -> f64 {
    if is_constant(growth) { 0.0 } else { growth.at(size) }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the results are exact")]
mod tests {
    use super::*;

    #[test]
    fn there_are_43_different_ones_and_the_simple_ones_come_first() {
        let texts: Vec<String> = hypotheses().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts[..10],
            [
                "1",
                "n",
                "n^2",
                "n^3",
                "log n",
                "n^0.5",
                "n log n",
                "n^1.5",
                "n^2 log n",
                "n^2.5"
            ]
        );
        let different: std::collections::BTreeSet<&String> = texts.iter().collect();
        assert_eq!(different.len(), 43);
    }

    #[test]
    fn a_term_is_the_growth_at_a_size_and_nothing_for_a_constant() {
        assert_eq!(term(Growth::CONSTANT, 10.0), 0.0);
        let n_log_n = Growth {
            exponent: 1.0,
            logs: 1.0,
        };
        assert!((term(n_log_n, 8.0) - 24.0).abs() < 1e-12);
        assert_eq!(term(n_log_n, 1.0), 0.0);
    }
}
