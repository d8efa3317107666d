//! Debian images as others make them: a partition table, GRUB, cloud-init as packaged, netplan. One boots by BIOS, one by
//! UEFI only. `scripts/test` builds them with `images/debian-stock/build`.

use crate::world::{World, on_host};

/// Run on the node as the login user: no failed unit, the network online in time, the file system grown.
const LOOK: &str = "id -un; hostname; cat /sys/class/net/eth0/operstate; systemctl --failed --no-legend --plain; \
    systemctl is-active systemd-networkd-wait-online; \
    systemctl show -P ActiveState systemd-networkd; \
    test $(df --output=size -m / | tail -n 1) -gt 5000 && echo grown; \
    test -d /sys/firmware/efi && echo uefi || echo bios; getent passwd $(id -un) | grep -o '[a-z]*$'; cat /etc/own; \
    sudo -n id -u";

fn topology(world: &World, firmware: &str) {
    let file = format!("{}/target/stock/{firmware}.qcow2", env!("CARGO_MANIFEST_DIR"));
    assert!(
        std::path::Path::new(&file).exists(),
        "{file} is missing: build it with `images/debian-stock/build {file} {firmware}`"
    );
    let rest = format!(
        "images:\n  stock:\n    from: {file}\n    user: debian\n    user_data: {{ write_files: [{{ path: /etc/own, content: \"mine\\n\" }}], hostname: theirs }}\n\
         groups: {{ web: {{ count: 1, image: stock, memory: 768MiB, disk: 6GiB }} }}\n"
    );
    world.topology("bm01", &rest);
}

fn boots(firmware: &str) {
    let world = World::new();
    let name = world.name.as_str();
    topology(&world, firmware);
    let up = world.run(&["up", "--boot-timeout", "8m"]).code(0);
    let up = up.says("is up: 1 node on 1 host");
    assert!(up.stderr.contains("x86-64-v3 CPU"), "{}", up.stderr);
    let seen = world.run(&["ssh", "-c", name, "web001", LOOK]).code(0);
    let lines: Vec<&str> = seen.stdout.lines().collect();
    let wanted = [
        "debian", "web001", "up", "active", "active", "grown", firmware, "bash", "mine", "0",
    ];
    assert_eq!(lines, wanted, "{}", seen.stderr);
    if firmware == "uefi" {
        let variables = on_host("bm01", "ls /var/lib/libvirt/qemu/nvram");
        assert!(
            String::from_utf8_lossy(&variables.stdout).contains(name),
            "{variables:?}"
        );
    }
    world.run(&["down", "-y"]).code(0).says("nothing is left");
    assert_eq!(world.traces(), Vec::<String>::new());
}

#[test]
fn a_stock_image_boots_by_bios_is_online_without_failed_units_and_leaves_nothing() {
    boots("bios");
}

#[test]
fn a_stock_image_that_only_uefi_can_boot_boots_and_leaves_no_variables() {
    boots("uefi");
}

#[test]
fn a_disk_below_that_of_the_image_is_refused_before_anything_is_created() {
    let world = World::new();
    topology(&world, "bios");
    let path = world.path("topology.yaml");
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replace("disk: 6GiB", "disk: 64MiB");
    std::fs::write(&path, text).unwrap();
    let refused = world
        .run(&["up"])
        .code(3)
        .says("the disk of `web001` is too small: 64 MiB");
    refused.says("image `stock` has a disk of");
    assert_eq!(world.traces(), Vec::<String>::new());
}
