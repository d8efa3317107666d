//! Random instants. One that comes after the end of its command proves nothing, so another one is drawn for it.

use std::time::Duration;

use crate::judge::Outcome;
use crate::list::{Scene, Trial, When, recovery};

/// Draws for one instant before it is given up.
const DRAWS: usize = 5;

/// The instants of a proof. The same seed and results give the same instants, so that a proof can be resumed.
pub(crate) struct Instants {
    dice: Dice,
    /// How long each command takes: less than at first, if the machine is less busy than when it was measured.
    lasted: Vec<(Scene, Duration)>,
    drawn: Vec<Trial>,
}

impl Instants {
    pub(crate) fn new(seed: u64, lasted: Vec<(Scene, Duration)>) -> Self {
        Self {
            dice: Dice(seed),
            lasted,
            drawn: Vec::new(),
        }
    }

    /// Runs trials of the command of this number until one is killed before its end. `None` as soon as `run` gives it.
    pub(crate) fn attempt(
        &mut self,
        number: usize,
        mut run: impl FnMut(Trial) -> Option<Outcome>,
    ) -> Option<()> {
        let at = number % self.lasted.len();
        for _ in 0..DRAWS {
            let Some(trial) = self.draw(at) else { continue };
            let outcome = run(trial)?;
            if outcome.killed || outcome.fault.is_some() {
                break;
            }
            let (_, took) = &mut self.lasted[at];
            *took = Duration::from_secs_f64(outcome.took).min(*took);
        }
        Some(())
    }

    /// An instant that was not drawn before.
    fn draw(&mut self, at: usize) -> Option<Trial> {
        let (scene, took) = self.lasted[at];
        let trial = Trial {
            scene,
            when: When::Instant(self.dice.roll(took.as_millis() as u64)),
            recovery: recovery(scene, self.dice.roll(60) as usize),
        };
        let is_new = !self.drawn.contains(&trial);
        self.drawn.push(trial.clone());
        is_new.then_some(trial)
    }
}

/// splitmix64: the same seed gives the same instants.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }
}
