//! Commands about the connection and the server, which clients send before and between those that are measured. They
//! are answered at once, unless a route is for them.

use bytes::Bytes;

use super::command::Command;
use super::reply::{Reply, Version};

/// The version that INFO and HELLO report.
const REDIS: &str = "7.2.0";

/// Whether a command is one of them.
pub(super) fn is_control(name: &str) -> bool {
    matches!(
        name,
        "PING"
            | "ECHO"
            | "SELECT"
            | "CLIENT"
            | "COMMAND"
            | "INFO"
            | "QUIT"
            | "HELLO"
            | "AUTH"
            | "CONFIG"
            | "RESET"
            | "READONLY"
            | "READWRITE"
            | "ASKING"
            | "WATCH"
            | "UNWATCH"
            | "CLUSTER"
            | "ACL"
            | "DEBUG"
            | "SUBSCRIBE"
            | "PSUBSCRIBE"
            | "SSUBSCRIBE"
            | "UNSUBSCRIBE"
            | "PUNSUBSCRIBE"
            | "SUNSUBSCRIBE"
    )
}

/// The reply to one of them. HELLO and RESET choose the version of what follows.
pub(super) fn reply(name: &str, command: &Command, version: &mut Version) -> Reply {
    let second = text(command, 1).to_ascii_uppercase();
    match name {
        "PING" if command.count() > 1 => same(command),
        "PING" => Reply::Simple("PONG"),
        "ECHO" => same(command),
        "HELLO" => hello(&second, version),
        "RESET" => {
            *version = Version::Two;
            Reply::Simple("RESET")
        }
        "INFO" => Reply::bulk(format!(
            "# Server\r\nredis_version:{REDIS}\r\nredis_mode:standalone\r\nredis_mock:vcluster\r\n\
             # Replication\r\nrole:master\r\nconnected_slaves:0\r\n# Persistence\r\nloading:0\r\n"
        )),
        "COMMAND" => match second.as_str() {
            "COUNT" => Reply::Integer(0),
            "DOCS" => Reply::Map(Vec::new()),
            _ => Reply::Array(Vec::new()),
        },
        "CLIENT" => match second.as_str() {
            "ID" => Reply::Integer(1),
            "GETNAME" => Reply::Null,
            "INFO" | "LIST" => Reply::bulk("id=1 name= db=0\n"),
            _ => Reply::Simple("OK"),
        },
        "CONFIG" if second == "GET" => {
            // What redis-benchmark asks for; the value is empty.
            let names = command.arguments(2).map(Bytes::copy_from_slice);
            Reply::Map(names.map(|name| (Reply::Bulk(name), Reply::bulk(""))).collect())
        }
        "CLUSTER" => Reply::error("This instance has cluster support disabled"),
        "SUBSCRIBE" | "PSUBSCRIBE" | "SSUBSCRIBE" => subscribed(name, command),
        "UNSUBSCRIBE" | "PUNSUBSCRIBE" | "SUNSUBSCRIBE" => unsubscribed(name, command),
        // AUTH too: a mock has no password.
        _ => Reply::Simple("OK"),
    }
}

fn text(command: &Command, index: usize) -> String {
    String::from_utf8_lossy(command.argument(index).unwrap_or_default()).into_owned()
}

fn same(command: &Command) -> Reply {
    match command.argument(1) {
        Some(argument) => Reply::Bulk(Bytes::copy_from_slice(argument)),
        None => Reply::error("the argument is missing or too large for the mock"),
    }
}

fn hello(wanted: &str, version: &mut Version) -> Reply {
    match wanted {
        "" => {}
        "2" => *version = Version::Two,
        "3" => *version = Version::Three,
        _ => return Reply::Error("NOPROTO unsupported protocol version".to_owned()),
    }
    let number = if *version == Version::Three { 3 } else { 2 };
    Reply::Map(vec![
        (Reply::bulk("server"), Reply::bulk("redis")),
        (Reply::bulk("version"), Reply::bulk(REDIS)),
        (Reply::bulk("proto"), Reply::Integer(number)),
        (Reply::bulk("id"), Reply::Integer(1)),
        (Reply::bulk("mode"), Reply::bulk("standalone")),
        (Reply::bulk("role"), Reply::bulk("master")),
        (Reply::bulk("modules"), Reply::Array(Vec::new())),
    ])
}

/// One message for each channel. Nothing is ever published.
fn subscribed(name: &str, command: &Command) -> Reply {
    let kind = name.to_ascii_lowercase();
    let channels = command.arguments(1).zip(1..);
    let message = |(channel, number): (&[u8], i64)| {
        let channel = Reply::Bulk(Bytes::copy_from_slice(channel));
        Reply::Push(vec![Reply::bulk(kind.clone()), channel, Reply::Integer(number)])
    };
    Reply::Sequence(channels.map(message).collect())
}

/// One message for each channel, or one for none.
fn unsubscribed(name: &str, command: &Command) -> Reply {
    let kind = name.to_ascii_lowercase();
    let message = |channel: Reply| Reply::Push(vec![Reply::bulk(kind.clone()), channel, Reply::Integer(0)]);
    if command.count() == 1 {
        return message(Reply::Null);
    }
    let channels = command.arguments(1).map(Bytes::copy_from_slice);
    Reply::Sequence(channels.map(|channel| message(Reply::Bulk(channel))).collect())
}
