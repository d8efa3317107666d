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
mod instants;
mod judge;
mod list;
mod table;
mod world;

use std::process::ExitCode;
use std::time::Instant;

use args::Args;
use instants::Instants;
use judge::Outcome;
use list::Trial;
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
    let earlier = table::read(&world.results_file());
    let (points, lasted) = list::trials(&args, &mut world);
    let mut proof = Proof {
        args: &args,
        world,
        began,
        earlier,
        of: points.len() + args.random,
        done: Vec::new(),
    };
    let finished = proof.run(points, Instants::new(args.seed, lasted));
    proof.world.leave();
    let done = proof.done;
    if finished.is_none() {
        println!(
            "{} trials done; continue with `scripts/crash-proof --resume`",
            done.len()
        );
        return ExitCode::from(MORE_TO_DO);
    }
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

struct Proof<'a> {
    args: &'a Args,
    world: World,
    began: Instant,
    /// Results of earlier calls.
    earlier: Vec<Outcome>,
    /// Number of kills.
    of: usize,
    done: Vec<Outcome>,
}

impl Proof<'_> {
    /// Everything, or `None` once the time is over.
    fn run(&mut self, points: Vec<Trial>, mut instants: Instants) -> Option<()> {
        let first = points.len();
        for (index, trial) in points.into_iter().enumerate() {
            self.attempt(index + 1, trial)?;
        }
        for index in 0..self.args.random {
            instants.attempt(index, |trial| self.attempt(first + index + 1, trial))?;
        }
        Some(())
    }

    /// One trial, or its earlier result.
    fn attempt(&mut self, number: usize, trial: Trial) -> Option<Outcome> {
        let earlier = self.earlier.iter().find(|outcome| outcome.trial == trial);
        let outcome = if let Some(outcome) = earlier {
            outcome.clone()
        } else {
            if self
                .args
                .budget
                .is_some_and(|budget| self.began.elapsed() > budget)
            {
                return None;
            }
            let outcome = judge::run(&mut self.world, &trial);
            say(number, self.of, &outcome);
            table::note(&self.world.results_file(), &outcome);
            outcome
        };
        self.done.push(outcome.clone());
        Some(outcome)
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
