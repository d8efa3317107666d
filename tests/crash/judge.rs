//! One trial: kill, recover, judge.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host;
use crate::list::{Recovery, Scene, Trial, When};
use crate::world::{Kill, World};

/// What came of a trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) trial: Trial,
    /// Whether the kill came before the command was done.
    pub(crate) killed: bool,
    /// Seconds of the command that recovered.
    pub(crate) recovery: f64,
    /// What was wrong afterwards.
    pub(crate) fault: Option<String>,
}

pub(crate) fn run(world: &mut World, trial: &Trial) -> Outcome {
    let outcome = |killed, recovery, fault| Outcome {
        trial: trial.clone(),
        killed,
        recovery,
        fault,
    };
    // What a fresh cluster looks like is found out before the first one is killed.
    let needs_cluster = trial.scene.needs_cluster() || world.whole.is_none();
    if needs_cluster && !world.is_up {
        let (_, fault) = world.raise();
        if fault.is_some() {
            world.empty();
            return outcome(false, 0.0, fault.map(|fault| format!("before the kill: {fault}")));
        }
    }
    if !trial.scene.needs_cluster() && world.is_up {
        let (_, fault) = world.remove();
        if fault.is_some() {
            world.empty();
            return outcome(false, 0.0, fault.map(|fault| format!("before the kill: {fault}")));
        }
    }
    if trial.scene == Scene::UpBare {
        host::make_bare();
    }
    let args = World::verb(trial.scene.verb());
    let ran = match &trial.when {
        When::Point(name, number) => world.run(&args, Kill::Fault(&format!("kill:{name}:{number}"))),
        When::Instant(ms) => world.run(&args, Kill::After(Duration::from_millis(*ms))),
    };
    if !ran.killed && ran.code != Some(0) {
        let fault = format!("it was not killed and ended with {:?}: {}", ran.code, ran.stderr);
        world.empty();
        return outcome(false, 0.0, Some(fault));
    }
    world.is_up = false;
    let (recovered, fault) = match trial.recovery {
        Recovery::Up => world.raise(),
        Recovery::Down => world.remove(),
        Recovery::Elsewhere => world.remove_from_elsewhere(),
    };
    if fault.is_some() {
        world.empty();
    }
    outcome(ran.killed, recovered.took.as_secs_f64(), fault)
}
