//! Our mark in the metadata of a domain: one element in our namespace that contains JSON.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use super::tree::{Element, element};
use crate::inventory::Mark;

/// Namespace of the mark; the number is its version.
pub(in crate::host) const MARK_URI: &str = "urn:vcluster:node:1";
/// A mark is about 400 bytes; more is not ours.
const LIMIT: usize = 64 << 10;

/// The mark as an element for `<metadata>`.
pub(in crate::host) fn write_mark(mark: &Mark) -> Element {
    // A mark contains only strings and numbers, so this cannot fail.
    let json = serde_json::to_string(mark).unwrap_or_default();
    element("vc:node").attribute("xmlns:vc", MARK_URI).text(json)
}

/// Reads the mark from what libvirt returns; `None` if it is not one of ours.
pub(in crate::host) fn read_mark(xml: &str) -> Option<Mark> {
    if xml.len() > LIMIT {
        return None;
    }
    let mut reader = Reader::from_str(xml);
    let mut text = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Text(part) => text.push_str(&part.decode().ok()?),
            Event::CData(part) => text.push_str(&part.decode().ok()?),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => text.push(character),
                None => text.push_str(resolve_predefined_entity(&reference.decode().ok()?)?),
            },
            Event::Eof => break,
            _ => {}
        }
    }
    serde_json::from_str(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::xml::domain::tests::mark;

    #[test]
    fn a_mark_reads_back_as_it_was_written() {
        assert_eq!(read_mark(&write_mark(&mark()).render()), Some(mark()));
    }

    #[test]
    fn a_mark_with_an_invalid_name_or_of_another_kind_is_not_ours() {
        let forged = write_mark(&mark()).render().replace("demo", "../demo");
        assert_eq!(read_mark(&forged), None);
        assert_eq!(
            read_mark("<vc:node xmlns:vc='urn:vcluster:node:1'>{}</vc:node>"),
            None
        );
        assert_eq!(read_mark("<a><b"), None);
        assert_eq!(read_mark(&"x".repeat(LIMIT + 1)), None);
    }
}
