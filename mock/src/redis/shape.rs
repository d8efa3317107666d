//! What kind of reply a command gets, so that real clients accept it. Source: the reply schemas of the commands of
//! Redis 7.2, and what `redis-benchmark` sends.

use std::time::{SystemTime, UNIX_EPOCH};

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
    /// The body as a number with a fraction, or 1, as bytes.
    Number,
    /// The same as the number of RESP3.
    Score,
    /// So many scores.
    Scores(usize),
    /// The number 1 so many times.
    Ones(usize),
    /// The identifier of an entry of a stream: the body if it is one, or a fixed one.
    Identifier,
    /// The body so many times.
    List(usize),
    /// The body so many times, as a set.
    Set(usize),
    /// A key and the body.
    KeyAndValue,
    /// The body and a score.
    Scored,
    /// The body and a score so many times.
    ScoredList(usize),
    /// A key, the body and a score.
    KeyAndScored,
    /// A field with the body.
    Map,
    /// The end of an iteration, with the body as its only element, after or before these bytes.
    Scan {
        before: Option<&'static str>,
        after: Option<&'static str>,
    },
    /// The time of the server.
    Time,
    /// No entries of a stream that wait.
    NonePending,
    /// No entries of a stream, and the end of an iteration.
    NoneClaimed,
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
            "ZADD" => added(command),
            "HSET" => Self::Integer(count(arguments, 2) / 2),
            "INCRBYFLOAT" | "HINCRBYFLOAT" | "GEODIST" => Self::Number,
            "ZSCORE" | "ZINCRBY" => Self::Score,
            "ZMSCORE" => Self::Scores(arguments.saturating_sub(2).min(MOST_ELEMENTS)),
            "SMISMEMBER" => Self::Ones(arguments.saturating_sub(2).min(MOST_ELEMENTS)),
            "SCRIPT" => script(command),
            "OBJECT" if !is(command, 1, "ENCODING") => Self::Integer(1),
            "MEMORY" if is(command, 1, "USAGE") => Self::Integer(1),
            "TIME" => Self::Time,
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
            "ZRANGE" | "ZREVRANGE" if with_scores(command) => Self::ScoredList(range(command)),
            "ZRANGEBYSCORE" | "ZREVRANGEBYSCORE" | "ZINTER" | "ZUNION" | "ZDIFF" if with_scores(command) => {
                Self::ScoredList(ELEMENTS)
            }
            "LRANGE" | "ZRANGE" | "ZREVRANGE" => Self::List(range(command)),
            "SMEMBERS" | "SINTER" | "SUNION" | "SDIFF" => Self::Set(ELEMENTS),
            "KEYS" | "HKEYS" | "HVALS" | "SORT" | "SORT_RO" | "ZRANGEBYSCORE" | "ZREVRANGEBYSCORE"
            | "ZRANGEBYLEX" | "ZREVRANGEBYLEX" | "ZINTER" | "ZUNION" | "ZDIFF" | "GEOSEARCH"
            | "GEORADIUS" => Self::List(ELEMENTS),
            "SPOP" => {
                number(command, 2).map_or(Self::Bulk, |wanted| Self::Set(elements(wanted.saturating_abs())))
            }
            "ZRANDMEMBER" if with_scores(command) => {
                Self::ScoredList(elements(number(command, 2).unwrap_or(0).saturating_abs()))
            }
            "LPOP" | "RPOP" | "SRANDMEMBER" | "ZRANDMEMBER" | "HRANDFIELD" => {
                number(command, 2).map_or(Self::Bulk, |wanted| Self::List(elements(wanted.saturating_abs())))
            }
            "BLPOP" | "BRPOP" => Self::KeyAndValue,
            "ZPOPMIN" | "ZPOPMAX" => {
                number(command, 2).map_or(Self::Scored, |wanted| Self::ScoredList(elements(wanted)))
            }
            "BZPOPMIN" | "BZPOPMAX" => Self::KeyAndScored,
            "HGETALL" => Self::Map,
            "SCAN" | "SSCAN" => scan(None, None),
            // The score is bytes in RESP3 too.
            "ZSCAN" => scan(None, Some("1")),
            "HSCAN" => scan(Some("field"), None),
            "XRANGE" | "XREVRANGE" | "XCLAIM" => Self::List(0),
            "XPENDING" if arguments > 3 => Self::List(0),
            "XPENDING" => Self::NonePending,
            "XAUTOCLAIM" => Self::NoneClaimed,
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
            Self::Identifier if !is_identifier(&body) => Reply::bulk("1-1"),
            Self::Bulk | Self::Identifier => Reply::Bulk(body),
            Self::Number => Reply::bulk(score(&body)),
            Self::Score => Reply::Double(score(&body)),
            Self::Scores(count) => Reply::Array(vec![Reply::Double(score(&body)); count]),
            Self::Ones(count) => Reply::Array(vec![Reply::Integer(1); count]),
            Self::List(count) => Reply::Repeated(body, count),
            Self::Set(count) => Reply::Set(body, count),
            Self::KeyAndValue => {
                let key = Bytes::copy_from_slice(command.argument(1).unwrap_or_default());
                Reply::Array(vec![Reply::Bulk(key), Reply::Bulk(body)])
            }
            Self::Scored => Reply::Array(vec![Reply::Bulk(body), Reply::Double("1".to_owned())]),
            Self::ScoredList(count) => Reply::Scored(body, "1".to_owned(), count),
            Self::KeyAndScored => {
                let key = Bytes::copy_from_slice(command.argument(1).unwrap_or_default());
                let score = Reply::Double("1".to_owned());
                Reply::Array(vec![Reply::Bulk(key), Reply::Bulk(body), score])
            }
            Self::Map => Reply::Map(vec![(Reply::bulk("field"), Reply::Bulk(body))]),
            Self::Scan { before, after } => {
                let mut found: Vec<Reply> = before.into_iter().map(Reply::bulk).collect();
                found.push(Reply::Bulk(body));
                found.extend(after.map(Reply::bulk));
                Reply::Array(vec![Reply::bulk("0"), Reply::Array(found)])
            }
            Self::Time => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let (seconds, rest) = (now.as_secs().to_string(), now.subsec_micros().to_string());
                Reply::Array(vec![Reply::bulk(seconds), Reply::bulk(rest)])
            }
            Self::NonePending => Reply::Array(vec![
                Reply::Integer(0),
                Reply::Null,
                Reply::Null,
                Reply::NullArray,
            ]),
            Self::NoneClaimed => {
                let none = Reply::Array(Vec::new());
                Reply::Array(vec![Reply::bulk("0-0"), none.clone(), none])
            }
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

fn scan(before: Option<&'static str>, after: Option<&'static str>) -> Shape {
    Shape::Scan { before, after }
}

/// Whether an argument is this word.
fn is(command: &Command, index: usize, word: &str) -> bool {
    let argument = command.argument(index).unwrap_or_default();
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// `ZADD` counts the pairs of a score and a member after its options. With `INCR` it gives the score.
fn added(command: &Command) -> Shape {
    let options: [&[u8]; 6] = [b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"];
    let is_option = |argument: &&[u8]| options.iter().any(|option| option.eq_ignore_ascii_case(argument));
    let given = command.arguments(2).take_while(is_option).count();
    if (2..2 + given).any(|index| is(command, index, "INCR")) {
        return Shape::Score;
    }
    Shape::Integer(count(command.count(), 2 + given) / 2)
}

fn script(command: &Command) -> Shape {
    match command
        .argument(1)
        .unwrap_or_default()
        .to_ascii_uppercase()
        .as_slice()
    {
        b"LOAD" => Shape::Bulk,
        b"EXISTS" => Shape::Ones(command.count().saturating_sub(2).min(MOST_ELEMENTS)),
        _ => Shape::Simple("OK"),
    }
}

fn with_scores(command: &Command) -> bool {
    command
        .arguments(2)
        .any(|option| option.eq_ignore_ascii_case(b"WITHSCORES"))
}

/// The body as a number with a fraction, or 1: clients of Redis refuse a score that is none.
fn score(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).ok();
    let number: Option<f64> = text.and_then(|text| text.trim().parse().ok());
    number
        .filter(|number| number.is_finite())
        .unwrap_or(1.0)
        .to_string()
}

/// Milliseconds and a number, with a hyphen between them.
fn is_identifier(body: &[u8]) -> bool {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let parts = text.split_once('-');
    parts.is_some_and(|(time, number)| time.parse::<u64>().is_ok() && number.parse::<u64>().is_ok())
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
mod tests;
