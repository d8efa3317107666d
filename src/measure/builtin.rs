//! The metrics that vcluster measures itself: their names and units.

use super::metric::{Better, MetricName};
use super::unit::Unit;
use crate::base::event::{HostStage, NodeStage};

/// What the second word of such a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuiltinKind {
    /// A step: `step.STEP.seconds`.
    Step,
    /// There is none: `node.cpu_seconds`.
    Node,
    /// The name of a process: `watch.NAME.rss_bytes`. It may contain dots.
    Watch,
    /// A stage of `up`: `up.STAGE.seconds`.
    Up,
    /// A verb, for what vcluster's own process uses: `vcluster.run.cpu_seconds`.
    Own,
}

/// A metric that vcluster measures itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Builtin<'a> {
    pub(crate) kind: BuiltinKind,
    /// The step, process, stage or verb; empty for a node.
    pub(crate) of: &'a str,
    pub(crate) unit: Option<Unit>,
}

/// The unit of a value.
#[derive(Clone, Copy)]
enum Quantity {
    Seconds,
    Bytes,
    Number,
}

const STEP: &[(&str, Quantity)] = &[("seconds", Quantity::Seconds), ("exit_code", Quantity::Number)];

const NODE: &[(&str, Quantity)] = &[
    ("cpu_seconds", Quantity::Seconds),
    ("memory_bytes", Quantity::Bytes),
    ("received_bytes", Quantity::Bytes),
    ("sent_bytes", Quantity::Bytes),
    ("received_packets", Quantity::Number),
    ("sent_packets", Quantity::Number),
];

const WATCH: &[(&str, Quantity)] = &[
    ("cpu_seconds", Quantity::Seconds),
    ("rss_bytes", Quantity::Bytes),
    ("read_bytes", Quantity::Bytes),
    ("written_bytes", Quantity::Bytes),
    ("processes", Quantity::Number),
];

const UP: &[(&str, Quantity)] = &[("seconds", Quantity::Seconds)];

const OWN: &[(&str, Quantity)] = &[
    ("seconds", Quantity::Seconds),
    ("cpu_seconds", Quantity::Seconds),
    ("memory_bytes", Quantity::Bytes),
];

/// The verbs whose own cost is a metric.
pub(crate) const MEASURED_VERBS: [&str; 2] = ["up", "run"];

impl BuiltinKind {
    fn word(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Node => "node",
            Self::Watch => "watch",
            Self::Up => "up",
            Self::Own => "vcluster",
        }
    }

    fn fields(self) -> &'static [(&'static str, Quantity)] {
        match self {
            Self::Step => STEP,
            Self::Node => NODE,
            Self::Watch => WATCH,
            Self::Up => UP,
            Self::Own => OWN,
        }
    }

    /// The names of its metrics for a step, process, stage or verb; `of` is ignored for a node.
    pub(crate) fn names(self, of: &str) -> impl Iterator<Item = String> {
        let begin = match self {
            Self::Node => self.word().to_owned(),
            _ => format!("{}.{of}", self.word()),
        };
        self.fields()
            .iter()
            .map(move |(field, _)| format!("{begin}.{field}"))
    }
}

impl<'a> Builtin<'a> {
    /// Reads a name; whether its step exists and its process is watched is not known here.
    pub(crate) fn read(name: &'a str) -> Option<Self> {
        let (word, rest) = name.split_once('.')?;
        let kinds = [
            BuiltinKind::Step,
            BuiltinKind::Node,
            BuiltinKind::Watch,
            BuiltinKind::Up,
            BuiltinKind::Own,
        ];
        let kind = kinds.into_iter().find(|kind| kind.word() == word)?;
        let (of, field) = match kind {
            BuiltinKind::Node => ("", rest),
            _ => rest.rsplit_once('.').filter(|(of, _)| !of.is_empty())?,
        };
        let is_known = match kind {
            BuiltinKind::Up => up_stages().any(|stage| stage == of),
            BuiltinKind::Own => MEASURED_VERBS.contains(&of),
            BuiltinKind::Step | BuiltinKind::Node | BuiltinKind::Watch => true,
        };
        if !is_known {
            return None;
        }
        let (_, quantity) = kind.fields().iter().find(|(known, _)| *known == field)?;
        let unit = match quantity {
            Quantity::Seconds => Some(Unit::seconds()),
            Quantity::Bytes => Some(Unit::bytes()),
            Quantity::Number => None,
        };
        Some(Self { kind, of, unit })
    }
}

/// The stages of `up`, in order.
pub(crate) fn up_stages() -> impl Iterator<Item = &'static str> {
    let of_hosts = [
        HostStage::Connect,
        HostStage::Probe,
        HostStage::Network,
        HostStage::Mtu,
        HostStage::Image,
    ];
    let of_nodes = [
        NodeStage::Remove,
        NodeStage::Disk,
        NodeStage::Define,
        NodeStage::Start,
        NodeStage::Boot,
        NodeStage::Login,
        NodeStage::Configure,
    ];
    let of_hosts = of_hosts.into_iter().map(HostStage::as_str);
    of_hosts.chain(of_nodes.into_iter().map(NodeStage::as_str))
}

/// The unit and the direction of a metric that vcluster measures itself; `None` for any other. Whether its step exists
/// and its process is watched is not known here.
pub fn builtin(name: &MetricName) -> Option<(Option<Unit>, Better)> {
    Builtin::read(name.as_str()).map(|builtin| (builtin.unit, Better::Lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The unit, or `none`.
    fn unit(name: &str) -> Option<String> {
        let (unit, better) = builtin(&name.parse().unwrap())?;
        assert_eq!(better, Better::Lower);
        Some(unit.map_or_else(|| "none".to_owned(), |unit| unit.to_string()))
    }

    #[test]
    fn metrics_of_vcluster_are_known_with_their_units() {
        for (name, wanted) in [
            ("step.join.seconds", "s"),
            ("step.join.exit_code", "none"),
            ("node.cpu_seconds", "s"),
            ("node.memory_bytes", "B"),
            ("node.received_packets", "none"),
            ("watch.redis-server.rss_bytes", "B"),
            ("watch.python3.11.cpu_seconds", "s"),
            ("watch.kworker/0:1.processes", "none"),
            ("up.boot.seconds", "s"),
            ("up.image.seconds", "s"),
            ("vcluster.up.seconds", "s"),
            ("vcluster.run.cpu_seconds", "s"),
            ("vcluster.run.memory_bytes", "B"),
        ] {
            assert_eq!(unit(name).as_deref(), Some(wanted), "{name}");
        }
    }

    #[test]
    fn other_names_are_not() {
        for name in [
            "join_seconds",
            "step.join",
            "step.seconds",
            "step..seconds",
            "step.join.second",
            "node.cpu",
            "node.a.cpu_seconds",
            "watch.rss_bytes",
            "up.audit.seconds",
            "up.boots.seconds",
            "run.seconds",
            "vcluster.seconds",
            "vcluster.exec.seconds",
            "vcluster.up.rss_bytes",
            "app.cpu_seconds",
        ] {
            assert_eq!(unit(name), None, "{name}");
        }
    }

    #[test]
    fn every_name_that_is_made_can_be_read() {
        for (kind, of) in [
            (BuiltinKind::Step, "boot"),
            (BuiltinKind::Node, ""),
            (BuiltinKind::Watch, "boot"),
            (BuiltinKind::Up, "boot"),
            (BuiltinKind::Own, "run"),
        ] {
            let names: Vec<String> = kind.names(of).collect();
            assert_eq!(names.len(), kind.fields().len());
            for name in names {
                let read = Builtin::read(&name).unwrap_or_else(|| panic!("{name}"));
                assert_eq!((read.kind, read.of), (kind, of), "{name}");
            }
        }
        assert_eq!(up_stages().count(), 12);
    }
}
