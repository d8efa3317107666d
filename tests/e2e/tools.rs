//! Stock tools work with the files that vcluster exports.

use std::process::Command;

use crate::world::{World, json, program};

#[test]
fn stock_ssh_ansible_and_prometheus_files_work_with_the_nodes() {
    let world = World::new();
    world.topology("bm[01-02]", "groups: { web: { count: 2, place: spread } }\n");
    world.run(&["up"]).code(0);

    let lab = std::fs::read_to_string(std::env::var("VCLUSTER_SSH_CONFIG").unwrap()).unwrap();
    let ours = world.run(&["ssh-config"]).code(0).stdout;
    let config = world.write("ssh_config", &format!("{ours}\n{lab}"));
    let config = config.to_str().unwrap();
    let ssh = program(Command::new("ssh").args(["-F", config, "web002", "hostname"])).code(0);
    assert_eq!(ssh.stdout, "web002\n");

    let inventory = world.run(&["inventory"]).code(0).stdout;
    let inventory = world.write("inventory.yaml", &inventory);
    let ansible = program(
        Command::new("ansible")
            .args([
                "-i",
                inventory.to_str().unwrap(),
                "all",
                "-m",
                "raw",
                "-a",
                "hostname",
            ])
            .env("ANSIBLE_SSH_ARGS", format!("-F {config}"))
            .env("HOME", world.path("")),
    )
    .code(0);
    assert!(
        ansible.stdout.contains("web001") && ansible.stdout.contains("web002"),
        "{}",
        ansible.stdout
    );

    let targets = json(&world.run(&["targets", "--port", "9200"]).code(0).stdout);
    assert_eq!(targets[0]["targets"][0], "10.77.0.1:9200");
    assert_eq!(targets[0]["labels"]["group"], "web");
    let hosts = world.run(&["hosts"]).code(0).stdout;
    assert!(hosts.contains("10.77.0.2 web002\n"), "{hosts}");
    world.run(&["down", "-y"]).code(0);
}
