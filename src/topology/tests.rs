//! Tests of the language through [`Topology::parse`].

use std::path::Path;

use super::*;

#[test]
fn scratch() {
    let Ok(file) = std::env::var("TOPOLOGY") else {
        return;
    };
    for file in file.split(',') {
        match Topology::load(file) {
            Ok(topology) => {
                println!("ok {} nodes", topology.nodes.len());
                if std::env::var_os("SHOW").is_some() {
                    let shared = crate::template::sample(&topology);
                    for step in &topology.configure {
                        println!("--- {} on {}", step.name, step.on.len());
                        match &step.action {
                            ConfigureAction::Template { text, to, .. } => {
                                let t = shared.compile(text, to).unwrap();
                                println!("{}", shared.render(&t, &step.on[step.on.len() - 1]).unwrap());
                            }
                            ConfigureAction::Run { command } => {
                                println!("{}", shared.render_text(command, "run", &step.on[0]).unwrap());
                            }
                            ConfigureAction::File { .. } => {}
                        }
                    }
                }
            }
            Err(d) => println!("{}", d.render(false)),
        }
    }
    let _ = Path::new("");
}
