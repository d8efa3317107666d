use super::*;

pub(in crate::report) fn node(name: &str, stage: NodeStage, progress: Progress) -> Event {
    Event::Node {
        node: name.parse().unwrap(),
        host: "bm01".parse().unwrap(),
        stage,
        progress,
    }
}

pub(in crate::report) fn done(seconds: u64) -> Progress {
    Progress::Done {
        changed: true,
        took: Duration::from_secs(seconds),
    }
}

pub(in crate::report) fn failed(error: &str) -> Progress {
    Progress::Failed {
        error: error.to_owned(),
        kind: None,
        left: None,
    }
}

pub(in crate::report) fn started(verb: &'static str) -> Event {
    Event::Started {
        verb,
        cluster: "demo".parse().unwrap(),
        hosts: 2,
        nodes: Some(3),
    }
}

pub(in crate::report) fn tally_of(events: &[Event]) -> Tally {
    let mut tally = Tally::default();
    for (second, event) in events.iter().enumerate() {
        tally.record(event, Duration::from_secs(second as u64));
    }
    tally
}

#[test]
fn a_stage_counts_those_done_running_and_failed() {
    let tally = tally_of(&[
        started("up"),
        node("n1", NodeStage::Boot, Progress::Begun),
        node("n2", NodeStage::Boot, Progress::Begun),
        node("n3", NodeStage::Boot, Progress::Begun),
        node("n1", NodeStage::Boot, done(3)),
        node("n2", NodeStage::Boot, failed("no")),
    ]);
    let boot = &tally.stages[&Stage::Node(NodeStage::Boot)];
    assert_eq!(
        (boot.done.len(), boot.failed, boot.changed, boot.total()),
        (1, 1, 1, 3)
    );
    assert_eq!(
        boot.slowest(Duration::from_secs(10)),
        Some(("n3", Duration::from_secs(7)))
    );
    assert!(!boot.complete());
    assert_eq!(tally.failures[0].subject, "n2");
}

#[test]
fn the_plan_sets_how_many_nodes_a_stage_has_and_the_engine_may_correct_it() {
    let planned = Event::Planned {
        actions: vec![
            (ActionKind::Create, 5),
            (ActionKind::Keep, 4),
            (ActionKind::Remove, 2),
        ],
        hosts: 2,
    };
    let begun = |stage| node("n1", stage, Progress::Begun);
    let correction = Event::Expected {
        stage: NodeStage::Login,
        nodes: 5,
    };
    let tally = tally_of(&[
        started("up"),
        planned,
        begun(NodeStage::Remove),
        begun(NodeStage::Disk),
        begun(NodeStage::Login),
        begun(NodeStage::Configure),
        correction,
    ]);
    let totals: Vec<_> = tally
        .stages
        .iter()
        .map(|(stage, t)| (stage.name(), t.total()))
        .collect();
    assert_eq!(
        totals,
        [("remove", 2), ("disk", 5), ("login", 5), ("configure", 9)]
    );
}

#[test]
fn stages_are_in_the_order_of_work_and_steps_in_order_of_appearance() {
    let host = |stage| Event::Host {
        host: "bm01".parse().unwrap(),
        stage,
        progress: Progress::Begun,
    };
    let step = |name: &str| Event::StepBegun {
        name: name.into(),
        nodes: 3,
    };
    let tally = tally_of(&[
        step("b"),
        step("a"),
        host(HostStage::Audit),
        node("n1", NodeStage::Remove, Progress::Begun),
        host(HostStage::Connect),
    ]);
    let order: Vec<_> = tally.stages.keys().map(Stage::name).collect();
    assert_eq!(order, ["connect", "remove", "audit", "b", "a"]);
}
