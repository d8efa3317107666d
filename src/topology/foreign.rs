//! Keys that people know from other tools, or expect in another place, and what is written here instead.

/// What other tools call a key.
const WORDS: &[(&str, &str)] = &[
    ("threshold", "is"),
    ("expression", "is"),
    ("expr", "is"),
    ("thresholds", "criteria"),
    ("abortOnFail", "abort"),
    ("abort_on_fail", "abort"),
    ("delayAbortEval", "after"),
    ("delay_abort_eval", "after"),
    ("delay", "after"),
    ("level", "severity"),
    ("nodes", "on"),
    ("direction", "better"),
    ("minimum_change", "min_change"),
    ("source", "from"),
    ("file", "from"),
    ("pattern", "regex"),
    ("regexp", "regex"),
    ("jsonpath", "json"),
    ("json_path", "json"),
    ("json_pointer", "json"),
    ("pointer", "json"),
    ("factor", "scale"),
    ("multiplier", "scale"),
    ("processes", "watch"),
];

/// What belongs into `criteria`, wherever it is written.
const CRITERIA: [&str; 4] = ["criteria", "criterion", "threshold", "thresholds"];

/// How a metric is read, which only a step can say.
const READING: [&str; 5] = ["from", "regex", "json", "format", "scale"];

/// A hint for an unknown key of a mapping with these keys; `None` if nothing is known about it.
pub(super) fn hint(key: &str, known: &[&str]) -> Option<String> {
    let has = |word: &str| known.contains(&word);
    if let Some((_, here)) = WORDS.iter().find(|(word, here)| *word == key && has(here)) {
        return Some(format!("did you mean `{here}`?"));
    }
    // A workload step, or a metric.
    if CRITERIA.contains(&key) && (has("collect") || has("min_change")) {
        return Some(
            "criteria are at the top of the file: `criteria: { METRIC: [\"p99 < 2s\"] }`".to_owned(),
        );
    }
    // An entry of the top-level `metrics`.
    if READING.contains(&key) && has("min_change") {
        return Some("a metric is read by a step: move it to `metrics` of a step in `workload`".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_another_tool_leads_to_the_key_that_its_mapping_has() {
        let bound = ["is", "severity", "abort", "after"];
        assert_eq!(hint("threshold", &bound).unwrap(), "did you mean `is`?");
        assert_eq!(hint("delayAbortEval", &bound).unwrap(), "did you mean `after`?");
        let step = ["run", "collect", "watch"];
        assert!(
            hint("thresholds", &step)
                .unwrap()
                .contains("at the top of the file")
        );
        assert_eq!(
            hint("thresholds", &["name", "criteria"]).unwrap(),
            "did you mean `criteria`?"
        );
        let properties = ["unit", "better", "min_change", "floor"];
        assert!(hint("regex", &properties).unwrap().contains("read by a step"));
        assert_eq!(hint("direction", &properties).unwrap(), "did you mean `better`?");
        assert_eq!(hint("direction", &step), None);
        assert_eq!(hint("colour", &properties), None);
    }
}
