//! JSON documents and the files that a path matches.

use super::*;

const DOCUMENT: &str = r#"{"jobs":[{"write":{"clat":{"99.000000":1500.5}}}],"a/b":{"~":[1,2.5,-3e0]},
    "dup":1,"dup":2,"none":null,"text":"12","yes":true,"mixed":[1,"2",null,1e400],"empty":[],
    "large":18446744073709551616,"é":[[7]]}"#;

fn json(pointer: &str, document: &[u8]) -> Extracted {
    let spec = file_metric("j", "/tmp/x.json", Reading::Json(pointer.to_owned()));
    extract(vec![spec], &[("load/n1/tmp/x.json", document)])
}

#[test]
fn a_pointer_leads_to_a_number_or_to_an_array_of_them() {
    let good: [(&str, &[f64]); 6] = [
        ("/jobs/0/write/clat/99.000000", &[1500.5]),
        ("/a~1b/~0", &[1.0, 2.5, -3.0]),
        ("/a~1b/~0/2", &[-3.0]),
        ("/dup", &[2.0]),
        ("/large", &[18_446_744_073_709_551_616.0]),
        ("/é/0", &[7.0]),
    ];
    for (pointer, wanted) in good {
        let found = json(pointer, DOCUMENT.as_bytes());
        assert_eq!(values(&found), wanted, "{pointer}");
        assert_eq!(troubles(&found), [], "{pointer}");
    }
    assert_eq!(values(&json("", b" 5\n")), [5.0]);
}

#[test]
fn what_a_pointer_leads_to_but_is_no_number_is_counted() {
    let bad = [
        ("/jobs/1", "1 document has no such value: /jobs/1"),
        ("/jobs/00", "1 document has no such value: /jobs/00"),
        (
            "/jobs/0/write/no",
            "1 document has no such value: /jobs/0/write/no",
        ),
        ("/dup/x", "1 document has no such value: /dup/x"),
        ("/empty", "1 document has no such value: /empty"),
        ("/none", "1 value is not a number: \"null\" at /none"),
        ("/yes", "1 value is not a number: \"true\" at /yes"),
        ("/text", "1 value is not a number: the string \"12\" at /text"),
        ("/jobs", "1 value is not a number: an object at /jobs"),
        ("/é", "1 value is not a number: an array at /é"),
        ("", "1 value is not a number: an object at the top"),
    ];
    for (pointer, wanted) in bad {
        let found = json(pointer, DOCUMENT.as_bytes());
        assert_eq!(troubles(&found), [(wanted, 1, false)], "{pointer}");
        assert_eq!(values(&found), Vec::<f64>::new(), "{pointer}");
    }
    let found = json("/mixed", DOCUMENT.as_bytes());
    assert_eq!(values(&found), [1.0]);
    let wanted = [
        (
            "2 values are not numbers: the first is the string \"2\" at /mixed",
            2,
            false,
        ),
        ("1 value is not a finite number: \"1e400\"", 1, false),
    ];
    assert_eq!(troubles(&found), wanted);
}

#[test]
fn a_document_that_is_not_whole_gives_nothing_and_is_incomplete() {
    let deep = "[".repeat(100_000);
    let broken: [(&[u8], &str); 6] = [
        (b"", "EOF while parsing"),
        (b"{\"a\":[1,2", "EOF while parsing"),
        (b"{\"a\":1", "EOF while parsing"),
        (b"{\"a\":1} x", "trailing characters at line 1 column 9"),
        (b"{\"b\":NaN,\"a\":1}", "expected"),
        (deep.as_bytes(), ""),
    ];
    for (document, reason) in broken {
        let found = json("/a", document);
        assert_eq!(values(&found), Vec::<f64>::new());
        let (what, count, incomplete) = troubles(&found)[0];
        assert!(
            what.starts_with(&format!("1 document is not JSON: {reason}")),
            "{what}"
        );
        assert!(what.contains(" at line 1 column "), "{what}");
        assert_eq!((count, incomplete), (1, true));
    }
}

#[test]
fn a_document_that_is_too_large_is_not_read() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("load/n1/x");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(&path).unwrap().set_len((64 << 20) + 1).unwrap();
    let spec = file_metric("j", "/x", Reading::Json(String::new()));
    let found = extract_from(vec![spec], temp.path());
    assert_eq!(troubles(&found), [("1 document is larger than 64 MiB", 1, true)]);
}

#[test]
fn a_missing_file_is_named_and_files_of_a_pattern_are_all_read() {
    let spec = file_metric("j", "/tmp/*.json", Reading::Json("/a".to_owned()));
    let found = extract(vec![spec.clone()], &[("load/n2/tmp/x.json", b"{\"a\":1}")]);
    assert_eq!(troubles(&found), [("no file matches /tmp/*.json", 1, false)]);
    let files: [(&str, &[u8]); 4] = [
        ("load/n1/tmp/a.json", b"{\"a\":1}"),
        ("load/n1/tmp/b.json", b"{}"),
        ("load/n1/tmp/c.json", b"{\"a\":3}"),
        ("load/n1/tmp/c.txt", b"{\"a\":4}"),
    ];
    let found = extract(vec![spec], &files);
    assert_eq!(values(&found), [1.0, 3.0]);
    let text = "1 document has no such value: /a in /tmp/b.json";
    assert_eq!(troubles(&found), [(text, 1, false)]);
    assert_eq!(found.troubles[0].source, "/tmp/*.json");
}
