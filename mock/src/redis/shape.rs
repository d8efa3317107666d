//! What kind of reply a command gets, so that real clients accept it. Source: the reply schemas of the commands of
//! Redis 7.2, and what `redis-benchmark` sends.

use bytes::Bytes;

use super::command::Command;
use super::reply::Reply;

/// Elements of a list whose length the request does not determine.
const ELEMENTS: usize = 10;

/// Most elements of a list.
const MOST_ELEMENTS: usize = 10_000;

/// The kind of reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A line.
    Simple(&'static str),
    /// The number in the body, or this one.
    Integer(i64),
    /// The body.
    Bulk,
    /// The identifier of an entry of a stream: the body, or a fixed one.
    Identifier,
    /// The body so many times.
    List(usize),
    /// A key and the body.
    KeyAndValue,
    /// The body and a score.
    Scored,
    /// A field with the body.
    Map,
    /// The end of an iteration, with the body as its only element.
    Scan,
    /// Nothing.
    NullArray,
}

impl Shape {
    /// The kind of reply of a command. An unknown command gets the body.
    pub(super) fn of(name: &str, command: &Command) -> Self {
        let arguments = command.count();
        // What is stored as a whole is `OK`, what changes elements is their number, as in Redis.
        match name {
            "SET" => set(command),
            "MSET" | "HMSET" | "LSET" | "LTRIM" | "RENAME" | "SETEX" | "PSETEX" | "FLUSHALL" | "FLUSHDB"
            | "PFMERGE" | "RESTORE" | "XGROUP" | "MIGRATE" | "SWAPDB" | "SAVE" => Self::Simple("OK"),
            "TYPE" => Self::Simple("string"),
            "DEL" | "UNLINK" | "EXISTS" | "TOUCH" => Self::Integer(count(arguments, 1)),
            "LPUSH" | "RPUSH" | "LPUSHX" | "RPUSHX" | "SADD" | "SREM" | "HDEL" | "ZREM" | "XDEL" => {
                Self::Integer(count(arguments, 2))
            }
            "XACK" => Self::Integer(count(arguments, 3)),
            "HSET" | "ZADD" => Self::Integer(count(arguments, 2) / 2),
            "GEOADD" => Self::Integer(count(arguments, 2) / 3),
            "TTL" | "PTTL" | "EXPIRETIME" | "PEXPIRETIME" => Self::Integer(-1),
            "INCR" | "DECR" | "INCRBY" | "DECRBY" | "SETNX" | "MSETNX" | "EXPIRE" | "PEXPIRE"
            | "EXPIREAT" | "PEXPIREAT" | "PERSIST" | "APPEND" | "STRLEN" | "SETRANGE" | "GETBIT"
            | "SETBIT" | "BITCOUNT" | "BITPOS" | "BITOP" | "HEXISTS" | "HLEN" | "HSETNX" | "HINCRBY"
            | "HSTRLEN" | "LLEN" | "LREM" | "LINSERT" | "LPOS" | "SISMEMBER" | "SCARD" | "SMOVE"
            | "SINTERCARD" | "SDIFFSTORE" | "SINTERSTORE" | "SUNIONSTORE" | "ZCARD" | "ZCOUNT"
            | "ZLEXCOUNT" | "ZRANK" | "ZREVRANK" | "ZREMRANGEBYRANK" | "ZREMRANGEBYSCORE"
            | "ZREMRANGEBYLEX" | "ZUNIONSTORE" | "ZINTERSTORE" | "ZRANGESTORE" | "PFADD" | "PFCOUNT"
            | "PUBLISH" | "SPUBLISH" | "XLEN" | "XTRIM" | "COPY" | "MOVE" | "RENAMENX" | "DBSIZE"
            | "WAIT" | "LASTSAVE" => Self::Integer(1),
            "XADD" => Self::Identifier,
            "MGET" => Self::List(arguments.saturating_sub(1).min(MOST_ELEMENTS)),
            "HMGET" => Self::List(arguments.saturating_sub(2).min(MOST_ELEMENTS)),
            "LRANGE" | "ZRANGE" | "ZREVRANGE" => Self::List(range(command)),
            "KEYS" | "SMEMBERS" | "SINTER" | "SUNION" | "SDIFF" | "HKEYS" | "HVALS" | "SORT" | "SORT_RO"
            | "ZRANGEBYSCORE" | "ZREVRANGEBYSCORE" | "ZRANGEBYLEX" | "ZREVRANGEBYLEX" | "ZINTER"
            | "ZUNION" | "ZDIFF" | "GEOSEARCH" | "GEORADIUS" => Self::List(ELEMENTS),
            "LPOP" | "RPOP" | "SPOP" | "SRANDMEMBER" | "ZRANDMEMBER" | "HRANDFIELD" => {
                number(command, 2).map_or(Self::Bulk, |wanted| Self::List(elements(wanted.saturating_abs())))
            }
            "BLPOP" | "BRPOP" => Self::KeyAndValue,
            "ZPOPMIN" | "ZPOPMAX" => Self::Scored,
            "HGETALL" => Self::Map,
            "SCAN" | "SSCAN" | "HSCAN" | "ZSCAN" => Self::Scan,
            "XRANGE" | "XREVRANGE" => Self::List(0),
            "XREAD" | "XREADGROUP" => Self::NullArray,
            _ => Self::Bulk,
        }
    }

    /// The reply with a body.
    pub(super) fn reply(self, body: Bytes, command: &Command) -> Reply {
        match self {
            Self::Simple(text) => Reply::Simple(text),
            Self::Integer(otherwise) => {
                let number = std::str::from_utf8(&body)
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                Reply::Integer(number.unwrap_or(otherwise))
            }
            Self::Identifier if body.is_empty() => Reply::bulk("1-1"),
            Self::Bulk | Self::Identifier => Reply::Bulk(body),
            Self::List(count) => Reply::Repeated(body, count),
            Self::KeyAndValue => {
                let key = Bytes::copy_from_slice(command.argument(1).unwrap_or_default());
                Reply::Array(vec![Reply::Bulk(key), Reply::Bulk(body)])
            }
            Self::Scored => Reply::Array(vec![Reply::Bulk(body), Reply::bulk("1")]),
            Self::Map => Reply::Map(vec![(Reply::bulk("field"), Reply::Bulk(body))]),
            Self::Scan => Reply::Array(vec![Reply::bulk("0"), Reply::Repeated(body, 1)]),
            Self::NullArray => Reply::NullArray,
        }
    }
}

/// `SET` with the option `GET` gives the value in place of `OK`.
fn set(command: &Command) -> Shape {
    let gets = command
        .arguments(3)
        .any(|option| option.eq_ignore_ascii_case(b"GET"));
    if gets { Shape::Bulk } else { Shape::Simple("OK") }
}

/// The arguments without the first ones.
fn count(arguments: usize, first: usize) -> i64 {
    i64::try_from(arguments.saturating_sub(first)).unwrap_or(i64::MAX)
}

fn number(command: &Command, index: usize) -> Option<i64> {
    std::str::from_utf8(command.argument(index)?).ok()?.parse().ok()
}

fn elements(wanted: i64) -> usize {
    usize::try_from(wanted).unwrap_or(0).min(MOST_ELEMENTS)
}

/// The elements between two indices. An index from the end determines nothing unless both are.
fn range(command: &Command) -> usize {
    match (number(command, 2), number(command, 3)) {
        (Some(first), Some(last)) if (first < 0) == (last < 0) => {
            elements(last.saturating_sub(first).saturating_add(1))
        }
        _ => ELEMENTS,
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::request::Reader;
    use super::*;

    fn reply(line: &str, body: &'static str) -> Reply {
        let (mut reader, mut input) = (Reader::default(), BytesMut::from(line));
        input.extend_from_slice(b"\r\n");
        assert_eq!(reader.read(&mut input), Ok(true), "{line}");
        let command = reader.command();
        Shape::of(&command.name(), command).reply(Bytes::from_static(body.as_bytes()), command)
    }

    #[test]
    fn commands_get_the_kind_of_reply_that_clients_expect() {
        let body = || Bytes::from_static(b"x");
        for (line, expected) in [
            ("set k v", Reply::Simple("OK")),
            ("SET k v EX 10 get", Reply::bulk("x")),
            ("GET k", Reply::bulk("x")),
            ("INCR k", Reply::Integer(1)),
            ("DEL a b c", Reply::Integer(3)),
            ("LPUSH k a b", Reply::Integer(2)),
            ("HSET k f1 a f2 b", Reply::Integer(2)),
            ("MSET a 1 b 2", Reply::Simple("OK")),
            ("MGET a b c", Reply::Repeated(body(), 3)),
            ("LRANGE k 0 99", Reply::Repeated(body(), 100)),
            ("LRANGE k 0 -1", Reply::Repeated(body(), ELEMENTS)),
            ("LRANGE k -3 -1", Reply::Repeated(body(), 3)),
            ("LRANGE k 5 1", Reply::Repeated(body(), 0)),
            (
                "LRANGE k 0 9223372036854775807",
                Reply::Repeated(body(), MOST_ELEMENTS),
            ),
            (
                "LRANGE k -9223372036854775808 -1",
                Reply::Repeated(body(), MOST_ELEMENTS),
            ),
            ("LPOP k", Reply::bulk("x")),
            ("SPOP k 2", Reply::Repeated(body(), 2)),
            (
                "SRANDMEMBER k -9223372036854775808",
                Reply::Repeated(body(), MOST_ELEMENTS),
            ),
            (
                "ZPOPMIN k",
                Reply::Array(vec![Reply::bulk("x"), Reply::bulk("1")]),
            ),
            (
                "BLPOP k 0",
                Reply::Array(vec![Reply::bulk("k"), Reply::bulk("x")]),
            ),
            ("XREAD STREAMS s 0", Reply::NullArray),
            (
                "SCAN 0",
                Reply::Array(vec![Reply::bulk("0"), Reply::Repeated(body(), 1)]),
            ),
            ("DEL", Reply::Integer(0)),
            ("BLPOP", Reply::Array(vec![Reply::bulk(""), Reply::bulk("x")])),
            ("A.NEW.COMMAND k", Reply::bulk("x")),
        ] {
            assert_eq!(reply(line, "x"), expected, "{line}");
        }
    }

    #[test]
    fn a_number_in_the_body_is_the_integer() {
        assert_eq!(reply("INCR k", "42\n"), Reply::Integer(42));
        assert_eq!(reply("TTL k", ""), Reply::Integer(-1));
        assert_eq!(reply("XADD s * f v", "7-0"), Reply::bulk("7-0"));
        assert_eq!(reply("XADD s * f v", ""), Reply::bulk("1-1"));
    }
}
