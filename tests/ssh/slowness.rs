//! What is reported while a node does not answer.

use std::sync::Arc;
use std::time::Duration;

use vcluster::base::event::{Event, Events};
use vcluster::engine::report_slow_nodes;
use vcluster::ssh::{HostWay, NodeTarget, Nodes, Reach, Via};

use crate::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_waited_for_is_reported_with_the_time_and_the_load_of_its_host() {
    let (host, node) = (Server::busy_host(), Server::openssh(""));
    let way = HostWay::fixed(Arc::new(host.host_session().await));
    let nodes = Nodes::new([Reach {
        target: NodeTarget {
            timeout: None,
            ..node.node("n001")
        },
        via: Via::Host(way),
        host: "bm01".into(),
    }]);
    node.suspend();
    let (events, mut received) = Events::channel();
    let _slow = report_slow_nodes(&nodes, &events);
    let report = async {
        loop {
            if let Event::Slow { text } = received.recv().await.unwrap() {
                return text;
            }
        }
    };
    let text = tokio::select! {
        text = tokio::time::timeout(Duration::from_mins(1), report) => text.unwrap(),
        session = nodes.session("n001") => panic!("it ended: {:?}", session.err()),
    };
    node.resume();
    let rest = text.strip_prefix("no answer for up to ").unwrap();
    let (waited, rest) = rest.split_once(" from ").unwrap();
    assert_eq!(rest, "n001 (bm01: load 276.1 on 1 CPUs)");
    let waited = humantime::parse_duration(waited).unwrap();
    assert!(
        (Duration::from_secs(10)..Duration::from_secs(40)).contains(&waited),
        "{text}"
    );
}
