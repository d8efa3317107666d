//! Points in time as recordings write them, in seconds since 1970.

/// Reads ISO 8601 with an offset, as HAR and `$time_iso8601` have it: `2009-07-24T19:20:30.45+01:00`. Without an offset
/// it is UTC.
pub(crate) fn iso8601(text: &str) -> Option<f64> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let mut parts = date.split('-');
    let (year, month, day) = (
        number(parts.next()?)?,
        number(parts.next()?)?,
        number(parts.next()?)?,
    );
    if parts.next().is_some() {
        return None;
    }
    let end = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, offset) = time.split_at(end);
    seconds(
        days(year, month, day)?,
        clock,
        offset.trim_start_matches(['Z', 'z']),
    )
}

/// Reads the time of the Common Log Format: `10/Oct/2000:13:55:36 -0700`.
pub(crate) fn common_log(text: &str) -> Option<f64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (date, time) = text.trim().split_once(':')?;
    let mut parts = date.split('/');
    let day = number(parts.next()?)?;
    let name = parts.next()?;
    let month = MONTHS.iter().zip(1..).find(|(month, _)| **month == name)?.1;
    let year = number(parts.next()?)?;
    let (clock, offset) = time.split_once(' ').unwrap_or((time, ""));
    seconds(days(year, month, day)?, clock, offset)
}

fn number(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Seconds of a day, a clock such as `13:55:36.5`, and an offset such as `+01:00` or `-0700`.
fn seconds(days: i64, clock: &str, offset: &str) -> Option<f64> {
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let second = parts.next().unwrap_or("0");
    let is_second = second.len() <= 20 && second.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let second: f64 = if is_second {
        second.parse().ok()?
    } else {
        return None;
    };
    // 60 is a leap second.
    if hour > 24 || minute > 59 || second >= 61.0 || parts.next().is_some() {
        return None;
    }
    let whole = days * 86_400 + hour * 3_600 + minute * 60 - offset_seconds(offset)?;
    Some(whole as f64 + second)
}

fn offset_seconds(offset: &str) -> Option<i64> {
    let Some(sign) = offset.chars().next() else {
        return Some(0);
    };
    let digits: String = offset.chars().skip(1).filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (number(&digits)?, 0),
        // All of them are ASCII where `number` accepts them, so that the text can be split here.
        4 if digits.is_ascii() => (number(&digits[..2])?, number(&digits[2..])?),
        _ => return None,
    };
    let seconds = hours * 3_600 + minutes * 60;
    match sign {
        '+' => Some(seconds),
        '-' => Some(-seconds),
        _ => None,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar: `days_from_civil` of Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", 2013.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date {
        return None;
    }
    // A year begins in March here, so that the leap day is its last one.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(found: Option<f64>, wanted: f64) -> bool {
        found.is_some_and(|found| (found - wanted).abs() < 1e-6)
    }

    #[test]
    fn iso_times_are_read_with_fractions_and_offsets() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("2009-07-24T19:20:30.45+01:00", 1_248_459_630.45),
            ("2009-07-24T18:20:30.450Z", 1_248_459_630.45),
            ("2024-02-29T00:00:00-0130", 1_709_170_200.0),
            ("2000-03-01 00:00:00", 951_868_800.0),
        ] {
            assert!(is(iso8601(text), wanted), "{text}: {:?}", iso8601(text));
        }
    }

    #[test]
    fn times_of_the_common_log_format_are_read() {
        // The example of the Apache manual.
        assert!(is(common_log("10/Oct/2000:13:55:36 -0700"), 971_211_336.0));
        assert!(is(common_log("10/Oct/2000:20:55:36 +0000"), 971_211_336.0));
    }

    #[test]
    fn what_is_no_time_is_none_and_never_a_panic() {
        for text in [
            "",
            "T",
            "2009-07-24",
            "2009-13-01T00:00:00Z",
            "2009-07-24T25:00:00Z",
            "2009-07-24T10:61:00Z",
            "2009-07-24T10:00:00+1",
            "2009-07-24T10:00:00+äö",
            "999999999-01-01T00:00:00Z",
            "2009-07-24T10:00:1e9Z",
        ] {
            assert_eq!(iso8601(text), None, "{text}");
        }
        for text in ["", ":", "10/Okt/2000:13:55:36", "x/Oct/2000:1:1:1", "10/Oct/2000"] {
            assert_eq!(common_log(text), None, "{text}");
        }
    }
}
