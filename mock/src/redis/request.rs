//! Reads commands as Redis does: arrays of bulk strings, or words on a line. What a command does not keep is dropped
//! as it arrives, so that large values need no memory.
//!
//! Limits and texts of errors: `networking.c` of Redis 7.2 (`processMultibulkBuffer`, `processInlineBuffer`).

use bytes::{Buf, BytesMut};

use super::command::Command;

/// Longest line. `PROTO_INLINE_MAX_SIZE`.
const LONGEST_LINE: usize = 64 * 1024;

/// Most arguments of a command. `INT_MAX` in Redis for clients with a login; 1,048,576 before Redis 7.
const MOST_ARGUMENTS: u64 = 1024 * 1024;

/// Longest argument in bytes. The default of `proto-max-bulk-len`.
const LONGEST_ARGUMENT: u64 = 512 * 1024 * 1024;

/// A client that does not follow the protocol. Its connection is closed after the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    /// A line without end.
    #[error("Protocol error: too big inline request")]
    Line,
    /// A number of arguments without end.
    #[error("Protocol error: too big mbulk count string")]
    LongArguments,
    /// A length without end.
    #[error("Protocol error: too big bulk count string")]
    LongLength,
    /// The number of arguments.
    #[error("Protocol error: invalid multibulk length")]
    Arguments,
    /// The length of an argument.
    #[error("Protocol error: invalid bulk length")]
    Length,
    /// No length where one must be.
    #[error("Protocol error: expected '$', got '{}'", .0.escape_ascii())]
    Dollar(u8),
    /// A quotation mark without its pair.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
}

/// What comes next on a connection.
#[derive(Clone, Copy, Debug, Default)]
enum Expect {
    /// A command.
    #[default]
    Command,
    /// The length of an argument.
    Length { left: u64 },
    /// An argument that is kept.
    Kept { length: usize, left: u64 },
    /// An argument that is dropped, with the end of its line.
    Dropped { bytes: u64, left: u64 },
}

/// Reads the commands of a connection one by one.
#[derive(Debug, Default)]
pub(super) struct Reader {
    expect: Expect,
    command: Command,
    /// How much of the input has no end of a line.
    searched: usize,
}

impl Reader {
    /// The last command that was read completely.
    pub(super) fn command(&self) -> &Command {
        &self.command
    }

    /// Whether no command has begun.
    pub(super) fn is_between_commands(&self) -> bool {
        matches!(self.expect, Expect::Command)
    }

    /// Takes from the input. True: a command is complete. False: more input is needed.
    pub(super) fn read(&mut self, input: &mut BytesMut) -> Result<bool, ProtocolError> {
        loop {
            match self.expect {
                Expect::Command => {
                    self.command.clear();
                    let is_array = input.first() == Some(&b'*');
                    let too_long = if is_array {
                        ProtocolError::LongArguments
                    } else {
                        ProtocolError::Line
                    };
                    let Some((length, line)) = self.line(input, too_long)? else {
                        return Ok(false);
                    };
                    if is_array {
                        let arguments = number(&input[1..length]);
                        input.advance(line);
                        match arguments {
                            Some(count) if count > MOST_ARGUMENTS.cast_signed() => {
                                return Err(ProtocolError::Arguments);
                            }
                            // Redis ignores a command without arguments.
                            Some(count) => {
                                let left = u64::try_from(count).unwrap_or(0);
                                self.command.begin(left as usize);
                                if left > 0 {
                                    self.expect = Expect::Length { left };
                                }
                            }
                            None => return Err(ProtocolError::Arguments),
                        }
                    } else {
                        let read = self.command.read_line(&input[..length]);
                        input.advance(line);
                        read?;
                        if self.command.count() > 0 {
                            return Ok(true);
                        }
                    }
                }
                Expect::Length { left } => {
                    let Some((length, line)) = self.line(input, ProtocolError::LongLength)? else {
                        return Ok(false);
                    };
                    if input[0] != b'$' {
                        return Err(ProtocolError::Dollar(input[0]));
                    }
                    let bytes = number(&input[1..length]).and_then(|bytes| u64::try_from(bytes).ok());
                    let Some(bytes) = bytes.filter(|bytes| *bytes <= LONGEST_ARGUMENT) else {
                        return Err(ProtocolError::Length);
                    };
                    input.advance(line);
                    let begun = self.command.count() - left as usize;
                    self.expect = if self.command.keeps(begun, bytes as usize) {
                        Expect::Kept {
                            length: bytes as usize,
                            left,
                        }
                    } else {
                        Expect::Dropped {
                            bytes: bytes + 2,
                            left,
                        }
                    };
                }
                Expect::Kept { length, left } => {
                    if input.len() < length + 2 {
                        return Ok(false);
                    }
                    self.command.push(&input[..length]);
                    input.advance(length + 2);
                    if self.argument_ends(left) {
                        return Ok(true);
                    }
                }
                Expect::Dropped { bytes, left } => {
                    let arrived = bytes.min(input.len() as u64);
                    input.advance(arrived as usize);
                    if arrived < bytes {
                        self.expect = Expect::Dropped {
                            bytes: bytes - arrived,
                            left,
                        };
                        return Ok(false);
                    }
                    if self.argument_ends(left) {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Whether the command is complete after one more of the `left` arguments.
    fn argument_ends(&mut self, left: u64) -> bool {
        let complete = left <= 1;
        self.expect = if complete {
            Expect::Command
        } else {
            Expect::Length { left: left - 1 }
        };
        complete
    }

    /// The length of the first line without and with its end. It has at least its end.
    fn line(
        &mut self,
        input: &BytesMut,
        too_long: ProtocolError,
    ) -> Result<Option<(usize, usize)>, ProtocolError> {
        let searched = self.searched.min(input.len());
        let Some(found) = input[searched..].iter().position(|byte| *byte == b'\n') else {
            if input.len() > LONGEST_LINE {
                return Err(too_long);
            }
            self.searched = input.len();
            return Ok(None);
        };
        self.searched = 0;
        let end = searched + found;
        let length = if end > 0 && input[end - 1] == b'\r' {
            end - 1
        } else {
            end
        };
        Ok(Some((length, end + 1)))
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::command::{KEPT_ARGUMENTS, KEPT_BYTES};
    use super::*;

    /// All commands of an input that arrives in pieces of a size.
    fn commands(input: &[u8], size: usize) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let (mut reader, mut buffer, mut found) = (Reader::default(), BytesMut::new(), Vec::new());
        for piece in input.chunks(size) {
            buffer.extend_from_slice(piece);
            while reader.read(&mut buffer)? {
                found.push(reader.command().arguments(0).map(<[u8]>::to_vec).collect());
            }
            assert!(buffer.len() <= KEPT_BYTES + size);
        }
        Ok(found)
    }

    #[test]
    fn commands_are_read_wherever_the_input_is_cut() {
        let input = b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\nPING\r\n\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\nset  k \"a \\\"b\\n\" 'c\\'d'\n";
        let expected = [
            vec![b"GET".to_vec(), b"a\r\nb".to_vec()],
            vec![b"PING".to_vec()],
            vec![b"".to_vec()],
            vec![
                b"set".to_vec(),
                b"k".to_vec(),
                b"a \"b\n".to_vec(),
                b"c'd".to_vec(),
            ],
        ];
        for size in 1..=input.len() {
            assert_eq!(commands(input, size).unwrap(), expected, "{size}");
        }
    }

    #[test]
    fn what_is_no_command_is_an_error() {
        for (input, error) in [
            (&b"*x\r\n"[..], ProtocolError::Arguments),
            (b"*\r\n", ProtocolError::Arguments),
            (b"*1048577\r\n", ProtocolError::Arguments),
            (b"*99999999999999999999\r\n", ProtocolError::Arguments),
            (b"*1\r\n$-1\r\n", ProtocolError::Length),
            (b"*1\r\n$536870913\r\n", ProtocolError::Length),
            (b"*1\r\n$\xff\r\n", ProtocolError::Length),
            (b"*1\r\n:1\r\n", ProtocolError::Dollar(b':')),
            (b"*1\r\n\r\n", ProtocolError::Dollar(b'\r')),
            (b"get \"a\r\n", ProtocolError::Quotes),
            (b"get 'a\\\r\n", ProtocolError::Quotes),
            (b"get \"a\"b\r\n", ProtocolError::Quotes),
        ] {
            assert_eq!(commands(input, 1), Err(error), "{}", input.escape_ascii());
        }
        assert_eq!(
            commands(&vec![b'a'; LONGEST_LINE + 2], 4096),
            Err(ProtocolError::Line)
        );
        let mut long = b"*".to_vec();
        long.resize(LONGEST_LINE + 2, b'1');
        assert_eq!(commands(&long, 4096), Err(ProtocolError::LongArguments));
        let long = [&b"*1\r\n$"[..], &long[1..], b"1111"].concat();
        assert_eq!(commands(&long, 4096), Err(ProtocolError::LongLength));
        assert_eq!(
            ProtocolError::Dollar(b'\n').to_string(),
            "Protocol error: expected '$', got '\\n'"
        );
    }

    #[test]
    fn words_are_quoted_as_in_redis() {
        let found = commands(b"\"\\x41\\xg\\a\" 'a\\n\\'' b\n", 64).unwrap();
        let expected = [b"Axg\x07".to_vec(), b"a\\n'".to_vec(), b"b".to_vec()];
        assert_eq!(found, [expected.to_vec()]);
    }

    #[test]
    fn a_large_value_is_dropped_as_it_arrives() {
        let mut input = b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n".to_vec();
        input.resize(input.len() + 1_000_000, b'v');
        input.extend_from_slice(b"\r\n$2\r\nNX\r\nPING\r\n");
        let found = commands(&input, 4096).unwrap();
        // What follows an argument that is dropped is dropped too.
        assert_eq!(
            found,
            [vec![b"SET".to_vec(), b"k".to_vec()], vec![b"PING".to_vec()]]
        );
    }

    #[test]
    fn arguments_without_end_are_counted_and_not_kept() {
        let mut input = b"*5000\r\n".to_vec();
        input.extend_from_slice(&b"$1\r\na\r\n".repeat(5000));
        let (mut reader, mut buffer) = (Reader::default(), BytesMut::from(&input[..]));
        assert_eq!(reader.read(&mut buffer), Ok(true));
        assert_eq!(reader.command().count(), 5000);
        assert_eq!(reader.command().arguments(0).count(), KEPT_ARGUMENTS);
        assert!(buffer.is_empty() && reader.is_between_commands());
    }

    proptest::proptest! {
        #[test]
        fn no_input_makes_the_reader_panic(
            input in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..200),
            size in 1_usize..64,
        ) {
            let _ = commands(&input, size);
        }

        #[test]
        fn no_array_makes_the_reader_panic(input in "[*$0-9ab\r\n-]{0,60}") {
            let _ = commands(input.as_bytes(), 7);
        }
    }
}
