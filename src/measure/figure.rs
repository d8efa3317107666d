//! Figures for people: about three significant digits, in the multiple of their unit that fits. All output for people
//! has them in this form; what programs read has the unit of the metric.

use super::unit::{Unit, convert};

/// Significant digits of a figure.
const DIGITS: usize = 3;

/// The most significant digits, where two figures that differ would be the same text with fewer. More of them say nothing
/// about a number of 64 bits.
const MOST_DIGITS: usize = 15;

/// A multiple of a unit: its name, its size in the base unit, and from which size on it is used. The limits account for
/// rounding, so that 999.96 ms does not become `1000 ms`.
type Multiple = (&'static str, f64, f64);

const TIME: [Multiple; 6] = [
    ("h", 3600.0, 36_000.0),
    ("min", 60.0, 999.5),
    ("s", 1.0, 0.9995),
    ("ms", 1e-3, 0.9995e-3),
    ("us", 1e-6, 0.9995e-6),
    ("ns", 1e-9, 0.0),
];

const KIB: f64 = 1024.0;

const BINARY: [Multiple; 5] = [
    ("TiB", KIB * KIB * KIB * KIB, KIB * KIB * KIB * KIB * 0.9995),
    ("GiB", KIB * KIB * KIB, KIB * KIB * KIB * 0.9995),
    ("MiB", KIB * KIB, KIB * KIB * 0.9995),
    ("KiB", KIB, KIB * 0.9995),
    ("B", 1.0, 0.0),
];

const DECIMAL: [Multiple; 5] = [
    ("TB", 1e12, 0.9995e12),
    ("GB", 1e9, 0.9995e9),
    ("MB", 1e6, 0.9995e6),
    ("kB", 1e3, 0.9995e3),
    ("B", 1.0, 0.0),
];

/// A value with its unit: `1.24 s`, `63.1 MiB`, `2.1e9`. `-` if it is not a number.
pub fn value(value: f64, unit: Option<&Unit>) -> String {
    with_digits(value, unit, DIGITS)
}

/// A value and its bound, each `-` if there is none. If they differ, so do their texts: `2.001 s` and `2 s`.
pub fn with_bound(value: Option<f64>, bound: Option<f64>, unit: Option<&Unit>) -> (String, String) {
    let shown = |digits: usize| {
        let of = |figure: Option<f64>| {
            figure.map_or_else(|| "-".to_owned(), |figure| with_digits(figure, unit, digits))
        };
        (of(value), of(bound))
    };
    let mut all = (DIGITS..=MOST_DIGITS).map(shown);
    let differ = all.find(|(value, bound)| value != bound);
    differ.unwrap_or_else(|| shown(DIGITS))
}

fn with_digits(value: f64, unit: Option<&Unit>, digits: usize) -> String {
    let Some(unit) = unit.filter(|unit| unit.as_str() != "1") else {
        return rounded(value, digits);
    };
    if value.is_nan() {
        return rounded(value, digits);
    }
    let is_decimal = ["kB", "MB", "GB", "TB"].contains(&unit.as_str());
    let bytes = if is_decimal { &DECIMAL[..] } else { &BINARY[..] };
    for (base, multiples) in [(Unit::seconds(), &TIME[..]), (Unit::bytes(), bytes)] {
        if let Ok(size) = convert(value, Some(unit), Some(&base))
            && value != 0.0
            && size.is_finite()
        {
            let fitting = multiples.iter().find(|(.., from)| size.abs() >= *from);
            if let Some((name, one, _)) = fitting {
                return format!("{} {name}", rounded(size / one, digits));
            }
        }
    }
    format!("{} {unit}", rounded(value, digits))
}

/// A number with three significant digits: `0.0123`, `1.24`, `124`, `12346`, `2.1e9`. `-` if it is not one.
pub fn number(value: f64) -> String {
    rounded(value, DIGITS)
}

fn rounded(value: f64, digits: usize) -> String {
    let size = value.abs();
    if value.is_nan() {
        return "-".to_owned();
    }
    if size == 0.0 {
        return "0".to_owned();
    }
    if size.is_infinite() {
        return value.to_string();
    }
    if !(0.000_999_5..999_999.5).contains(&size) {
        let decimals = digits - 1;
        let text = format!("{value:.decimals$e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text.as_str(), "0"));
        return format!("{}e{exponent}", trimmed(mantissa));
    }
    let decimals = ((digits - 1) as f64 - size.log10().floor()).max(0.0) as usize;
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

/// A relative change: `+12.3 %`, `-3 %`, `0 %`; `from 0` if it is infinite.
pub fn percent(change: f64) -> String {
    let value = change * 100.0;
    let size = value.abs();
    if value.is_nan() {
        return "-".to_owned();
    }
    if size.is_infinite() {
        return "from 0".to_owned();
    }
    if size < 0.005 {
        return "0 %".to_owned();
    }
    let decimals = [9.995, 99.95].iter().filter(|limit| size < **limit).count();
    format!("{} %", trimmed(&format!("{value:+.decimals$}")))
}

/// A probability: `0.0012`, `< 0.0001`.
pub fn probability(p: f64) -> String {
    if p < 0.0001 {
        "< 0.0001".to_owned()
    } else if p < 0.001 {
        trimmed(&format!("{p:.5}")).to_owned()
    } else {
        number(p)
    }
}

/// A decimal number without zeros at its end.
fn trimmed(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(number: f64, unit: &str) -> String {
        value(number, Unit::new(unit).as_ref())
    }

    #[test]
    fn numbers_have_three_digits_and_whole_numbers_all_of_theirs() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (1.2345, "1.23"),
            (-1.2, "-1.2"),
            (12.345, "12.3"),
            (100.0, "100"),
            (123.4, "123"),
            (12_345.6, "12346"),
            (999_999.0, "999999"),
            (2.1e9, "2.1e9"),
            (1.0e6, "1e6"),
            (0.012_34, "0.0123"),
            (0.001, "0.001"),
            (0.000_012_34, "1.23e-5"),
            (9.999, "10"),
            (f64::MAX, "1.8e308"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(number(value), text, "{value}");
        }
    }

    #[test]
    fn values_are_in_the_multiple_of_their_unit_that_fits() {
        for (value, unit, text) in [
            (1.2345, "s", "1.23 s"),
            (0.0123, "s", "12.3 ms"),
            (1234.0, "ms", "1.23 s"),
            (999.96, "ms", "1 s"),
            (0.999_96, "ms", "1 ms"),
            (90.0, "s", "90 s"),
            (1800.0, "s", "30 min"),
            (20.0, "h", "20 h"),
            (5e-10, "s", "0.5 ns"),
            (0.0, "ms", "0 ms"),
            (-2500.0, "ms", "-2.5 s"),
            (66_165_146.0, "B", "63.1 MiB"),
            (2048.0, "MiB", "2 GiB"),
            (20.0, "MB", "20 MB"),
            (2_000.0, "MB", "2 GB"),
            (512.0, "B", "512 B"),
            (12.5, "%", "12.5 %"),
            (0.25, "1", "0.25"),
            (1500.0, "ops/s", "1500 ops/s"),
            (f64::NAN, "s", "-"),
            (f64::INFINITY, "s", "inf s"),
        ] {
            assert_eq!(shown(value, unit), text, "{value} {unit}");
        }
        assert_eq!(value(2.1e9, None), "2.1e9");
    }

    #[test]
    fn changes_have_a_sign_and_no_false_precision() {
        for (change, text) in [
            (0.1234, "+12.3 %"),
            (-0.03, "-3 %"),
            (0.05, "+5 %"),
            (0.001_23, "+0.12 %"),
            (0.000_01, "0 %"),
            (-0.000_01, "0 %"),
            (2.5, "+250 %"),
            (f64::INFINITY, "from 0"),
            (f64::NEG_INFINITY, "from 0"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(percent(change), text, "{change}");
        }
    }

    #[test]
    fn a_value_and_its_bound_have_as_many_digits_as_they_need_to_differ() {
        for (value, bound, unit, wanted) in [
            (Some(3.25), Some(2.0), "s", ("3.25 s", "2 s")),
            (Some(2.0), Some(2.0), "s", ("2 s", "2 s")),
            (Some(2.001_2), Some(2.0), "s", ("2.001 s", "2 s")),
            (Some(999.96), Some(1000.0), "ms", ("0.99996 s", "1 s")),
            (
                Some(104_857_601.0),
                Some(104_857_600.0),
                "B",
                ("100.000001 MiB", "100 MiB"),
            ),
            (None, Some(2.0), "s", ("-", "2 s")),
            (None, None, "s", ("-", "-")),
        ] {
            let (value, bound) = with_bound(value, bound, Unit::new(unit).as_ref());
            assert_eq!((value.as_str(), bound.as_str()), wanted);
        }
    }

    #[test]
    fn a_very_small_probability_is_a_bound() {
        assert_eq!(probability(0.001_234), "0.00123");
        assert_eq!(probability(0.000_62), "0.00062");
        assert_eq!(probability(0.000_05), "< 0.0001");
        assert_eq!(probability(1.0), "1");
        assert_eq!(probability(f64::NAN), "-");
    }
}
