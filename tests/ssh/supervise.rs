//! Steps under the supervisor, on OpenSSH and on Dropbear with busybox: they outlive their connections.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use vcluster::base::event::Stream;
use vcluster::ssh::{Nodes, Reach, Via};
use vcluster::supervise::{self, Discard, End, Ended, Gate, Kind, Lost, Sink, Step, StepError, Way};

use crate::server::{LIMIT, Server, asleep, wait_until};

static COUNT: AtomicU32 = AtomicU32::new(0);

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) stdout: Vec<u8>,
    stderr: Vec<u8>,
    ended: u32,
    /// Cuts the connection once this many bytes have arrived.
    cut: Option<(Arc<vcluster::ssh::Session>, usize)>,
    /// Written once any output has arrived.
    seen: Option<PathBuf>,
}

impl Sink for Kept {
    fn take(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(bytes),
            Stream::Stderr => self.stderr.extend_from_slice(bytes),
        }
        if let Some(seen) = self.seen.take() {
            std::fs::write(seen, "")?;
        }
        if let Some((session, at)) = &self.cut
            && self.stdout.len() >= *at
        {
            session.cut();
            self.cut = None;
        }
        Ok(())
    }

    fn ended(&mut self, _: &End, _: Option<&StepError>) -> io::Result<()> {
        self.ended += 1;
        Ok(())
    }
}

pub(crate) fn nodes(server: &Server) -> Nodes {
    Nodes::new([Reach {
        target: server.node("node"),
        via: Via::Direct,
        host: "node".into(),
    }])
}

pub(crate) fn step(command: &str) -> Step {
    let number = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
    let process = std::process::id().to_string();
    Step {
        kind: Kind::Workload,
        id: supervise::id(Kind::Workload, &[&process, &number]),
        owner: "test".into(),
        command: command.into(),
        timeout: Duration::from_mins(1),
        watch: Vec::new(),
        begun: false,
        arrived: None,
    }
}

pub(crate) async fn follow(nodes: &Nodes, step: &Step, kept: &mut Kept) -> Result<End, StepError> {
    with_gate(nodes, step, None, &CancellationToken::new(), kept).await
}

async fn with_gate(
    nodes: &Nodes,
    step: &Step,
    gate: Option<Gate<'_>>,
    cancel: &CancellationToken,
    kept: &mut Kept,
) -> Result<End, StepError> {
    let way = Way {
        nodes,
        node: "node",
        cancel,
        start_timeout: Duration::from_secs(30),
    };
    supervise::follow(&way, step, gate, kept).await
}

/// Follows a step until something is so, then leaves it running, as a controller does that is killed.
pub(crate) async fn leave(nodes: &Nodes, step: &Step, kept: &mut Kept, what: &str, is_so: impl Fn() -> bool) {
    tokio::select! {
        ended = follow(nodes, step, kept) => panic!("it ended before {what}: {ended:?}"),
        () = wait_until(what, is_so) => {}
    }
}

/// Asserts that nothing of a step is left on its node.
pub(crate) fn gone(step: &Step) {
    let directory = format!("/run/vcluster/steps/{}", step.id);
    let begun = Instant::now();
    while std::path::Path::new(&directory).exists() {
        assert!(begun.elapsed() < LIMIT, "{directory} is left");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn basics(server: Server) {
    let nodes = nodes(&server);
    let mut kept = Kept::default();
    let failing = step("echo out; echo err >&2; pwd; exit 3");
    let end = follow(&nodes, &failing, &mut kept).await.unwrap();
    assert_eq!(end.ended, Ended::Exit(3));
    let home = server.directory.path().display();
    assert_eq!(String::from_utf8(kept.stdout).unwrap(), format!("out\n{home}\n"));
    assert_eq!((kept.stderr.as_slice(), kept.ended), (&b"err\n"[..], 1));
    gone(&failing);
    // The same step again, directly after the first.
    let again = step("kill -SEGV $$");
    for _ in 0..10 {
        let end = follow(&nodes, &again, &mut Kept::default()).await.unwrap();
        assert_eq!(end.ended, Ended::Signal("SEGV".into()));
    }
    // Its standard input is empty, and a process left in the background delays its end only briefly.
    let begun = Instant::now();
    let patient = Step {
        timeout: Duration::from_mins(10),
        ..step("cat; sleep 600 & echo $!")
    };
    let end = follow(&nodes, &patient, &mut Kept::default()).await.unwrap();
    assert_eq!(end.ended, Ended::Exit(0));
    assert!(begun.elapsed() < LIMIT);
    nodes.close().await;
}

async fn barrier(server: Server) {
    let nodes = nodes(&server);
    let cancel = CancellationToken::new();
    let waiting = step("echo started");
    for open in [true, false] {
        let mut kept = Kept::default();
        let session = nodes.session("node").await.unwrap();
        let gate = async {
            // The connection is lost while it waits.
            session.cut();
            tokio::time::sleep(Duration::from_secs(1)).await;
            open
        };
        let ended = with_gate(&nodes, &waiting, Some(gate.boxed()), &cancel, &mut kept).await;
        match ended {
            Ok(end) if open => assert_eq!((end.ended, kept.stdout), (Ended::Exit(0), b"started\n".to_vec())),
            Err(StepError::Barrier) if !open => assert_eq!(kept.stdout, b""),
            other => panic!("{open}: {other:?}"),
        }
        gone(&waiting);
    }
    nodes.close().await;
}

async fn time_runs_out(server: Server) {
    let nodes = nodes(&server);
    let mark = format!("31{}", std::process::id());
    let late = Step {
        timeout: Duration::from_secs(3),
        ..step(&format!(
            "echo begun; sleep {mark} & (trap '' TERM; sleep {mark}); wait"
        ))
    };
    let mut kept = Kept::default();
    match follow(&nodes, &late, &mut kept).await {
        Err(StepError::TimedOut {
            doing: Some(doing), ..
        }) => {
            assert!(
                doing.lines().filter(|line| line.contains(&mark)).count() >= 2,
                "{doing}"
            );
            assert!(doing.contains("sleeps"), "{doing}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(kept.stdout, b"begun\n");
    assert!(!asleep(&mark));
    gone(&late);

    // A process that waits for input is reported as such.
    let reads = Step {
        timeout: Duration::from_secs(3),
        ..step("mkfifo $HOME/never; exec 3<>$HOME/never; read x <&3")
    };
    match follow(&nodes, &reads, &mut Kept::default()).await {
        Err(StepError::TimedOut {
            doing: Some(doing), ..
        }) => {
            assert!(
                doing.contains("reads standard input (") && doing.contains("/never)"),
                "{doing}"
            );
        }
        other => panic!("{other:?}"),
    }

    let cancel = CancellationToken::new();
    let long = step(&format!("sleep {mark}"));
    tokio::spawn({
        let cancel = cancel.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancel.cancel();
        }
    });
    let ended = with_gate(&nodes, &long, None, &cancel, &mut Kept::default()).await;
    assert!(matches!(ended, Err(StepError::Interrupted)), "{ended:?}");
    assert!(!asleep(&mark));
    gone(&long);
    nodes.close().await;
}

async fn lost_connections(server: Server) {
    let nodes = nodes(&server);
    let counts = step("i=0; while [ $i -lt 60 ]; do echo $i; echo e$i >&2; i=$((i + 1)); sleep 0.05; done");
    let mut kept = Kept {
        cut: Some((nodes.session("node").await.unwrap(), 40)),
        ..Kept::default()
    };
    let end = follow(&nodes, &counts, &mut kept).await.unwrap();
    let wanted = |mark: &str| (0..60).map(|i| format!("{mark}{i}\n")).collect::<String>();
    assert_eq!(end.ended, Ended::Exit(0));
    assert_eq!(String::from_utf8(kept.stdout).unwrap(), wanted(""));
    assert_eq!(String::from_utf8(kept.stderr).unwrap(), wanted("e"));
    assert_eq!(end.lost, supervise::Lost::default());

    // Much more than any buffer between them holds.
    let size = 40_000_000;
    let file = server.directory.path().join("bulk");
    let bulk = step(&format!("head -c {size} /dev/urandom | tee {}", file.display()));
    for at in [100_000, 8_000_000, 30_000_000] {
        let mut kept = Kept {
            cut: Some((nodes.session("node").await.unwrap(), at)),
            ..Kept::default()
        };
        let end = follow(&nodes, &bulk, &mut kept).await.unwrap();
        assert_eq!((end.ended, kept.ended), (Ended::Exit(0), 1));
        assert!(
            kept.stdout == std::fs::read(&file).unwrap(),
            "{} of {size} bytes",
            kept.stdout.len()
        );
    }
    gone(&bulk);
    nodes.close().await;
}

async fn killed_controller(server: Server) {
    let nodes = nodes(&server);
    let (seen, go) = (server.path("seen"), server.path("go"));
    let long = step(&format!(
        "for i in 1 2 3; do echo $i; done; until [ -e {} ]; do sleep 0.1; done; for i in 4 5 6; do echo $i; done",
        go.display()
    ));
    let mut first = Kept {
        seen: Some(seen.clone()),
        ..Kept::default()
    };
    leave(&nodes, &long, &mut first, "its first output", || seen.exists()).await;
    let away = Duration::from_secs(1);
    tokio::time::sleep(away).await;
    std::fs::write(go, "").unwrap();
    let resumed = Step {
        arrived: Some([first.stdout.len() as u64, 0]),
        ..long.clone()
    };
    // A second process, with the positions that the first one stored.
    let others = self::nodes(&server);
    let mut second = Kept::default();
    let end = follow(&others, &resumed, &mut second).await.unwrap();
    assert_eq!(end.ended, Ended::Exit(0));
    // From its start, which the second process did not see.
    assert!(end.took >= away, "{:?}", end.took);
    assert!(!first.stdout.is_empty());
    assert_eq!([first.stdout, second.stdout].concat(), b"1\n2\n3\n4\n5\n6\n");
    let again = follow(&others, &resumed, &mut Kept::default()).await;
    assert!(matches!(again, Err(StepError::Gone)), "{again:?}");

    // Stopping a step, and one that does not exist.
    let mark = format!("32{}", std::process::id());
    let left = step(&format!("sleep {mark}"));
    leave(&nodes, &left, &mut Kept::default(), "its start", || asleep(&mark)).await;
    let cancel = CancellationToken::new();
    for was_there in [true, false] {
        let stopped = supervise::stop(&others, "node", &left, &mut Discard, &cancel).await;
        assert_eq!(stopped.unwrap(), was_there);
        assert!(!asleep(&mark));
    }
    gone(&left);
    nodes.close().await;
    others.close().await;
}

/// A node whose step has started does not wait at the barrier, and a barrier that breaks does not end it.
async fn started_before_the_gate(server: Server) {
    let nodes = nodes(&server);
    let (seen, go) = (server.path("seen"), server.path("go"));
    let long = step(&format!(
        "echo started; until [ -e {} ]; do sleep 0.1; done; echo done",
        go.display()
    ));
    let mut first = Kept {
        seen: Some(seen.clone()),
        ..Kept::default()
    };
    leave(&nodes, &long, &mut first, "its start", || seen.exists()).await;
    let others = self::nodes(&server);
    let mut kept = Kept::default();
    let gate = async { false };
    let cancel = CancellationToken::new();
    let let_it_end = async {
        // Long enough for the barrier to break while the step runs.
        tokio::time::sleep(Duration::from_secs(2)).await;
        std::fs::write(go, "").unwrap();
    };
    let followed = with_gate(&others, &long, Some(gate.boxed()), &cancel, &mut kept);
    let (end, ()) = tokio::join!(followed, let_it_end);
    assert_eq!(end.unwrap().ended, Ended::Exit(0));
    // Without a position, the output arrives from the beginning, as far as the first command had not confirmed it.
    assert!(kept.stdout.ends_with(b"done\n"), "{:?}", kept.stdout);
    // Its time is that from its start.
    let (most, time) = (Duration::from_secs(16), Duration::from_secs(20));
    let late = Step {
        timeout: time,
        ..step("sleep 600")
    };
    let cut = tokio::time::timeout(most, follow(&nodes, &late, &mut Kept::default())).await;
    assert!(cut.is_err());
    let begun = Instant::now();
    let ended = follow(&others, &late, &mut Kept::default()).await;
    assert!(matches!(ended, Err(StepError::TimedOut { .. })), "{ended:?}");
    // 4 s are left, and it would be the whole time if that began again.
    assert!(begun.elapsed() < time, "{:?}", begun.elapsed());
    nodes.close().await;
    others.close().await;
}

/// What a command leaves in the background belongs to the step as long as it writes to its output.
async fn background(server: Server) {
    let nodes = nodes(&server);
    let mark = format!("34{}", std::process::id());
    // It does not hold the output: it stays.
    let daemon = step(&format!("sleep {mark} >/dev/null 2>&1 & echo $!"));
    let mut kept = Kept::default();
    let end = follow(&nodes, &daemon, &mut kept).await.unwrap();
    assert_eq!(end.ended, Ended::Exit(0));
    gone(&daemon);
    assert!(asleep(&mark));
    let pid = String::from_utf8(kept.stdout).unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    // It writes: the step lasts, and at its timeout the report names what was ended.
    let server_like = Step {
        timeout: Duration::from_secs(4),
        ..step("(while sleep 0.3; do echo tick; done) & exit 0")
    };
    match follow(&nodes, &server_like, &mut Kept::default()).await {
        Err(StepError::TimedOut {
            doing: Some(doing), ..
        }) => {
            assert!(doing.starts_with("the command itself has ended"), "{doing}");
            assert!(doing.contains("sleep 0.3"), "{doing}");
        }
        other => panic!("{other:?}"),
    }
    gone(&server_like);
    nodes.close().await;
}

/// More output than is kept for a controller that is away is not lost, whatever ends the step.
async fn away(server: Server) {
    let nodes = nodes(&server);
    let size = (4 << 20) + 30_000;
    let file = server.directory.path().join("away");
    let make = format!(
        "echo begun; sleep 3; head -c {size} /dev/urandom | tee {}",
        file.display()
    );
    for (then, is_over) in [("exit 3", true), ("sleep 60", false)] {
        let bulk = step(&format!("{make}; {then}"));
        let mut first = Kept::default();
        let cut = tokio::time::timeout(Duration::from_secs(2), follow(&nodes, &bulk, &mut first)).await;
        assert!(cut.is_err());
        // The pipe is full, and silent for longer than the grace of a daemon's output.
        tokio::time::sleep(Duration::from_secs(6)).await;
        let resumed = Step {
            arrived: Some([first.stdout.len() as u64, 0]),
            timeout: Duration::from_secs(if is_over { 60 } else { 1 }),
            ..bulk.clone()
        };
        let others = self::nodes(&server);
        let mut second = Kept::default();
        match follow(&others, &resumed, &mut second).await {
            Ok(end) if is_over => assert!(
                end.ended == Ended::Exit(3) && end.lost == Lost::default(),
                "{end:?}"
            ),
            Err(StepError::TimedOut { doing: Some(_), .. }) if !is_over => {}
            other => panic!("{other:?}"),
        }
        let all = [first.stdout, second.stdout].concat();
        let wanted = [b"begun\n".to_vec(), std::fs::read(&file).unwrap()].concat();
        assert!(all == wanted, "{} of {} bytes", all.len(), wanted.len());
        gone(&bulk);
        others.close().await;
    }
    nodes.close().await;
}

/// What a step keeps on its node is only for root, and its command line is nowhere but in the step itself.
async fn only_for_root(server: Server) {
    let nodes = nodes(&server);
    let word = format!("secret-word-{}-{}", std::process::id(), server.port);
    let long = step(&format!("echo begun; sleep 4; : {word}"));
    let mode = |path: &Path| {
        let found = std::fs::symlink_metadata(path).unwrap();
        (found.uid(), found.mode() & 0o7777)
    };
    let directory = Path::new("/run/vcluster/steps").join(&long.id);
    let check = async {
        wait_until("the step is started", || directory.join("socket").exists()).await;
        // The processes that start it show it only briefly.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(holders(&word), 1);
        for path in [directory.as_path(), directory.parent().unwrap()] {
            assert_eq!(mode(path), (0, 0o700), "{}", path.display());
        }
        let programs: Vec<_> = std::fs::read_dir("/var/lib/vcluster")
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("guest-"))
            .collect();
        assert!(!programs.is_empty());
        for program in programs {
            assert_eq!(mode(&program), (0, 0o700), "{}", program.display());
        }
    };
    let mut kept = Kept::default();
    let (end, ()) = tokio::join!(follow(&nodes, &long, &mut kept), check);
    assert_eq!(end.unwrap().ended, Ended::Exit(0));
    gone(&long);
    nodes.close().await;
}

/// How many processes have this word in their command line.
fn holders(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let commands = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let holds = |command: &Vec<u8>| String::from_utf8_lossy(command).contains(word);
    commands.filter(holds).count()
}

macro_rules! on_both {
    ($($name:ident $openssh:ident $dropbear:ident),*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $openssh() {
            $name(Server::openssh("")).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $dropbear() {
            $name(Server::dropbear()).await;
        }
    )* };
}

on_both!(
    basics steps_end_as_commands_do_on_openssh steps_end_as_commands_do_on_dropbear,
    barrier a_barrier_is_kept_over_a_lost_connection_on_openssh a_barrier_is_kept_over_a_lost_connection_on_dropbear,
    time_runs_out a_step_that_is_late_is_ended_with_a_report_on_openssh a_step_that_is_late_is_ended_with_a_report_on_dropbear,
    lost_connections output_comes_once_whole_and_in_order_on_openssh output_comes_once_whole_and_in_order_on_dropbear,
    killed_controller a_killed_controllers_step_is_found_on_openssh a_killed_controllers_step_is_found_on_dropbear,
    started_before_the_gate a_started_step_waits_at_no_barrier_on_openssh a_started_step_waits_at_no_barrier_on_dropbear,
    background a_daemon_that_is_ended_is_named_on_openssh a_daemon_that_is_ended_is_named_on_dropbear,
    away output_that_nobody_takes_is_kept_on_openssh output_that_nobody_takes_is_kept_on_dropbear,
    only_for_root what_a_step_keeps_is_only_for_root_on_openssh what_a_step_keeps_is_only_for_root_on_dropbear
);

/// At the deadline the connection is gone, and the login takes longer than the time in which a step is ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_ended_in_time_has_passed_even_if_that_is_seen_late() {
    let server = Server::openssh("");
    let nodes = nodes(&server);
    let brief = Step {
        timeout: Duration::from_secs(4),
        ..step("sleep 2; echo done")
    };
    let session = nodes.session("node").await.unwrap();
    let absent = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        server.suspend();
        session.cut();
        tokio::time::sleep(Duration::from_secs(15)).await;
        server.resume();
    };
    let mut kept = Kept::default();
    let (end, ()) = tokio::join!(follow(&nodes, &brief, &mut kept), absent);
    let end = end.unwrap();
    assert_eq!((end.ended, kept.ended), (Ended::Exit(0), 1));
    assert!(end.took < Duration::from_secs(4), "{:?}", end.took);
    assert_eq!(kept.stdout, b"done\n");
    nodes.close().await;
}

/// A node has at most one configuration step: the leftover of a killed controller is ended, the same step is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_step_is_the_only_one_on_its_node_and_does_not_run_twice() {
    let server = Server::openssh("");
    let nodes = nodes(&server);
    let mark = format!("33{}", std::process::id());
    let configure = |command: &str, owner: &str| Step {
        kind: Kind::Configure,
        id: supervise::id(Kind::Configure, &[&mark, command]),
        owner: owner.into(),
        ..step(command)
    };
    let old = configure(&format!("sleep {mark}"), "first");
    leave(&nodes, &old, &mut Kept::default(), "its start", || asleep(&mark)).await;
    let count = server.path("count");
    let counts = format!("echo x >>{}; sleep 5; echo done", count.display());
    let (new, mut kept) = (configure(&counts, "first"), Kept::default());
    leave(&nodes, &new, &mut kept, "its start", || count.exists()).await;
    assert!(!asleep(&mark), "the old step still runs");
    // While it runs it is continued; once it has ended it is started again.
    for (owner, wanted) in [("second", "x\n"), ("third", "x\nx\n")] {
        let mut kept = Kept::default();
        let end = follow(&nodes, &configure(&counts, owner), &mut kept)
            .await
            .unwrap();
        assert_eq!(
            (end.ended, kept.stdout.as_slice()),
            (Ended::Exit(0), &b"done\n"[..])
        );
        assert_eq!(std::fs::read_to_string(server.path("count")).unwrap(), wanted);
    }
    nodes.close().await;
}
