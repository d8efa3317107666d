//! What others made on a host stays: files in the cluster's pool, domains copied from nodes.

use crate::world::{World, on_host};

/// Runs a script on the host that must succeed; returns what it prints.
fn on(script: &str) -> String {
    let output = on_host("bm01", script);
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn files_and_domains_of_others_stay_and_are_named() {
    let world = World::new();
    world.topology("bm01", "groups: { n: { count: 2 } }\n");
    world.run(&["up", "topology.yaml"]).code(0);
    let name = world.name.as_str();
    let pool = on(&format!("virsh -q pool-list --name | grep '[.]{name}[.]'"));
    let copy = format!("{name}-copy");
    on(&format!(
        "virsh -q vol-create-as {pool} n001-clone.qcow2 1M --format qcow2
         virsh dumpxml --inactive {name}.n001 | sed 's#<name>.*#<name>{copy}</name>#; /<uuid>/d' >/tmp/{copy}.xml
         virsh -q define /tmp/{copy}.xml; rm /tmp/{copy}.xml
         virsh -q destroy {name}.n002; virsh -q domrename {name}.n002 {name}-mine"
    ));
    let file = on(&format!(
        "ls /var/lib/libvirt/images/vcluster/{name}.*/n001-clone.qcow2"
    ));

    let plan = world.run(&["plan", "topology.yaml"]).code(0).stdout;
    assert!(
        plan.contains(&format!("its domain was renamed to `{name}-mine`")),
        "{plan}"
    );
    world
        .run(&["up", "topology.yaml"])
        .code(0)
        .says(&format!("vcluster did not create {file}; it stays"))
        .says(&format!(
            "vcluster did not create the domain {copy} (made from `n001`)"
        ));
    on(&format!(
        "test -s {file} && virsh -q domstate {copy} && virsh -q domstate {name}.n002"
    ));
    assert_eq!(
        on(&format!("virsh list --all --name | grep -x {name}-mine || :")),
        ""
    );

    world
        .run(&["down", "topology.yaml", "-y"])
        .code(7)
        .says("the pool is kept, because vcluster did not create what is in it")
        .says(&file)
        .says(&format!("vcluster did not create the domain {copy}"));
    let kept = on(&format!("ls -A $(dirname {file}); virsh -q pool-list --name"));
    assert!(
        kept.contains("n001-clone.qcow2") && kept.contains(&pool),
        "{kept}"
    );
    assert!(!kept.contains(".seed") && !kept.contains("claim.json"), "{kept}");
    assert_eq!(
        on(&format!("virsh list --all --name | grep '^{name}[.]' || :")),
        ""
    );

    on(&format!("rm {file}"));
    world
        .run(&["down", "topology.yaml", "-y"])
        .code(0)
        .says(&format!("stay: {copy} (made from `n001`) on bm01"));
    on(&format!("virsh -q undefine {copy}"));
    assert_eq!(world.traces(), Vec::<String>::new());
}
