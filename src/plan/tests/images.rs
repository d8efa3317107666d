//! What images mean for a plan: the size of their disk, the firmware, the CPU that is emulated.

use super::fixture::{World, doings, layout};
use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::units::MiB;
use crate::inventory::Firmware;
use crate::plan::{EmulatedCpu, Plan, PlanError};
use crate::topology::Place;

const GIB: u64 = 1 << 30;

/// Hosts with 10 GiB of disk each, and nodes of the image `cloud`.
fn cloud(hosts: usize, nodes: u32, disk: Option<u64>) -> World {
    let mut world = World::new()
        .hosts(hosts, 8192, 16)
        .group("a", nodes, 512, Place::Pack);
    for node in &mut world.topology.nodes {
        node.image = "cloud".parse().unwrap();
    }
    for host in &mut world.observed {
        host.facts.disk_free = MiB(10 * 1024);
    }
    world.cloud_disk = disk;
    world
}

fn disks(plan: &Plan) -> Vec<u64> {
    plan.hosts.iter().map(|host| host.disk.0).collect()
}

#[test]
fn a_disk_below_that_of_the_image_is_refused_with_both_sizes() {
    let mut world = cloud(1, 2, Some(4 * GIB));
    world.topology.nodes[1].disk = Some(MiB(1024));
    let error = world.plan().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the disk of `a02` is too small: 1 GiB are asked for, but image `cloud` has a disk of 4 GiB"
    );
    assert_eq!(
        error.hint().unwrap(),
        "set `disk` to 4096MiB or more, or leave it out for the image's own size (test.yaml:20:3)"
    );
    assert_eq!(error.exit_code(), ExitCode::InvalidTopology);
    // A size between two MiB is rounded up, never down.
    world.cloud_disk = Some(GIB + 1);
    assert!(matches!(
        world.plan(),
        Err(PlanError::DiskTooSmall { least: MiB(1025), .. })
    ));
    world.cloud_disk = Some(GIB);
    assert_eq!(disks(&world.plan().unwrap()), [2 * 1024]);
    // Nothing is known of an image that is not built.
    world.cloud_disk = None;
    assert_eq!(disks(&world.plan().unwrap()), [1024]);
}

#[test]
fn without_a_disk_of_its_own_a_node_takes_the_size_of_its_image() {
    let mut world = cloud(2, 3, Some(4 * GIB));
    let plan = world.plan().unwrap();
    assert_eq!(layout(&plan), "bm1: a[01-02] | bm2: a03");
    assert_eq!(disks(&plan), [8 * 1024, 4 * 1024]);
    let claimed = plan.claimed_capacity(&"bm1".parse().unwrap());
    assert_eq!(claimed.disk, MiB(8 * 1024));
    world.cloud_disk = Some(11 * GIB);
    let error = world.plan().unwrap_err().to_string();
    assert!(
        error.contains("11.0 GiB of disk") || error.contains("11 GiB of disk"),
        "{error}"
    );
    // A larger disk of its own counts in place of the image's.
    world.cloud_disk = Some(4 * GIB);
    world.topology.nodes[2].disk = Some(MiB(6 * 1024));
    assert_eq!(disks(&world.plan().unwrap()), [10 * 1024, 4 * 1024]);
}

#[test]
fn a_node_stays_though_its_host_has_no_disk_left_for_a_second_one_like_it() {
    let mut world = cloud(1, 2, Some(4 * GIB));
    let plan = world.plan().unwrap();
    world.apply(&plan);
    world.at("bm1").facts.disk_free = MiB(1024);
    let again = world.plan().unwrap();
    assert_eq!(doings(&again), Vec::<String>::new());
    assert_eq!(disks(&again), [8 * 1024]);
}

#[test]
fn what_boots_a_disk_is_part_of_the_spec_and_a_host_without_it_is_refused() {
    let mut world = cloud(1, 1, Some(4 * GIB));
    let plan = world.plan().unwrap();
    assert_eq!(plan.nodes[0].spec.firmware, Firmware::Bios);
    world.apply(&plan);
    world.cloud_firmware = Firmware::Uefi;
    assert_eq!(
        doings(&world.plan().unwrap()),
        ["Recreate a01 on bm1: firmware bios -> uefi"]
    );
    world.at("bm1").facts.uefi = false;
    let error = world.plan().unwrap_err();
    assert_eq!(
        error.to_string(),
        "image `cloud` needs UEFI, which `bm1` does not offer"
    );
    assert!(error.hint().unwrap().contains("ovmf"));
}

#[test]
fn a_changed_cloud_config_of_the_user_recreates_its_nodes() {
    let mut world = cloud(1, 1, None).group("b", 1, 512, Place::Pack);
    let plan = world.plan().unwrap();
    assert_eq!(plan.nodes[0].spec.user_data, None);
    world.apply(&plan);
    world.topology.groups[0].user_data = Some("#cloud-config\n{}\n".into());
    assert_eq!(
        doings(&world.plan().unwrap()),
        ["Recreate a01 on bm1: user_data changed"]
    );
    let cloud = world.topology.images.get_mut("cloud").unwrap();
    cloud.user_data = world.topology.groups[0].user_data.take();
    assert_eq!(
        doings(&world.plan().unwrap()),
        ["Recreate a01 on bm1: user_data changed"]
    );
}

#[test]
fn the_cpu_of_emulated_guests_follows_the_image_and_the_qemu_of_the_host() {
    let mut world = cloud(1, 1, None).group("b", 1, 512, Place::Pack);
    let cpus = |world: &World| -> Vec<EmulatedCpu> {
        let plan = world.plan().unwrap();
        plan.nodes.iter().map(|node| node.emulated_cpu).collect()
    };
    assert_eq!(cpus(&world), [EmulatedCpu::V3, EmulatedCpu::V1]);
    world.at("bm1").facts.qemu_version = 5_002_000;
    assert_eq!(cpus(&world), [EmulatedCpu::V2, EmulatedCpu::V1]);
    // Another QEMU is no reason to recreate a node.
    let plan = world.plan().unwrap();
    world.apply(&plan);
    world.at("bm1").facts.qemu_version = 8_000_000;
    assert_eq!(doings(&world.plan().unwrap()), Vec::<String>::new());
}
