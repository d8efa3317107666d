//! A small tree of elements, written out with all values escaped.

use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

/// An element.
pub(in crate::host) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    text: String,
    children: Vec<Element>,
}

/// An element of this name.
pub(in crate::host) fn element(name: &'static str) -> Element {
    Element {
        name,
        attributes: Vec::new(),
        text: String::new(),
        children: Vec::new(),
    }
}

/// XML 1.0 cannot represent most control characters, not even escaped.
fn writable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' => c,
            '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

impl Element {
    pub(in crate::host) fn attribute(mut self, key: &'static str, value: impl ToString) -> Self {
        self.attributes.push((key, writable(&value.to_string())));
        self
    }

    pub(in crate::host) fn text(mut self, text: impl ToString) -> Self {
        self.text = writable(&text.to_string());
        self
    }

    pub(in crate::host) fn child(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    pub(in crate::host) fn children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    /// The element as text.
    pub(in crate::host) fn render(&self) -> String {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        // Writing to memory cannot fail.
        let _ = self.write(&mut writer);
        String::from_utf8(writer.into_inner()).unwrap_or_default()
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let mut start = BytesStart::new(self.name);
        for (key, value) in &self.attributes {
            start.push_attribute((*key, value.as_str()));
        }
        if self.children.is_empty() && self.text.is_empty() {
            return writer.write_event(Event::Empty(start));
        }
        writer.write_event(Event::Start(start))?;
        if !self.text.is_empty() {
            writer.write_event(Event::Text(BytesText::new(&self.text)))?;
        }
        for child in &self.children {
            child.write(writer)?;
        }
        writer.write_event(Event::End(BytesEnd::new(self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_can_leave_its_place() {
        let text = element("a")
            .attribute("b", "\"><x y='")
            .child(element("c").text("</c><d>&amp;\u{0}\u{1b}"))
            .render();
        assert!(!text.contains("<x") && !text.contains("<d>"), "{text}");
        assert!(!text.contains('\u{0}') && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("&amp;amp;"), "{text}");
    }
}
