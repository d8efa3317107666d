//! Node sets against the real ClusterShell: needs its `nodeset` command (package `clustershell`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use vcluster::nodeset::{expand, fold};

/// Answers of ClusterShell, `None` where it refuses: folded text and names.
type Answer = Option<(String, Vec<String>)>;

/// Runs the very commands, one process per case: for a short list.
fn by_command(expression: &str) -> Answer {
    let run = |flag: &str| {
        let output = Command::new("nodeset")
            .args([flag, expression])
            .env_remove("CLUSTERSHELL_CFGDIR")
            .output()
            .expect("the `nodeset` command of ClusterShell is installed (apt install clustershell)");
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    };
    let folded = run("-f")?.trim_end().to_owned();
    let names = run("-e")?.split_whitespace().map(str::to_owned).collect();
    Some((folded, names))
}

/// Asks the module behind the command in one process, a line per case.
fn by_module(expressions: &[String]) -> Vec<Answer> {
    const SCRIPT: &str = r#"
import json, sys
from ClusterShell.NodeSet import NodeSet, RESOLVER_NOGROUP
for line in sys.stdin:
    try:
        nodes = NodeSet(json.loads(line), resolver=RESOLVER_NOGROUP)
        print(json.dumps([str(nodes), list(nodes)]))
    except Exception:
        print("null")
"#;
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Python of the `nodeset` command is there");
    let mut input = child.stdin.take().unwrap();
    let lines: String = expressions
        .iter()
        .map(|e| serde_json::to_string(e).unwrap() + "\n")
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers: Vec<Answer> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), expressions.len());
    answers
}

fn ours(expression: &str) -> Answer {
    let names = expand(expression).ok()?;
    Some((fold(&names), names))
}

#[test]
fn the_nodeset_command_gives_the_same_answers() {
    for expression in [
        "node[001-150]",
        "node[0-6/2]",
        "a,b,a1,a01,a001,a[1-3],a[08-12]",
        "rack[1-2]node[01-10]",
        "rack[1-2]node[1-2],rack3node1",
        "a[1-5]!a3&a[1-4]",
        "a[1-3]^a[3-4]",
        "a[1-3],b!a2",
        "1.2.3.[4-5]",
        "a[1-3]5,a1[1-3]",
        "a[ 1 - 3 , 5 ], b",
        "n[08,99,100],m[08,09,20,99,100]",
        "redis[001-147]-ib0",
        "a!a",
        "node[1-5",
        "node1-5]",
        "a,,b",
        "a[5-1]",
        "a[01-100]",
        "a[1-2/0]",
        "a[]",
        "a[1]5[2]",
    ] {
        assert_eq!(ours(expression), by_command(expression), "{expression}");
    }
}

/// A small generator of our own, seeded, so that a failure names its case and comes again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // xorshift64 (Marsaglia 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    fn range(&mut self) -> String {
        let width = self.below(4) as usize;
        let first = self.below(30);
        let last = first + self.below(120);
        match self.below(4) {
            0 => format!("{first:0width$}"),
            1 => format!("{first:0width$}-{last:0width$}/{}", 1 + self.below(5)),
            _ => format!("{first:0width$}-{last:0width$}"),
        }
    }

    fn operand(&mut self) -> String {
        let name = self.pick(&["n", "node", "a", "a-", "b.c"]);
        let suffix = self.pick(&["", "", "-ib", ".x"]);
        match self.below(6) {
            0 => name.to_owned(),
            1 => format!("{name}{}{suffix}", self.below(200)),
            2 => format!("{name}[{},{}]{suffix}", self.range(), self.range()),
            _ => format!("{name}[{}]{suffix}", self.range()),
        }
    }

    fn expression(&mut self) -> String {
        let mut text = self.operand();
        for _ in 0..self.below(5) {
            text += self.pick(&[",", ",", "!", "&", "^"]);
            text += &self.operand();
        }
        text
    }
}

#[test]
fn generated_sets_of_one_dimension_are_the_same_to_the_letter() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let expressions: Vec<String> = (0..600).map(|_| random.expression()).collect();
    let mut refused = 0;
    for (expression, theirs) in expressions.iter().zip(by_module(&expressions)) {
        refused += usize::from(theirs.is_none());
        assert_eq!(ours(expression), theirs, "{expression}");
    }
    // Mixed widths are refused by both; most cases must be real ones.
    assert!(refused < 300, "{refused} of 600 cases were refused");
}

#[test]
fn generated_products_are_the_same_and_most_other_grids_too() {
    let mut random = Random(88_172_645_463_325_252);
    let product = |random: &mut Random| {
        let (a, b) = (random.below(5), random.below(5));
        format!(
            "r[{a}-{}]n[{b:02}-{:02}]",
            a + random.below(12),
            b + random.below(12)
        )
    };
    let expressions: Vec<String> = (0..300)
        .map(|case| match case % 3 {
            0 => product(&mut random),
            1 => format!("{},{}", product(&mut random), product(&mut random)),
            _ => format!("{}!{}", product(&mut random), product(&mut random)),
        })
        .collect();
    let mut to_the_letter = 0;
    for (case, (expression, theirs)) in expressions.iter().zip(by_module(&expressions)).enumerate() {
        let (mine, theirs) = (ours(expression).unwrap(), theirs.unwrap());
        if case % 3 == 0 {
            assert_eq!(mine, theirs, "{expression}");
        }
        to_the_letter += usize::from(mine == theirs);
        let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(set(&mine.1), set(&theirs.1), "{expression}");
        assert_eq!(set(&expand(&mine.0).unwrap()), set(&theirs.1), "{expression}");
        assert_eq!(set(&expand(&theirs.0).unwrap()), set(&theirs.1), "{expression}");
    }
    // Irregular grids may be cut into other products than ClusterShell's greedy ones.
    assert!(
        to_the_letter > 270,
        "only {to_the_letter} of 300 are the same to the letter"
    );
}
