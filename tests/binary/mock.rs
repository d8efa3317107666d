//! Mocks: served, learnt, checked and recorded by the real binary on 127.0.0.1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Ran, Vcluster};

/// Time for a peer to answer.
const LIMIT: Duration = Duration::from_mins(1);

const MOCKS: &str = "\
mocks:
  inventory:
    protocol: http
    listen: 127.0.0.1:0
    seed: 7
    latency: { constant: 1ms }
    body: { text: '{\"id\": 1}' }
    routes:
      - match: { path: /broken }
        errors: { rate: 1, kind: status, status: 503 }
";

/// Starts a command that listens; the address is the one in the first line of standard error, after `before`.
fn listening(program: &Vcluster, before: &str) -> (Child, SocketAddr) {
    let mut child = program.begin();
    let mut line = String::new();
    let stderr = child.stderr.take().unwrap();
    let mut reader = BufReader::new(stderr);
    reader.read_line(&mut line).unwrap();
    let address = line
        .split_once(before)
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    let Some(address) = address else {
        let _ = child.kill();
        panic!("no address after `{before}` in `{line}`");
    };
    // What follows is short; the pipe stays open until the command has ended.
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    (child, address)
}

fn stop(program: Vcluster, child: Child, signal: Signal) -> Ran {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    program.finish(child)
}

/// Sends a request, and returns all of the answer.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: mock\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_mock_answers_until_sigterm_and_then_reports_with_code_0() {
    let program = Vcluster::new().file("mocks.yaml", MOCKS).args([
        "mock",
        "serve",
        "mocks.yaml",
        "--format",
        "json",
        "--report",
        "report.json",
    ]);
    let (child, address) = listening(&program, "inventory: http on ");
    let answer = get(address, "/items/1");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("{\"id\": 1}"), "{answer}");
    assert!(get(address, "/broken").starts_with("HTTP/1.1 503 "));
    let ran = stop(program, child, Signal::SIGTERM).code(0);
    let report = ran.json();
    assert_eq!(report["version"], 1);
    let mock = &report["mocks"]["inventory"];
    assert_eq!(
        (&mock["requests"], &mock["answered"]),
        (&2.into(), &1.into()),
        "{report}"
    );
    assert_eq!(mock["errors"]["status"], 1);
    assert_eq!(mock["seed"], 7);
    let written = std::fs::read_to_string(ran.path("report.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&written).unwrap(),
        report
    );
}

#[test]
fn a_report_that_cannot_be_written_is_printed_all_the_same() {
    let program = Vcluster::new().file("mocks.yaml", MOCKS).args([
        "mock",
        "serve",
        "mocks.yaml",
        "--report",
        "missing/report.json",
    ]);
    let (child, address) = listening(&program, "inventory: http on ");
    get(address, "/items/1");
    stop(program, child, Signal::SIGTERM)
        .code(1)
        .prints("inventory: 1 requests in ");
}

#[test]
fn control_c_ends_a_mock_with_code_0_and_a_table() {
    let program = Vcluster::new()
        .file("mocks.yaml", MOCKS)
        .args(["mock", "serve", "mocks.yaml"]);
    let (child, address) = listening(&program, "inventory: http on ");
    get(address, "/items/1");
    stop(program, child, Signal::SIGINT)
        .code(0)
        .prints("DECLARED P50")
        .prints("inventory: 1 requests in ");
}

#[test]
fn a_time_limit_ends_a_mock_by_itself() {
    Vcluster::new()
        .file("mocks.yaml", MOCKS)
        .args(["mock", "serve", "mocks.yaml", "--for", "100ms", "--quiet"])
        .run()
        .code(0)
        .says_nothing()
        .prints("inventory: 0 requests in ");
}

#[test]
fn a_mistake_in_a_file_of_mocks_has_its_line_and_column() {
    let wrong = MOCKS.replace("constant: 1ms", "konstant: 1ms");
    let program = || Vcluster::new().file("mocks.yaml", &wrong);
    program()
        .args(["mock", "serve", "mocks.yaml"])
        .run()
        .code(3)
        .prints_nothing()
        .says("error: mocks.yaml:6:")
        .says("konstant")
        .says("hint: ");
    let ran = program()
        .args(["mock", "serve", "mocks.yaml", "--format", "json"])
        .run()
        .code(3);
    let error = ran.error();
    assert_eq!(error["exit_code"], 3);
    assert!(
        error["error"].as_str().unwrap().starts_with("mocks.yaml:6:"),
        "{error}"
    );
}

#[test]
fn a_file_of_mocks_that_does_not_exist_or_an_address_that_is_taken_is_an_error_with_a_hint() {
    Vcluster::new()
        .args(["mock", "serve", "nowhere.yaml"])
        .run()
        .code(3)
        .says("nowhere.yaml")
        .says("hint: ");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    Vcluster::new()
        .file("mocks.yaml", &MOCKS.replace("127.0.0.1:0", &address))
        .args(["mock", "serve", "mocks.yaml"])
        .run()
        .code(1)
        .says(&format!("failed to listen on {address} for `inventory`"))
        .says("hint: ");
}

/// Lines of 400 requests with times that are evenly distributed between two times, in milliseconds.
fn recording(route: &str, from: f64, to: f64) -> String {
    let line = |number: u32| {
        // In an order that is not that of the times.
        let share = f64::from(number * 157 % 400) / 400.0;
        let seconds = (from + (to - from) * share) / 1_000.0;
        format!(
            "{{\"route\":\"{route}\",\"started\":{number},\"seconds\":{seconds},\"status\":200,\"bytes\":64}}\n"
        )
    };
    (0..400).map(line).collect()
}

#[test]
fn a_mock_that_is_learnt_is_the_same_as_its_service_and_another_service_is_drift() {
    let ran = Vcluster::new()
        .file("service.jsonl", &recording("GET /items/7", 2.0, 6.0))
        .file("slower.jsonl", &recording("GET /items/7", 3.0, 9.0))
        .args([
            "mock",
            "learn",
            "service.jsonl",
            "--name",
            "inventory",
            "--out",
            "mocks.yaml",
        ])
        .run()
        .code(0)
        .prints_nothing()
        .says("note: capacity not determined: no two requests were in flight")
        .says("learnt uniform from 400 requests, 1 routes: mocks.yaml");
    let yaml = std::fs::read_to_string(ran.path("mocks.yaml")).unwrap();
    assert!(yaml.contains("uniform: { min: 2ms, max: 5.99ms }"), "{yaml}");
    assert!(yaml.contains("body: { size: 64B }"), "{yaml}");
    let ran = ran
        .again()
        .args(["mock", "check", "mocks.yaml", "service.jsonl"])
        .run()
        .code(0)
        .says_nothing()
        .prints("same");
    let ran = ran
        .again()
        .args(["mock", "check", "mocks.yaml", "slower.jsonl", "--format", "json"])
        .run()
        .code(6)
        .says_nothing();
    let check = ran.json();
    assert_eq!(
        (&check["version"], &check["verdict"]),
        (&1.into(), &"drifted".into()),
        "{check}"
    );
    assert_eq!(check["routes"][0]["route"], "GET /items/*");
    ran.again()
        .args(["mock", "check", "service.jsonl", "slower.jsonl"])
        .run()
        .code(6)
        .prints("drifted");
}

#[test]
fn few_requests_are_no_success() {
    Vcluster::new()
        .file("mocks.yaml", MOCKS)
        .file("few.jsonl", "{\"route\":\"GET /\",\"seconds\":0.001}\n")
        .args(["mock", "check", "mocks.yaml", "few.jsonl"])
        .run()
        .code(6)
        .prints("too few");
}

#[test]
fn a_mistake_in_a_recording_has_its_line_and_column() {
    for (name, text, wanted) in [
        (
            "r.jsonl",
            "{\"seconds\":1}\n{\"seconds\":true}\n",
            "error: r.jsonl:2:",
        ),
        ("r.har", "{\"log\": {\n\"entries\": 7}}\n", "error: r.har:2:"),
        (
            "r.log",
            "10.0.0.1 - - nothing\n",
            "error: r.log:1:1: there is no time in brackets",
        ),
        ("empty.log", "", "error: the recording empty.log has no request"),
    ] {
        Vcluster::new()
            .file(name, text)
            .args(["mock", "learn", name])
            .run()
            .code(2)
            .prints_nothing()
            .says(wanted)
            .says("hint: ");
    }
}

#[test]
fn a_log_of_nginx_on_standard_input_is_learnt() {
    let line =
        "10.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /items/7 HTTP/1.1\" 200 512 \"-\" \"curl\" 0.005\n";
    Vcluster::new()
        .args(["mock", "learn", "-"])
        .stdin(&line.repeat(50))
        .run()
        .code(0)
        .prints("latency: { constant: 5ms }")
        .prints("# capacity: not determined");
}

#[test]
fn requests_through_the_recorder_are_answered_and_recorded() {
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = service.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in service.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let program = Vcluster::new()
        .args(["mock", "record", "--listen", "127.0.0.1:0", "--to", &to])
        .args(["--protocol", "http", "--out", "r.jsonl", "--format", "json"]);
    let (child, address) = listening(&program, "recording ");
    for _ in 0..3 {
        assert!(get(address, "/items/7").ends_with("ok"));
    }
    let ran = stop(program, child, Signal::SIGINT).code(0);
    let summary = ran.json();
    assert_eq!(
        (&summary["requests"], &summary["dropped"]),
        (&3.into(), &0.into()),
        "{summary}"
    );
    let written = std::fs::read_to_string(ran.path("r.jsonl")).unwrap();
    assert_eq!(
        written.matches("\"route\":\"GET /items/*\"").count(),
        3,
        "{written}"
    );
    // A recording is never overwritten.
    ran.again()
        .args(["mock", "record", "--listen", "127.0.0.1:0", "--to", &to])
        .args(["--protocol", "http", "--out", "r.jsonl"])
        .run()
        .code(1)
        .says("hint: a recording is never overwritten");
}
