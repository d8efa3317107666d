//! The list of trials: traces show which points each verb passes.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::host;
use crate::world::{Kill, Shape, World};

/// The command that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scene {
    /// `up` on hosts without images.
    UpBare,
    /// `up`.
    Up,
    /// `up` of a topology that lost a node, and with it a host.
    Shrink,
    Configure,
    Restart,
    Recreate,
    Run,
    Extend,
    /// `gc` of the cluster, whose lease has ended.
    Gc,
    Down,
}

/// When it is killed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    /// At the N-th point of this name.
    Point(String, u64),
    /// After this many milliseconds.
    Instant(u64),
}

/// The command that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Recovery {
    /// `up` again, which must give the same result as a fresh `up`.
    Up,
    /// `down`.
    Down,
    /// `down` from another controller without any state.
    Elsewhere,
    /// `gc`, as a timer would run it next.
    Gc,
    /// `run --attach`, which must give the same result as a run.
    Attach,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) scene: Scene,
    pub(crate) when: When,
    pub(crate) recovery: Recovery,
}

impl Scene {
    pub(crate) const ALL: [Self; 10] = [
        Self::UpBare,
        Self::Up,
        Self::Shrink,
        Self::Configure,
        Self::Restart,
        Self::Recreate,
        Self::Run,
        Self::Extend,
        Self::Gc,
        Self::Down,
    ];

    /// The arguments of the command.
    pub(crate) fn args(self) -> &'static [&'static str] {
        match self {
            Self::UpBare | Self::Up => Shape::Two.up(),
            Self::Shrink => Shape::One.up(),
            Self::Configure => &["configure", "topology.yaml"],
            Self::Restart => &["restart", "-c", "topology.yaml", "-w", "@all"],
            Self::Recreate => &["recreate", "-c", "topology.yaml", "-w", "@all", "-y"],
            Self::Run => &["run", "topology.yaml"],
            Self::Extend => &["extend", "topology.yaml"],
            Self::Gc => &["gc", "topology.yaml", "-y"],
            Self::Down => &["down", "topology.yaml", "-y"],
        }
    }

    /// The shape of the cluster after the command, or after `up` again.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::Shrink => Shape::One,
            _ => Shape::Two,
        }
    }

    /// Whether the cluster must be up before.
    pub(crate) fn needs_cluster(self) -> bool {
        !matches!(self, Self::UpBare | Self::Up)
    }

    /// The shape of the cluster after the command; `None` if it is removed.
    fn leaves(self) -> Option<Shape> {
        match self {
            Self::Gc | Self::Down => None,
            _ => Some(self.shape()),
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::UpBare => "`up`, bare hosts",
            Self::Up => "`up`",
            Self::Shrink => "`up`, one node and one host fewer",
            Self::Configure => "`configure`",
            Self::Restart => "`restart`",
            Self::Recreate => "`recreate`",
            Self::Run => "`run`",
            Self::Extend => "`extend`",
            Self::Gc => "`gc`",
            Self::Down => "`down`",
        }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.scene.title();
        match &self.when {
            When::Point(name, number) => write!(f, "{verb} killed at `{name}` #{number}")?,
            When::Instant(ms) => write!(f, "{verb} killed after {ms} ms")?,
        }
        f.write_str(match self.recovery {
            Recovery::Up => ", up again",
            Recovery::Down => ", down",
            Recovery::Elsewhere => ", down from elsewhere",
            Recovery::Gc => ", gc again",
            Recovery::Attach => ", run --attach",
        })
    }
}

/// The trials at fault points, in order, and how long each command takes. Traces of an earlier call are reused.
pub(crate) fn trials(args: &Args, world: &mut World) -> (Vec<Trial>, Vec<(Scene, Duration)>) {
    let mut all = Vec::new();
    let mut lasted = Vec::new();
    let mut seen_warm = Vec::new();
    // The warm `up` comes first, so that the bare one is tried only at points that it adds.
    for scene in [
        Scene::Up,
        Scene::UpBare,
        Scene::Shrink,
        Scene::Configure,
        Scene::Restart,
        Scene::Recreate,
        Scene::Run,
        Scene::Extend,
        Scene::Gc,
        Scene::Down,
    ] {
        if scene == Scene::UpBare && !args.bare {
            continue;
        }
        let (points, took) = trace(world, scene);
        let points: Vec<_> = match scene {
            Scene::Up => {
                seen_warm.clone_from(&points);
                points
            }
            Scene::UpBare => points
                .into_iter()
                .filter(|point| !seen_warm.contains(point))
                .collect(),
            _ => points,
        };
        lasted.push((scene, took));
        for (index, (name, number)) in points.into_iter().enumerate() {
            all.push(Trial {
                scene,
                when: When::Point(name, number),
                recovery: recovery(scene, index),
            });
        }
    }
    all.sort_by_key(|trial| Scene::ALL.iter().position(|scene| *scene == trial.scene));
    if let Some(wanted) = args.points {
        let count = all.len();
        let mut index = 0..count;
        all.retain(|_| {
            let at = index.next().unwrap_or(0);
            // Even steps through all of them.
            (at * wanted) / count != ((at + 1) * wanted) / count
        });
    }
    (all, lasted)
}

/// The recovery of the trial with this number. A cluster that stays up saves the next trial a boot, so trials that
/// start with a cluster mostly keep it.
pub(crate) fn recovery(scene: Scene, index: usize) -> Recovery {
    let turns: &[Recovery] = match scene {
        Scene::Run => &[
            Recovery::Attach,
            Recovery::Up,
            Recovery::Attach,
            Recovery::Down,
            Recovery::Attach,
            Recovery::Elsewhere,
        ],
        Scene::Configure | Scene::Extend => &[
            Recovery::Up,
            Recovery::Up,
            Recovery::Down,
            Recovery::Up,
            Recovery::Up,
            Recovery::Elsewhere,
        ],
        Scene::Gc => &[Recovery::Gc, Recovery::Up, Recovery::Gc, Recovery::Down],
        _ => &[Recovery::Up, Recovery::Down, Recovery::Elsewhere],
    };
    turns[index % turns.len()]
}

type Points = Vec<(String, u64)>;

/// The points that a verb passes, and how long it takes.
fn trace(world: &mut World, scene: Scene) -> (Points, Duration) {
    let key = serde_json::to_value(scene).unwrap();
    let file = world.path(&format!("trace-{}", key.as_str().unwrap()));
    let time = world.path(&format!("time-{}", key.as_str().unwrap()));
    if !time.exists() {
        match scene {
            Scene::UpBare => host::make_bare(),
            // Uploads the image to the hosts.
            Scene::Up => {
                let (_, fault) = world.raise(Shape::Two);
                assert_eq!(fault, None);
                let (_, fault) = world.remove();
                assert_eq!(fault, None);
            }
            _ => {}
        }
        if scene.needs_cluster() && world.up != Some(Shape::Two) {
            let (_, fault) = world.raise(Shape::Two);
            assert_eq!(fault, None);
        }
        if scene == Scene::Gc {
            assert_eq!(world.expire(), None);
        }
        let _ = std::fs::remove_file(&file);
        let fault = format!("trace:{}", file.display());
        let ran = world.run(scene.args(), Kill::Fault(&fault));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        std::fs::write(&time, ran.took.as_millis().to_string()).unwrap();
        world.up = scene.leaves();
        if !scene.needs_cluster() {
            let (_, fault) = world.remove();
            assert_eq!(fault, None);
        }
    }
    let mut count: HashMap<String, u64> = HashMap::new();
    let points = std::fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|name| {
            let number = count.entry(name.to_owned()).or_default();
            *number += 1;
            (name.to_owned(), *number)
        })
        .collect();
    let took = std::fs::read_to_string(time).unwrap().parse().unwrap();
    (points, Duration::from_millis(took))
}
