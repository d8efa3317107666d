//! The supervisor program: how it is copied to a node and called there.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::{Kind, Step};
use crate::base::digest::hex;
use crate::base::shell::quote;

/// The program; empty if it could not be built for the nodes' architecture.
pub(super) static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vcluster-guest"));

/// Its directory on a node. Not in `/run`: Debian mounts that with `noexec`.
const DIRECTORY: &str = "/var/lib/vcluster";

/// Added to the user's timeout for the supervisor's own limit, which ends steps whose controller is dead.
const SPARE_MS: u128 = 60_000;

/// The path contains a digest of the program, so that controllers of different versions do not conflict.
fn path() -> &'static str {
    // The digest of the whole program is taken once, not for each step of each node.
    static PATH: LazyLock<String> =
        LazyLock::new(|| format!("{DIRECTORY}/guest-{}", hex(&Sha256::digest(PROGRAM)[..8])));
    &PATH
}

/// The command line that installs the program from standard input and then does what this line of it says.
pub(super) fn bring_and(line: &str) -> String {
    let (path, size) = (path(), PROGRAM.len());
    let script = format!(
        "t={DIRECTORY}/.new.$$; mkdir -p {DIRECTORY} && head -c {size} >$t && [ \"$(wc -c <$t)\" -eq {size} ] && \
         chmod 700 $t && mv -f $t {path} && exec {line}"
    );
    format!("sh -c {}", quote(&script))
}

/// The command line that starts the step on a node that has the program.
pub(super) fn run(step: &Step, waits: bool) -> String {
    let mut flags = String::from("-");
    if step.kind == Kind::Configure {
        flags.push('c');
    }
    if waits {
        flags.push('b');
    }
    // A limit of 0 would be no limit.
    let limit = step.timeout.as_millis() + SPARE_MS;
    let watch = quote(&format!("watch={}", step.watch.join(",")));
    let (id, owner, command) = (quote(&step.id), quote(&step.owner), quote(&step.command));
    format!("{} run {id} {owner} {limit} {flags} {watch} {command}", path())
}

/// The command line that attaches to a step and continues its output.
pub(super) fn attach(step: &Step, [out, err]: [u64; 2]) -> String {
    format!(
        "{} attach {} {} {out} {err}",
        path(),
        quote(&step.id),
        quote(&step.owner)
    )
}

/// An order to the supervisor.
pub(super) fn order(letter: u8, [first, second]: [u64; 2]) -> Vec<u8> {
    [&[letter][..], &first.to_be_bytes(), &second.to_be_bytes()].concat()
}
