//! Steps in waves. Files touch only their own node, so consecutive file steps with the same fan-out form one wave, in
//! which the small ones go to a node as one script; a command may need other nodes, so it waits until the previous wave is
//! done everywhere.

use crate::topology::{ConfigureAction, ConfigureStep};

/// Steps that run together.
#[derive(Clone, Debug)]
pub enum Wave<'a> {
    /// Files and rendered templates, in order, all with the same fan-out.
    Files(Vec<&'a ConfigureStep>),
    /// One command, and its position among the commands: two of them may be equal, and both run.
    Run(&'a ConfigureStep, usize),
}

/// Splits steps into waves, keeping their order.
pub fn waves(steps: &[ConfigureStep]) -> Vec<Wave<'_>> {
    let mut waves: Vec<Wave<'_>> = Vec::new();
    let mut commands = 0;
    for step in steps {
        match (&step.action, waves.last_mut()) {
            (ConfigureAction::Run { .. }, _) => {
                waves.push(Wave::Run(step, commands));
                commands += 1;
            }
            (_, Some(Wave::Files(files))) if files.iter().all(|file| file.fanout == step.fanout) => {
                files.push(step);
            }
            (_, _) => waves.push(Wave::Files(vec![step])),
        }
    }
    waves
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn step(name: &str, run: bool) -> ConfigureStep {
        ConfigureStep {
            name: name.into(),
            on: vec![],
            action: if run {
                ConfigureAction::Run {
                    command: "true".into(),
                }
            } else {
                ConfigureAction::Template {
                    text: String::new(),
                    source: None,
                    to: "/x".into(),
                    mode: 0o644,
                    owner: None,
                }
            },
            timeout: Duration::from_secs(1),
            fanout: None,
            at: None,
        }
    }

    #[test]
    fn files_go_together_and_commands_keep_their_place() {
        let steps = [
            step("a", false),
            step("b", false),
            step("c", true),
            step("d", true),
            step("e", false),
        ];
        assert_eq!(shape(&steps), ["ab", "run c 0", "run d 1", "e"]);
    }

    #[test]
    fn files_with_different_fan_outs_do_not_go_together() {
        let with = |name: &str, fanout| ConfigureStep {
            fanout,
            ..step(name, false)
        };
        let steps = [
            with("a", None),
            with("b", Some(2)),
            with("c", Some(2)),
            with("d", Some(1)),
            with("e", None),
            with("f", None),
        ];
        assert_eq!(shape(&steps), ["a", "bc", "d", "ef"]);
    }

    fn shape(steps: &[ConfigureStep]) -> Vec<String> {
        waves(steps)
            .iter()
            .map(|wave| match wave {
                Wave::Files(steps) => steps.iter().map(|step| step.name.as_str()).collect::<String>(),
                Wave::Run(step, position) => format!("run {} {position}", step.name),
            })
            .collect()
    }
}
