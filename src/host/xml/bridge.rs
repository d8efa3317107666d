//! The bridge that a domain is connected to, from its definition as libvirt returns it.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// The bridge of the first interface; `None` if that has none.
pub(in crate::host) fn first_bridge(xml: &str) -> Option<String> {
    let mut reader = Reader::from_str(xml);
    let mut is_interface = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) if tag.name().as_ref() == b"interface" => is_interface = true,
            Event::Start(tag) | Event::Empty(tag) if is_interface && tag.name().as_ref() == b"source" => {
                return bridge_of(&tag);
            }
            Event::End(end) if end.name().as_ref() == b"interface" => return None,
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn bridge_of(source: &BytesStart<'_>) -> Option<String> {
    let bridge = source.try_get_attribute("bridge").ok()??;
    String::from_utf8(bridge.value.into_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What libvirt 9.0 returns for a running domain, shortened.
    const XML: &str = "<domain type='kvm' id='3'>\n  <name>demo.n1</name>\n  <metadata>\n    \
        <vc:node xmlns:vc='urn:vcluster:node:1'>{&quot;bridge&quot;:&quot;br9&quot;}</vc:node>\n  </metadata>\n  \
        <devices>\n    <disk type='file' device='disk'>\n      <source file='/pool/n1.seed'/>\n    \
        </disk>\n    <interface type='bridge'>\n      <mac address='52:54:0a:4d:00:01'/>\n      \
        <source bridge='br0'/>\n    </interface>\n    <interface type='bridge'>\n      \
        <source bridge='br1'/>\n    </interface>\n  </devices>\n</domain>\n";

    #[test]
    fn it_is_that_of_the_first_interface() {
        assert_eq!(first_bridge(XML).as_deref(), Some("br0"));
    }

    #[test]
    fn an_interface_of_another_kind_has_none() {
        let network = XML.replace("<source bridge='br0'/>", "<source network='default'/>");
        assert_eq!(first_bridge(&network), None);
        assert_eq!(first_bridge(&XML.replace("<source bridge='br0'/>", "")), None);
        for text in ["", "<domain/>", "<interface", "not xml"] {
            assert_eq!(first_bridge(text), None, "{text}");
        }
    }
}
