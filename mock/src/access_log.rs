//! Recordings as access logs of nginx and Apache, with the time that each request took.
//!
//! Without a format: the Common or Combined Log Format with the time in seconds as the last field, as
//! `log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent $request_time';`
//! writes it. Otherwise the format as in nginx (`$request_time`) or Apache (`%D`).

mod layout;

use std::io::BufRead;

use crate::record::lines::Lines;
use crate::record::{Found, Recording, RecordingError, Refused, moment, route};

pub use layout::Layout;
use layout::{Field, Values};

const HINT: &str = "log the time as the last field, such as nginx's $request_time, or pass the format of the log with \
                    --access-format";

/// More lines than this share must be requests.
const READABLE: f64 = 0.9;

/// The resolution of `$time_local`, in seconds.
const LOCAL: f64 = 1.0;

/// Adds all requests of a log to `recording`. Lines that are none (scanners send anything) are counted as skipped; if
/// they are more than a tenth, the first of them is an error.
pub(crate) fn read<R: BufRead>(
    lines: &mut Lines<'_, R>,
    layout: &Layout,
    recording: &mut Recording,
) -> Result<(), RecordingError> {
    let mut first_mistake = None;
    let (mut taken, mut skipped) = (0_u64, 0_u64);
    while lines.advance()? {
        let text = String::from_utf8_lossy(lines.line());
        if text.trim().is_empty() {
            continue;
        }
        match take(&text, layout, recording) {
            Ok(()) => taken += 1,
            Err(Wrong::Full) => return Err(lines.full()),
            Err(Wrong::At(column, message)) => {
                skipped += 1;
                if first_mistake.is_none() {
                    first_mistake = Some(lines.malformed(column, message.to_owned(), HINT));
                }
            }
        }
    }
    match first_mistake {
        Some(mistake) if (taken as f64) < READABLE * (taken + skipped) as f64 => Err(mistake),
        _ => {
            recording.skipped += skipped;
            Ok(())
        }
    }
}

/// Why a line is no request.
enum Wrong {
    Full,
    /// The byte, and what is wrong there.
    At(usize, &'static str),
}

fn take(line: &str, layout: &Layout, recording: &mut Recording) -> Result<(), Wrong> {
    let values = layout
        .split(line)
        .map_err(|(at, message)| Wrong::At(at, message))?;
    let end = line.len().saturating_sub(1);
    let seconds = seconds(&values).ok_or(Wrong::At(end, "there is no request time"))?;
    let (method, target) =
        request(&values).ok_or(Wrong::At(0, "there is no request such as \"GET / HTTP/1.1\""))?;
    let (logged, resolution) = logged(&values).ok_or(Wrong::At(0, "there is no time of the request"))?;
    let route = route::of_http(method, target);
    let pushed = recording.push(Found {
        route: &route,
        status: values.get(Field::Status).and_then(|status| status.parse().ok()),
        failed: false,
        bytes: values.get(Field::Bytes).and_then(|bytes| bytes.parse().ok()),
        // nginx writes the line when the request ends. Apache logs the time of its begin, but to the second only.
        started: logged - seconds,
        seconds,
    });
    match pushed {
        Ok(()) => {
            recording.resolution = recording.resolution.max(resolution);
            Ok(())
        }
        Err(Refused::Full) => Err(Wrong::Full),
        Err(Refused::NoTime) => Err(Wrong::At(end, "the request time is not 0 to 86400 seconds")),
    }
}

/// The service time: that of the upstream where it is logged, because the other one contains slow clients.
fn seconds(values: &Values<'_>) -> Option<f64> {
    let upstream = values.get(Field::UpstreamSeconds).and_then(sum);
    let own = |field, unit: f64| {
        let value: f64 = values.get(field)?.trim().parse().ok()?;
        Some(value * unit)
    };
    upstream
        .or_else(|| own(Field::Seconds, 1.0))
        .or_else(|| own(Field::Milliseconds, 1e-3))
        .or_else(|| own(Field::Microseconds, 1e-6))
}

/// The sum of `$upstream_response_time`, which has a time for each server that was tried: `0.002, 0.010 : 0.001`.
/// `None` for `-`.
fn sum(text: &str) -> Option<f64> {
    let mut sum = None;
    for part in text.split([',', ':']) {
        let part = part.trim();
        if part != "-" {
            let seconds: f64 = part.parse().ok()?;
            sum = Some(sum.unwrap_or(0.0) + seconds);
        }
    }
    sum
}

/// Method and target.
fn request<'a>(values: &Values<'a>) -> Option<(&'a str, &'a str)> {
    let is_method =
        |method: &&str| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if let Some(request) = values.get(Field::Request) {
        let mut words = request.split(' ');
        let method = words.next().filter(is_method)?;
        return Some((method, words.next()?));
    }
    let target = values.get(Field::Target)?;
    Some((
        values.get(Field::Method).filter(is_method).unwrap_or("GET"),
        target,
    ))
}

/// When the line was written, and how exactly that is known, in seconds.
fn logged(values: &Values<'_>) -> Option<(f64, f64)> {
    if let Some(seconds) = values.get(Field::UnixSeconds) {
        return Some((seconds.parse().ok()?, 1e-3));
    }
    if let Some(text) = values.get(Field::Iso) {
        let resolution = if text.contains('.') { 1e-3 } else { LOCAL };
        return Some((moment::iso8601(text)?, resolution));
    }
    let text = values.get(Field::Local)?;
    Some((moment::common_log(text.trim_matches(['[', ']']))?, LOCAL))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read_text(text: &str, layout: &Layout) -> Result<Recording, RecordingError> {
        let mut recording = Recording::default();
        let mut lines = Lines::new(text.as_bytes(), Path::new("a.log"));
        read(&mut lines, layout, &mut recording)?;
        Ok(recording)
    }

    const COMBINED: &str = "192.0.2.7 - ann [10/Oct/2000:13:55:36 -0700] \"GET /items/7?a=\\\"b HTTP/1.1\" 200 2326 \
                            \"http://shop/\" \"curl/8 (x; y)\" 0.250\n";

    #[test]
    fn combined_lines_with_the_time_at_the_end_are_read_without_a_format() {
        let common = "192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"POST /orders HTTP/1.1\" 503 0 0.001\n";
        let recording = read_text(&format!("{COMBINED}{common}"), &Layout::default()).unwrap();
        assert_eq!(recording.routes(), ["GET /items/*", "POST /orders"]);
        let [first, second] = recording.entries() else {
            panic!("{:?}", recording.entries());
        };
        assert!((first.seconds - 0.25).abs() < 1e-9 && (first.started - 971_211_335.75).abs() < 1e-3);
        assert_eq!(
            (first.status, first.bytes, first.failed),
            (200, Some(2326), false)
        );
        assert!(second.failed);
        assert!((recording.resolution - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_time_of_the_upstream_is_preferred_and_that_of_several_is_their_sum() {
        let format = "$remote_addr [$msec] \"$request\" $status $request_time $upstream_response_time";
        let layout = Layout::parse(format).unwrap();
        let text = "::1 [1767225600.500] \"GET / HTTP/2.0\" 200 1.000 0.020, 0.010 : -\n\
                    ::1 [1767225600.600] \"GET / HTTP/2.0\" 200 0.002 -\n";
        let recording = read_text(text, &layout).unwrap();
        let times: Vec<f64> = recording.entries().iter().map(|entry| entry.seconds).collect();
        assert!(
            (times[0] - 0.03).abs() < 1e-9 && (times[1] - 0.002).abs() < 1e-9,
            "{times:?}"
        );
        assert!(recording.resolution < 0.01);
    }

    #[test]
    fn formats_of_apache_are_read() {
        let layout = Layout::parse("%h %l %u %t \"%r\" %>s %b %D").unwrap();
        let text = "192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 - 1500\n";
        let recording = read_text(text, &layout).unwrap();
        assert!((recording.entries()[0].seconds - 0.0015).abs() < 1e-9);
        assert_eq!(recording.entries()[0].bytes, None);
    }

    #[test]
    fn a_few_lines_that_are_no_request_are_skipped_and_many_are_an_error() {
        let scanner = "192.0.2.9 - - [10/Oct/2000:13:55:36 -0700] \"\\x16\\x03\\x01\" 400 157 0.000\n";
        let text = COMBINED.repeat(20) + scanner;
        let recording = read_text(&text, &Layout::default()).unwrap();
        assert_eq!((recording.entries().len(), recording.skipped), (20, 1));
        let error = read_text(&(scanner.repeat(5) + COMBINED), &Layout::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a.log:1:1: there is no request such as \"GET / HTTP/1.1\""
        );
    }

    #[test]
    fn a_log_without_times_is_an_error_at_the_end_of_its_first_line() {
        let text = "192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 \"agent\"\n";
        let error = read_text(text, &Layout::default()).unwrap_err();
        assert!(error.to_string().starts_with("a.log:1:"), "{error}");
        assert!(error.to_string().contains("no request time"), "{error}");
        assert!(error.hint().contains("--access-format"));
    }

    #[test]
    fn hostile_lines_are_no_panic() {
        for text in ["\"", "[", "[]\"\" ", "\u{ff}\u{fe}", "a\0b", "] [ \" \" \\", "\\"] {
            let text = format!("{text}\n");
            assert!(read_text(&text, &Layout::default()).is_err(), "{text:?}");
        }
    }
}
