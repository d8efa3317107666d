//! Redis by command. Subscriptions, replication and `CLIENT REPLY` have no answer for each command and are not recorded.

mod values;

use std::time::Duration;

use super::watch::{NotUnderstood, Seen, Waiting, Watch};
use values::{Side, Value, Values};

/// Commands after which answers no longer follow commands one by one.
const NOT_RECORDED: [&str; 7] = [
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "SSUBSCRIBE",
    "MONITOR",
    "SYNC",
    "PSYNC",
    "REPLCONF",
];

/// Reads both directions of a connection.
#[derive(Debug)]
pub(super) struct Redis {
    commands: Values,
    answers: Values,
    waiting: Waiting,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            commands: Values::new(Side::Client),
            answers: Values::new(Side::Server),
            waiting: Waiting::default(),
        }
    }
}

impl Watch for Redis {
    fn request(&mut self, bytes: &[u8], now: Duration) -> Result<(), NotUnderstood> {
        let mut rest = bytes;
        while let Some(command) = self.commands.next(&mut rest)? {
            let name = word(&command.words[0]);
            let is_reply = name == "CLIENT" && word(&command.words[1]) == "REPLY";
            if NOT_RECORDED.contains(&name.as_str()) || is_reply {
                return Err(NotUnderstood);
            }
            self.waiting.add(name, now)?;
        }
        Ok(())
    }

    fn answer(&mut self, bytes: &[u8], now: Duration, seen: &mut Vec<Seen>) -> Result<(), NotUnderstood> {
        let mut rest = bytes;
        while let Some(Value { kind, size, .. }) = self.answers.next(&mut rest)? {
            // A push of RESP3 answers nothing.
            if kind == b'>' {
                continue;
            }
            let Some((route, started)) = self.waiting.take(now) else {
                return Err(NotUnderstood);
            };
            seen.push(Seen {
                route,
                started,
                ended: now,
                status: None,
                error: matches!(kind, b'-' | b'!').then_some("error"),
                bytes: size,
            });
        }
        Ok(())
    }

    fn end(&mut self, now: Duration, by_service: bool, seen: &mut Vec<Seen>) {
        self.waiting.give_up(now, by_service, seen);
    }
}

/// The name of a command as a route.
fn word(bytes: &[u8]) -> String {
    let shown = bytes.iter().map(|byte| match byte {
        b'.' | b'_' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte.to_ascii_uppercase()),
        _ => '_',
    });
    shown.collect()
}
