//! Bare-metal hosts: node sets of names, values per host, URIs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use handlebars::Context;
use serde_json::{Map, Value, json};

use super::values::{self, Span};
use super::{Scope, nodes};
use crate::base::name::HostName;
use crate::base::units::MiB;
use crate::inventory::{UriForms, uri_faults};
use crate::topology::limits::MAX_HOSTS;
use crate::topology::model::{Accel, Host};
use crate::topology::raw::RawHost;
use crate::topology::reader::{At, Entries};
use crate::topology::tree::shorten;

/// Default maximum number of nodes on a host.
const MAX_NODES: u32 = 10;
/// Default vCPUs per CPU thread: scale tests pack idle nodes, and the fidelity record shows when it was too much.
const OVERCOMMIT: f64 = 10.0;
/// Default memory reserved for a host.
const RESERVE: MiB = MiB(512);
/// What a URI may contain besides `qemu:///system` and `qemu+unix:///system?socket=PATH`.
const FORMS: UriForms = UriForms {
    transports: &["ssh"],
    parameters: &[],
};
/// Default URI of a host.
const URI: &str = "qemu+ssh://root@{{name}}/system";

pub(super) fn resolve(scope: &Scope<'_>, raw: Option<&At<Entries<RawHost>>>) -> Vec<Host> {
    let Some(raw) = raw else {
        return local().into_iter().collect();
    };
    let Some(entries) = raw.get() else {
        return Vec::new();
    };
    if entries.0.is_empty() {
        scope.sink.error_hint(
            &raw.span,
            "`hosts` contains no host",
            "leave out `hosts` to use this machine".to_owned(),
        );
    }
    let mut hosts: Vec<Host> = Vec::new();
    let mut seen: HashMap<HostName, Span> = HashMap::new();
    for (key, raw) in &entries.0 {
        let Some(text) = key.get() else { continue };
        let Some(names) = nodes::plain(scope, &key.span, text, MAX_HOSTS, "hosts") else {
            continue;
        };
        // A mistake in a value is the same for all names of the key: it is reported for the first one.
        let mut mistaken = false;
        for name in names {
            let Some(name) = values::name::<HostName>(scope, &key.span, &name) else {
                break;
            };
            if let Some(first) = seen.get(&name) {
                let line = scope.sink.locate(first.start).line;
                scope.sink.error_hint(
                    &key.span,
                    format!("the host `{name}` is named twice"),
                    format!("it is first named in line {line}"),
                );
                break;
            }
            seen.insert(name.clone(), key.span.clone());
            if hosts.len() >= MAX_HOSTS {
                scope.sink.error_hint(
                    &key.span,
                    format!("the topology has more than {MAX_HOSTS} hosts"),
                    "use fewer hosts, or split the topology into several clusters".to_owned(),
                );
                return hosts;
            }
            let good = (!mistaken)
                .then(|| host(scope, &name, hosts.len(), raw.get()?, &key.span))
                .flatten();
            mistaken |= good.is_none();
            // A placeholder keeps the name known; it is never used, because there is a mistake in the sink.
            hosts.extend(good.or_else(|| Some(Host { name, ..local()? })));
        }
    }
    hosts
}

/// This machine.
fn local() -> Option<Host> {
    Some(Host {
        name: "localhost".parse().ok()?,
        uri: "qemu:///system".to_owned(),
        max_nodes: MAX_NODES,
        overcommit: OVERCOMMIT,
        reserve: RESERVE,
        address: None,
        accel: Accel::default(),
        identity: None,
        vars: Map::new(),
        at: None,
    })
}

/// One host; `None` if one of its values is wrong.
fn host(scope: &Scope<'_>, name: &HostName, index: usize, raw: &RawHost, span: &Span) -> Option<Host> {
    let vars = values::vars(raw.vars.as_ref());
    let context = |vars: &Map<String, Value>| {
        Context::from(
            json!({ "name": name, "index": index, "host": { "name": name, "index": index }, "vars": vars }),
        )
    };
    let vars_span = raw.vars.as_ref().map_or(span, |vars| &vars.span);
    let vars = values::rendered_vars(scope, vars_span, &vars, "vars", &context(&vars));
    let complete = vars.is_some();
    let vars = vars.unwrap_or_default();
    let context = context(&vars);
    let uri = match &raw.uri {
        Some(uri) => uri.get().and_then(|text| {
            let text = values::rendered(scope, &uri.span, &text.0, "uri", &context)?;
            check_uri(scope, &uri.span, &text)
        }),
        None => scope.engine.render_text(URI, "uri", &context).ok(),
    };
    let max_nodes = field(raw.max_nodes.as_ref(), MAX_NODES, |span, value| {
        values::number(scope, span, &value.to_string(), "max_nodes", 10_000)
    });
    let overcommit = field(raw.overcommit.as_ref(), OVERCOMMIT, |span, value| {
        let good = (0.01..=1_000.0).contains(value);
        if !good {
            scope.sink.error_hint(
                span,
                format!("overcommit: {value} is not a number from 0.01 to 1000"),
                "it is vCPUs per CPU thread: 10 is the default, 1 suits a benchmark".to_owned(),
            );
        }
        good.then_some(*value)
    });
    let reserve = field(raw.reserve.as_ref(), RESERVE, |span, value| {
        let text = values::rendered(scope, span, &value.0, "reserve", &context)?;
        values::size(scope, span, &text, "reserve", 0)
    });
    let address = field(raw.address.as_ref(), None, |span, value| {
        let text = values::rendered(scope, span, &value.0, "address", &context)?;
        values::address::<IpAddr>(scope, span, &text, "an IP address").map(Some)
    });
    let identity = field(raw.identity.as_ref(), None, |span, value| {
        let text = values::rendered(scope, span, &value.0, "identity", &context)?;
        identity(scope, span, &text).map(Some)
    });
    let accel = field(raw.accel.as_ref(), Accel::default(), |_, value| Some(*value));
    complete.then_some(())?;
    Some(Host {
        name: name.clone(),
        uri: uri?,
        max_nodes: max_nodes?,
        overcommit: overcommit?,
        reserve: reserve?,
        address: address?,
        accel: accel?,
        identity: identity?,
        vars,
        at: Some(scope.sink.locate(span.start)),
    })
}

/// A field, its default if it is left out, `None` if it is wrong.
fn field<T, U>(raw: Option<&At<T>>, default: U, read: impl Fn(&Span, &T) -> Option<U>) -> Option<U> {
    match raw {
        None => Some(default),
        Some(at) => read(&at.span, at.get()?),
    }
}

/// A private key file: absolute, below the home directory, or relative to the topology.
fn identity(scope: &Scope<'_>, span: &Span, text: &str) -> Option<PathBuf> {
    if text.is_empty() || text.chars().any(char::is_control) {
        scope.sink.error_hint(
            span,
            "`identity` is not a path",
            "write the path of a private key, such as ~/.ssh/id_ed25519".to_owned(),
        );
        return None;
    }
    let Some(rest) = text.strip_prefix("~/") else {
        return Some(scope.base_dir.join(text));
    };
    let home = std::env::home_dir();
    if home.is_none() {
        scope.sink.error_hint(
            span,
            "`~/` is used, but there is no home directory",
            "set HOME, or write an absolute path".to_owned(),
        );
    }
    home.map(|home| home.join(rest))
}

/// Accepts the URIs that vcluster supports; everything in them is harmless where it is used later.
fn check_uri(scope: &Scope<'_>, span: &Span, uri: &str) -> Option<String> {
    let refuse = |message: String, hint: &str| {
        scope.sink.error_hint(span, message, hint.to_owned());
        None
    };
    // A `?` without parameters says nothing.
    let uri = uri.trim_end_matches(['?', '&']);
    if uri == "qemu:///system" {
        return Some(uri.to_owned());
    }
    if let Some(rest) = uri.strip_prefix("qemu+unix:///system") {
        let socket = rest.strip_prefix("?socket=").unwrap_or_default();
        let safe = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@".contains(c);
        if socket.starts_with('/') && socket.chars().all(safe) {
            return Some(uri.to_owned());
        }
        return refuse(
            format!("`{}` does not name a socket", shorten(uri)),
            "write qemu+unix:///system?socket=/run/libvirt/libvirt-sock",
        );
    }
    let faults = uri_faults(uri, FORMS);
    if !faults.is_empty() {
        let parts: Vec<&str> = faults.iter().map(|fault| fault.part.as_str()).collect();
        let instead: Vec<String> = faults
            .iter()
            .map(|fault| format!("{}: {}", fault.part, fault.instead))
            .collect();
        return refuse(
            format!("`{}`: not supported here: {}", shorten(uri), parts.join(", ")),
            &instead.join("; "),
        );
    }
    let rest = uri.strip_prefix("qemu+ssh://").unwrap_or_default();
    let authority = rest.strip_suffix("/system").unwrap_or(rest);
    let (user, address) = match authority.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, authority),
    };
    let name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if user.is_some_and(|user| user.is_empty() || user.starts_with('-') || !user.chars().all(name)) {
        return refuse(
            format!("`{}` contains an invalid user name", shorten(uri)),
            "use letters, digits, `.`, `_` and inner `-`",
        );
    }
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (v6, port) = rest.split_once(']').unwrap_or_default();
        let port = (!port.is_empty()).then(|| port.strip_prefix(':').unwrap_or_default());
        (v6.parse::<std::net::Ipv6Addr>().is_ok(), port)
    } else {
        let (host, port) = address
            .split_once(':')
            .map_or((address, None), |(host, port)| (host, Some(port)));
        (host.to_ascii_lowercase().parse::<HostName>().is_ok(), port)
    };
    if !host {
        return refuse(
            format!("`{}` does not contain a valid host name or address", shorten(uri)),
            "write qemu+ssh://[user@]host[:port]/system",
        );
    }
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return refuse(
            format!("`{}` contains an invalid port", shorten(uri)),
            "use 1 to 65535",
        );
    }
    Some(uri.to_owned())
}
