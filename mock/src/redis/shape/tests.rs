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
        ("SPOP k 2", Reply::Set(body(), 2)),
        ("SMEMBERS k", Reply::Set(body(), ELEMENTS)),
        ("ZSCORE k m", Reply::Double("1".to_owned())),
        ("INCRBYFLOAT k 0.5", Reply::bulk("1")),
        (
            "ZMSCORE k a b",
            Reply::Array(vec![Reply::Double("1".to_owned()); 2]),
        ),
        ("SMISMEMBER k a b", Reply::Array(vec![Reply::Integer(1); 2])),
        ("SCRIPT EXISTS a", Reply::Array(vec![Reply::Integer(1)])),
        ("SCRIPT FLUSH", Reply::Simple("OK")),
        ("ZADD k 1 a 2 b", Reply::Integer(2)),
        ("ZADD k NX CH 1 a", Reply::Integer(1)),
        ("ZADD k XX INCR 1 a", Reply::Double("1".to_owned())),
        (
            "ZRANGE k 0 4 WITHSCORES",
            Reply::Scored(body(), "1".to_owned(), 5),
        ),
        ("ZPOPMIN k 3", Reply::Scored(body(), "1".to_owned(), 3)),
        (
            "ZRANDMEMBER k -2 WITHSCORES",
            Reply::Scored(body(), "1".to_owned(), 2),
        ),
        (
            "BZPOPMIN k 0",
            Reply::Array(vec![
                Reply::bulk("k"),
                Reply::bulk("x"),
                Reply::Double("1".to_owned()),
            ]),
        ),
        (
            "HSCAN h 0",
            Reply::Array(vec![
                Reply::bulk("0"),
                Reply::Array(vec![Reply::bulk("field"), Reply::bulk("x")]),
            ]),
        ),
        (
            "ZSCAN z 0",
            Reply::Array(vec![
                Reply::bulk("0"),
                Reply::Array(vec![Reply::bulk("x"), Reply::bulk("1")]),
            ]),
        ),
        (
            "SRANDMEMBER k -9223372036854775808",
            Reply::Repeated(body(), MOST_ELEMENTS),
        ),
        (
            "ZPOPMIN k",
            Reply::Array(vec![Reply::bulk("x"), Reply::Double("1".to_owned())]),
        ),
        (
            "BLPOP k 0",
            Reply::Array(vec![Reply::bulk("k"), Reply::bulk("x")]),
        ),
        ("XREAD STREAMS s 0", Reply::NullArray),
        (
            "SCAN 0",
            Reply::Array(vec![Reply::bulk("0"), Reply::Array(vec![Reply::bulk("x")])]),
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
    assert_eq!(reply("XADD s * f v", "value"), Reply::bulk("1-1"));
    assert_eq!(reply("ZSCORE k m", " 2.50 "), Reply::Double("2.5".to_owned()));
    assert_eq!(reply("ZSCORE k m", "NaN"), Reply::Double("1".to_owned()));
}
