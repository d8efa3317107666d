//! What a command has written and its reader has not taken yet. Small pieces of a stream become one, so that they use
//! little more memory than their bytes. Pure, apart from handing over.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::request::ExecEvent;

/// With this many bytes, or pieces, nothing more is taken from the channel.
const BYTES: usize = 4 << 20;
const PIECES: usize = 16_384;

/// The size up to which pieces are joined: that of a packet of SSH.
const JOINED: usize = 32 << 10;

/// The output that waits, in its order.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    events: VecDeque<ExecEvent>,
    bytes: usize,
}

impl Backlog {
    /// Whether more may be added.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < BYTES && self.events.len() < PIECES
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Adds an event.
    pub(super) fn push(&mut self, event: ExecEvent) {
        self.bytes += length(&event);
        match (self.events.back_mut(), &event) {
            (Some(ExecEvent::Stdout(last)), ExecEvent::Stdout(more))
            | (Some(ExecEvent::Stderr(last)), ExecEvent::Stderr(more))
                if last.len() + more.len() <= JOINED =>
            {
                last.extend_from_slice(more);
            }
            _ => self.events.push_back(event),
        }
    }

    /// Takes the first event.
    pub(super) fn pop(&mut self) -> Option<ExecEvent> {
        let event = self.events.pop_front()?;
        self.bytes -= length(&event);
        Some(event)
    }

    /// Hands over what the reader has room for.
    pub(super) fn hand_over(&mut self, reader: &mpsc::Sender<ExecEvent>) {
        while !self.is_empty() {
            let Ok(permit) = reader.try_reserve() else { return };
            if let Some(event) = self.pop() {
                permit.send(event);
            }
        }
    }
}

fn length(event: &ExecEvent) -> usize {
    match event {
        ExecEvent::Stdout(bytes) | ExecEvent::Stderr(bytes) => bytes.len(),
        ExecEvent::Ended(_) | ExecEvent::TimedOut(_) | ExecEvent::Lost(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(bytes: &[u8]) -> ExecEvent {
        ExecEvent::Stdout(bytes.to_vec())
    }

    /// A piece to which nothing is joined.
    fn full() -> ExecEvent {
        ExecEvent::Stdout(vec![b'x'; JOINED])
    }

    #[test]
    fn small_pieces_of_a_stream_become_one_and_the_order_of_the_streams_stays() {
        let mut backlog = Backlog::default();
        for event in [out(b"a"), out(b"b"), ExecEvent::Stderr(b"c".to_vec()), out(b"d")] {
            backlog.push(event);
        }
        backlog.push(full());
        let all: Vec<ExecEvent> = std::iter::from_fn(|| backlog.pop()).collect();
        let expected = [out(b"ab"), ExecEvent::Stderr(b"c".to_vec()), out(b"d"), full()];
        assert_eq!(all, expected);
        assert!(backlog.is_empty() && backlog.bytes == 0);
    }

    #[test]
    fn bytes_and_pieces_are_bounded_and_room_returns() {
        let mut backlog = Backlog::default();
        while backlog.has_room() {
            backlog.push(full());
        }
        assert_eq!(backlog.bytes, BYTES);
        backlog.pop();
        assert!(backlog.has_room());

        // Even pieces without a byte cannot use memory without limit, if the streams alternate.
        let mut backlog = Backlog::default();
        for _ in 0..PIECES / 2 {
            assert!(backlog.has_room());
            backlog.push(out(b""));
            backlog.push(ExecEvent::Stderr(Vec::new()));
        }
        assert!(!backlog.has_room());
    }

    #[test]
    fn the_reader_gets_as_much_as_it_has_room_for() {
        let (sender, mut reader) = mpsc::channel(1);
        let mut backlog = Backlog::default();
        backlog.push(out(b"a"));
        backlog.push(ExecEvent::Stderr(b"b".to_vec()));
        backlog.hand_over(&sender);
        assert_eq!(reader.try_recv().ok(), Some(out(b"a")));
        assert!(reader.try_recv().is_err(), "it has room for one event");
        backlog.hand_over(&sender);
        assert_eq!(reader.try_recv().ok(), Some(ExecEvent::Stderr(b"b".to_vec())));
        assert!(backlog.is_empty());
    }
}
