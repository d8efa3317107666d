//! The devices of a guest: disks, interfaces and the console.

use super::tree::{Element, element};
use crate::host::storage::artifact::HostDisk;
use crate::image::Format;
use crate::inventory::Mac;

/// Disables devices that cost memory or boot time and that a node never uses.
pub(super) fn lean_controllers() -> Vec<Element> {
    vec![
        element("controller")
            .attribute("type", "usb")
            .attribute("model", "none"),
        element("memballoon").attribute("model", "none"),
    ]
}

/// A node's own disk, the first of its disks: empty, or over the disk of its image.
pub(super) fn overlay(path: &str, base: Option<&HostDisk>) -> Element {
    let element_disk = disk(Format::Qcow2, path, 0);
    // The complete chain, so that libvirt does not probe the files.
    match base {
        None => element_disk.child(element("backingStore")),
        Some(base) => element_disk.child(
            element("backingStore")
                .attribute("type", "file")
                .child(element("format").attribute("type", base.format))
                .child(element("source").attribute("file", &base.path))
                .child(element("backingStore")),
        ),
    }
}

/// A node's seed.
pub(super) fn seed(path: &str, position: usize) -> Element {
    disk(Format::Raw, path, position).child(element("readonly"))
}

/// A further disk of a node, which its guest finds by its serial number: the letter depends on the other disks.
pub(super) fn further_disk(path: &str, position: usize, serial: &str) -> Element {
    disk(Format::Qcow2, path, position)
        .child(element("serial").text(serial))
        .child(element("backingStore"))
}

/// A disk at a position among those of its guest: `vda`, `vdb` and so on. A node has at most 18.
fn disk(format: Format, path: &str, position: usize) -> Element {
    let letter = ('a'..='z').nth(position).unwrap_or('z');
    element("disk")
        .attribute("type", "file")
        .attribute("device", "disk")
        // Nodes are disposable: data lost in a crash of the host does not matter, and flushing is expensive.
        .child(
            element("driver")
                .attribute("name", "qemu")
                .attribute("type", format)
                .attribute("cache", "unsafe")
                .attribute("discard", "unmap"),
        )
        .child(element("source").attribute("file", path))
        .child(
            element("target")
                .attribute("dev", format!("vd{letter}"))
                .attribute("bus", "virtio"),
        )
}

/// An interface on a bridge of the host.
pub(super) fn interface(bridge: &str, mac: Mac, mtu: u32) -> Element {
    element("interface")
        .attribute("type", "bridge")
        .child(element("mac").attribute("address", mac))
        .child(element("source").attribute("bridge", bridge))
        .child(element("model").attribute("type", "virtio"))
        .child(element("mtu").attribute("size", mtu))
        // Nodes do not boot from the network: the ROM would only cost memory and boot time.
        .child(element("rom").attribute("enabled", "no"))
}

/// A source of entropy.
pub(super) fn entropy() -> Element {
    element("rng").attribute("model", "virtio").child(
        element("backend")
            .attribute("model", "random")
            .text("/dev/urandom"),
    )
}

/// The serial console, with a log.
pub(super) fn console(log: &str) -> Vec<Element> {
    vec![
        element("serial")
            .attribute("type", "pty")
            .child(element("log").attribute("file", log).attribute("append", "off"))
            .child(
                element("target")
                    .attribute("type", "isa-serial")
                    .attribute("port", 0),
            ),
        element("console")
            .attribute("type", "pty")
            .child(element("target").attribute("type", "serial").attribute("port", 0)),
    ]
}
