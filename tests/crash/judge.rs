//! One trial: kill, recover, check.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host;
use crate::list::{Recovery, Scene, Trial, When};
use crate::world::{Kill, Shape, World};

/// The result of a trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) trial: Trial,
    /// Whether the kill came before the command was done.
    pub(crate) killed: bool,
    /// How long the command ran, in seconds.
    #[serde(default)]
    pub(crate) took: f64,
    /// Duration of the recovering command in seconds.
    pub(crate) recovery: f64,
    /// What was wrong afterwards, if anything.
    pub(crate) fault: Option<String>,
}

pub(crate) fn run(world: &mut World, trial: &Trial) -> Outcome {
    let outcome = |killed, took: Duration, recovery, fault| Outcome {
        trial: trial.clone(),
        killed,
        took: took.as_secs_f64(),
        recovery,
        fault,
    };
    if let Some(fault) = prepare(world, trial.scene) {
        world.empty();
        return outcome(
            false,
            Duration::ZERO,
            0.0,
            Some(format!("before the kill: {fault}")),
        );
    }
    if trial.scene == Scene::UpBare {
        host::make_bare();
    }
    let args = trial.scene.args();
    let ran = match &trial.when {
        When::Point(name, number) => world.run(args, Kill::Fault(&format!("kill:{name}:{number}"))),
        When::Instant(ms) => world.run(args, Kill::After(Duration::from_millis(*ms))),
    };
    if !ran.killed && ran.code != Some(0) {
        let fault = format!(
            "the command was not killed and exited with {:?}: {}",
            ran.code, ran.stderr
        );
        world.empty();
        return outcome(false, ran.took, 0.0, Some(fault));
    }
    world.up = None;
    let (recovered, fault) = match trial.recovery {
        Recovery::Up => world.raise(trial.scene.shape()),
        Recovery::Down => world.remove(),
        Recovery::Elsewhere => world.remove_from_elsewhere(),
        Recovery::Gc => world.remove_by(Scene::Gc),
        Recovery::Attach => world.attach(),
    };
    if fault.is_some() {
        world.empty();
    }
    outcome(ran.killed, ran.took, recovered.took.as_secs_f64(), fault)
}

/// Creates the initial state of the trial; returns what is wrong with it, if anything.
fn prepare(world: &mut World, scene: Scene) -> Option<String> {
    if let Some(fault) = world.know(scene.shape()) {
        return Some(fault);
    }
    let fault = match (scene.needs_cluster(), world.up) {
        (true, Some(Shape::Two)) | (false, None) => None,
        (true, _) => world.raise(Shape::Two).1,
        (false, Some(_)) => world.remove().1,
    };
    match scene {
        Scene::Gc if fault.is_none() => world.expire(),
        _ => fault,
    }
}
