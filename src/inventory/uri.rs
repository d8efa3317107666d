//! What libvirt's URIs may contain that vcluster does not support, and how to say it here. All of it is found at once:
//! a URI is often copied from terraform or virt-manager with several such parts.

/// What is accepted in a URI besides `qemu:///system`.
#[derive(Clone, Copy, Debug)]
pub struct UriForms {
    /// Transports: `ssh` in `qemu+ssh`.
    pub transports: &'static [&'static str],
    /// Parameters after the `?`.
    pub parameters: &'static [&'static str],
}

/// A part of a URI that is not supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriFault {
    /// The part, for a message.
    pub part: String,
    /// What to write or do instead.
    pub instead: String,
}

/// All parts of a URI that are not supported. The host, the user and the port are not checked here.
pub fn uri_faults(uri: &str, forms: UriForms) -> Vec<UriFault> {
    let mut faults = Vec::new();
    let mut fault = |part: String, instead: String| faults.push(UriFault { part, instead });
    let Some((scheme, rest)) = uri.split_once("://") else {
        fault(
            "a URI without `://`".to_owned(),
            "write qemu+ssh://[user@]host[:port]/system, or qemu:///system for this machine".to_owned(),
        );
        return faults;
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (driver, transport) = scheme.split_once('+').unwrap_or((scheme, ""));
    let ssh = format!(
        "qemu+ssh://{}/system",
        if host.is_empty() { "host" } else { authority }
    );
    if scheme == "ssh" {
        fault("the scheme `ssh`".to_owned(), format!("write {ssh}"));
        return faults;
    }
    if driver != "qemu" {
        let part = format!("the driver `{}`", driver.escape_debug());
        fault(part, "vcluster uses QEMU and KVM only: `qemu`".to_owned());
    }
    let local = matches!(transport, "" | "unix") && host.is_empty();
    if !local && !forms.transports.contains(&transport) {
        let part = match transport {
            "" | "tls" => "the transport `tls`".to_owned(),
            other => format!("the transport `{}`", other.escape_debug()),
        };
        let instead = format!("use {ssh}: vcluster needs a login on the host, not only libvirt");
        fault(part, instead);
    }
    if user.contains(':') {
        fault(
            "a password".to_owned(),
            "use a key: `identity:` of the host, or an agent".to_owned(),
        );
    }
    match path {
        "/system" => {}
        "/session" => fault(
            "`/session`".to_owned(),
            "use /system: the libvirt of the whole machine, which has bridges and pools".to_owned(),
        ),
        "" => fault(
            "a URI without a path".to_owned(),
            "end it with /system".to_owned(),
        ),
        other => fault(
            format!("the path `{}`", other.escape_debug()),
            "end it with /system".to_owned(),
        ),
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !forms.parameters.contains(&key) {
            fault(format!("`{}`", key.escape_debug()), instead_of(key, value, local));
        }
    }
    faults
}

/// What takes the place of a parameter of libvirt's remote driver (<https://libvirt.org/uri.html>).
fn instead_of(key: &str, value: &str, is_local: bool) -> String {
    match key {
        "socket" if is_local => {
            format!("write qemu+unix:///system?socket={}", value.escape_debug())
        }
        "keyfile" => format!("set `identity: {}` of the host", value.escape_debug()),
        "sshauth" => {
            "leave it out: keys, certificates and agents are used as by `ssh`, passwords never".to_owned()
        }
        "no_verify" | "known_hosts_verify" => {
            "leave it out: the host's key must be known, so run `ssh HOST` once and accept it".to_owned()
        }
        "known_hosts" => "leave it out: set `UserKnownHostsFile` in ~/.ssh/config".to_owned(),
        "no_tty" => "leave it out: vcluster never asks for a password".to_owned(),
        "socket" => "leave it out: with SSH, libvirt's usual socket is used".to_owned(),
        "command" | "netcat" | "proxy" | "mode" => {
            "leave it out: vcluster forwards libvirt's socket over SSH by itself".to_owned()
        }
        "pkipath" | "tls_priority" | "no_sanity" => "leave it out: it is for TLS".to_owned(),
        _ => "leave it out".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: UriForms = UriForms {
        transports: &["ssh"],
        parameters: &[],
    };

    fn parts(uri: &str) -> Vec<String> {
        let faults = uri_faults(uri, FORMS);
        assert!(faults.iter().all(|fault| !fault.instead.is_empty()), "{uri}");
        faults.into_iter().map(|fault| fault.part).collect()
    }

    #[test]
    fn every_unsupported_part_is_named_at_once() {
        assert_eq!(
            parts(
                "qemu+ssh://root@bm01:22/system?keyfile=/k&sshauth=privkey&no_verify=1&known_hosts=/h&known_hosts_verify=ignore"
            ),
            [
                "`keyfile`",
                "`sshauth`",
                "`no_verify`",
                "`known_hosts`",
                "`known_hosts_verify`"
            ]
        );
        assert_eq!(
            parts("xen+libssh2://root:secret@bm01/session?mode=direct"),
            [
                "the driver `xen`",
                "the transport `libssh2`",
                "a password",
                "`/session`",
                "`mode`"
            ]
        );
        assert_eq!(
            parts("qemu://bm01/system?pkipath=/x"),
            ["the transport `tls`", "`pkipath`"]
        );
        assert_eq!(
            parts("qemu+tls://bm01"),
            ["the transport `tls`", "a URI without a path"]
        );
        assert_eq!(parts("bm01"), ["a URI without `://`"]);
        assert_eq!(parts("ssh://root@bm01"), ["the scheme `ssh`"]);
        assert_eq!(
            parts("qemu+unix:///session?socket=/run/x"),
            ["`/session`", "`socket`"]
        );
    }

    #[test]
    fn the_answer_has_the_way_to_say_it_here() {
        let faults = uri_faults("qemu+tls://me@bm01:22/system?keyfile=/k", FORMS);
        assert!(
            faults[0].instead.contains("qemu+ssh://me@bm01:22/system"),
            "{faults:?}"
        );
        assert!(faults[1].instead.contains("`identity: /k`"), "{faults:?}");
        let faults = uri_faults("qemu:///system?socket=/run/x", FORMS);
        assert!(
            faults[0].instead.contains("qemu+unix:///system?socket=/run/x"),
            "{faults:?}"
        );
    }

    #[test]
    fn what_is_supported_has_no_fault() {
        for uri in [
            "qemu:///system",
            "qemu+ssh://bm01/system",
            "qemu+ssh://me@[::1]:22/system",
        ] {
            assert_eq!(parts(uri), [""; 0], "{uri}");
        }
    }
}
