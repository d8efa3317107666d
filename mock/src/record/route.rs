//! The route of a request: what requests have in common that a mock answers alike.

/// Longest name of a route in bytes. The rest of a longer text is cut off.
pub(crate) const LONGEST: usize = 256;

/// Most segments of a path that are kept apart.
const SEGMENTS: usize = 12;

/// The route of an HTTP request: `GET /items/*` for `GET /items/17?verbose`. Segments that are numbers, UUIDs or long
/// hexadecimal words name one thing of many, so they become `*`, which matches one segment in a mock.
pub(crate) fn of_http(method: &str, target: &str) -> String {
    let method: String = method
        .chars()
        .filter(char::is_ascii_alphabetic)
        .take(16)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let method = if method.is_empty() {
        "GET".to_owned()
    } else {
        method
    };
    let mut route = method;
    route.push(' ');
    let path = path_of(target);
    if !path.starts_with('/') {
        // `OPTIONS *` and `CONNECT host:port`.
        route.push_str("/**");
        return route;
    }
    for (count, segment) in path[1..].split('/').enumerate() {
        // `**` is in no path: it is what a route ends with that was written here.
        if count == SEGMENTS || route.len() + segment.len() > LONGEST || segment == "**" {
            route.push_str("/**");
            return route;
        }
        route.push('/');
        route.push_str(if is_identifier(segment) { "*" } else { segment });
    }
    route
}

/// The route of a text: `METHOD TARGET` as of HTTP, anything else as it is, without control characters.
pub(crate) fn of_text(text: &str) -> String {
    if let Some((method, target)) = text.split_once(' ')
        && method.chars().all(|c| c.is_ascii_alphabetic())
        && (target.starts_with('/') || target.contains("://"))
    {
        return of_http(method, target);
    }
    let mut route = String::new();
    for character in text.trim().chars() {
        if route.len() + character.len_utf8() > LONGEST {
            break;
        }
        route.push(if character.is_control() { ' ' } else { character });
    }
    route
}

/// The path of a request target, without query and fragment; of an absolute URL without scheme and host.
fn path_of(target: &str) -> &str {
    let target = target.split(['?', '#']).next().unwrap_or_default();
    match target.split_once("://") {
        Some((scheme, rest)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => target,
    }
}

/// Whether a segment of a path names one thing of many. A `*` would be a pattern in a mock, and a control character is
/// in no path.
fn is_identifier(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    if bytes.is_empty() {
        return false;
    }
    let are_digits = bytes.iter().all(u8::is_ascii_digit);
    let has_digit = bytes.iter().any(u8::is_ascii_digit);
    let are_hex = bytes.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let is_strange = segment.contains(['*', '{', '}']) || segment.chars().any(char::is_control);
    are_digits || (are_hex && has_digit && bytes.len() >= 16) || bytes.len() > 64 || is_strange
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_name_one_of_many_become_a_star() {
        for (target, wanted) in [
            ("/items/17?verbose=1", "GET /items/*"),
            ("/", "GET /"),
            ("/items/", "GET /items/"),
            (
                "/v2/items/3f2504e0-4f89-11d3-9a0c-0305e82c3301/parts",
                "GET /v2/items/*/parts",
            ),
            ("/blobs/9f86d081884c7d659a2feaa0c55ad015", "GET /blobs/*"),
            ("http://inventory:8080/items/1", "GET /items/*"),
            ("http://inventory", "GET /"),
            ("/a*b/x", "GET /*/x"),
            ("/deadbeef", "GET /deadbeef"),
            ("inventory:443", "GET /**"),
        ] {
            assert_eq!(of_http("get", target), wanted, "{target}");
        }
    }

    #[test]
    fn a_route_is_bounded_whatever_the_path_is() {
        let deep = "/a".repeat(1_000);
        assert_eq!(of_http("GET", &deep), format!("GET {}/**", "/a".repeat(SEGMENTS)));
        let long = format!("/{}/", "ä".repeat(10_000));
        assert_eq!(of_http("GET", &long), "GET /**");
        assert!(of_text(&"ä".repeat(10_000)).len() <= LONGEST);
    }

    #[test]
    fn the_route_of_a_route_is_the_same() {
        for text in ["GET /items/*", "SET", "POST /a/**", "", "SELECT 1"] {
            assert_eq!(of_text(text), text);
        }
        assert_eq!(of_text("GET /x\n"), "GET /*");
        assert_eq!(of_text("a\tb"), "a b");
    }
}
