use std::path::Path;

use bytes::{Bytes, BytesMut};
use pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Parse, Sync};
use pgwire::messages::simplequery::Query;
use pgwire::messages::startup::Startup;
use pgwire::messages::{DecodeContext, Message, PgWireBackendMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::spec;

fn endpoint(rest: &str) -> Endpoint {
    let mock: spec::Mock =
        serde_saphyr::from_str(&format!("protocol: postgres\nlisten: 127.0.0.1:0\n{rest}")).unwrap();
    Endpoint::new("shop", &mock, Path::new(".")).unwrap()
}

/// What a client receives after its login that sends this and then no more.
async fn received(endpoint: &Endpoint, messages: &[u8]) -> Vec<String> {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let mut sent = BytesMut::new();
    Startup::new().encode(&mut sent).unwrap();
    sent.extend_from_slice(messages);
    client.write_all(&sent).await.unwrap();
    client.shutdown().await.unwrap();
    converse(server, endpoint, &CancellationToken::new())
        .await
        .unwrap();
    let mut output = BytesMut::new();
    while client.read_buf(&mut output).await.unwrap() > 0 {}
    let mut shown = Vec::new();
    while let Some(message) = PgWireBackendMessage::decode(&mut output, &DecodeContext::default()).unwrap() {
        shown.push(show(&message));
    }
    let login = shown.iter().position(|message| message == "ready Idle").unwrap();
    shown.split_off(login + 1)
}

fn show(message: &PgWireBackendMessage) -> String {
    match message {
        PgWireBackendMessage::RowDescription(found) => {
            let names: Vec<&str> = found.fields.iter().map(|field| field.name.as_str()).collect();
            format!("columns {}", names.join(","))
        }
        PgWireBackendMessage::DataRow(row) => format!("row {}", row.data.escape_ascii()),
        PgWireBackendMessage::CommandComplete(complete) => complete.tag.clone(),
        PgWireBackendMessage::ErrorResponse(error) => {
            let field = |kind: u8| {
                error
                    .fields
                    .iter()
                    .find(|(found, _)| *found == kind)
                    .map(|(_, text)| text.as_str())
            };
            format!("{} {}", field(b'S').unwrap(), field(b'C').unwrap())
        }
        PgWireBackendMessage::ReadyForQuery(ready) => format!("ready {:?}", ready.status),
        PgWireBackendMessage::ParseComplete(_) => "parsed".to_owned(),
        PgWireBackendMessage::BindComplete(_) => "bound".to_owned(),
        PgWireBackendMessage::CloseComplete(_) => "closed".to_owned(),
        PgWireBackendMessage::PortalSuspended(_) => "suspended".to_owned(),
        PgWireBackendMessage::EmptyQueryResponse(_) => "empty".to_owned(),
        PgWireBackendMessage::NoData(_) => "no data".to_owned(),
        PgWireBackendMessage::ParameterDescription(found) => format!("parameters {:?}", found.types),
        other => format!("{other:?}"),
    }
}

/// Messages of a client.
#[derive(Default)]
struct Sent(BytesMut);

impl Sent {
    fn with(mut self, message: impl Message) -> Self {
        message.encode(&mut self.0).unwrap();
        self
    }
}

fn query(sql: &str) -> BytesMut {
    Sent::default().with(Query::new(sql.to_owned())).0
}

#[tokio::test]
async fn a_query_gets_the_body_as_one_row() {
    let endpoint = endpoint("body: { text: '{{request.path}}' }");
    assert_eq!(
        received(&endpoint, &query("select 1")).await,
        [
            "columns body",
            "row \\x00\\x00\\x00\\x08select 1",
            "SELECT 1",
            "ready Idle"
        ]
    );
    assert_eq!(received(&endpoint, &query(" ; ")).await, ["empty", "ready Idle"]);
    assert_eq!(endpoint.observed().requests, 1);
}

#[tokio::test]
async fn a_route_has_columns_and_rows() {
    let endpoint = endpoint(
        "routes: [{ match: { query: 'select %' }, columns: [{ name: id, type: int4 }, { name: name, type: text }], \
         rows: 2, body: { text: ann } }, { match: { query: 'UPDATE%' }, rows: 7 }]",
    );
    assert_eq!(
        received(
            &endpoint,
            &query("SELECT id, name FROM t; update t set a = 1; delete from t")
        )
        .await,
        [
            "columns id,name",
            "row \\x00\\x00\\x00\\x011\\x00\\x00\\x00\\x03ann",
            "row \\x00\\x00\\x00\\x012\\x00\\x00\\x00\\x03ann",
            "SELECT 2",
            "UPDATE 7",
            "DELETE 1",
            "ready Idle",
        ]
    );
}

#[tokio::test]
async fn an_error_ends_a_query_and_spoils_its_transaction() {
    let endpoint = endpoint(
        "routes: [{ match: { query: 'insert%' }, errors: { rate: 1, kind: error, code: '23505', message: twice } }]",
    );
    let mut sent = query("begin; insert into t values (1); select 1");
    for sql in [
        "select 1",
        "savepoint a",
        "commit",
        "insert into t values (1)",
        "begin; rollback",
    ] {
        sent.extend_from_slice(&query(sql));
    }
    assert_eq!(
        received(&endpoint, &sent).await,
        [
            "BEGIN",
            "ERROR 23505",
            "ready Error",
            "ERROR 25P02",
            "ready Error",
            "ERROR 25P02",
            "ready Error",
            "ROLLBACK",
            "ready Idle",
            "ERROR 23505",
            "ready Idle",
            "BEGIN",
            "ROLLBACK",
            "ready Idle",
        ]
    );
    assert_eq!(endpoint.observed().requests, 2);
}

#[tokio::test]
async fn a_route_gives_a_commit_an_error_too() {
    let endpoint = endpoint(
        "routes: [{ match: { query: commit }, errors: { rate: 1, kind: error, code: '40001', message: again } }]",
    );
    assert_eq!(
        received(&endpoint, &query("begin; commit")).await,
        ["BEGIN", "ERROR 40001", "ready Error"]
    );
    assert_eq!(endpoint.observed().requests, 1);
}

#[tokio::test]
async fn statements_about_the_session_are_answered_without_a_request() {
    let endpoint = endpoint("errors: { rate: 1, kind: error, message: broken }");
    assert_eq!(
        received(&endpoint, &query("set a to 1; show server_version; select 1")).await,
        [
            "SET",
            "columns server_version",
            "row \\x00\\x00\\x00\\x0414.0",
            "SHOW",
            "ERROR XX000",
            "ready Idle"
        ]
    );
    assert_eq!(endpoint.observed().requests, 1);
}

#[tokio::test]
async fn a_prepared_statement_is_described_and_executed_in_parts() {
    let endpoint = endpoint("columns: [{ name: id, type: int4 }]\nrows: 3");
    let s = || Some("s".to_owned());
    let sent = Sent::default()
        .with(Parse::new(
            s(),
            "select id from t where a = $1::int8".to_owned(),
            Vec::new(),
        ))
        .with(Describe::new(b'S', s()))
        .with(Bind::new(
            None,
            s(),
            vec![1],
            vec![Some(Bytes::from_static(&[0; 8]))],
            vec![1],
        ))
        .with(Execute::new(None, 2))
        .with(Execute::new(None, 2))
        .with(Execute::new(None, 2))
        .with(Sync::new())
        // The portal is gone with its transaction, the statement is not.
        .with(Execute::new(None, 0))
        .with(Sync::new())
        .with(Close::new(b'S', s()))
        .with(Bind::new(None, s(), Vec::new(), Vec::new(), Vec::new()))
        .with(Sync::new())
        .0;
    assert_eq!(
        received(&endpoint, &sent).await,
        [
            "parsed",
            "parameters [20]",
            "columns id",
            "bound",
            "row \\x00\\x00\\x00\\x04\\x00\\x00\\x00\\x01",
            "row \\x00\\x00\\x00\\x04\\x00\\x00\\x00\\x02",
            "suspended",
            "row \\x00\\x00\\x00\\x04\\x00\\x00\\x00\\x03",
            "SELECT 1",
            "SELECT 0",
            "ready Idle",
            "ERROR 34000",
            "ready Idle",
            "closed",
            "ERROR 26000",
            "ready Idle",
        ]
    );
    assert_eq!(endpoint.observed().requests, 1);
}

#[tokio::test]
async fn after_an_error_messages_are_dropped_up_to_the_next_sync() {
    let endpoint = endpoint("");
    let sent = Sent::default()
        .with(Parse::new(None, "copy t from stdin".to_owned(), Vec::new()))
        .with(Bind::new(None, None, Vec::new(), Vec::new(), Vec::new()))
        .with(Execute::new(None, 0))
        .with(Execute::new(None, 0))
        .with(Query::new("select 1".to_owned()))
        .with(Sync::new())
        .with(Parse::new(
            None,
            "insert into t values (1)".to_owned(),
            Vec::new(),
        ))
        .with(Bind::new(None, None, Vec::new(), Vec::new(), Vec::new()))
        .with(Describe::new(b'P', None))
        .with(Execute::new(None, 0))
        .with(Sync::new())
        .0;
    assert_eq!(
        received(&endpoint, &sent).await,
        [
            "parsed",
            "bound",
            "ERROR 0A000",
            "ready Idle",
            "parsed",
            "bound",
            "no data",
            "INSERT 0 1",
            "ready Idle",
        ]
    );
}

#[tokio::test]
async fn a_connection_has_a_largest_number_of_statements() {
    let endpoint = endpoint("");
    let parse = |number| Parse::new(Some(format!("s{number}")), "select 1".to_owned(), Vec::new());
    let sent = (0..=1000).fold(Sent::default(), |sent, number| sent.with(parse(number)));
    let shown = received(&endpoint, &sent.with(Sync::new()).0).await;
    assert_eq!(shown.iter().filter(|message| *message == "parsed").count(), 1000);
    assert_eq!(shown[1000..], ["ERROR 53200", "ready Idle"]);
}

#[tokio::test]
async fn a_statement_that_is_deallocated_makes_room_for_another() {
    let endpoint = endpoint("");
    let parse = |name: String| Parse::new(Some(name), "select 1".to_owned(), Vec::new());
    let mut sent = (0..1000).fold(Sent::default(), |sent, number| {
        sent.with(parse(format!("s{number}")))
    });
    sent = sent
        .with(Parse::new(None, "select 1".to_owned(), Vec::new()))
        .with(Sync::new())
        .with(Query::new("DEALLOCATE \"s7\"".to_owned()))
        .with(parse("s7".to_owned()))
        .with(Sync::new());
    let shown = received(&endpoint, &sent.0).await;
    assert_eq!(
        shown[1000..],
        [
            "parsed",
            "ready Idle",
            "DEALLOCATE",
            "ready Idle",
            "parsed",
            "ready Idle"
        ]
    );
    assert_eq!(endpoint.observed().requests, 0);
}

#[tokio::test]
async fn a_cursor_ends() {
    let endpoint = endpoint("columns: [{ name: id, type: int4 }]\nrows: 1");
    let sent = query("declare c cursor for select id from t; fetch 5 from c; fetch 5 from c; close c");
    let row = "row \\x00\\x00\\x00\\x011";
    assert_eq!(
        received(&endpoint, &sent).await,
        [
            "DECLARE CURSOR",
            "columns id",
            row,
            "FETCH 1",
            "columns id",
            "FETCH 0",
            "CLOSE CURSOR",
            "ready Idle"
        ]
    );
}

#[tokio::test]
async fn answers_to_short_messages_are_sent_before_they_fill_the_memory() {
    let endpoint = endpoint("");
    let (_client, server) = tokio::io::duplex(1 << 24);
    let mut session = Session::new(Connection::new(server), &endpoint);
    let parse = frontend::Frontend::Parse {
        name: String::new(),
        sql: "select $65535".to_owned(),
        types: Vec::new(),
    };
    session.handle(parse).await.unwrap();
    for _ in 0..20 {
        let describe = frontend::Frontend::Describe(frontend::Target::Statement, String::new());
        session.handle(describe).await.unwrap();
        assert!(session.connection.output.len() < crate::connection::FULL);
    }
}

#[tokio::test]
async fn a_message_that_is_none_ends_the_connection() {
    let endpoint = endpoint("");
    let mut sent = query("select 1");
    sent.extend_from_slice(b"B\0\0\0\x05x");
    sent.extend_from_slice(&query("select 2"));
    let shown = received(&endpoint, &sent).await;
    assert_eq!(shown.last().map(String::as_str), Some("FATAL 08P01"));
    assert_eq!(endpoint.observed().requests, 1);
}

#[tokio::test(start_paused = true)]
async fn a_query_that_finds_the_queue_full_gets_the_error_for_too_many_connections() {
    let endpoint = endpoint("latency: { constant: 1s }\ncapacity: { workers: 1, queue: 0 }");
    let sent = query("insert into t values (1)");
    let (first, second) = tokio::join!(received(&endpoint, &sent), received(&endpoint, &sent));
    assert_eq!(first, ["INSERT 0 1", "ready Idle"]);
    assert_eq!(second, ["ERROR 53300", "ready Idle"]);
}

#[tokio::test]
async fn faults_end_the_connection_after_earlier_answers() {
    for kind in ["empty_response", "connection_reset_by_peer"] {
        let endpoint = endpoint(&format!("errors: {{ rate: 1, kind: {kind} }}"));
        let sent = query("begin; select 1; rollback");
        assert_eq!(received(&endpoint, &sent).await, ["BEGIN"], "{kind}");
    }
}

#[tokio::test]
async fn a_client_may_ask_for_encryption_first() {
    let endpoint = endpoint("");
    let (mut client, server) = tokio::io::duplex(4096);
    let exchange = async {
        for code in [80_877_104_u32, 80_877_103] {
            client.write_all(&8_u32.to_be_bytes()).await.unwrap();
            client.write_all(&code.to_be_bytes()).await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), b'N');
        }
        let mut startup = BytesMut::new();
        Startup::new().encode(&mut startup).unwrap();
        client.write_all(&startup).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'R');
        drop(client);
    };
    let stop = CancellationToken::new();
    let (result, ()) = tokio::join!(converse(server, &endpoint, &stop), exchange);
    // The client left without reading all of it.
    let _ = result;
}
