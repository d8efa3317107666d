//! A metric of one variant over the sizes: its medians, its model, and its value at a size that is predicted. Pure.

use crate::analysis::{Fit, HeldOut, Prediction};
use crate::base::text::plural;
use crate::measure::{Better, Growth, MetricName, Statistic, Unit};

/// The most growths that are named.
const NAMED: usize = 3;

/// A metric over the sizes.
#[derive(Clone, Debug)]
pub struct GrowthRow {
    /// The metric.
    pub metric: MetricName,
    /// The statistic that is its value in a run.
    pub statistic: Statistic,
    /// Its unit.
    pub unit: Option<Unit>,
    /// Which direction is an improvement.
    pub better: Better,
    /// Whether it has a criterion.
    pub has_criterion: bool,
    /// The median of its values at each size, ascending.
    pub medians: Vec<(u32, f64)>,
    /// How many values it has.
    pub values: usize,
    /// The models that fit; `None` below three sizes.
    pub fit: Option<Fit>,
    /// Its value at the target size.
    pub prediction: Option<Prediction>,
    /// What the model of the smaller sizes predicts for the largest.
    pub held_out: Option<HeldOut>,
}

impl GrowthRow {
    /// Its value at the target size: as predicted, or without a model as measured there.
    pub fn at_target(&self, target: u32) -> Option<f64> {
        let predicted = self.prediction.as_ref().map(|prediction| prediction.value);
        let measured = || {
            let (_, median) = self.medians.iter().find(|(known, _)| *known == target)?;
            Some(*median)
        };
        predicted.or_else(measured)
    }

    /// The growths that fit, the best one first; none below three sizes. What falls does not grow.
    pub(super) fn growths(&self) -> impl Iterator<Item = Growth> {
        let models = self
            .fit
            .iter()
            .flat_map(|fit| std::iter::once(&fit.best).chain(&fit.others));
        models.map(|model| {
            if model.is_falling() {
                Growth::CONSTANT
            } else {
                model.growth
            }
        })
    }
}

/// The growths that fit, for people: `n log n`, or `n log n or n^1.25`. The best comes first.
pub fn models(fit: &Fit) -> String {
    let mut growths: Vec<String> = Vec::new();
    for model in std::iter::once(&fit.best).chain(&fit.others) {
        let falling = if model.is_falling() { "falling " } else { "" };
        let growth = format!("{falling}{}", model.growth);
        if !growths.contains(&growth) {
            growths.push(growth);
        }
    }
    let more = growths.len().saturating_sub(NAMED);
    if more > 0 {
        growths.truncate(NAMED);
        growths.push(plural(more, "other growth"));
    }
    growths.join(" or ")
}
