//! Runs a recipe in its own process group: its output goes to a log, its steps become events,
//! its result is moved into place only when it is complete.

use std::collections::VecDeque;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::cache::{self, Cache, CacheLock};
use super::error::ImageError;
use super::recipe::Recipe;
use crate::base::event::{Event, Events};

/// Time that a stopped recipe has to clean up.
const GRACE: Duration = Duration::from_secs(5);
/// Lines of output shown when a recipe fails without an `error:` line.
const TAIL: usize = 12;

/// What to build.
pub(super) struct Wanted<'a> {
    /// Image in the topology, for messages.
    pub(super) name: &'a str,
    pub(super) recipe: Recipe,
    pub(super) packages: &'a [String],
    pub(super) key: &'a str,
}

/// Builds into the cache, under the lock of the key.
pub(super) async fn run(
    cache: &Cache,
    wanted: &Wanted<'_>,
    lock: &CacheLock,
    cancel: &CancellationToken,
    events: &Events,
) -> Result<(), ImageError> {
    let making = cache.making(wanted.key);
    // Leftovers of a killed build; no other build uses the directory while we hold the lock.
    remove(&making)?;
    let built = in_directory(cache, wanted, lock, &making, cancel, events).await;
    let removed = remove(&making);
    built.and(removed)
}

async fn in_directory(
    cache: &Cache,
    wanted: &Wanted<'_>,
    lock: &CacheLock,
    making: &Path,
    cancel: &CancellationToken,
    events: &Events,
) -> Result<(), ImageError> {
    let (recipe, out, work) = (making.join("recipe"), making.join("out"), making.join("work"));
    wanted.recipe.write_to(&recipe)?;
    for dir in [&out, &work] {
        fs::create_dir_all(dir).map_err(ImageError::io("create", dir))?;
    }
    let log = cache.log(wanted.key);
    let mut child = Command::new("bash")
        // One stream for both, so that the log keeps the order.
        .args(["-c", "exec \"$@\" 2>&1", "bash"])
        .arg(recipe.join("build"))
        .arg(&out)
        .args(wanted.packages)
        .env("TMPDIR", &work)
        .env("VCLUSTER_DEB_CACHE", cache.debs(wanted.recipe))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(
            lock.for_child()
                .map_err(ImageError::io("share the lock of", making))?,
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(ImageError::io("start", &recipe.join("build")))?;

    let finished = tokio::select! {
        finished = follow(&mut child, wanted, &log, events) => Some(finished?),
        () = cancel.cancelled() => None,
    };
    let Some((status, tail)) = finished else {
        stop(&mut child).await;
        return Err(ImageError::Cancelled(wanted.name.to_owned()));
    };
    if !status.success() {
        return Err(ImageError::Build {
            image: wanted.name.to_owned(),
            recipe: wanted.recipe.name(),
            cause: cause(&tail, status),
            log,
        });
    }
    let manifest = out.join("image.json");
    let text = fs::read(&manifest).map_err(ImageError::io("read", &manifest))?;
    let built = cache::read(wanted.name, wanted.key, &out, &text)?;
    // Replaces an older build of the same key; guests never run from the cache.
    let place = cache.image_dir(wanted.key);
    remove(&place)?;
    fs::rename(&out, &place).map_err(ImageError::io("move into place", &place))?;
    let bytes = built.files.iter().map(|file| file.size).sum();
    events.emit(Event::Image {
        image: wanted.name.to_owned(),
        doing: "build".to_owned(),
        done: bytes,
        total: bytes,
    });
    Ok(())
}

type Finished = (std::process::ExitStatus, VecDeque<String>);

async fn follow(
    child: &mut Child,
    wanted: &Wanted<'_>,
    log: &Path,
    events: &Events,
) -> Result<Finished, ImageError> {
    let failed = || ImageError::io("write", log);
    let mut file = fs::File::create(log).map_err(failed())?;
    let mut tail = VecDeque::with_capacity(TAIL);
    if let Some(output) = child.stdout.take() {
        let mut lines = BufReader::new(output).split(b'\n');
        while let Some(line) = lines.next_segment().await.map_err(failed())? {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            writeln!(file, "{line}").map_err(failed())?;
            if let Some(step) = line.strip_prefix("==> ") {
                events.emit(Event::Image {
                    image: wanted.name.to_owned(),
                    doing: format!("build: {step}"),
                    done: 0,
                    total: 0,
                });
            }
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(line);
        }
    }
    let status = child
        .wait()
        .await
        .map_err(ImageError::io("wait for the build that writes", log))?;
    Ok((status, tail))
}

/// The recipe's own error line; without one, its exit status and the end of its output.
fn cause(tail: &VecDeque<String>, status: std::process::ExitStatus) -> String {
    if let Some(line) = tail.iter().rev().find_map(|line| line.strip_prefix("error: ")) {
        return line.to_owned();
    }
    let lines: Vec<&str> = tail.iter().map(String::as_str).collect();
    format!("{status}\n{}", lines.join("\n"))
}

async fn stop(child: &mut Child) {
    let Some(group) = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .map(Pid::from_raw)
    else {
        return;
    };
    // The group may be gone already; then there is nothing to stop.
    let _ = killpg(group, Signal::SIGTERM);
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
    // Whatever ignored the signal, and what the recipe itself left running.
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait().await;
}

fn remove(dir: &Path) -> Result<(), ImageError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ImageError::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}
