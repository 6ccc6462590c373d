//! Queries that clients and psql send about the catalogue, by themselves.

use kyu_pgsql::host::Relation;
use kyu_pgsql::types::Type;

use crate::fake::{FakeHost, run};

async fn rows(text: &str, values: &[&str]) -> Vec<String> {
    let relations = vec![
        Relation::Meta,
        Relation::Queue("jobs".to_owned()),
        Relation::Archive("jobs".to_owned()),
    ];
    let mut host = FakeHost { relations, ..FakeHost::default() };
    let declared: Vec<Type> = Vec::new();
    match run(text, &declared, values, &mut host).await {
        Ok(answer) => answer.shown(),
        Err(error) => panic!("{error} at {:?}\n{text}", error.position),
    }
}

/// asyncpg asks this before it can send `jsonb[]`.
const ASYNCPG: &str = include_str!("asyncpg_types.sql");

#[tokio::test]
async fn asyncpg_learns_what_jsonb_arrays_are() {
    let found = rows(ASYNCPG, &["{3807}"]).await;
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("3802 | pg_catalog | jsonb | b |"), "{found:#?}");
    assert!(found[1].starts_with("3807 | pg_catalog | _jsonb | b |"), "{found:#?}");
}

#[tokio::test]
async fn the_queries_of_psql_are_answered() {
    let describe = include_str!("psql.sql");
    for text in describe.split(";\n").map(str::trim).filter(|text| !text.is_empty()) {
        rows(text, &[]).await;
    }
}

#[tokio::test]
async fn tables_functions_and_the_extension_are_there() {
    let tables =
        rows("select tablename from pg_tables where schemaname = 'pgmq' order by 1", &[]).await;
    assert_eq!(tables, ["a_jobs", "meta", "notify_insert_throttle", "q_jobs", "topic_bindings"]);
    assert_eq!(rows("select extname, extversion from pg_extension", &[]).await, ["pgmq | 1.13.0"]);
    assert_eq!(rows("select count(*) > 60 from pg_proc p join pg_namespace n on n.oid = p.pronamespace where nspname = 'pgmq'", &[]).await, ["t"]);
    assert_eq!(
        rows("select 'pgmq.q_jobs'::regclass::text, to_regclass('pgmq.q_nope')", &[]).await,
        ["pgmq.q_jobs | NULL"]
    );
    assert_eq!(rows("select column_name, data_type from information_schema.columns where table_name = 'q_jobs' order by ordinal_position limit 1", &[]).await, ["msg_id | bigint"]);
    assert_eq!(
        rows("select indexdef from pg_indexes where indexname = 'q_jobs_vt_idx'", &[]).await,
        ["CREATE INDEX q_jobs_vt_idx ON pgmq.q_jobs USING btree (vt)"]
    );
}

#[tokio::test]
async fn drivers_find_their_types() {
    // tokio-postgres
    let ty = "SELECT t.typname, t.typtype, t.typelem, r.rngsubtype, t.typbasetype, n.nspname, t.typrelid \
        FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid \
        INNER JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = $1";
    assert_eq!(rows(ty, &["16392"]).await, ["message_record | c | 0 | NULL | 0 | pgmq | 16390"]);
    let fields = "SELECT attname, atttypid FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND NOT attisdropped AND attnum > 0 ORDER BY attnum";
    assert_eq!(rows(fields, &["16390"]).await.len(), 7);
    // postgres.js
    let arrays = "select b.oid, b.typarray from pg_catalog.pg_type a left join pg_catalog.pg_type b on b.oid = a.typelem \
        where a.typcategory = 'A' group by b.oid, b.typarray order by b.oid";
    assert!(rows(arrays, &[]).await.contains(&"3802 | 3807".to_owned()));
    // SQLAlchemy
    rows("select pg_catalog.version()", &[]).await;
    rows("SELECT t.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns.oid WHERE typname = 'hstore'", &[]).await;
    // psycopg
    rows("SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter \
        FROM pg_type t WHERE t.oid = to_regtype('hstore') ORDER BY t.oid", &[]).await;
    // JDBC
    let is_array = "SELECT typinput = 'pg_catalog.array_in'::regproc AS is_array, typname FROM pg_catalog.pg_type \
        WHERE oid = ANY($1::oid[]) ORDER BY oid";
    assert_eq!(rows(is_array, &["{3802,3807}"]).await, ["f | jsonb", "t | _jsonb"]);
    rows("SELECT n.nspname = ANY(current_schemas(true)), n.nspname, t.typname FROM pg_catalog.pg_type t \
        JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = $1", &["3802"]).await;
    // Npgsql
    rows("SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid FROM ( \
        SELECT typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind, \
        elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind, \
        CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype FROM ( \
        SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid, \
        CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype, \
        CASE WHEN proc.proname='array_recv' THEN typ.typelem WHEN typ.typtype='r' THEN rngsubtype WHEN typ.typtype='d' THEN typ.typbasetype END AS elemtypoid \
        FROM pg_type AS typ LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid) \
        LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)) AS typ \
        LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypoid LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid) \
        LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive) AS t \
        JOIN pg_namespace AS ns ON (ns.oid = typnamespace) WHERE typtype IN ('b', 'r', 'm', 'e', 'd') \
        OR (typtype = 'c' AND relkind='c') OR (typtype = 'p' AND typname IN ('record', 'void', 'unknown')) \
        ORDER BY CASE WHEN typtype IN ('b', 'e', 'p') THEN 0 WHEN typtype = 'c' THEN 1 END", &[]).await;
}

/// What `java.sql.DatabaseMetaData` asks, shortened to what is special about it.
#[tokio::test]
async fn jdbc_reads_columns_keys_and_functions() {
    let columns = "SELECT * FROM (SELECT c.relname, a.attname, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum \
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid WHERE c.relkind = 'r') c \
        WHERE relname LIKE 'q%' ORDER BY attnum";
    let found = rows(columns, &[]).await;
    assert_eq!((found.len(), found[0].as_str()), (7, "q_jobs | msg_id | 1"));
    let keys = "SELECT result.name, result.seq FROM (SELECT a.attname AS name, a.attnum AS number, \
        (information_schema._pg_expandarray(i.indkey)).n AS seq, information_schema._pg_expandarray(i.indkey) AS keys \
        FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON ct.oid = a.attrelid \
        JOIN pg_catalog.pg_index i ON a.attrelid = i.indrelid WHERE ct.relname = 'q_jobs' AND i.indisprimary) result \
        WHERE result.number = (result.keys).x";
    assert_eq!(rows(keys, &[]).await, ["msg_id | 1"]);
    let index = "SELECT trim(both '\"' from pg_catalog.pg_get_indexdef(i.indexrelid, 1, false)), i.indoption[0] & 1::smallint \
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname = 'q_jobs_vt_idx'";
    assert_eq!(rows(index, &[]).await, ["vt | 0"]);
    let arguments = "SELECT proargtypes, proargtypes[0] FROM pg_proc WHERE proname = 'purge_queue'";
    assert_eq!(rows(arguments, &[]).await, ["25 | 25"]);
    let words =
        "SELECT count(*) > 50 FROM pg_get_keywords() WHERE word <> ALL ('{select,from}'::text[])";
    assert_eq!(rows(words, &[]).await, ["t"]);
    assert_eq!(
        rows("SELECT current_schema(), current_schemas(true)", &[]).await,
        ["public | {pg_catalog,public}"]
    );
}

/// What drivers and tools ask for one table must not read the catalogue of all: asyncpg's type query
/// took 7 s with 50 queues, JDBC's `getColumns` 13 s with 100. Steps are counted, not time.
#[tokio::test]
async fn looking_up_one_table_costs_about_the_same_however_many_there_are() {
    let queues = |count: usize| -> Vec<Relation> {
        let both = |n| [Relation::Queue(format!("t{n}")), Relation::Archive(format!("t{n}"))];
        (0..count).flat_map(both).collect()
    };
    for text in [
        "SELECT a.attname FROM pg_attribute a WHERE a.attrelid = 'pgmq.q_t7'::regclass AND a.attnum > 0",
        // Django: the large relation comes first.
        "SELECT a.attname, t.typname FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid \
         JOIN pg_type t ON a.atttypid = t.oid JOIN pg_class c ON a.attrelid = c.oid \
         JOIN pg_namespace n ON c.relnamespace = n.oid WHERE c.relname = 'q_t7' AND a.attnum > 0",
        "SELECT a.attname FROM pg_attribute a, pg_class c WHERE c.oid = a.attrelid AND c.relname = 'q_t7'",
        // JDBC, which escapes the name, and psql, which asks for a pattern.
        "SELECT * FROM (SELECT n.nspname, c.relname, a.attname, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS n \
         FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid JOIN pg_attribute a ON a.attrelid = c.oid \
         WHERE n.nspname LIKE 'pgmq' AND c.relname LIKE 'q\\_t7') c",
        "SELECT c.oid FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relname OPERATOR(pg_catalog.~) '^(q_t7)$' COLLATE pg_catalog.default",
        // asyncpg: composite types by their class.
        "SELECT (SELECT array_agg(ia.atttypid ORDER BY ia.attnum) FROM pg_attribute ia JOIN pg_class c ON ia.attrelid = c.oid \
         WHERE c.reltype = t.oid) FROM pg_type t WHERE t.typname = 'message_record'",
        "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
         WHERE t.relname = 'q_t7'",
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'q_t7'",
        "SELECT indexname FROM pg_indexes WHERE tablename = 'q_t7'",
    ] {
        let mut steps = Vec::new();
        let mut answers = Vec::new();
        for count in [20, 2_000] {
            let mut host = FakeHost { relations: queues(count), ..FakeHost::default() };
            let mut work = kyu_pgsql::work::Work::alone();
            let answer = crate::fake::run_with(text, &[], &[], &mut host, &mut work).await.unwrap();
            steps.push(work.steps());
            answers.push(answer.shown());
        }
        assert_eq!(answers[0].len(), answers[1].len(), "{text}");
        assert!(!answers[0].is_empty(), "{text}");
        assert!(steps[1] <= steps[0] + 1_000, "{text}: {steps:?}");
    }
}

/// What is known ahead of one query's first relation is not about another's of the same depth.
#[tokio::test]
async fn a_with_query_beside_a_look_up_sees_all_of_its_rows() {
    let relations = vec![Relation::Queue("a".to_owned()), Relation::Queue("b".to_owned())];
    let mut host = FakeHost { relations, ..FakeHost::default() };
    let text = "WITH c AS (SELECT a.attrelid, count(*) AS n FROM pg_attribute a GROUP BY 1) \
                SELECT count(DISTINCT c.attrelid) > 2, min(x.attname) FROM pg_attribute x \
                JOIN pg_class k ON x.attrelid = k.oid JOIN c ON c.n > 0 WHERE k.relname = 'q_a'";
    let answer = run(text, &[], &[], &mut host).await.unwrap();
    assert_eq!(answer.shown(), ["t | enqueued_at"]);
}
