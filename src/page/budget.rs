//! How much of a page a section may take, so that the page stays small enough to be sent and opened.

use maud::{Markup, html};

use crate::base::text::plural;

/// Bytes that are left.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// A budget of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// The first of these items that fit, and how many are left out.
    pub(super) fn fitting<T>(
        &mut self,
        items: &[T],
        mut draw: impl FnMut(&T) -> Markup,
    ) -> (Vec<Markup>, usize) {
        let mut drawn = Vec::new();
        for item in items {
            let markup = draw(item);
            let Some(rest) = self.0.checked_sub(markup.0.len()) else {
                break;
            };
            self.0 = rest;
            drawn.push(markup);
        }
        let left_out = items.len() - drawn.len();
        (drawn, left_out)
    }
}

/// The drawings of metrics that fit into so many bytes, and a note about the others.
pub(super) fn figures<T>(bytes: usize, metrics: &[T], figure: impl FnMut(&T) -> Markup) -> Markup {
    let (drawn, left_out) = Budget::new(bytes).fitting(metrics, figure);
    html! {
        @for figure in &drawn { (figure) }
        @if left_out > 0 {
            p.note { (plural(left_out, "further metric")) " left out: the page would be larger than 2 MB" }
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn items_are_taken_while_there_is_room_and_the_others_are_counted() {
        let mut budget = Budget::new(10);
        let (drawn, left_out) = budget.fitting(&["four", "five5", "no", "x"], |text| html! { (text) });
        let drawn: Vec<String> = drawn.into_iter().map(Markup::into_string).collect();
        assert_eq!(
            (drawn, left_out),
            (vec!["four".to_owned(), "five5".to_owned()], 2)
        );
        let (drawn, left_out) = budget.fitting(&["x", "y"], |text| html! { (text) });
        assert_eq!((drawn.len(), left_out), (1, 1));
    }
}
