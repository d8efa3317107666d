//! Axes: from values to shares of a drawing's width or height, with ticks at 1, 2 and 5 times powers of ten.

use crate::measure::figure::number;
use crate::measure::{Unit, convert};

/// How values are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Equal differences have equal distances.
    Linear,
    /// Equal ratios have equal distances. Only for values above 0.
    Log,
}

/// An axis.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    factor: f64,
    /// The unit of its labels.
    pub(super) unit: Option<Unit>,
    /// Its ticks, ascending.
    pub(super) ticks: Vec<Tick>,
}

/// A tick of an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// Where, as a share of the length.
    pub(super) at: f64,
    /// The number there, in the unit of the axis.
    pub(super) label: String,
}

impl Axis {
    /// An axis that has room for all of these values, with about `wanted` ticks. `None` without a finite value.
    pub(super) fn new(
        scale: Scale,
        values: impl IntoIterator<Item = f64>,
        unit: Option<&Unit>,
        wanted: usize,
    ) -> Option<Self> {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (low, high) = finite.fold(None::<(f64, f64)>, |extent, value| {
            let (low, high) = extent.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        })?;
        let scale = if low > 0.0 { scale } else { Scale::Linear };
        let (unit, factor) = shown_unit(low.abs().max(high.abs()), unit);
        let (low, high) = widened(scale, low * factor, high * factor);
        let mut axis = Self {
            scale,
            low,
            high,
            factor,
            unit,
            ticks: Vec::new(),
        };
        let marks = match scale {
            Scale::Linear => linear(low, high, wanted),
            Scale::Log => log(low, high, wanted),
        };
        axis.ticks = marks
            .into_iter()
            .map(|(value, label)| Tick {
                at: axis.share(value),
                label,
            })
            .collect();
        Some(axis)
    }

    /// Where a value lies, as a share of the length; values beyond an end lie at that end.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.share(value * self.factor)
    }

    /// Whether a value lies on the axis.
    pub(super) fn has(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&(value * self.factor))
    }

    fn share(&self, value: f64) -> f64 {
        // Halves, because the difference of two large numbers may be infinite.
        let (low, high, value) = match self.scale {
            Scale::Linear => (self.low / 2.0, self.high / 2.0, value / 2.0),
            Scale::Log => (self.low.ln(), self.high.ln(), value.max(f64::MIN_POSITIVE).ln()),
        };
        let share = (value - low) / (high - low);
        if share.is_nan() {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        }
    }
}

/// The names of multiples of a unit, the largest first.
const MULTIPLES: [&[&str]; 3] = [
    &["h", "min", "s", "ms", "us", "ns"],
    &["TiB", "GiB", "MiB", "KiB", "B"],
    &["TB", "GB", "MB", "kB"],
];

/// The multiple of a unit that fits the largest value, and what values in the unit are multiplied by to be in it.
fn shown_unit(largest: f64, unit: Option<&Unit>) -> (Option<Unit>, f64) {
    let Some(unit) = unit.filter(|unit| unit.as_str() != "1") else {
        return (None, 1.0);
    };
    let of_its_kind = MULTIPLES
        .iter()
        .find(|multiples| multiples.contains(&unit.as_str()))
        .copied()
        .unwrap_or_default();
    let mut candidates = of_its_kind.iter().filter_map(|name| {
        let multiple = Unit::new(name)?;
        let factor = convert(1.0, Some(unit), Some(&multiple)).ok()?;
        Some((multiple, factor))
    });
    let fitting = candidates.find(|(multiple, factor)| {
        // 300 s is easier to read than 5 min.
        let least = if ["h", "min"].contains(&multiple.as_str()) {
            10.0
        } else {
            1.0
        };
        largest * factor >= least
    });
    match fitting {
        Some((multiple, factor)) => (Some(multiple), factor),
        None => (Some(unit.clone()), 1.0),
    }
}

/// The ends of an axis: a little beyond the values, but not below 0 if they are not.
fn widened(scale: Scale, low: f64, high: f64) -> (f64, f64) {
    const ROOM: f64 = 0.03;
    match scale {
        Scale::Linear => {
            let span = (high / 2.0 - low / 2.0) * 2.0;
            let room = match (span > 0.0, low.abs()) {
                (true, _) => span * ROOM,
                (false, 0.0) => 1.0,
                (false, size) => size * 0.1,
            };
            let floor = if low >= 0.0 { 0.0 } else { f64::MIN };
            ((low - room).max(floor), (high + room).min(f64::MAX))
        }
        Scale::Log => {
            let span = high.ln() - low.ln();
            let room = if span > 0.0 {
                span * ROOM
            } else {
                std::f64::consts::LN_2
            };
            let low = (low.ln() - room).exp().max(f64::MIN_POSITIVE);
            (low, (high.ln() + room).exp().min(f64::MAX))
        }
    }
}

/// Values and labels of ticks on a linear axis.
fn linear(low: f64, high: f64, wanted: usize) -> Vec<(f64, String)> {
    let wanted = wanted.max(2) as f64;
    let raw = (high / 2.0 - low / 2.0) / wanted * 2.0;
    let magnitude = 10f64.powf(raw.log10().floor());
    let mut steps = [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * magnitude);
    // Digits of a step may be off by rounding: 0.2 is 2 times 0.1.
    let step = steps.find(|step| *step >= raw * (1.0 - 1e-9)).unwrap_or(raw);
    if !step.is_normal() {
        return vec![(low, number(low)), (high, number(high))];
    }
    let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, 12.0) as usize;
    let is_plain = step >= 1e-6 && low.abs().max(high.abs()) < 1e7;
    let first = (low / step).ceil();
    let mut ticks = Vec::new();
    for index in 0..=20 {
        // Without a negative zero.
        let value = (first + f64::from(index)) * step + 0.0;
        if value > high {
            break;
        }
        let label = if is_plain {
            format!("{value:.decimals$}")
        } else {
            number(value)
        };
        ticks.push((value, label));
    }
    ticks
}

/// Values and labels of ticks on a logarithmic axis.
fn log(low: f64, high: f64, wanted: usize) -> Vec<(f64, String)> {
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let of = |digits: &[f64], every: usize| -> Vec<f64> {
        let decades = decades.clone().step_by(every);
        let all = decades.flat_map(|decade| digits.iter().map(move |digit| digit * 10f64.powi(decade)));
        all.filter(|value| (low..=high).contains(value)).collect()
    };
    let mut values = of(&[1.0, 2.0, 5.0], 1);
    let mut every = 1;
    while values.len() > wanted.max(2) && every < 1000 {
        values = of(&[1.0], every);
        every += 1;
    }
    if values.len() < 2 {
        return linear(low, high, wanted);
    }
    values.into_iter().map(|value| (value, number(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    fn linear_axis(values: &[f64], unit: Option<&str>) -> Axis {
        let unit = unit.and_then(Unit::new);
        Axis::new(Scale::Linear, values.iter().copied(), unit.as_ref(), 5).unwrap()
    }

    #[test]
    fn ticks_are_at_one_two_and_five_times_powers_of_ten() {
        assert_eq!(labels(&linear_axis(&[0.0, 100.0], None)), ["0", "50", "100"]);
        assert_eq!(labels(&linear_axis(&[0.0, 9.5], None)), ["0", "2", "4", "6", "8"]);
        assert_eq!(
            labels(&linear_axis(&[1.0, 1.04], None)),
            ["1.00", "1.01", "1.02", "1.03", "1.04"]
        );
        assert_eq!(labels(&linear_axis(&[-0.5, 0.5], None)), ["-0.5", "0.0", "0.5"]);
    }

    #[test]
    fn labels_are_in_the_multiple_of_the_unit_that_fits() {
        let axis = linear_axis(&[0.0, 1500.0], Some("ms"));
        assert_eq!(axis.unit.as_ref().map(Unit::as_str), Some("s"));
        assert_eq!(labels(&axis), ["0.0", "0.5", "1.0", "1.5"]);
        let axis = linear_axis(&[0.0, 8_388_608.0], Some("B"));
        assert_eq!(axis.unit.as_ref().map(Unit::as_str), Some("MiB"));
        assert_eq!(labels(&axis), ["0", "2", "4", "6", "8"]);
        let axis = linear_axis(&[0.0, 300.0], Some("s"));
        assert_eq!(axis.unit.as_ref().map(Unit::as_str), Some("s"));
        let axis = linear_axis(&[0.0, 3.0], Some("requests"));
        assert_eq!(axis.unit.as_ref().map(Unit::as_str), Some("requests"));
        assert_eq!(linear_axis(&[0.0, 3.0], Some("1")).unit, None);
    }

    #[test]
    fn a_logarithmic_axis_has_equal_distances_for_equal_ratios() {
        let axis = Axis::new(Scale::Log, [10.0, 40.0, 160.0], None, 6).unwrap();
        assert_eq!(labels(&axis), ["10", "20", "50", "100"]);
        assert!((axis.at(40.0) - 0.5).abs() < 1e-9);
        assert!((axis.at(80.0) - axis.at(40.0) - (axis.at(40.0) - axis.at(20.0))).abs() < 1e-9);
        let decades = Axis::new(Scale::Log, [1.0, 1e6], None, 8).unwrap();
        assert_eq!(
            labels(&decades),
            ["1", "10", "100", "1000", "10000", "100000", "1e6"]
        );
        // Nothing below 0 has a logarithm.
        let linear = Axis::new(Scale::Log, [0.0, 10.0], None, 5).unwrap();
        assert!((linear.at(10.3) - 1.0).abs() < 1e-9 && linear.at(0.0) < 0.01);
    }

    #[test]
    fn any_finite_values_have_an_axis_and_places_on_it() {
        let tiny = f64::MIN_POSITIVE / 4.0;
        for values in [
            [0.0, 0.0],
            [7.0, 7.0],
            [-3.0, -3.0],
            [f64::MIN, f64::MAX],
            [f64::MAX, f64::MAX],
            [0.0, tiny],
            [tiny, f64::MAX],
            [1e15, 1e15 + 2.0],
        ] {
            for scale in [Scale::Linear, Scale::Log] {
                for unit in [None, Some(Unit::seconds()), Some(Unit::bytes())] {
                    let axis = Axis::new(scale, values, unit.as_ref(), 5).unwrap();
                    assert!(axis.ticks.len() <= 21, "{values:?} {:?}", axis.ticks);
                    let places = axis
                        .ticks
                        .iter()
                        .map(|tick| tick.at)
                        .chain(values.map(|value| axis.at(value)));
                    for place in places {
                        assert!((0.0..=1.0).contains(&place), "{values:?}: {place}");
                    }
                }
            }
        }
        assert!(Axis::new(Scale::Linear, [f64::NAN, f64::INFINITY], None, 5).is_none());
    }
}
