//! A cluster that was raised earlier, as its files say: `web001` and `web002` on a host that cannot be reached,
//! without `web003`. All files but the keys are in `demo/`; this also keeps the form of the files as it is.

use vcluster::state::{ClusterDir, ClusterKeys, StateRoot};

use crate::hosts::CLOSED;
use crate::program::Vcluster;

const FILES: [(&str, &str); 3] = [
    ("cluster.json", include_str!("demo/cluster.json")),
    ("plan.json", include_str!("demo/plan.json")),
    ("topology.yaml", include_str!("demo/topology.yaml")),
];

/// The binary in a place where the cluster `demo` is recorded.
pub(crate) fn recorded() -> Vcluster {
    recorded_as(Vcluster::new(), "demo")
}

/// Records the cluster under another name as well; its files still say `demo`.
pub(crate) fn recorded_as(program: Vcluster, name: &str) -> Vcluster {
    let dir = directory(&program, name);
    dir.create().unwrap();
    ClusterKeys::generate().unwrap().store(&dir).unwrap();
    for (file, text) in FILES {
        dir.write(file, text.as_bytes()).unwrap();
    }
    program
}

/// The binary in a place where the cluster `demo` is recorded on the host of this URI.
pub(crate) fn recorded_at(uri: &str) -> Vcluster {
    let program = recorded();
    let record = include_str!("demo/cluster.json").replace(CLOSED, uri);
    directory(&program, "demo")
        .write("cluster.json", record.as_bytes())
        .unwrap();
    program
}

/// The binary in a place where the cluster `demo` is recorded on this machine. Its nodes refuse every login: they have
/// multicast addresses, and for those the kernel refuses a TCP connection at once and sends nothing.
pub(crate) fn recorded_without_route() -> Vcluster {
    let program = recorded_at("qemu+unix:///system?socket=/nowhere/libvirt-sock");
    let plan = include_str!("demo/plan.json").replace(r#""address": "10.77.0."#, r#""address": "224.0.0."#);
    directory(&program, "demo")
        .write("plan.json", plan.as_bytes())
        .unwrap();
    program
}

/// The state directory of a cluster.
pub(crate) fn directory(program: &Vcluster, name: &str) -> ClusterDir {
    StateRoot::at(program.path("state/vcluster")).cluster(&name.parse().unwrap())
}
