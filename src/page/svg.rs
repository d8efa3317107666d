//! Pieces of drawings. Horizontal places are in per cent and vertical ones in pixels, so that a drawing fits any width
//! and its text keeps its size.

use maud::{Markup, html};

use super::axis::Axis;

/// Room at both ends for dots and labels, in per cent of the width.
const MARGIN: f64 = 2.0;

/// The horizontal place of a share of the width, in per cent.
pub(super) fn percent(share: f64) -> f64 {
    MARGIN + share.clamp(0.0, 1.0) * (100.0 - 2.0 * MARGIN)
}

/// The horizontal place of a share of the width.
pub(super) fn place(share: f64) -> String {
    format!("{:.2}%", percent(share))
}

/// The distance between two such places.
pub(super) fn width(from: f64, to: f64) -> String {
    format!("{:.2}%", ((to - from) * (100.0 - 2.0 * MARGIN)).max(0.0))
}

/// A drawing as wide as its place, with a text that stands for it.
pub(super) fn drawing(title: &str, height: u32, content: &Markup) -> Markup {
    html! {
        svg role="img" width="100%" height=(height) {
            title { (title) }
            (content)
        }
    }
}

/// Vertical lines at the ticks of a horizontal axis.
pub(super) fn grid(axis: &Axis, height: u32) -> Markup {
    html! {
        @for tick in &axis.ticks {
            @let x = place(tick.at);
            line.grid x1=(x) x2=(x) y1="0" y2=(height) {}
        }
    }
}

/// The labels of a horizontal axis, in a line that begins at `top`.
pub(super) fn labels(axis: &Axis, top: u32) -> Markup {
    html! {
        @for tick in &axis.ticks {
            text.tick x=(place(tick.at)) y=(top + 12) text-anchor="middle" { (tick.label) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lie_within_the_drawing() {
        assert_eq!(place(0.0), "2.00%");
        assert_eq!(place(0.5), "50.00%");
        assert_eq!(place(7.0), "98.00%");
        assert_eq!(width(0.25, 0.75), "48.00%");
        assert_eq!(width(0.75, 0.25), "0.00%");
    }

    #[test]
    fn the_text_of_a_drawing_is_escaped() {
        let drawn = drawing("<script>alert(1)</script>", 10, &Markup::default()).into_string();
        assert!(
            drawn.contains("<title>&lt;script&gt;alert(1)&lt;/script&gt;</title>"),
            "{drawn}"
        );
    }
}
