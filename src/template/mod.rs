//! The template language: handlebars in strict mode, plain text without escaping, with the helpers
//! that configuring a cluster needs. A template can use only the data that it is rendered with: no
//! environment, no file, no clock, no other template.

mod error;
mod guard;
mod helpers;
mod lint;
mod literal;
mod shared;
mod tag;

use handlebars::{Context, Handlebars, Output, RenderContext, Renderable};

pub use error::TemplateError;
pub use shared::{Data, Place, Shared};

/// Maximum size of a rendered template in bytes.
pub const MAX_OUTPUT: usize = 16 * 1024 * 1024;

/// The handlebars registry, with the settings that all of vcluster uses.
pub struct Engine {
    registry: Handlebars<'static>,
}

/// A compiled template, which can be rendered any number of times.
#[derive(Clone, Debug)]
pub struct Template {
    compiled: handlebars::Template,
    source: String,
}

impl Template {
    /// The names that are unknown in this data, also in branches that are not taken. `text` is that of the template.
    pub fn unknown_names(&self, text: &str, context: &Context) -> Vec<TemplateError> {
        let data = context.data();
        let roots = lint::Roots {
            context: data,
            varying: ["node", "vars", "group"].map(|name| (name, data.get(name).into_iter().collect())),
        };
        lint::unknown_names(&self.compiled, text, &self.source, &roots)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine with all helpers.
    pub fn new() -> Self {
        let mut registry = Handlebars::new();
        registry.set_strict_mode(true);
        registry.register_escape_fn(handlebars::no_escape);
        // `log` would write to a logger that is not used.
        registry.unregister_helper("log");
        helpers::register(&mut registry);
        Self { registry }
    }

    /// Compiles a template. `source` names it in messages: a file, or its purpose.
    pub fn compile(&self, text: &str, source: &str) -> Result<Template, TemplateError> {
        guard::check(text, source)?;
        literal::check(text, source)?;
        let compiled = handlebars::Template::compile(text)
            .map_err(|error| TemplateError::from_compile(source, text, &error))?;
        guard::refuse_partials(&compiled.elements, source)?;
        Ok(Template {
            compiled,
            source: source.to_owned(),
        })
    }

    /// Renders a template with this data.
    pub fn render(&self, template: &Template, context: &Context) -> Result<String, TemplateError> {
        let mut out = Limited::default();
        let mut render_context = RenderContext::new(None);
        let result = helpers::with_fresh_budget(|| {
            template
                .compiled
                .render(&self.registry, context, &mut render_context, &mut out)
        });
        if out.full {
            return Err(TemplateError::too_large(&template.source));
        }
        match result {
            Ok(()) => Ok(out.text),
            Err(error) => Err(TemplateError::from_render(
                &template.source,
                &error,
                context.data(),
            )),
        }
    }

    /// Compiles and renders a short text.
    pub fn render_text(&self, text: &str, source: &str, context: &Context) -> Result<String, TemplateError> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        self.render(&self.compile(text, source)?, context)
    }
}

/// Whether a text uses the template language at all.
pub fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// Output limited to [`MAX_OUTPUT`].
#[derive(Default)]
struct Limited {
    text: String,
    full: bool,
}

impl Output for Limited {
    fn write(&mut self, segment: &str) -> Result<(), std::io::Error> {
        if self.text.len() + segment.len() > MAX_OUTPUT {
            self.full = true;
            return Err(std::io::Error::other("the output is too large"));
        }
        self.text.push_str(segment);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
