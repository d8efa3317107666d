//! Pools and volumes.

use super::tree::element;
use crate::image::Format;

/// A directory pool.
pub(in crate::host) fn pool(name: &str, directory: &str) -> String {
    element("pool")
        .attribute("type", "dir")
        .child(element("name").text(name))
        .child(element("target").child(element("path").text(directory)))
        .render()
}

/// A qcow2 volume of a node: its overlay, over a read-only base if there is one, or a further disk, which is empty. The
/// format of the base is always given: otherwise QEMU would guess it from bytes that a guest can write.
pub(in crate::host) fn overlay_volume(name: &str, bytes: u64, base: Option<(&str, Format)>) -> String {
    let volume = element("volume")
        .child(element("name").text(name))
        .child(element("capacity").attribute("unit", "bytes").text(bytes))
        .child(
            element("target")
                .child(element("format").attribute("type", "qcow2"))
                .child(element("permissions").child(element("mode").text("0600")))
                .child(element("compat").text("1.1"))
                .child(element("features").child(element("lazy_refcounts"))),
        );
    match base {
        None => volume.render(),
        Some((path, format)) => volume
            .child(
                element("backingStore")
                    .child(element("path").text(path))
                    .child(element("format").attribute("type", format)),
            )
            .render(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_and_volumes_as_libvirt_is_given_them() {
        insta::assert_snapshot!(pool(
            "vcluster.demo.00000000",
            "/var/lib/libvirt/images/vcluster/demo.00000000"
        ));
        insta::assert_snapshot!(overlay_volume(
            "n1.qcow2",
            1 << 30,
            Some(("/var/lib/libvirt/images/vcluster/images/abc.disk", Format::Qcow2))
        ));
        insta::assert_snapshot!(overlay_volume("n1.qcow2", 1 << 30, None));
    }
}
