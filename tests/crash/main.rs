//! The crash proof: the real binary is killed (SIGKILL) at every fault point and at random instants. After each
//! kill `up` must converge, or `down` must leave empty hosts; both are checked without vcluster.
//! Runs inside the lab's controller namespace, started by `scripts/crash-proof`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail, and its table is its purpose"
)]

mod args;
mod host;
mod judge;
mod list;
mod table;
mod world;

use std::process::ExitCode;
use std::time::Instant;

use args::Args;
use judge::Outcome;
use world::World;

/// Exit code that means "more to do" to `scripts/crash-proof`.
const MORE_TO_DO: u8 = 75;

fn main() -> ExitCode {
    let args = match Args::read(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(words) => {
            println!("{words}");
            return ExitCode::from(2);
        }
    };
    assert!(
        std::env::var_os("VCLUSTER_LAB_DIR").is_some(),
        "run the crash proof with `scripts/crash-proof`, or inside `scripts/lab run`"
    );
    let began = Instant::now();
    let mut world = World::new(&args.work);
    let mut done = table::read(&world.results_file());
    let plan = list::trials(&args, &mut world);
    for (number, trial) in plan.iter().enumerate() {
        if done.iter().any(|outcome| outcome.trial == *trial) {
            continue;
        }
        if args.budget.is_some_and(|budget| began.elapsed() > budget) {
            println!(
                "{} of {} trials done; continue with `scripts/crash-proof --resume`",
                done.len(),
                plan.len()
            );
            world.leave();
            return ExitCode::from(MORE_TO_DO);
        }
        let outcome = judge::run(&mut world, trial);
        say(number + 1, plan.len(), &outcome);
        table::note(&world.results_file(), &outcome);
        done.push(outcome);
    }
    world.leave();
    let done: Vec<Outcome> = done
        .into_iter()
        .filter(|outcome| plan.contains(&outcome.trial))
        .collect();
    let table = table::render(&args, &done);
    println!("{table}");
    if let Some(file) = &args.markdown {
        table::put(file, &table);
    }
    if done.iter().all(|outcome| outcome.fault.is_none()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn say(number: usize, of: usize, outcome: &Outcome) {
    let verdict = match &outcome.fault {
        None if outcome.killed => "ok",
        None => "ok (finished before the kill)",
        Some(fault) => fault,
    };
    println!(
        "{number}/{of} {}: {verdict} ({:.1} s)",
        outcome.trial, outcome.recovery
    );
}
