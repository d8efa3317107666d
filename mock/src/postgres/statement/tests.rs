use super::*;

#[test]
fn statements_have_the_tags_of_postgresql() {
    for (sql, tag) in [
        ("select 1", "SELECT 2"),
        ("(select 1) union (select 2)", "SELECT 2"),
        ("/* hint */ SELECT * FROM t FOR UPDATE", "SELECT 2"),
        ("values (1)", "SELECT 2"),
        ("with a as (select 1) select * from a", "SELECT 2"),
        (
            "with a as (delete from t returning *) insert into b select * from a",
            "INSERT 0 2",
        ),
        ("INSERT INTO t VALUES ($1)", "INSERT 0 2"),
        ("update t set a = 1 returning a", "UPDATE 2"),
        ("delete from t", "DELETE 2"),
        ("begin isolation level serializable", "BEGIN"),
        ("start transaction", "START TRANSACTION"),
        ("end", "COMMIT"),
        ("rollback to savepoint a", "ROLLBACK"),
        ("set search_path to a", "SET"),
        ("show server_version", "SHOW"),
        ("create temp table t (a int)", "CREATE TABLE"),
        ("create unique index i on t (a)", "CREATE INDEX"),
        ("create or replace function f() returns int", "CREATE FUNCTION"),
        ("drop materialized view v", "DROP MATERIALIZED VIEW"),
        ("truncate t", "TRUNCATE TABLE"),
        ("vacuum analyze", "VACUUM"),
        ("explain select 1", "EXPLAIN"),
        ("-- nothing", ""),
    ] {
        assert_eq!(Kind::of(sql).tag(2), tag, "{sql}");
    }
}

#[test]
fn rows_are_given_by_queries_and_by_changes_that_return_them() {
    assert_eq!(
        Kind::of("insert into t values (1) RETURNING id"),
        Kind::Query("INSERT 0")
    );
    assert_eq!(
        Kind::of("insert into t values (' returning ')"),
        Kind::Change("INSERT 0")
    );
    assert_eq!(
        Kind::of("with a as (select 1) update t set b = 1"),
        Kind::Change("UPDATE")
    );
    assert_eq!(Kind::of("rollback work to a"), Kind::RollbackTo);
    assert_eq!(Kind::of("rollback"), Kind::Rollback);
    let version = "PostgreSQL 14.0 (mock of vcluster)".to_owned();
    assert_eq!(
        Kind::of("select pg_catalog.version()"),
        Kind::Value("SELECT 1", version)
    );
    assert_eq!(Kind::of("select version from t"), Kind::Query("SELECT"));
}

#[test]
fn parameters_have_the_type_of_the_column_that_they_are_compared_with() {
    let columns = [
        Column {
            name: "id".to_owned(),
            kind: ColumnType::Int4,
        },
        Column {
            name: "price".to_owned(),
            kind: ColumnType::Float8,
        },
    ];
    for (sql, expected) in [
        ("select id from t where t.ID = $1", &[23][..]),
        ("select id from t where price >= $2 and id <> $1", &[23, 701]),
        ("update t set price = price + $1 where id = $2", &[701, 23]),
        (
            "select id from t where id in ($1, $2) limit $3 offset $4",
            &[23, 25, 20, 20],
        ),
        ("select id from t where id = $1::int8 and name = $2", &[20, 25]),
        ("select id from t where id = any($1)", &[25]),
        ("select id from t where id = $0", &[]),
    ] {
        assert_eq!(parameters(sql, &[], &columns), expected, "{sql}");
    }
    assert_eq!(
        parameters("select id from t where id = $1", &[25], &columns),
        [25]
    );
}

#[test]
fn a_deallocated_statement_is_found_by_its_name() {
    for (sql, expected) in [
        ("DEALLOCATE Pdo_1", Kind::Deallocate("pdo_1".to_owned())),
        (
            "deallocate prepare \"A\"\"1\" ",
            Kind::Deallocate("A\"1".to_owned()),
        ),
        ("deallocate", Kind::Deallocate(String::new())),
        ("DEALLOCATE PREPARE ALL", Kind::Session("DEALLOCATE ALL")),
        ("discard temp", Kind::Session("DISCARD TEMP")),
    ] {
        assert_eq!(Kind::of(sql), expected, "{sql}");
    }
}

#[test]
fn parameters_have_the_declared_type_or_that_of_a_cast() {
    assert_eq!(parameters("select $2::int8, $1, '$9'", &[], &[]), [25, 20]);
    assert_eq!(parameters("select $1::int8", &[23], &[]), [23]);
    assert_eq!(
        parameters("select $1 :: boolean, $0::int4", &[0, 0], &[]),
        [16, 25]
    );
    assert_eq!(parameters("select 1", &[], &[]), Vec::<u32>::new());
    assert_eq!(parameters("select $65535", &[], &[]).len(), 65_535);
}
