//! The routes of a recording as patterns of a mock.

use super::LearnError;
use super::service_time::{self, Basis};
use crate::record::route::LONGEST;
use crate::record::{Entry, OTHER, Recording};
use crate::spec::{Match, Protocol};

/// The protocol that the routes show.
pub(super) fn protocol(routes: &[String]) -> Result<Protocol, LearnError> {
    let of = |route: &String| match route.split_once(' ') {
        None if route.is_empty() => Some(Protocol::Tcp),
        None if route
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || b"._".contains(&byte)) =>
        {
            Some(Protocol::Redis)
        }
        Some((_, path)) if path.starts_with('/') => Some(Protocol::Http),
        _ => None,
    };
    let mut known = routes
        .iter()
        .filter(|route| *route != OTHER)
        .map(|route| (route, of(route)));
    let first = known.next();
    match first {
        Some((_, Some(protocol))) if known.all(|(_, other)| other == Some(protocol)) => Ok(protocol),
        Some((route, _)) => Err(LearnError::Protocol { route: route.clone() }),
        None => Err(LearnError::Empty),
    }
}

/// What each route rests on, the most frequent first.
pub(super) fn parts(recording: &Recording, unloaded: &[bool], protocol: Protocol) -> Vec<Basis> {
    let mut requests: Vec<(Vec<&Entry>, Vec<bool>)> =
        vec![(Vec::new(), Vec::new()); recording.routes().len()];
    for (entry, is_unloaded) in recording.entries().iter().zip(unloaded) {
        if let Some(of_route) = requests.get_mut(entry.route as usize) {
            of_route.0.push(entry);
            of_route.1.push(*is_unloaded);
        }
    }
    let mut named: Vec<_> = recording.routes().iter().zip(requests).collect();
    named.retain(|(route, _)| pattern(route, protocol).is_some());
    named.sort_by_key(|(_, requests)| std::cmp::Reverse(requests.0.len()));
    let parts = named
        .into_iter()
        .map(|(route, (entries, unloaded))| service_time::basis(route, entries, &unloaded, protocol));
    parts.collect()
}

/// The pattern of a route; `None` for what has none: the surplus, and connections.
pub(super) fn pattern(route: &str, protocol: Protocol) -> Option<Match> {
    if route == OTHER || route.is_empty() {
        return None;
    }
    let mut matches = Match::default();
    match protocol {
        Protocol::Http => {
            let (method, path) = route.split_once(' ')?;
            matches.method = Some(method.to_owned());
            matches.path = Some(path.to_owned());
        }
        Protocol::Grpc => {
            let path = route.split_once(' ').map_or(route, |(_, path)| path);
            matches.path = Some(path.to_owned());
        }
        Protocol::Redis => matches.command = Some(route.to_owned()),
        Protocol::Postgres => {
            let mut query = route.replace('\\', r"\\");
            // The name of a long query is only its begin, up to the last whole character.
            if route.len() + char::MAX.len_utf8() > LONGEST {
                query.push('%');
            }
            matches.query = Some(query);
        }
        Protocol::Tcp => return None,
    }
    Some(matches)
}

/// Sorts routes so that the first match is the most exact one: without wildcards first, then the most frequent.
pub(super) fn in_order_of_matching(parts: &mut [Basis]) {
    parts.sort_by_key(|part| {
        let any = part.route.matches("**").count();
        let segments = part.route.matches('*').count() - 2 * any;
        (any, segments, std::cmp::Reverse(part.requests))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(routes: &[&str]) -> Option<Protocol> {
        let routes: Vec<String> = routes.iter().map(|route| (*route).to_owned()).collect();
        protocol(&routes).ok()
    }

    #[test]
    fn the_routes_show_the_protocol_unless_they_are_of_several() {
        assert_eq!(of(&["GET /a", "*", "POST /b/**"]), Some(Protocol::Http));
        assert_eq!(of(&["GET", "SET", "JSON.GET"]), Some(Protocol::Redis));
        assert_eq!(of(&[""]), Some(Protocol::Tcp));
        assert_eq!(of(&["GET /a", "SET"]), None);
        assert_eq!(of(&["SELECT 1 FROM t"]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn patterns_have_the_keys_of_their_protocol() {
        let http = pattern("GET /items/*", Protocol::Http).unwrap();
        assert_eq!(
            (http.method.as_deref(), http.path.as_deref()),
            (Some("GET"), Some("/items/*"))
        );
        let grpc = pattern("POST /shop.Cart/Add", Protocol::Grpc).unwrap();
        assert_eq!(
            (grpc.method, grpc.path.as_deref()),
            (None, Some("/shop.Cart/Add"))
        );
        assert_eq!(
            pattern("GET", Protocol::Redis).unwrap().command.as_deref(),
            Some("GET")
        );
        let query = pattern(r"SELECT '\d'", Protocol::Postgres).unwrap().query;
        assert_eq!(query.as_deref(), Some(r"SELECT '\\d'"));
        let long = crate::record::route::of_text(&format!("SELECT {}", "a, ".repeat(200)));
        let query = pattern(&long, Protocol::Postgres).unwrap().query.unwrap();
        assert_eq!(query, format!("{long}%"));
        assert_eq!(pattern(OTHER, Protocol::Http), None);
        assert_eq!(pattern("", Protocol::Redis), None);
    }
}
