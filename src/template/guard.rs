//! Refuses templates on which the parser or the renderer would recurse without limit.

use handlebars::template::TemplateElement;

use super::error::TemplateError;

/// Maximum nesting of blocks, and of brackets.
const MAX_NESTING: usize = 32;

/// Maximum size of a template in bytes.
const MAX_TEXT: usize = 4 * 1024 * 1024;

/// Counts nesting before the recursive parser sees the text.
pub(super) fn check(text: &str, source: &str) -> Result<(), TemplateError> {
    if text.len() > MAX_TEXT {
        return Err(TemplateError::new(
            source,
            None,
            format!("the template is larger than {} MiB", MAX_TEXT >> 20),
        ));
    }
    let mut blocks = 0_usize;
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        rest = &rest[open + 2..];
        let tag = rest.trim_start_matches(['~', '{']);
        if tag.starts_with('#') {
            blocks += 1;
        } else if tag.starts_with('/') {
            blocks = blocks.saturating_sub(1);
        }
        let end = rest.find("}}").unwrap_or(rest.len());
        let mut depth = 0_usize;
        let mut deepest = 0;
        for byte in rest[..end].bytes() {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        if blocks > MAX_NESTING || deepest > MAX_NESTING {
            let before = &text[..text.len() - rest.len()];
            let line = before.matches('\n').count() + 1;
            return Err(TemplateError::new(
                source,
                Some((line, 1)),
                format!("the template nests deeper than {MAX_NESTING}"),
            ));
        }
    }
    Ok(())
}

/// Partials and decorators can recurse without limit, and nothing here needs them.
pub(super) fn refuse_partials(elements: &[TemplateElement], source: &str) -> Result<(), TemplateError> {
    for element in elements {
        match element {
            TemplateElement::HelperBlock(helper) => {
                for inner in [&helper.template, &helper.inverse].into_iter().flatten() {
                    refuse_partials(&inner.elements, source)?;
                }
            }
            TemplateElement::DecoratorExpression(_)
            | TemplateElement::DecoratorBlock(_)
            | TemplateElement::PartialExpression(_)
            | TemplateElement::PartialBlock(_) => {
                return Err(TemplateError::new(
                    source,
                    None,
                    "partials (`{{> x}}`) and decorators (`{{* x}}`) are not supported",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}
