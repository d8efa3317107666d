//! Hostile input: huge, deeply nested, not text, or random.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

#[test]
fn huge_and_hostile_yaml_is_refused_in_bounded_time() {
    let start = Instant::now();
    let bomb = {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let before = i - 1;
            let refs = vec![format!("*a{before}"); 10].join(", ");
            text += &["a", &i.to_string(), ": &a", &i.to_string(), " [", &refs, "]\n"].concat();
        }
        text
    };
    let deep = "[".repeat(100_000);
    let nested: String = (0..2_000).map(|i| " ".repeat(i) + "a:\n").collect();
    let wide = format!("name: x\nvars: [{}]\n", "1, ".repeat(1_000_000));
    let long = format!("name: {}\n", "x".repeat(5_000_000));
    let keys: String = (0..100_000)
        .map(|i| "k".to_owned() + &i.to_string() + ": 1\n")
        .collect();
    let many = "a: 1\n".repeat(200_000);
    let documents = "--- a\n".repeat(10_000);
    for text in [
        bomb.as_str(),
        "a: &a [*a]\n",
        &deep,
        &nested,
        &wide,
        &long,
        &keys,
        &many,
        &documents,
        "\0\0\0",
        "%YAML 9.9\n---\n",
        "&",
        "*x",
        "!!binary x",
        ": :\n",
    ] {
        let rendered = bad(text);
        assert!(rendered.len() < 200_000, "{} bytes", rendered.len());
    }
    assert!(start.elapsed() < Duration::from_mins(2), "{:?}", start.elapsed());
}

#[test]
fn bytes_that_are_not_utf8_are_a_mistake() {
    let dir = directory(&[]);
    let file = dir.path().join("t.yaml");
    std::fs::write(&file, b"name: \xff\n").unwrap();
    let error = Topology::load(&file.to_string_lossy()).unwrap_err();
    assert!(error.to_string().contains("not UTF-8"), "{error}");
}

/// Fragments that make deeper paths likely than arbitrary characters do.
fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "name: x\n",
        "groups:\n",
        "  a: { count: 2 }\n",
        "  \"é\": {count: 3}\n",
        "hosts: {\"h[1-3]\": {}}\n",
        "vars: {p: 1}\n",
        "configure:\n",
        "  - run: \"{{node.name}}\"\n",
        "  - {content: \"{{#if\", to: /x}\n",
        "images: {i: {from: i}}\n",
        "defaults: {memory: ",
        "network: {subnet: ",
        "10.0.0.0/24}\n",
        "networks: {s: {subnet: ",
        "defaults: {networks: [cluster, s], disks: [{size: ",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "- ",
        "\n",
        "  ",
        "&a ",
        "*a",
        "\"",
        "'",
        "|\n",
        "# c\n",
        "@all",
        "{{",
        "}}",
        "\u{fe0f}",
        "\t",
        "1e999",
        "~",
        "workload: [{run: x}]\n",
        "workload: [{run: x, watch: [a], metrics: {m: {regex: '(1)', ",
        "from: stderr, ",
        "format: jsonl, ",
        "json: /a~0, ",
        "unit: s, floor: 2ms, min_change: 5%, ",
        "criteria: {m: [p99 < 2s, ",
        "step.step1.seconds: {is: growth <= n, abort: true, after: 1s, ",
        "metrics: {m.x: {unit: ",
        "on: \"@a!a001\"\n",
    ]);
    prop::collection::vec(fragment, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        if let Err(diagnostics) = parse(&text) {
            prop_assert!(diagnostics.count() > 0);
            diagnostics.render(true);
        }
    }

    #[test]
    fn no_mixture_of_fragments_panics(text in fragments()) {
        if let Err(diagnostics) = parse(&text) {
            prop_assert!(diagnostics.count() > 0);
            diagnostics.render(false);
        }
    }
}
