//! Limits of a topology. Input beyond them is refused with an error in bounded time.

/// Bytes of a topology file.
pub const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of a template file or of a rendered template.
pub const MAX_TEMPLATE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of a cloud-config of the user: it is part of the seed of every node.
pub const MAX_USER_DATA_BYTES: u64 = 1024 * 1024;
/// Nodes of a cluster.
pub const MAX_NODES: usize = 100_000;
/// Bare-metal hosts of a cluster.
pub const MAX_HOSTS: usize = 10_000;
/// Networks of a cluster, `cluster` included.
pub const MAX_NETWORKS: usize = 8;
/// Further disks of a node.
pub const MAX_DISKS: usize = 16;
/// vCPUs of a node (QEMU's q35 machine supports 288 without an IOMMU; more has no use here).
pub const MAX_VCPUS: u64 = 256;
/// Memory or disk of a node: 16 TiB.
pub const MAX_MIB: u64 = 16 * 1024 * 1024;
/// Minimum memory of a node, in MiB: no kernel boots with less.
pub const MIN_MEMORY_MIB: u64 = 32;
/// Longest timeout, in seconds: 30 days.
pub const MAX_TIMEOUT_SECONDS: u64 = 30 * 24 * 3600;
/// Metrics that the steps of a workload define, and entries of `metrics`.
pub const MAX_METRICS: usize = 200;
/// Criteria of a topology.
pub const MAX_CRITERIA: usize = 500;
/// Names of processes that a step watches.
pub const MAX_WATCHED: usize = 16;
/// Bytes of the name of a process that the kernel keeps: TASK_COMM_LEN less the final NUL, proc_pid_comm(5).
pub const MAX_COMM: usize = 15;
/// Bytes of the name of a metric that a step defines.
pub const MAX_METRIC_NAME: usize = 60;
/// Diagnostics that are kept; the rest is counted.
pub(super) const MAX_DIAGNOSTICS: usize = 200;
/// Nesting of lists and mappings.
pub(super) const MAX_DEPTH: usize = 32;
/// Values in a file, aliases expanded.
pub(super) const MAX_VALUES: usize = 250_000;
/// Values that aliases may add.
pub(super) const MAX_ALIASED_VALUES: usize = 100_000;
/// Names that no node can have: the guest that proves KVM has the first, `/etc/hosts` of every node the second, and the
/// others are groups of every Ansible inventory.
pub const RESERVED_NODES: [&str; 4] = [crate::inventory::PROBE_NODE, "localhost", "all", "ungrouped"];
