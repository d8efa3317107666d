use super::*;

const SECOND: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_failing_script_returns_its_standard_error() {
    let Err(Cause::Script { status, words }) =
        HostLink::local().script("echo no room >&2; exit 3", SECOND).await
    else {
        panic!("it must fail");
    };
    assert_eq!((status, words.as_str()), (Some(3), "no room\n"));
}

#[tokio::test]
async fn data_reaches_a_script_whatever_quotes_it_holds() {
    let output = HostLink::local()
        .script_with_input("echo \"it's\"; cat", b"a'b\"c".to_vec(), SECOND)
        .await
        .unwrap();
    assert_eq!(output, "it's\na'b\"c");
}

#[test]
fn a_warning_of_sudo_is_not_its_refusal() {
    let check = |stderr: &str, sudo| {
        let output = Output {
            ended: Some(Ended::Exit(1)),
            stderr: stderr.as_bytes().to_vec(),
            ..Output::default()
        };
        check_status(output, sudo).unwrap_err()
    };
    let warning = "sudo: unable to resolve host bm01: Name or service not known\n";
    let error = check(&format!("{warning}no room\n"), "sudo -n ");
    assert!(
        matches!(&error, Cause::Script { words, .. } if words == "no room"),
        "{error}"
    );
    let error = check(&format!("{warning}sudo: a password is required\n"), "sudo -n ");
    assert!(matches!(error, Cause::NotRoot(_)), "{error}");
    let error = check("sudo: not for us\n", "");
    assert!(matches!(error, Cause::Script { .. }), "{error}");
    let error = check("vcluster-missing: nft\n", "sudo -n ");
    assert!(
        matches!(&error, Cause::Missing(command) if command == "nft"),
        "{error}"
    );
}

#[tokio::test]
async fn a_script_that_hangs_is_ended_by_the_deadline() {
    let error = HostLink::local()
        .script("exec sleep 60", Duration::ZERO)
        .await
        .unwrap_err();
    assert!(matches!(error, Cause::Timeout(_)), "{error}");
}

#[test]
fn a_script_that_is_cut_short_anywhere_does_not_run_at_all() {
    use std::io::Write as _;
    let temp = tempfile::tempdir().unwrap();
    let mark = temp.path().join("ran");
    let script = as_block(&format!(
        "f() {{ touch {0}; }}\nf\ncat >{0} <<'EOF'\nsome\nlines\nEOF\nexit 0",
        mark.display()
    ));
    let run = |text: &str| {
        let mut child = std::process::Command::new("sh")
            .arg("-s")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait().unwrap();
        mark.exists()
    };
    let end = script.trim_end().len();
    for length in PREAMBLE.len()..end {
        assert!(!run(&script[..length]), "ran {:?}", &script[..length]);
    }
    assert!(run(&script[..end]));
}

#[tokio::test]
async fn a_stream_ends_with_its_script() {
    let mut pieces = HostLink::local()
        .stream_output("echo one; echo two", SECOND)
        .await
        .unwrap();
    let mut all = Vec::new();
    while let Some(piece) = pieces.recv().await {
        all.extend(piece);
    }
    assert_eq!(all, b"one\ntwo\n");
}
