//! Why a login user may not use libvirt. A connection that is refused for that looks like one to a daemon that does not run.

use std::path::Path;
use std::time::Duration;

use super::forward::SOCKETS;
use super::link::HostLink;
use crate::base::shell::with_variables;
use crate::host::error::Cause;

/// The group that may use libvirt where polkit decides (`50-libvirt.rules`, libvirt's own and Debian's).
const GROUP: &str = "libvirt";

/// In place of a group: only root may use the socket.
const NOBODY: &str = "-";

/// The cause of a failure to connect to libvirt, more exactly if the user lacks a group.
pub(crate) async fn explained(
    cause: Cause,
    link: &HostLink,
    socket: Option<&Path>,
    timeout: Duration,
) -> Cause {
    if !cause.may_be_denial() {
        return cause;
    }
    let sockets = match socket {
        // A path with a space would be two words; such a socket is not examined.
        Some(path) => path.to_string_lossy().into_owned(),
        None => SOCKETS.join(" "),
    };
    let script = with_variables(&[("sockets", sockets.as_str())], include_str!("access.sh"));
    let answer = link.as_user(&script, timeout).await;
    let Some((user, group)) = answer.ok().as_deref().and_then(read) else {
        return cause;
    };
    match group {
        Some(group) if group == NOBODY => Cause::OnlyRoot { user },
        Some(group) => Cause::NotInGroup { user, group },
        // The socket is open to everyone, and libvirt itself refused.
        None if cause.is_denial() && user != "root" => Cause::NotInGroup {
            user,
            group: GROUP.to_owned(),
        },
        None => cause,
    }
}

/// The user, and the group of a socket that the user may not use.
fn read(answer: &str) -> Option<(String, Option<String>)> {
    let name = |word: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let good = !word.is_empty() && !word.starts_with('-') && word.chars().all(plain);
        good.then(|| word.to_owned())
    };
    let mut lines = answer.lines();
    let user = name(lines.next()?.trim())?;
    let group = match lines.next() {
        Some(line) => match line.split(' ').next()? {
            NOBODY => Some(NOBODY.to_owned()),
            group => Some(name(group)?),
        },
        None => None,
    };
    Some((user, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_closed_socket_is_read_and_odd_names_are_dropped() {
        let socket = "admin\nlibvirt /run/libvirt/libvirt-sock\n";
        assert_eq!(read(socket), Some(("admin".into(), Some("libvirt".into()))));
        assert_eq!(read("admin\n"), Some(("admin".into(), None)));
        let closed = "admin\n- /run/libvirt/libvirt-sock\n";
        assert_eq!(read(closed), Some(("admin".into(), Some(NOBODY.into()))));
        for bad in ["", "\n", "a;b\n", "admin\n$(x) /s\n", "-x\n"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_socket_that_does_not_exist_is_no_matter_of_groups() {
        let cause = Cause::Local("cannot open /nowhere/sock".into());
        let socket = Path::new("/nowhere/sock");
        let cause = explained(cause, &HostLink::local(), Some(socket), Duration::from_secs(5)).await;
        assert!(matches!(cause, Cause::Local(_)), "{cause}");
    }
}
