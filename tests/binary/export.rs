//! The formats for other tools: no host is contacted.

use crate::recorded::recorded;

#[test]
fn hosts_are_lines_for_etc_hosts() {
    let ran = recorded().args(["hosts"]).run().code(0).says_nothing();
    assert_output!(ran);
    assert_eq!(
        ran.stdout,
        "127.0.0.1 localhost\n10.77.0.1 web001\n10.77.0.2 web002\n"
    );
    let ran = recorded()
        .args(["hosts", "--format", "json"])
        .run()
        .code(0)
        .says_nothing();
    assert_eq!(ran.json()["web002"], "10.77.0.2");
}

#[test]
fn targets_are_those_of_prometheus() {
    let ran = recorded()
        .args(["targets", "--port", "9200"])
        .run()
        .code(0)
        .says_nothing();
    assert_output!(ran);
    let target = &ran.json()[1];
    assert_eq!(target["targets"][0], "10.77.0.2:9200");
    assert_eq!(target["labels"]["host"], "bm01");
}

#[test]
fn an_inventory_reaches_nodes_through_their_host() {
    let ran = recorded()
        .args(["inventory", "--format", "json", "--nodes", "web001"])
        .run()
        .code(0)
        .says_nothing();
    assert_output!(ran);
    let node = &ran.json()["all"]["children"]["web"]["hosts"]["web001"];
    assert_eq!(node["ansible_host"], "10.77.0.1");
    let arguments = node["ansible_ssh_common_args"].as_str().unwrap();
    let hop = "-o 'ProxyCommand=ssh -p 1 -l root -W %h:%p 127.0.0.1'";
    assert!(arguments.ends_with(hop), "{arguments}");
    let ran = recorded().args(["inventory"]).run().code(0).says_nothing();
    ran.prints("all:\n  children:\n    web:\n");
}

#[test]
fn an_ssh_config_reaches_nodes_through_their_host_and_trusts_only_their_keys() {
    let ran = recorded()
        .args(["ssh-config"])
        .run()
        .code(0)
        .says_nothing()
        .prints("Host web001 web001.demo\n")
        .prints("  StrictHostKeyChecking yes\n")
        .prints("  ProxyCommand ssh -p 1 -l root -W %h:%p 127.0.0.1\n");
    assert_output!(ran);
}

#[test]
fn a_config_of_the_environment_leads_to_the_hosts_of_an_export_as_well() {
    let ran = recorded()
        .env("VCLUSTER_SSH_CONFIG", "own config")
        .args(["ssh-config"])
        .run()
        .code(0)
        .says_nothing();
    let config = ran.path("own config");
    let config = config.display();
    ran.prints(&format!(
        "  ProxyCommand ssh -F '{config}' -p 1 -l root -W %h:%p 127.0.0.1\n"
    ));
}
