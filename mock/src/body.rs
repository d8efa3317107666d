//! The body of an answer: fixed bytes, or a Handlebars template that is rendered for each request.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use handlebars::Handlebars;
use serde::Serialize;

use crate::endpoint::Request;
use crate::error::MockError;
use crate::spec;

/// The largest body, in bytes.
const MAX_BODY: u64 = 64 << 20;
/// The name of the template in its registry.
const TEMPLATE: &str = "body";
const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    content: Content,
    content_type: String,
}

#[derive(Debug)]
enum Content {
    Fixed(Bytes),
    Template {
        registry: Box<Handlebars<'static>>,
        /// Whether it may use the body of the request.
        needs_body: bool,
    },
}

/// What a template may use.
#[derive(Serialize)]
struct Data<'a> {
    mock: &'a str,
    request: RequestData<'a>,
}

#[derive(Serialize)]
struct RequestData<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    body: &'a str,
}

impl Body {
    /// The body that is written; without one, it is empty. Files are looked up in `dir`.
    pub fn new(mock: &str, body: Option<&spec::Body>, dir: &Path) -> Result<Self, MockError> {
        let Some(body) = body else {
            return Ok(Self {
                content: Content::Fixed(Bytes::new()),
                content_type: TEXT.to_owned(),
            });
        };
        let guessed = match (&body.text, &body.file) {
            (Some(text), _) => type_of_text(text),
            (None, Some(file)) => type_of_file(file),
            (None, None) => BYTES,
        };
        let content_type = body.content_type.clone().unwrap_or_else(|| guessed.to_owned());
        let content = if let Some(text) = &body.text {
            text_content(mock, text, &content_type)?
        } else if let Some(file) = &body.file {
            Content::Fixed(read(&dir.join(file))?)
        } else {
            Content::Fixed(letters(body.size.map_or(0, |size| size.0)))
        };
        Ok(Self {
            content,
            content_type,
        })
    }

    /// Its media type.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// Whether it depends on the body of the request.
    pub fn needs_body(&self) -> bool {
        matches!(self.content, Content::Template { needs_body: true, .. })
    }

    /// Its bytes for a request of a mock. `query` is the part after `?` of the path of HTTP. The error is that of the
    /// template.
    pub fn render(&self, mock: &str, request: &Request<'_>, query: &str) -> Result<Bytes, String> {
        match &self.content {
            Content::Fixed(bytes) => Ok(bytes.clone()),
            Content::Template { registry, .. } => {
                let body = String::from_utf8_lossy(request.body);
                let data = Data {
                    mock,
                    request: RequestData {
                        method: request.method,
                        path: request.path,
                        query,
                        body: &body,
                    },
                };
                let text = registry
                    .render(TEMPLATE, &data)
                    .map_err(|error| one_line(&error))?;
                Ok(Bytes::from(text))
            }
        }
    }
}

fn text_content(mock: &str, text: &str, content_type: &str) -> Result<Content, MockError> {
    if !text.contains("{{") {
        return Ok(Content::Fixed(Bytes::copy_from_slice(text.as_bytes())));
    }
    let failed = |reason| MockError::Template {
        mock: mock.to_owned(),
        reason,
    };
    let mut registry = Handlebars::new();
    // A name that does not exist is a mistake, not an empty text.
    registry.set_strict_mode(true);
    if content_type.contains("json") {
        registry.register_escape_fn(escape_json);
    } else if content_type.contains("html") || content_type.contains("xml") {
        registry.register_escape_fn(handlebars::html_escape);
    } else {
        registry.register_escape_fn(handlebars::no_escape);
    }
    registry
        .register_template_string(TEMPLATE, text)
        .map_err(|error| failed(one_line(&error)))?;
    let content = Content::Template {
        registry: Box::new(registry),
        needs_body: text.contains("body"),
    };
    let body = Body {
        content,
        content_type: content_type.to_owned(),
    };
    // Finds names that do not exist before the first request does.
    let example = Request {
        method: "GET",
        path: "/",
        body: b"",
    };
    body.render(mock, &example, "").map_err(failed)?;
    Ok(body.content)
}

/// The first line that says something.
fn one_line(error: &impl ToString) -> String {
    let text = error.to_string();
    let line = text.lines().find(|line| !line.trim().is_empty());
    line.unwrap_or_default().trim().to_owned()
}

/// A text as it stands between the quotes of a JSON string.
fn escape_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

fn type_of_text(text: &str) -> &'static str {
    let text = text.trim_start();
    match text.chars().next() {
        Some('{' | '[') if !text.starts_with("{{") => JSON,
        Some('<') => "text/html; charset=utf-8",
        _ => TEXT,
    }
}

fn type_of_file(file: &Path) -> &'static str {
    let extension = file.extension().and_then(|extension| extension.to_str());
    match extension.unwrap_or_default().to_ascii_lowercase().as_str() {
        "json" => JSON,
        "html" | "htm" => "text/html; charset=utf-8",
        "txt" => TEXT,
        "xml" => "application/xml",
        "css" => "text/css",
        "js" => "text/javascript",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        _ => BYTES,
    }
}

fn read(path: &Path) -> Result<Bytes, MockError> {
    let failed = |source| MockError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_BODY + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BODY {
        return Err(MockError::TooLarge {
            path: path.to_owned(),
            most: MAX_BODY,
        });
    }
    Ok(Bytes::from(bytes))
}

/// Letters and digits that compress badly, the same for every run.
fn letters(size: u64) -> Bytes {
    let mut random = fastrand::Rng::with_seed(size);
    (0..size.min(MAX_BODY))
        .map(|_| random.alphanumeric() as u8)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Result<Body, MockError> {
        let body = spec::Body {
            text: Some(text.to_owned()),
            ..spec::Body::default()
        };
        Body::new("inventory", Some(&body), Path::new("/"))
    }

    fn rendered(body: &Body, path: &str) -> String {
        let request = Request {
            method: "GET",
            path,
            body: b"\xffx",
        };
        String::from_utf8(body.render("inventory", &request, "a=1").unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_template_uses_the_request() {
        let body =
            text("{{mock}} {{request.method}} {{request.path}} {{request.query}} {{request.body}}").unwrap();
        assert_eq!(rendered(&body, "/<x>"), "inventory GET /<x> a=1 \u{fffd}x");
        assert!(body.needs_body());
        assert_eq!(body.content_type(), TEXT);
    }

    #[test]
    fn what_a_client_sends_cannot_break_out_of_json() {
        let body = text(r#"{"id": "{{request.path}}"}"#).unwrap();
        assert_eq!(body.content_type(), JSON);
        assert!(!body.needs_body());
        let parsed: serde_json::Value = serde_json::from_str(&rendered(&body, "/\"},\n\\{{x}}")).unwrap();
        assert_eq!(parsed["id"], "/\"},\n\\{{x}}");
    }

    #[test]
    fn a_name_that_does_not_exist_is_found_before_the_first_request() {
        for bad in ["{{request.pth}}", "{{#if}}", "{{request.path"] {
            let error = text(bad).unwrap_err();
            assert!(matches!(error, MockError::Template { .. }), "{bad}: {error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_text_without_braces_is_sent_unchanged() {
        let body = text("[1, 2]").unwrap();
        assert_eq!(rendered(&body, "/"), "[1, 2]");
        assert_eq!(body.content_type(), JSON);
    }

    #[test]
    fn a_body_of_a_size_is_always_the_same() {
        let make = |size| {
            let body = spec::Body {
                size: Some(spec::Size(size)),
                ..spec::Body::default()
            };
            rendered(&Body::new("a", Some(&body), Path::new("/")).unwrap(), "/")
        };
        assert_eq!(make(1000).len(), 1000);
        assert_eq!(make(1000), make(1000));
        assert!(make(0).is_empty());
    }

    #[test]
    fn a_file_is_sent_unchanged_with_the_type_of_its_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.json"), "{{request.path}}").unwrap();
        let body = spec::Body {
            file: Some("x.json".into()),
            ..spec::Body::default()
        };
        let read = Body::new("a", Some(&body), dir.path()).unwrap();
        assert_eq!(rendered(&read, "/"), "{{request.path}}");
        assert_eq!(read.content_type(), JSON);
        let missing = Body::new("a", Some(&body), Path::new("/nonexistent")).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/x.json"));
    }
}
