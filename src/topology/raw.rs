//! The topology as it is written: the keys and their meaning. The JSON Schema is generated from these types, so editors
//! show the doc comments.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use super::model::{Accel, BootFirmware, CloudInitPolicy, Place};
use super::raw_metrics::{RawBound, RawMetric, RawProperties};
pub(super) use super::raw_values::{
    Cidr, Lease, MinReady, Mode, Name, NodeSet, Nodes, Number, Owner, RemotePath, Size, Template, Time,
    UserData, Vars,
};
use super::reader::{At, Entries, Field};
use super::shapes::{OneOrMany, TextOr};

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("EntriesOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        // With the place, as a single value has it: the generator would define the type twice otherwise.
        let values = generator.subschema_for::<At<T>>();
        schemars::json_schema!({ "type": "object", "additionalProperties": values })
    }
}

/// A cluster of virtual machines: its hosts, its nodes, their configuration and their workload.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "vcluster topology", extend("required" = ["name", "groups"]))]
#[schemars(rename = "Topology")]
pub(super) struct RawTopology {
    /// Name of the cluster, at most 40 characters.
    pub(super) name: Field<Name>,
    /// The lease of the cluster; every `up` renews it, `vcluster gc` removes expired clusters. Default: 4h.
    pub(super) ttl: Field<Lease>,
    /// The bare-metal hosts by node set. Default: this machine (`qemu:///system`).
    pub(super) hosts: Field<Entries<RawHost>>,
    /// Images besides the built-in `micro` and `debian`.
    pub(super) images: Field<Entries<RawImage>>,
    /// The network that every node joins; the same as the entry `cluster` of `networks`.
    pub(super) network: Field<RawNetwork>,
    /// Further networks by name, each with a subnet; groups name those that their nodes join.
    pub(super) networks: Field<Entries<RawNetwork>>,
    /// Values for groups that do not set them.
    pub(super) defaults: Field<RawDefaults>,
    /// The groups of nodes by name.
    pub(super) groups: Field<Entries<RawGroup>>,
    /// How many nodes must be up for `up` to succeed: a count, or a share of all nodes. Default: `100%`.
    pub(super) min_ready: Field<MinReady>,
    /// Variables for templates: `{{vars.NAME}}`.
    pub(super) vars: Field<Vars>,
    /// Steps that configure the nodes, in order.
    pub(super) configure: Field<Vec<At<RawConfigure>>>,
    /// Steps that `vcluster run` executes, in order.
    pub(super) workload: Field<Vec<At<RawWorkload>>>,
    /// Properties of metrics that no step defines: of those that vcluster measures, and of series in files.
    pub(super) metrics: Field<Entries<RawProperties>>,
    /// What must hold after a run, by metric: expressions such as `p99 < 2s` or `growth <= n log n`.
    #[schemars(extend("examples" = [{ "step.join.seconds": ["max < 5m"] }]))]
    pub(super) criteria: Field<Entries<OneOrMany<TextOr<RawBound>>>>,
}

/// A bare-metal host, or several by a node set. Text may use `{{name}}`, `{{index}}` and `{{vars.X}}`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Host")]
pub(super) struct RawHost {
    /// libvirt URI: `qemu:///system`, `qemu+ssh://[user@]host[:port]/system` or `qemu+unix:///system?socket=PATH`.
    /// Default: `qemu+ssh://root@{{name}}/system`.
    #[schemars(extend("examples" = ["qemu+ssh://root@{{name}}/system", "qemu:///system"]))]
    pub(super) uri: Field<Template>,
    /// Maximum number of nodes on it. Default: 10.
    #[schemars(range(min = 1, max = 10000))]
    pub(super) max_nodes: Field<u32>,
    /// vCPUs per CPU thread of the host that may be promised to nodes. Default: 10.
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub(super) overcommit: Field<f64>,
    /// Memory reserved for the host itself. Default: 512MiB.
    pub(super) reserve: Field<Size>,
    /// IP address at which the other hosts reach it (VXLAN). Default: detected.
    #[schemars(extend("examples" = ["192.0.2.11"]))]
    pub(super) address: Field<Template>,
    /// Acceleration. Default: `auto`, KVM if a short boot proves that it works.
    pub(super) accel: Field<Accel>,
    /// Private key file for SSH to the host; `~/` is the home directory.
    #[schemars(extend("examples" = ["~/.ssh/id_ed25519"]))]
    pub(super) identity: Field<Template>,
    /// Variables of this host: `{{vars.X}}` in its own values.
    pub(super) vars: Field<Vars>,
}

/// An image that nodes boot.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["from"]))]
#[schemars(rename = "Image")]
pub(super) struct RawImage {
    /// `micro`, `debian`, another image of this topology, or a qcow2 or raw file (a path with a `/`).
    #[schemars(extend("examples" = ["micro", "debian", "./images/cloud.qcow2"]))]
    pub(super) from: Field<String>,
    /// Debian packages that are added to a built-in image.
    #[schemars(extend("examples" = [["redis-server"]]))]
    pub(super) packages: Field<Vec<At<String>>>,
    /// Required SHA-256 of an image file, 64 hex digits.
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub(super) sha256: Field<String>,
    /// User as which vcluster logs in. Default: `root` for `micro`, `debian` for `debian`.
    #[schemars(regex(pattern = "^[a-z_][a-z0-9_-]*$"))]
    pub(super) user: Field<String>,
    /// What boots an image file. Default: `auto`, UEFI if its disk can boot by nothing else, else the BIOS.
    pub(super) firmware: Field<BootFirmware>,
    /// What an error of cloud-init means where all that vcluster asked of it is done. Default: `tolerant`, a warning;
    /// with `strict` the node fails.
    pub(super) cloud_init: Field<CloudInitPolicy>,
    /// Your own cloud-config for nodes with this image: a file beside the topology, or a mapping. It is added to that
    /// of vcluster, which it cannot override.
    pub(super) user_data: Field<UserData>,
}

/// A network of the nodes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Network")]
pub(super) struct RawNetwork {
    /// Network of the addresses of nodes and of the hosts' bridges. Default: 10.77.0.0/16; a further network must have
    /// one.
    pub(super) subnet: Field<Cidr>,
    /// The part of the subnet that may be used: `FIRST-LAST`, or a network. Default: all of it.
    #[schemars(extend("examples" = ["192.168.50.100-192.168.50.199", "10.77.8.0/21"]))]
    pub(super) range: Field<String>,
    /// MTU of the nodes. Default: computed from the hosts' network.
    #[schemars(range(min = 576, max = 65535))]
    pub(super) mtu: Field<u32>,
    /// Whether nodes reach the outside through their host. Default: false.
    pub(super) nat: Field<bool>,
    /// An existing bridge of the hosts to use instead of creating one.
    #[schemars(regex(pattern = "^[A-Za-z0-9_.-]{1,15}$"))]
    pub(super) bridge: Field<String>,
    /// Default gateway of the nodes, an IPv4 address in the subnet. That of their first network that has one counts.
    #[schemars(extend("examples" = ["10.77.0.1"]))]
    pub(super) gateway: Field<String>,
    /// Name servers of the nodes, IP addresses.
    pub(super) dns: Field<Vec<At<String>>>,
}

/// A further disk of a node, which is empty.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["size"]))]
#[schemars(rename = "Disk")]
pub(super) struct RawDisk {
    /// Its size.
    pub(super) size: Field<Size>,
}

/// Values for groups that do not set them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Defaults")]
pub(super) struct RawDefaults {
    /// Image by name. Default: `micro`.
    pub(super) image: Field<Template>,
    /// Virtual CPUs of a node. Default: 1.
    pub(super) vcpus: Field<Number>,
    /// Memory of a node. Default: 96MiB for `micro`, 512MiB for others.
    pub(super) memory: Field<Size>,
    /// Disk of a node. Default: the image's own size, none for `micro`.
    pub(super) disk: Field<Size>,
    /// Further disks of a node, at most 16. Default: none.
    #[schemars(extend("examples" = [[{ "size": "10GiB" }]]))]
    pub(super) disks: Field<Vec<At<RawDisk>>>,
    /// Networks that a node joins; `cluster` is one of them. Default: `cluster` only.
    #[schemars(extend("examples" = [["cluster", "storage"]]))]
    pub(super) networks: Field<Vec<At<String>>>,
    /// Placement. Default: `pack`.
    pub(super) place: Field<Place>,
}

/// A group of nodes of one kind. Values per node may use `{{name}}`, `{{index}}`, `{{group.name}}` and `{{vars.X}}`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["count"]}, {"required": ["nodes"]}]))]
#[schemars(rename = "Group")]
pub(super) struct RawGroup {
    /// How many nodes: GROUP001, GROUP002, ...
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) count: Field<u32>,
    /// The nodes by name instead of by count.
    pub(super) nodes: Field<NodeSet>,
    /// Image by name.
    pub(super) image: Field<Template>,
    /// Virtual CPUs of a node.
    pub(super) vcpus: Field<Number>,
    /// Memory of a node.
    pub(super) memory: Field<Size>,
    /// Disk of a node.
    pub(super) disk: Field<Size>,
    /// Further disks of a node, which are empty: `/dev/disk/by-id/virtio-disk1` and so on.
    pub(super) disks: Field<Vec<At<RawDisk>>>,
    /// Networks that a node joins, in the order of its interfaces; `cluster`, which is always `eth0`, is one of them.
    #[schemars(extend("examples" = [["cluster", "storage"]]))]
    pub(super) networks: Field<Vec<At<String>>>,
    /// `pack` fills a host before it uses the next, `spread` distributes nodes evenly.
    pub(super) place: Field<Place>,
    /// Hosts on which the nodes may be placed, by node set.
    pub(super) on: Field<NodeSet>,
    /// Groups whose nodes may not share a host with nodes of this group; its own name keeps its nodes apart.
    pub(super) separate: Field<Vec<At<String>>>,
    /// Your own cloud-config for these nodes, after that of their image: a file beside the topology, or a mapping.
    pub(super) user_data: Field<UserData>,
    /// Variables of this group; they override those of the topology. Texts may use the template language.
    pub(super) vars: Field<Vars>,
}

/// A configuration step: exactly one of `template`, `content`, `file` and `run`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["template", "to"]},
    {"required": ["content", "to"]},
    {"required": ["file", "to"]},
    {"required": ["run"]}
]))]
#[schemars(rename = "Configure")]
pub(super) struct RawConfigure {
    /// Name of the step, for people.
    pub(super) name: Field<String>,
    /// The nodes on which it runs. Default: `@all`.
    pub(super) on: Field<Nodes>,
    /// A template file that is rendered for every node; relative to the topology file.
    #[schemars(extend("examples" = ["redis.conf.hbs"]))]
    pub(super) template: Field<String>,
    /// The template as text.
    pub(super) content: Field<Template>,
    /// A file that is copied unchanged; relative to the topology file.
    pub(super) file: Field<String>,
    /// Path of the file on the node.
    pub(super) to: Field<RemotePath>,
    /// Permission bits. Default: "0644".
    pub(super) mode: Field<Mode>,
    /// Owner. Default: root.
    pub(super) owner: Field<Owner>,
    /// A command for `sh`. The template language may be used.
    pub(super) run: Field<Template>,
    /// Time allowed per node. Default: 60s.
    pub(super) timeout: Field<Time>,
    /// Nodes at the same time. Default: as many as their hosts can handle, 64 at most.
    pub(super) fanout: Field<u32>,
}

/// A step of the workload.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["run"]))]
#[schemars(rename = "Workload")]
pub(super) struct RawWorkload {
    /// Name of the step and of its results directory. Default: `step1`, `step2`, ...
    pub(super) name: Field<Name>,
    /// The nodes on which it runs. Default: `@all`.
    pub(super) on: Field<Nodes>,
    /// A command for `sh`. The template language may be used.
    pub(super) run: Field<Template>,
    /// Time allowed per node. Default: 1h.
    pub(super) timeout: Field<Time>,
    /// Whether all nodes start together. Default: false.
    pub(super) barrier: Field<bool>,
    /// Nodes at the same time. Not with a barrier. Default: as many as their hosts can handle, 64 at most.
    pub(super) fanout: Field<u32>,
    /// Files to fetch from every node afterwards: absolute paths, `*`, `?` and `[...]` allowed.
    #[schemars(extend("examples" = [["/var/log/redis/*.log"]]))]
    pub(super) collect: Field<Vec<At<String>>>,
    /// Metrics of the step by name: where their samples are and how they are read.
    #[schemars(extend("examples" = [{ "join_seconds": { "regex": "joined in ([0-9.]+) s", "unit": "s" } }]))]
    pub(super) metrics: Field<Entries<RawMetric>>,
    /// Names of processes, as in /proc/PID/comm, whose CPU time, memory and I/O are measured during the step. At most
    /// 16.
    #[schemars(extend("examples" = [["redis-server"]]))]
    pub(super) watch: Field<Vec<At<String>>>,
}

/// The JSON Schema of a topology file.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RawTopology).to_value();
    plain(&mut schema);
    schema
}

/// An empty value counts as left out, but editors should not offer `null` everywhere.
fn plain(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    for (key, inner) in only {
                        map.entry(key).or_insert(inner);
                    }
                }
            }
            if map.get("pattern").is_some_and(|pattern| pattern == "") {
                map.remove("pattern");
            }
            if map
                .get("examples")
                .and_then(Value::as_array)
                .is_some_and(Vec::is_empty)
            {
                map.remove("examples");
            }
            map.values_mut().for_each(plain);
        }
        Value::Array(list) => list.iter_mut().for_each(plain),
        _ => {}
    }
}
