//! Frames that the supervisor on a node sends: see `guest/src/wire.rs`. Nodes are not trusted, so every frame is
//! bounded and anything unknown is an error.

use std::time::Duration;

use super::measured::Measured;

/// The longest payload that a supervisor sends.
const LONGEST: usize = 64 << 10;

/// One frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// The first frame: output follows from these positions.
    Hello {
        /// The boot ID; it changes when the node reboots.
        boot: String,
        /// Positions of standard output and standard error.
        from: [u64; 2],
        /// How long the command has run; `None` while it waits for the order to start.
        ran: Option<Duration>,
    },
    /// Standard output.
    Stdout(Vec<u8>),
    /// Standard error.
    Stderr(Vec<u8>),
    /// What the processes were doing before they were ended.
    Report(String),
    /// What the node measured from the start of the command to its end.
    Measured(Measured),
    /// The end.
    End {
        /// The exit code, or the signal's number.
        code: Result<u32, u32>,
        /// Milliseconds from the start.
        milliseconds: u64,
        /// Whether the supervisor ended it because of its own limit.
        limit: bool,
    },
    /// The node has no such step.
    Gone {
        /// The node's boot ID.
        boot: String,
    },
}

/// Bytes that are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FrameError(String);

/// Assembles frames from chunks. Holds at most one frame. What the login shell prints before the first one is skipped, as
/// that of a `.bashrc`.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    has_begun: bool,
}

impl Frames {
    /// Takes a chunk and returns the frames that it completes.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Frame>, FrameError> {
        self.bytes.extend_from_slice(piece);
        if !self.has_begun && !self.begin()? {
            return Ok(Vec::new());
        }
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some(head) = self.bytes.get(at..at + 5) {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            if length > LONGEST || !b"hoermxg".contains(&head[0]) {
                let head = head.escape_ascii().to_string();
                return Err(FrameError(format!("no frame begins with {head}")));
            }
            let Some(payload) = self.bytes.get(at + 5..at + 5 + length) else {
                break;
            };
            frames.push(read(head[0], payload)?);
            at += 5 + length;
        }
        self.bytes.drain(..at);
        Ok(frames)
    }

    /// Skips what is before the first frame: text, in which no byte is zero. The second byte of a frame is, because its
    /// payload is short. Returns whether the frame is there.
    fn begin(&mut self) -> Result<bool, FrameError> {
        if let Some(zero) = self.bytes.iter().position(|byte| *byte == 0) {
            self.bytes.drain(..zero.saturating_sub(1));
            self.has_begun = true;
        } else if self.bytes.len() > LONGEST {
            let head = self.bytes[..80].escape_ascii().to_string();
            return Err(FrameError(format!("no frame follows {head}")));
        }
        Ok(self.has_begun)
    }
}

fn read(kind: u8, payload: &[u8]) -> Result<Frame, FrameError> {
    let nonsense = || {
        let shown: String = payload.escape_ascii().map(char::from).take(80).collect();
        FrameError(format!("frame {}: {shown}", char::from(kind)))
    };
    let text = || String::from_utf8_lossy(payload).into_owned();
    Ok(match kind {
        b'o' => Frame::Stdout(payload.to_vec()),
        b'e' => Frame::Stderr(payload.to_vec()),
        b'r' => Frame::Report(text()),
        b'g' => Frame::Gone { boot: text() },
        b'h' => hello(&text()).ok_or_else(nonsense)?,
        b'm' => Frame::Measured(Measured::read(&text()).ok_or_else(nonsense)?),
        _ => end(&text()).ok_or_else(nonsense)?,
    })
}

fn hello(text: &str) -> Option<Frame> {
    let words: Vec<&str> = text.split(' ').collect();
    let (boot, out, err, ran): (&str, &str, &str, Option<u64>) = match words[..] {
        ["1", boot, out, err, "waiting"] => (boot, out, err, None),
        // Of a release that did not send the time.
        ["1", boot, out, err, "started"] => (boot, out, err, Some(0)),
        ["1", boot, out, err, "started", ran] => (boot, out, err, Some(ran.parse().ok()?)),
        _ => return None,
    };
    Some(Frame::Hello {
        boot: boot.to_owned(),
        from: [out.parse().ok()?, err.parse().ok()?],
        ran: ran.map(Duration::from_millis),
    })
}

fn end(text: &str) -> Option<Frame> {
    let words: Vec<&str> = text.split(' ').collect();
    let (how, code, milliseconds, limit) = match words[..] {
        [how, code, milliseconds] => (how, code, milliseconds, false),
        [how, code, milliseconds, "limit"] => (how, code, milliseconds, true),
        _ => return None,
    };
    let code = code.parse().ok()?;
    Some(Frame::End {
        code: match how {
            "exit" => Ok(code),
            "signal" => Err(code),
            _ => return None,
        },
        milliseconds: milliseconds.parse().ok()?,
        limit,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[kind], &length[..], payload].concat()
    }

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let bytes = [
            frame(b'h', b"1 boot 7 0 waiting"),
            frame(b'h', b"1 boot 0 9 started 1500"),
            frame(b'o', b"hello"),
            frame(b'e', b""),
            frame(b'r', b"pid 1\n"),
            frame(b'm', b"cpu 2500\nmemory 7\n"),
            frame(b'x', b"signal 9 1500 limit"),
        ]
        .concat();
        let wanted = vec![
            Frame::Hello {
                boot: "boot".into(),
                from: [7, 0],
                ran: None,
            },
            Frame::Hello {
                boot: "boot".into(),
                from: [0, 9],
                ran: Some(Duration::from_millis(1500)),
            },
            Frame::Stdout(b"hello".to_vec()),
            Frame::Stderr(Vec::new()),
            Frame::Report("pid 1\n".into()),
            Frame::Measured(Measured {
                cpu_seconds: 2.5,
                memory_bytes: 7,
                ..Measured::default()
            }),
            Frame::End {
                code: Err(9),
                milliseconds: 1500,
                limit: true,
            },
        ];
        for size in 1..bytes.len() {
            let mut frames = Frames::default();
            let pieces = bytes.chunks(size);
            let found: Vec<Frame> = pieces.flat_map(|piece| frames.push(piece).unwrap()).collect();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn what_no_supervisor_sends_is_refused_before_it_takes_memory() {
        let hello = frame(b'h', b"1 boot 7 0 waiting");
        for bytes in [
            b"Welcome to this machine\n".repeat(LONGEST / 10),
            [&hello[..], b"Welcome to this machine\n"].concat(),
            frame(b'h', b"2 boot 0 0 started 0"),
            frame(b'h', b"1 boot -1 0 started 0"),
            frame(b'h', b"1 boot 0 0 started 18446744073709551616"),
            frame(b'x', b"exit 0"),
            frame(b'x', b"exit 0 18446744073709551616"),
            [&hello[..], &frame(b'm', b"cpu 18446744073709551616")].concat(),
            [&hello[..], b"o", &u32::MAX.to_be_bytes()].concat(),
            vec![0; 5],
        ] {
            assert!(Frames::default().push(&bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn what_a_login_shell_prints_before_the_first_frame_is_skipped() {
        let hello = frame(b'h', b"1 boot 7 0 waiting");
        for before in ["W", "Welcome to this machine\n", "hello hoerxg é\n"] {
            let bytes = [before.as_bytes(), &hello, &frame(b'o', b"text")].concat();
            for size in 1..bytes.len() {
                let mut frames = Frames::default();
                let pieces = bytes.chunks(size);
                let found: Vec<Frame> = pieces.flat_map(|piece| frames.push(piece).unwrap()).collect();
                assert!(
                    matches!(found[..], [Frame::Hello { .. }, Frame::Stdout(_)]),
                    "{found:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_frames_or_an_error(pieces: Vec<Vec<u8>>) {
            let mut frames = Frames::default();
            for piece in pieces {
                if frames.push(&piece).is_err() {
                    break;
                }
                prop_assert!(frames.bytes.len() <= LONGEST + 5);
            }
        }
    }
}
