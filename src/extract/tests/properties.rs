//! Any bytes in any format, and any number.

use proptest::prelude::*;

use super::*;

fn reading(kind: usize) -> Reading {
    match kind {
        0 => Reading::Regex(r#"([^ "]+)"#.to_owned()),
        1 => Reading::Json("/a".to_owned()),
        2 => Reading::Json(String::new()),
        3 => Reading::OpenMetrics,
        _ => Reading::JsonLines,
    }
}

/// Bytes, or pieces of the formats in any order.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "{\"a\":",
        "\"metric\":\"x\"",
        "\"value\":",
        "\"labels\":{",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\"",
        "\\",
        "1.5",
        "-2e3",
        "1e400",
        "NaN",
        "+Inf",
        "null",
        "true",
        "up",
        "# UNIT up seconds",
        "# EOF",
        "le=\"0.1\"",
        " # {",
        " ",
        "\n",
        "\r\n",
        "é",
    ];
    let words = prop::collection::vec(
        prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        0..40,
    );
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        words.prop_map(|words| words.concat().into_bytes()),
    ]
}

proptest! {
    #[test]
    fn any_bytes_give_finite_samples_or_troubles(kind in 0..5_usize, content in content()) {
        let found = extract(vec![file_metric("p", "/x", reading(kind))], &[("load/n1/x", &content[..])]);
        for sample in &found.samples {
            prop_assert!(sample.value.is_finite());
            prop_assert_eq!(sample.metric.prefix(), "p");
        }
        for trouble in &found.troubles {
            prop_assert!(trouble.count > 0 && !trouble.what.contains(|c: char| c.is_control()), "{:?}", trouble);
        }
    }

    #[test]
    fn numbers_that_were_written_are_read_back_exactly(
        numbers in prop::collection::vec(any::<f64>().prop_filter("finite", |value| value.is_finite()), 1..20)
    ) {
        let texts: Vec<String> = numbers.iter().map(|number| format!("{number:e}")).collect();
        let lines = |before: &str, after: &str| -> String {
            texts.iter().map(|text| format!("{before}{text}{after}\n")).collect()
        };
        let contents = [
            lines("", ""),
            format!("{{\"b\":0,\"a\":[{}]}}", texts.join(", ")),
            format!("[{}]", texts.join(",\n")),
            lines("up{a=\"b\"} ", " 1"),
            lines("{\"value\":", ",\"metric\":\"up\"}"),
        ];
        for (kind, content) in contents.iter().enumerate() {
            let files = [("load/n1/x", content.as_bytes())];
            let found = extract(vec![file_metric("p", "/x", reading(kind))], &files);
            prop_assert_eq!(&values(&found), &numbers, "{}", content);
            prop_assert_eq!(troubles(&found), []);
        }
    }
}
