//! What is shown of the output of a step on a node: its head, and the state of its processes at its timeout.

use std::io::Read as _;

use super::results::Results;
use crate::base::text::{sanitize, shortened};

/// Lines about the processes of a step that are shown, and how many characters of each.
const DOING: usize = 30;
const WIDTH: usize = 400;

/// Bytes of each stream of a node that are shown.
const HEAD: u64 = 16 << 10;

/// The head of a node's output, for a report. Says how much more there is in the file.
pub fn output_head(results: &Results, step: &str, node: &str) -> String {
    let read = |ending: &str| {
        let mut bytes = Vec::new();
        let path = results.path().join(step).join(format!("{node}.{ending}"));
        let mut length = 0;
        if let Ok(file) = std::fs::File::open(path) {
            length = file.metadata().map_or(0, |data| data.len());
            let _ = file.take(HEAD).read_to_end(&mut bytes);
        }
        let text = String::from_utf8_lossy(&bytes);
        let mut head: String = text.lines().map(|line| format!("{}\n", sanitize(line))).collect();
        let more = length.saturating_sub(bytes.len() as u64);
        if more > 0 {
            let stream = if ending == "out" { "output" } else { "error" };
            // Without the name of the file, so that equal outputs are gathered.
            head.push_str(&format!(
                "[{more} more bytes in the file of its standard {stream}]\n"
            ));
        }
        head
    };
    format!("{}{}", read("out"), read("err"))
}

/// The state of a step's processes at its timeout. Without their PIDs, so that nodes with the same state are
/// grouped.
pub fn doing_words(doing: Option<&str>) -> String {
    let Some(doing) = doing else {
        return "[the node did not respond in time]\n".into();
    };
    let mut text = String::from("[its processes at the timeout:\n");
    for line in doing.lines().take(DOING) {
        let what = line.splitn(3, ", ").nth(2).unwrap_or(line);
        text.push_str(&format!("  {}\n", sanitize(&shortened(what, WIDTH))));
    }
    let more = doing.lines().count().saturating_sub(DOING);
    if more > 0 {
        text.push_str(&format!("  ... and {more} more\n"));
    }
    text.push_str("]\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_output_is_shown_with_how_much_more_there_is() {
        let temp = tempfile::tempdir().unwrap();
        let results = Results::create(temp.path(), std::time::SystemTime::UNIX_EPOCH).unwrap();
        let dir = results.step("load").unwrap();
        std::fs::write(dir.join("n1.out"), "x".repeat(20_000)).unwrap();
        std::fs::write(dir.join("n1.err"), "short").unwrap();
        let head = output_head(&results, "load", "n1");
        let expected = "\n[3616 more bytes in the file of its standard output]\nshort\n";
        assert!(head.ends_with(expected), "{}", &head[head.len() - 100..]);
    }

    #[test]
    fn processes_that_are_not_shown_are_counted() {
        let doing: String = (0..33).map(|pid| format!("{pid}, 1, sleeps\n")).collect();
        let words = doing_words(Some(&doing));
        assert!(words.ends_with("  sleeps\n  ... and 3 more\n]\n"), "{words}");
    }
}
