import java.sql.*;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.*;
import java.util.concurrent.*;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.PGStatement;
import org.postgresql.ds.PGConnectionPoolDataSource;
import org.postgresql.ds.PGSimpleDataSource;
import org.postgresql.util.PGobject;

/**
 * The JDBC driver as users of pgmq use it: what Spring's JdbcTemplate, connection pools and the pgmq
 * clients on JDBC send. Run with {@code java -cp postgresql.jar Suite.java}; the server is at
 * $KYU_PGMQ_URL, and one that demands TLS clients' password (SCRAM) at $KYU_PGMQ_TLS_URL.
 * Real pgmq 1.13.0 on Postgres 15 passes too: `real_postgres.py java ...` runs it there.
 */
public class Suite {
    interface Check {
        void run() throws Exception;
    }

    static final String URL = jdbc(System.getenv("KYU_PGMQ_URL"), "");
    static int queues = 0;

    public static void main(String[] arguments) {
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("named arguments and PGobject", Suite::namedArguments);
        checks.put("casts of strings, as Spring writes them", Suite::castsOfStrings);
        checks.put("times", Suite::times);
        checks.put("arrays", Suite::arrays);
        checks.put("every column by every getter", Suite::getters);
        checks.put("a statement prepared on the server, then binary", Suite::serverPrepared);
        checks.put("query modes", Suite::queryModes);
        checks.put("batches", Suite::batches);
        checks.put("transactions and savepoints", Suite::transactions);
        checks.put("autosave", Suite::autosave);
        checks.put("rows fetched in portions", Suite::fetchSize);
        checks.put("metadata of results and parameters", Suite::statementMetadata);
        checks.put("metadata of the database", Suite::databaseMetadata);
        checks.put("composites", Suite::composites);
        checks.put("callable statements", Suite::callable);
        checks.put("what connection pools do", Suite::pooling);
        checks.put("timeouts and cancel", Suite::cancel);
        checks.put("notifications", Suite::notifications);
        checks.put("errors and their states", Suite::errors);
        checks.put("several statements in one", Suite::several);
        checks.put("copy out", Suite::copyOut);
        checks.put("threads", Suite::threads);
        if (System.getenv("KYU_PGMQ_TLS_URL") != null) {
            checks.put("TLS and SCRAM", Suite::tlsAndScram);
        }
        int failed = 0;
        for (var check : checks.entrySet()) {
            try {
                check.getValue().run();
                System.out.println("ok      " + check.getKey());
            } catch (Throwable error) {
                failed++;
                System.out.println("FAILED  " + check.getKey());
                error.printStackTrace(System.out);
            }
        }
        System.out.printf("JDBC %s: %d of %d passed%n", org.postgresql.Driver.getVersion(), checks.size() - failed, checks.size());
        System.exit(failed == 0 ? 0 : 1);
    }

    // What the checks are made of.

    static String jdbc(String url, String more) {
        if (url == null) {
            return null;
        }
        var parts = java.net.URI.create(url);
        var user = parts.getUserInfo().split(":");
        return "jdbc:postgresql://%s:%d%s?user=%s&password=%s%s"
            .formatted(parts.getHost(), parts.getPort(), parts.getPath(), user[0], user[1], more);
    }

    static Connection connect(String more) throws SQLException {
        return DriverManager.getConnection(URL + more);
    }

    static String newQueue(Connection connection) throws SQLException {
        var name = "jdbc_%d_%d".formatted(ProcessHandle.current().pid(), ++queues);
        try (var create = connection.prepareStatement("SELECT pgmq.create(queue_name => ?)")) {
            create.setString(1, name);
            create.execute();
        }
        return name;
    }

    static PGobject json(String value) throws SQLException {
        var object = new PGobject();
        object.setType("jsonb");
        object.setValue(value);
        return object;
    }

    /** Runs a query as Spring's JdbcTemplate does; gives the first column of all rows. */
    static List<Object> query(Connection connection, String sql, Object... parameters) throws SQLException {
        try (var statement = connection.prepareStatement(sql)) {
            for (int i = 0; i < parameters.length; i++) {
                if (parameters[i] instanceof Object[] array) {
                    var type = array instanceof Long[] ? "bigint" : array instanceof Integer[] ? "integer" : "text";
                    statement.setArray(i + 1, connection.createArrayOf(type, array));
                } else {
                    statement.setObject(i + 1, parameters[i]);
                }
            }
            var values = new ArrayList<Object>();
            if (statement.execute()) {
                try (var rows = statement.getResultSet()) {
                    while (rows.next()) {
                        values.add(rows.getObject(1));
                    }
                }
            }
            return values;
        }
    }

    static void same(Object want, Object got) {
        if (!Objects.equals(want, got)) {
            throw new AssertionError("wanted " + want + ", got " + got);
        }
    }

    static void yes(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static SQLException refused(String state, Check call) throws Exception {
        try {
            call.run();
        } catch (SQLException error) {
            same(state, error.getSQLState());
            return error;
        }
        throw new AssertionError("not refused with " + state);
    }

    // The checks.

    static void namedArguments() throws Exception {
        try (var connection = connect("")) {
            // The real one has pgmq's SQL without an extension around it.
            if (((String) query(connection, "select version()").get(0)).contains("Kyu")) {
                query(connection, "CREATE EXTENSION IF NOT EXISTS pgmq CASCADE");
            }
            var queue = newQueue(connection);
            same(List.of(1L), query(connection, "SELECT pgmq.send(queue_name => ?, msg => ?)", queue, json("{\"n\": 1}")));
            same(List.of(2L), query(connection, "SELECT pgmq.send(queue_name => ?, msg => ?, delay => ?)", queue, json("2"), 0));
            var past = OffsetDateTime.now().minusSeconds(1);
            same(List.of(3L), query(connection, "SELECT pgmq.send(queue_name => ?, msg => ?, delay => ?)", queue, json("3"), past));
            same(List.of(4L), query(connection, "SELECT pgmq.send(queue_name => ?, msg => ?, headers => ?)", queue, json("4"), json("{\"h\": 4}")));
            same(List.of(5L), query(connection, "SELECT pgmq.send(queue_name => ?, msg => ?, headers => ?, delay => ?)", queue, json("5"), json("{}"), 0));
            same(List.of(6L), query(connection, "SELECT pgmq.send(queue_name => ?, msg => ?, headers => ?, delay => ?)", queue, json("6"), json("{}"), past));
            var read = "SELECT msg_id, read_ct, enqueued_at, vt, headers, message FROM pgmq.read(queue_name => ?, vt => ?, qty => ?, conditional => ?)";
            same(List.of(1L), query(connection, read, queue, 30, 9, json("{\"n\": 1}")));
            var poll = "SELECT msg_id FROM pgmq.read_with_poll(queue_name => ?, vt => ?, qty => ?, max_poll_seconds => ?, poll_interval_ms => ?, conditional => ?)";
            same(List.of(2L), query(connection, poll, queue, 30, 1, 1, 50, json("2")));
            same(List.of(3L), query(connection, "SELECT msg_id FROM pgmq.pop(queue_name => ?)", queue));
            same(List.of(4L), query(connection, "SELECT msg_id FROM pgmq.set_vt(queue_name => ?, msg_id => ?, vt => ?)", queue, 4L, 0));
            same(List.of(true), query(connection, "SELECT pgmq.delete(queue_name => ?, msg_id => ?)", queue, 4L));
            same(List.of(true), query(connection, "SELECT pgmq.archive(queue_name => ?, msg_id => ?)", queue, 5L));
            same(List.of(1L, 2L), query(connection, "SELECT pgmq.delete(queue_name => ?, msg_ids => ?::bigint[])", queue, new Long[] {1L, 2L, 77L}));
            same(List.of(6L), query(connection, "SELECT * FROM pgmq.archive(queue_name => ?, msg_ids => ?::bigint[])", queue, new Long[] {6L}));
            same(List.of(queue), query(connection, "SELECT * FROM pgmq.metrics(queue_name => ?)", queue));
            yes(query(connection, "SELECT * FROM pgmq.list_queues()").contains(queue), "list_queues");
            same(List.of(0L), query(connection, "SELECT pgmq.purge_queue(queue_name => ?)", queue));
            same(List.of(true), query(connection, "SELECT pgmq.drop_queue(queue_name => ?)", queue));
        }
    }

    static void castsOfStrings() throws Exception {
        try (var connection = connect("")) {
            var queue = newQueue(connection);
            same(List.of(1L), query(connection, "select * from pgmq.send(?, ?::JSONB, ?)", queue, "{\"a\": 1}", 0));
            same(List.of(2L, 3L), query(connection, "select * from pgmq.send_batch(?, ?::JSONB[], ?)", queue, new String[] {"{\"b\": \"x, \\\"y\\\"\"}", "3"}, 0));
            same(List.of(4L), query(connection, "select pgmq.send(?, ?::jsonb, ?::timestamptz)", queue, "4", "2020-01-01 00:00:00+00"));
            same(List.of(5L), query(connection, "select pgmq.send(?, cast(? as jsonb))", queue, "5"));
            same(List.of("x, \"y\""), query(connection, "select message ->> 'b' from pgmq.read(?, ?, ?) where msg_id = ?", queue, 30, 5, 2L));
            same(List.of(1L, 3L), query(connection, "select * from pgmq.delete(?, ?)", queue, new Long[] {1L, 3L}));
            same(List.of(true), query(connection, "select * from pgmq.archive(?, ?)", queue, 2L));
            same(List.of(4L, 5L), query(connection, "select msg_id from pgmq.q_" + queue + " where msg_id = any(?) order by msg_id", (Object) new Long[] {4L, 5L, 6L}));
            same(List.of(5L), query(connection, "select msg_id from pgmq.q_" + queue + " where message = ?::jsonb and read_ct > ? and enqueued_at <= ?", "5", 0, OffsetDateTime.now().plusSeconds(5)));
            same(List.of(2L), query(connection, "select count(*) from pgmq.q_" + queue + " where msg_id in (?, ?)", 4L, 5L));
            // `??` is the driver's way to write the operator `?`.
            same(List.of(true), query(connection, "select message ?? 'b' from pgmq.a_" + queue));
        }
        // Strings without a declared type: the server infers what they are.
        try (var connection = connect("&stringtype=unspecified")) {
            var queue = newQueue(connection);
            same(List.of(1L), query(connection, "select pgmq.send(?, ?)", queue, "{\"a\": 1}"));
            same(List.of(2L), query(connection, "select pgmq.send(?, ?, ?)", queue, "{\"a\": 2}", 0));
            same(List.of(1L, 2L), query(connection, "select msg_id from pgmq.read(?, ?, ?)", queue, 30, 5));
        }
    }

    static void times() throws Exception {
        try (var connection = connect("")) {
            var queue = newQueue(connection);
            var at = OffsetDateTime.of(2100, 1, 2, 3, 4, 5, 678_000_000, ZoneOffset.UTC);
            same(List.of(1L), query(connection, "select pgmq.send(?, ?::jsonb, ?)", queue, "1", at));
            try (var send = connection.prepareStatement("select pgmq.send(?, ?::jsonb, ?::timestamptz)")) {
                send.setString(1, queue);
                send.setString(2, "2");
                send.setTimestamp(3, Timestamp.from(at.toInstant()));
                send.execute();
            }
            for (int round = 0; round < 8; round++) {
                try (var select = connection.prepareStatement("select vt, enqueued_at, archived from (select vt, enqueued_at, null::timestamptz as archived from pgmq.set_vt(?, ?, ?)) as x")) {
                    select.setString(1, queue);
                    select.setLong(2, 1 + round % 2);
                    select.setObject(3, at);
                    try (var rows = select.executeQuery()) {
                        yes(rows.next(), "a row");
                        same(at, rows.getObject("vt", OffsetDateTime.class));
                        same(Timestamp.from(at.toInstant()), rows.getTimestamp("vt"));
                        same(Timestamp.from(at.toInstant()), rows.getTimestamp("vt", Calendar.getInstance(TimeZone.getTimeZone("UTC"))));
                        same(at.toInstant(), rows.getTimestamp(1).toInstant());
                        yes(rows.getObject("enqueued_at") instanceof Timestamp, "a Timestamp by default");
                        same(null, rows.getObject("archived", OffsetDateTime.class));
                    }
                }
            }
            same(List.of(true), query(connection, "select now() between ? and ?", OffsetDateTime.now().minusHours(1), OffsetDateTime.now().plusHours(1)));
            same(List.of(true), query(connection, "select ?::timestamptz = ?::timestamptz", "2024-01-01 12:00:00+02", "2024-01-01T10:00:00Z"));
        }
        // The driver sets the session's zone to that of the JVM, whose instants must come out the same.
        var before = TimeZone.getDefault();
        for (var zone : List.of("America/New_York", "Asia/Kolkata", "GMT+03:00", "UTC")) {
            TimeZone.setDefault(TimeZone.getTimeZone(zone));
            try (var connection = connect("")) {
                var at = OffsetDateTime.of(2024, 7, 2, 3, 4, 5, 0, ZoneOffset.UTC);
                for (int round = 0; round < 7; round++) {
                    try (var select = connection.prepareStatement("select ?::timestamptz")) {
                        select.setTimestamp(1, Timestamp.from(at.toInstant()));
                        try (var rows = select.executeQuery()) {
                            yes(rows.next(), "a row");
                            same(at.toInstant(), rows.getTimestamp(1).toInstant());
                            same(at.toInstant(), rows.getObject(1, OffsetDateTime.class).toInstant());
                        }
                    }
                }
            } finally {
                TimeZone.setDefault(before);
            }
        }
    }

    static void arrays() throws Exception {
        try (var connection = connect("")) {
            var queue = newQueue(connection);
            try (var batch = connection.prepareStatement("SELECT pgmq.send_batch(queue_name => ?, msgs => ?)")) {
                for (int round = 0; round < 7; round++) {
                    batch.setString(1, queue);
                    batch.setArray(2, connection.createArrayOf("jsonb", new String[] {"{\"r\": " + round + "}", "[1, \"a\\\\b\"]"}));
                    try (var rows = batch.executeQuery()) {
                        yes(rows.next(), "a row");
                        same(2L * round + 1, rows.getLong(1));
                    }
                }
            }
            try (var batch = connection.prepareStatement("SELECT pgmq.send_batch(queue_name => ?, msgs => ?, headers => ?, delay => ?)")) {
                batch.setString(1, queue);
                batch.setArray(2, connection.createArrayOf("jsonb", new Object[] {json("1"), json("2")}));
                batch.setArray(3, connection.createArrayOf("jsonb", new String[] {"{\"h\": 1}", null}));
                batch.setObject(4, OffsetDateTime.now());
                try (var rows = batch.executeQuery()) {
                    yes(rows.next(), "a row");
                    same(15L, rows.getLong(1));
                }
            }
            for (int round = 0; round < 7; round++) {
                try (var archive = connection.prepareStatement("SELECT pgmq.archive(?, ?)")) {
                    archive.setString(1, queue);
                    archive.setArray(2, connection.createArrayOf("bigint", new Long[] {round + 1L, 99L}));
                    try (var rows = archive.executeQuery()) {
                        yes(rows.next() && rows.getLong(1) == round + 1, "archived");
                    }
                }
                try (var delete = connection.prepareStatement("SELECT pgmq.delete(?, ?)")) {
                    delete.setString(1, queue);
                    delete.setObject(2, new long[] {round + 8L});
                    try (var rows = delete.executeQuery()) {
                        yes(rows.next() && rows.getLong(1) == round + 8, "deleted");
                    }
                }
                try (var select = connection.prepareStatement("SELECT array_agg(msg_id ORDER BY msg_id), array_agg(message::text ORDER BY msg_id), ARRAY[true, null], ARRAY[1.5::float8], ?::int[], array_agg(message) FROM pgmq.q_" + queue)) {
                    select.setArray(1, connection.createArrayOf("integer", new Integer[] {1, null, -3}));
                    try (var rows = select.executeQuery()) {
                        yes(rows.next(), "a row");
                        var ids = (Long[]) rows.getArray(1).getArray();
                        yes(((String[]) rows.getArray(2).getArray())[ids.length - 1].equals("2"), "texts");
                        same(Arrays.asList(true, null), Arrays.asList((Boolean[]) rows.getArray(3).getArray()));
                        same(List.of(1.5), Arrays.asList((Double[]) rows.getArray(4).getArray()));
                        same(Arrays.asList(1, null, -3), Arrays.asList((Integer[]) rows.getArray(5).getArray()));
                        same("jsonb", rows.getArray(6).getBaseTypeName());
                        try (var elements = rows.getArray(1).getResultSet()) {
                            yes(elements.next(), "an element");
                            same(ids[0], elements.getLong(2));
                        }
                    }
                }
            }
        }
    }

    static void getters() throws Exception {
        try (var connection = connect("")) {
            var queue = newQueue(connection);
            query(connection, "select pgmq.send(?, ?::jsonb, ?::jsonb)", queue, "{\"k\": \"é\"}", "{\"h\": 1}");
            for (int round = 1; round <= 8; round++) {
                try (var read = connection.prepareStatement("select * from pgmq.read(?, ?, ?)")) {
                    read.setString(1, queue);
                    read.setInt(2, 0);
                    read.setInt(3, 1);
                    try (var rows = read.executeQuery()) {
                        yes(rows.next(), "a row");
                        same(1L, rows.getLong("msg_id"));
                        same(1, rows.getInt("msg_id"));
                        same("1", rows.getString("msg_id"));
                        same(1L, rows.getObject("msg_id", Long.class));
                        same(round, rows.getInt("read_ct"));
                        same((short) round, rows.getShort("read_ct"));
                        same("{\"k\": \"é\"}", rows.getString("message"));
                        yes(rows.getObject("message") instanceof PGobject, "jsonb is a PGobject");
                        same("{\"h\": 1}", ((PGobject) rows.getObject("headers")).getValue());
                        same("jsonb", ((PGobject) rows.getObject("headers")).getType());
                        yes(rows.getTimestamp("last_read_at") != null, "last_read_at");
                        same("{\"k\": \"é\"}", new String(rows.getBytes("message"), "UTF-8"));
                        yes(!rows.next(), "one row");
                    }
                }
                try (var select = connection.prepareStatement("select true, 1.25::numeric, 1.5::float8, 'x'::text, 7::int2, null::text, '\\x0102'::bytea, '123e4567-e89b-12d3-a456-426614174000'::uuid, '2024-02-03'::date, '1 day'::interval, 'n'::name, '{\"a\":1}'::json, ?::varchar")) {
                    select.setString(1, "v");
                    try (var rows = select.executeQuery()) {
                        yes(rows.next(), "a row");
                        same(true, rows.getBoolean(1));
                        same(new java.math.BigDecimal("1.25"), rows.getBigDecimal(2));
                        same(1.5, rows.getDouble(3));
                        same("x", rows.getString(4));
                        same((short) 7, rows.getShort(5));
                        yes(rows.getString(6) == null && rows.wasNull(), "null");
                        same(2, rows.getBytes(7).length);
                        same(UUID.fromString("123e4567-e89b-12d3-a456-426614174000"), rows.getObject(8));
                        same(java.time.LocalDate.of(2024, 2, 3), rows.getObject(9, java.time.LocalDate.class));
                        same(1, ((org.postgresql.util.PGInterval) rows.getObject(10)).getDays());
                        same("n", rows.getString(11));
                        same("{\"a\":1}", rows.getString(12));
                        same("v", rows.getString(13));
                    }
                }
            }
        }
    }

    static void serverPrepared() throws Exception {
        for (var more : List.of("", "&prepareThreshold=1", "&prepareThreshold=0", "&prepareThreshold=-1", "&binaryTransfer=false", "&preparedStatementCacheQueries=2")) {
            try (var connection = connect(more)) {
                var queue = newQueue(connection);
                try (var send = connection.prepareStatement("select pgmq.send(?, ?, ?)");
                        var read = connection.prepareStatement("select msg_id, read_ct, vt, message from pgmq.read(?, ?, ?)")) {
                    for (long n = 1; n <= 12; n++) {
                        send.setString(1, queue);
                        send.setObject(2, json(Long.toString(n)));
                        send.setInt(3, 0);
                        try (var rows = send.executeQuery()) {
                            yes(rows.next(), "an id");
                            same(n, rows.getLong(1));
                        }
                        read.setString(1, queue);
                        read.setInt(2, 60);
                        read.setInt(3, 1);
                        try (var rows = read.executeQuery()) {
                            yes(rows.next(), "a message");
                            same(n, rows.getLong(1));
                            same(Long.toString(n), rows.getString(4));
                            yes(rows.getTimestamp(3).after(new Timestamp(System.currentTimeMillis())), "vt");
                        }
                    }
                    var prepared = send.unwrap(PGStatement.class).isUseServerPrepare();
                    same(!more.contains("Threshold=0"), prepared);
                }
                // Statements that left the cache are closed on the server.
                for (int n = 0; n < 6; n++) {
                    for (int i = 0; i < 6; i++) {
                        same(List.of(n + i), query(connection, "select " + n + " + ?::int", i));
                    }
                }
            }
        }
        // The type of a parameter changes between two executions: the driver prepares anew.
        try (var connection = connect("&prepareThreshold=1"); var statement = connection.prepareStatement("select ? is null")) {
            for (Object value : new Object[] {1, "x", 2L, 1.5, true}) {
                statement.setObject(1, value);
                try (var rows = statement.executeQuery()) {
                    yes(rows.next() && !rows.getBoolean(1), "not null");
                }
            }
            statement.setNull(1, Types.VARCHAR);
            try (var rows = statement.executeQuery()) {
                yes(rows.next() && rows.getBoolean(1), "null");
            }
        }
    }

    static void queryModes() throws Exception {
        for (var mode : List.of("simple", "extended", "extendedForPrepared", "extendedCacheEverything")) {
            try (var connection = connect("&preferQueryMode=" + mode)) {
                var queue = newQueue(connection);
                for (long n = 1; n <= 7; n++) {
                    same(List.of(n), query(connection, "select pgmq.send(?, ?::jsonb)", queue, "{\"it's\": " + n + "}"));
                }
                same(List.of(1L, 2L), query(connection, "select msg_id from pgmq.read(?, ?, ?)", queue, 30, 2));
                same(List.of(8L), query(connection, "select pgmq.send(?, ?, ?)", queue, json("8"), OffsetDateTime.now()));
                same(List.of(1L), query(connection, "select pgmq.delete(?, ?::bigint[])", queue, new Long[] {1L}));
                connection.setAutoCommit(false);
                query(connection, "select pgmq.send(?, ?::jsonb)", queue, "9");
                connection.rollback();
                same(List.of(7L), query(connection, "select count(*) from pgmq.q_" + queue));
                connection.commit();
            }
        }
    }

    static void batches() throws Exception {
        for (var more : List.of("", "&reWriteBatchedInserts=true", "&prepareThreshold=1")) {
            try (var connection = connect(more)) {
                var queue = newQueue(connection);
                connection.setAutoCommit(false);
                // A batch of queries is what Spring's batchUpdate makes of `select pgmq.send(...)`.
                try (var send = connection.prepareStatement("select pgmq.send(?, ?::jsonb)")) {
                    for (int n = 0; n < 300; n++) {
                        send.setString(1, queue);
                        send.setString(2, "{\"n\": " + n + "}");
                        send.addBatch();
                    }
                    same(300, send.executeBatch().length);
                }
                connection.commit();
                same(List.of(300L), query(connection, "select count(*) from pgmq.q_" + queue));
                try (var statement = connection.createStatement()) {
                    statement.addBatch("select pgmq.send('" + queue + "', '1')");
                    statement.addBatch("delete from pgmq.q_" + queue + " where msg_id <= 100");
                    same(100, statement.executeBatch()[1]);
                }
                connection.commit();
                try (var delete = connection.prepareStatement("delete from pgmq.q_" + queue + " where msg_id = ?")) {
                    for (long n = 101; n <= 104; n++) {
                        delete.setLong(1, n == 103 ? 1 : n);
                        delete.addBatch();
                    }
                    same("[1, 1, 0, 1]", Arrays.toString(delete.executeBatch()));
                    delete.setLong(1, 105);
                    same(1, delete.executeUpdate());
                }
                connection.commit();
                // One bad entry fails the batch, and what was before it in the transaction.
                try (var send = connection.prepareStatement("select pgmq.send(?, ?::jsonb)")) {
                    for (var text : List.of("1", "no json", "3")) {
                        send.setString(1, queue);
                        send.setString(2, text);
                        send.addBatch();
                    }
                    var error = refused("22P02", send::executeBatch);
                    yes(error instanceof BatchUpdateException, "a BatchUpdateException");
                }
                refused("25P02", () -> query(connection, "select 1"));
                connection.rollback();
                same(List.of(197L), query(connection, "select count(*) from pgmq.q_" + queue));
                connection.rollback();
            }
        }
    }

    static void transactions() throws Exception {
        try (var connection = connect(""); var other = connect("")) {
            var queue = newQueue(connection);
            connection.setAutoCommit(false);
            query(connection, "select pgmq.send(?, ?::jsonb)", queue, "1");
            same(List.of(), query(other, "select msg_id from pgmq.read(?, ?, ?)", queue, 0, 1));
            var first = connection.setSavepoint();
            query(connection, "select pgmq.send(?, ?::jsonb)", queue, "2");
            var second = connection.setSavepoint("second \"one\"");
            query(connection, "select pgmq.send(?, ?::jsonb)", queue, "3");
            connection.rollback(second);
            refused("42703", () -> query(connection, "select nonsense"));
            connection.rollback(second);
            connection.releaseSavepoint(first);
            connection.commit();
            same(List.of(1L, 2L), query(other, "select msg_id from pgmq.read(?, ?, ?)", queue, 0, 9));
            // Claims of a transaction that is rolled back are free again.
            same(List.of(1L), query(connection, "select msg_id from pgmq.read(?, ?, ?)", queue, 600, 1));
            same(List.of(2L), query(other, "select msg_id from pgmq.read(?, ?, ?)", queue, 0, 9));
            connection.rollback();
            same(List.of(1L, 2L), query(other, "select msg_id from pgmq.pop(?, ?)", queue, 9));
            connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            same(Connection.TRANSACTION_SERIALIZABLE, connection.getTransactionIsolation());
            connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
            same(Connection.TRANSACTION_READ_COMMITTED, connection.getTransactionIsolation());
            connection.commit();
            connection.setAutoCommit(true);
            // Closing in the middle of a transaction rolls it back.
            try (var third = connect("")) {
                third.setAutoCommit(false);
                query(third, "select pgmq.send(?, ?::jsonb)", queue, "4");
            }
            same(List.of(0L), query(connection, "select count(*) from pgmq.q_" + queue));
        }
    }

    /** The driver puts a savepoint before each statement, and goes back to it after an error. */
    static void autosave() throws Exception {
        for (var more : List.of("&autosave=always", "&autosave=conservative", "&autosave=always&cleanupSavepoints=true")) {
            try (var connection = connect(more)) {
                var queue = newQueue(connection);
                connection.setAutoCommit(false);
                query(connection, "select pgmq.send(?, ?::jsonb)", queue, "1");
                if (more.contains("always")) {
                    refused("42P01", () -> query(connection, "select pgmq.send('missing_queue', '{}')"));
                }
                query(connection, "select pgmq.send(?, ?::jsonb)", queue, "2");
                connection.commit();
                same(List.of(2L), query(connection, "select count(*) from pgmq.q_" + queue));
                connection.commit();
            }
        }
    }

    static void fetchSize() throws Exception {
        try (var connection = connect("&defaultRowFetchSize=10")) {
            var queue = newQueue(connection);
            query(connection, "select count(*) from (select pgmq.send(?, to_jsonb(i)) from generate_series(1, 95) as i) as sent", queue);
            connection.setAutoCommit(false);
            for (int size : List.of(7, 10, 95, 96, 1)) {
                try (var statement = connection.prepareStatement("select msg_id, message from pgmq.q_" + queue + " order by msg_id")) {
                    statement.setFetchSize(size);
                    try (var rows = statement.executeQuery()) {
                        long count = 0;
                        while (rows.next()) {
                            same(++count, rows.getLong(1));
                        }
                        same(95L, count);
                    }
                }
            }
            // Given up half-way, with another statement in between.
            try (var statement = connection.prepareStatement("select * from pgmq.read(?, ?, ?)")) {
                statement.setFetchSize(5);
                statement.setString(1, queue);
                statement.setInt(2, 30);
                statement.setInt(3, 50);
                var rows = statement.executeQuery();
                for (int n = 0; n < 7; n++) {
                    yes(rows.next(), "a row");
                    same(List.of(1), query(connection, "select 1"));
                }
                rows.close();
            }
            try (var statement = connection.prepareStatement("select i from generate_series(1, 50) as i")) {
                statement.setMaxRows(20);
                try (var rows = statement.executeQuery()) {
                    int count = 0;
                    while (rows.next()) {
                        count++;
                    }
                    same(20, count);
                }
            }
            connection.commit();
            try (var scroll = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY);
                    var rows = scroll.executeQuery("select i from generate_series(1, 5) as i")) {
                yes(rows.last() && rows.getInt(1) == 5 && rows.absolute(2) && rows.getInt(1) == 2, "scrolls");
            }
            connection.rollback();
        }
    }

    static void statementMetadata() throws Exception {
        try (var connection = connect("")) {
            var queue = newQueue(connection);
            try (var read = connection.prepareStatement("select * from pgmq.read(?, ?, ?)")) {
                var columns = read.getMetaData();
                same(7, columns.getColumnCount());
                same("msg_id int8 -5, read_ct int4 4, enqueued_at timestamptz 93, last_read_at timestamptz 93, vt timestamptz 93, message jsonb 1111, headers jsonb 1111", described(columns));
                same("java.lang.Long", columns.getColumnClassName(1));
                var parameters = read.getParameterMetaData();
                same(3, parameters.getParameterCount());
                same("text", parameters.getParameterTypeName(1));
                same("int4", parameters.getParameterTypeName(2));
            }
            try (var batch = connection.prepareStatement("select pgmq.send_batch(?::text, ?::jsonb[], ?::int)")) {
                same("_jsonb", batch.getParameterMetaData().getParameterTypeName(2));
                same("send_batch int8 -5", described(batch.getMetaData()));
            }
            try (var statement = connection.createStatement();
                    var rows = statement.executeQuery("select message, msg_id as id from pgmq.q_" + queue)) {
                yes(described(rows.getMetaData()).matches("message jsonb 1111, id (int8|bigserial) -5"), "columns");
                same("id", rows.getMetaData().getColumnLabel(2));
                rows.getMetaData().isNullable(1);
                rows.getMetaData().isAutoIncrement(2);
                rows.getMetaData().getTableName(1);
                rows.getMetaData().getSchemaName(1);
            }
            try (var metrics = connection.prepareStatement("select * from pgmq.metrics(?)")) {
                same("queue_name text 12, queue_length int8 -5, newest_msg_age_sec int4 4, oldest_msg_age_sec int4 4, total_messages int8 -5, scrape_time timestamptz 93, queue_visible_length int8 -5, default_partition_length int8 -5", described(metrics.getMetaData()));
            }
        }
    }

    static String described(ResultSetMetaData columns) throws SQLException {
        var words = new StringJoiner(", ");
        for (int i = 1; i <= columns.getColumnCount(); i++) {
            words.add(columns.getColumnName(i) + " " + columns.getColumnTypeName(i) + " " + columns.getColumnType(i));
        }
        return words.toString();
    }

    static Set<String> all(ResultSet rows, String column) throws SQLException {
        var values = new TreeSet<String>();
        try (rows) {
            while (rows.next()) {
                values.add(rows.getString(column));
            }
        }
        return values;
    }

    static void databaseMetadata() throws Exception {
        try (var connection = connect("")) {
            var queue = newQueue(connection);
            var meta = connection.getMetaData();
            same("PostgreSQL", meta.getDatabaseProductName());
            same(15, meta.getDatabaseMajorVersion());
            yes(meta.getDatabaseProductVersion().startsWith("15"), meta.getDatabaseProductVersion());
            yes(all(meta.getSchemas(), "TABLE_SCHEM").containsAll(Set.of("pgmq", "public", "pg_catalog", "information_schema")), "schemas");
            yes(all(meta.getSchemas(null, "pgm%"), "TABLE_SCHEM").contains("pgmq"), "schemas by pattern");
            yes(all(meta.getCatalogs(), "TABLE_CAT").contains(connection.getCatalog()), "catalogs");
            yes(all(meta.getTableTypes(), "TABLE_TYPE").contains("TABLE"), "table types");
            var tables = all(meta.getTables(null, "pgmq", "%", new String[] {"TABLE", "PARTITIONED TABLE", "VIEW"}), "TABLE_NAME");
            yes(tables.containsAll(Set.of("q_" + queue, "a_" + queue, "meta", "topic_bindings", "notify_insert_throttle")), "tables " + tables);
            same(Set.of("q_" + queue), all(meta.getTables(null, "pgmq", "q\\_" + queue.replace("_", "\\_"), null), "TABLE_NAME"));
            var columns = new StringJoiner(", ");
            try (var rows = meta.getColumns(null, "pgmq", "q_" + queue, "%")) {
                while (rows.next()) {
                    columns.add(rows.getString("COLUMN_NAME") + " " + rows.getString("TYPE_NAME") + " " + rows.getInt("DATA_TYPE") + " " + rows.getInt("ORDINAL_POSITION"));
                }
            }
            yes(columns.toString().matches("msg_id (int8|bigserial) -5 1, read_ct int4 4 2, enqueued_at timestamptz 93 3, last_read_at timestamptz 93 4, vt timestamptz 93 5, message jsonb 1111 6, headers jsonb 1111 7"), columns.toString());
            var functions = all(meta.getFunctions(null, "pgmq", "%"), "FUNCTION_NAME");
            yes(functions.containsAll(Set.of("send", "send_batch", "read", "pop", "archive", "delete", "set_vt", "create", "drop_queue", "metrics")), "functions " + functions);
            var procedures = all(meta.getProcedures(null, "pgmq", "send"), "PROCEDURE_NAME");
            yes(procedures.isEmpty() || procedures.contains("send"), "procedures");
            yes(all(meta.getFunctionColumns(null, "pgmq", "set_vt", null), "COLUMN_NAME").containsAll(Set.of("queue_name", "vt", "msg_id")), "function columns");
            same(Set.of("msg_id"), all(meta.getPrimaryKeys(null, "pgmq", "q_" + queue), "COLUMN_NAME"));
            yes(all(meta.getIndexInfo(null, "pgmq", "q_" + queue, false, true), "INDEX_NAME").containsAll(Set.of("q_" + queue + "_pkey", "q_" + queue + "_vt_idx")), "indexes");
            same(Set.of(), all(meta.getImportedKeys(null, "pgmq", "q_" + queue), "FKCOLUMN_NAME"));
            same(Set.of(), all(meta.getExportedKeys(null, "pgmq", "q_" + queue), "FKCOLUMN_NAME"));
            yes(all(meta.getBestRowIdentifier(null, "pgmq", "q_" + queue, DatabaseMetaData.bestRowSession, true), "COLUMN_NAME").contains("msg_id"), "row identifier");
            yes(all(meta.getTypeInfo(), "TYPE_NAME").containsAll(Set.of("int8", "jsonb", "timestamptz", "text")), "types");
            meta.getUDTs(null, "pgmq", "%", null).close();
            meta.getTablePrivileges(null, "pgmq", "q_" + queue).close();
            meta.getColumnPrivileges(null, "pgmq", "q_" + queue, "%").close();
            meta.getClientInfoProperties().close();
            yes(meta.getMaxColumnNameLength() > 0, "name length");
            yes(meta.getSQLKeywords() != null, "keywords");
            yes(meta.getMaxIndexLength() >= 0 && meta.supportsTransactions(), "more");
            yes(meta.getUserName().matches("kyu|postgres"), "user");
        }
    }

    static void composites() throws Exception {
        try (var connection = connect("")) {
            var queue = newQueue(connection);
            query(connection, "select pgmq.send(?, ?::jsonb)", queue, "{\"a\": 1}");
            try (var statement = connection.createStatement();
                    var rows = statement.executeQuery("select pgmq.read('" + queue + "', 0, 1)")) {
                yes(rows.next(), "a row");
                yes(rows.getString(1).matches("\\(1,1,\".*\",\".*\",\".*\",\"\\{\"\"a\"\": 1\\}\",\\)"), rows.getString(1));
                yes(rows.getObject(1) instanceof PGobject, "a PGobject");
                same("\"pgmq\".\"message_record\"", rows.getMetaData().getColumnTypeName(1));
            }
            try (var statement = connection.createStatement();
                    var rows = statement.executeQuery("select (pgmq.read('" + queue + "', 0, 1)).message, row(1, 'x')")) {
                yes(rows.next(), "a row");
                same("{\"a\": 1}", rows.getString(1));
                same("(1,x)", rows.getString(2));
            }
        }
    }

    /** `{? = call f(?)}` becomes `select * from f(?) as result`. */
    static void callable() throws Exception {
        try (var connection = connect("")) {
            var queue = newQueue(connection);
            try (var call = connection.prepareCall("{? = call pgmq.send(?, ?)}")) {
                call.registerOutParameter(1, Types.BIGINT);
                call.setString(2, queue);
                call.setObject(3, json("{\"by\": \"call\"}"));
                call.execute();
                same(1L, call.getLong(1));
            }
            try (var call = connection.prepareCall("{call pgmq.purge_queue(?)}")) {
                call.setString(1, queue);
                call.execute();
            }
            same(List.of(0L), query(connection, "select count(*) from pgmq.q_" + queue));
            try (var escaped = connection.prepareStatement("select {fn upper('x')}, {ts '2024-01-02 03:04:05'}, {fn concat('a', 'b')}")) {
                try (var rows = escaped.executeQuery()) {
                    yes(rows.next(), "a row");
                    same("X", rows.getString(1));
                    same("ab", rows.getString(3));
                }
            }
        }
    }

    static void pooling() throws Exception {
        try (var connection = connect("&ApplicationName=suite&connectTimeout=5&socketTimeout=20&tcpKeepAlive=true&loginTimeout=5&options=-c%20statement_timeout=30s")) {
            yes(connection.isValid(1), "valid");
            same(List.of("suite"), query(connection, "select current_setting('application_name')"));
            same(List.of("30s"), query(connection, "show statement_timeout"));
            connection.setClientInfo("ApplicationName", "renamed");
            same(List.of("renamed"), query(connection, "show application_name"));
            connection.setSchema("pgmq");
            same("pgmq", connection.getSchema());
            connection.setSchema("public");
            same("public", connection.getSchema());
            connection.setNetworkTimeout(Executors.newSingleThreadExecutor(Suite::daemon), 10_000);
            same(10_000, connection.getNetworkTimeout());
            connection.setReadOnly(true);
            connection.setAutoCommit(false);
            same(List.of(1), query(connection, "select 1"));
            same(List.of("on"), query(connection, "show transaction_read_only"));
            connection.rollback();
            connection.setReadOnly(false);
            same(List.of(2), query(connection, "select 2"));
            same(List.of("off"), query(connection, "show transaction_read_only"));
            connection.rollback();
            connection.setAutoCommit(true);
            for (var sql : List.of("", ";", "-- nothing", "/* nothing */ select 1", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "SET search_path TO public", "RESET ALL", "DISCARD ALL", "DEALLOCATE ALL", "SET SESSION AUTHORIZATION DEFAULT", "CLOSE ALL", "UNLISTEN *", "SELECT pg_advisory_unlock_all()", "RESET ALL", "DISCARD TEMP")) {
                try (var statement = connection.createStatement()) {
                    statement.execute(sql);
                } catch (SQLException error) {
                    throw new AssertionError(sql, error);
                }
            }
            yes(connection.unwrap(PGConnection.class).getBackendPID() != 0, "pid");
            same("on", connection.unwrap(PGConnection.class).getParameterStatus("standard_conforming_strings"));
        }
        var source = new PGConnectionPoolDataSource();
        source.setUrl(URL);
        var pooled = source.getPooledConnection();
        for (int round = 0; round < 3; round++) {
            try (var connection = pooled.getConnection()) {
                same(List.of(1), query(connection, "select 1"));
                connection.setAutoCommit(false);
                same(List.of(1), query(connection, "select 1"));
            }
        }
        pooled.close();
        var simple = new PGSimpleDataSource();
        simple.setUrl(URL);
        simple.setTargetServerType("primary");
        simple.setAssumeMinServerVersion("12");
        simple.setReadOnly(true);
        try (var connection = simple.getConnection()) {
            same(List.of(1), query(connection, "select 1"));
            connection.abort(Runnable::run);
        }
    }

    static Thread daemon(Runnable body) {
        var thread = new Thread(body);
        thread.setDaemon(true);
        return thread;
    }

    static void cancel() throws Exception {
        try (var connection = connect("")) {
            var queue = newQueue(connection);
            var poll = "select * from pgmq.read_with_poll('" + queue + "', 30, 1, 50, 100)";
            try (var statement = connection.createStatement()) {
                statement.setQueryTimeout(1);
                refused("57014", () -> statement.executeQuery(poll));
            }
            try (var statement = connection.createStatement()) {
                var waiting = CompletableFuture.supplyAsync(() -> {
                    try {
                        statement.executeQuery(poll);
                        return "nothing";
                    } catch (SQLException error) {
                        return error.getSQLState();
                    }
                });
                while (!waiting.isDone()) {
                    statement.cancel();
                    Thread.sleep(20);
                }
                same("57014", waiting.get());
            }
            try (var statement = connection.createStatement()) {
                statement.execute("set statement_timeout = 200");
                refused("57014", () -> statement.executeQuery(poll));
                statement.execute("reset statement_timeout");
            }
            same(List.of(1), query(connection, "select 1"));
        }
    }

    static void notifications() throws Exception {
        try (var listener = connect(""); var sender = connect("")) {
            var queue = newQueue(sender);
            query(sender, "select pgmq.enable_notify_insert(?, ?)", queue, 0);
            try (var statement = listener.createStatement()) {
                statement.execute("LISTEN \"pgmq.q_" + queue + ".INSERT\"");
                statement.execute("LISTEN suite");
            }
            var heard = listener.unwrap(PGConnection.class);
            query(sender, "select pgmq.send(?, ?::jsonb)", queue, "1");
            same("pgmq.q_" + queue + ".INSERT|", next(heard));
            try (var statement = sender.createStatement()) {
                statement.execute("NOTIFY suite, 'it''s'");
            }
            same("suite|it's", next(heard));
            query(sender, "select pg_notify(?, ?)", "suite", "by function");
            same("suite|by function", next(heard));
            sender.setAutoCommit(false);
            query(sender, "select pgmq.send(?, ?::jsonb)", queue, "2");
            same(0, heard.getNotifications(100).length);
            sender.commit();
            same("pgmq.q_" + queue + ".INSERT|", next(heard));
        }
    }

    static String next(PGConnection connection) throws SQLException {
        PGNotification[] told = connection.getNotifications(10_000);
        return told == null || told.length == 0 ? null : told[0].getName() + "|" + told[0].getParameter();
    }

    static void errors() throws Exception {
        try (var connection = connect("")) {
            var queue = newQueue(connection);
            for (var each : List.of(
                    List.of("42P01", "select pgmq.send('missing_queue', '{}')"),
                    List.of("42883", "select pgmq.no_such_function()"),
                    List.of("42703", "select no_such_column from pgmq.q_" + queue),
                    List.of("42601", "selec 1"),
                    List.of("22P02", "select pgmq.send('" + queue + "', 'no json')"),
                    List.of("22012", "select 1 / 0"),
                    List.of("2201W", "select * from pgmq.read('" + queue + "', 1, -1)"),
                    List.of("22004", "select pgmq.create(null)"),
                    List.of("P0001", "select pgmq.create('semi;colon')"),
                    List.of("42704", "show no_such_setting"),
                    List.of("26000", "execute nothing"),
                    List.of("25P01", "savepoint outside"))) {
                refused(each.get(0), () -> query(connection, each.get(1)));
                refused(each.get(0), () -> {
                    try (var statement = connection.createStatement()) {
                        statement.execute(each.get(1));
                    }
                });
            }
            var error = refused("42P01", () -> query(connection, "select * from pgmq.q_missing_queue"));
            var server = ((org.postgresql.util.PSQLException) error).getServerErrorMessage();
            same("ERROR", server.getSeverity());
            same("relation \"pgmq.q_missing_queue\" does not exist", server.getMessage());
            yes(server.getPosition() > 0, "a position");
            // The session lives on.
            same(List.of(1), query(connection, "select 1"));
            refused("22023", () -> query(connection, "select ?::int", 1, 2));
            refused("22P02", () -> query(connection, "select ?::int", "x"));
            try (var statement = connection.createStatement()) {
                statement.execute("select pgmq.drop_queue('" + queue + "', false)");
                yes(statement.getWarnings() != null, "a warning");
                same("WARNING", ((org.postgresql.util.PSQLWarning) statement.getWarnings()).getServerErrorMessage().getSeverity());
            }
        }
    }

    static void several() throws Exception {
        for (var more : List.of("", "&preferQueryMode=simple")) {
            try (var connection = connect(more); var statement = connection.createStatement()) {
                yes(statement.execute("select 1; select 2, 'x;y'; -- the end\n select 3"), "a result");
                var values = new ArrayList<Integer>();
                do {
                    try (var rows = statement.getResultSet()) {
                        yes(rows.next(), "a row");
                        values.add(rows.getInt(1));
                    }
                } while (statement.getMoreResults());
                same(List.of(1, 2, 3), values);
            }
        }
    }

    static void copyOut() throws Exception {
        try (var connection = connect("")) {
            var queue = newQueue(connection);
            query(connection, "select pgmq.send_batch(?, ?::jsonb[])", queue, new String[] {"{\"a\": 1}", "2"});
            var copy = new org.postgresql.copy.CopyManager(connection.unwrap(org.postgresql.core.BaseConnection.class));
            var text = new java.io.StringWriter();
            same(2L, copy.copyOut("COPY (SELECT msg_id, message FROM pgmq.q_" + queue + " ORDER BY 1) TO STDOUT WITH CSV", text));
            same("1,\"{\"\"a\"\": 1}\"\n2,2\n", text.toString());
            same(List.of(1), query(connection, "select 1"));
        }
    }

    static void threads() throws Exception {
        String queue;
        try (var connection = connect("")) {
            queue = newQueue(connection);
        }
        var workers = Executors.newFixedThreadPool(8);
        var sent = new ArrayList<Future<Integer>>();
        for (int worker = 0; worker < 8; worker++) {
            sent.add(workers.submit(() -> {
                try (var connection = connect("")) {
                    for (int n = 0; n < 25; n++) {
                        query(connection, "select pgmq.send(?, ?::jsonb)", queue, Integer.toString(n));
                    }
                    int popped = 0;
                    while (!query(connection, "select msg_id from pgmq.pop(?)", queue).isEmpty()) {
                        popped++;
                    }
                    return popped;
                }
            }));
        }
        int total = 0;
        for (var each : sent) {
            total += each.get();
        }
        workers.shutdown();
        same(200, total);
    }

    static void tlsAndScram() throws Exception {
        var url = System.getenv("KYU_PGMQ_TLS_URL");
        for (var more : List.of("&sslmode=require", "&sslmode=prefer", "&sslmode=require&sslfactory=org.postgresql.ssl.NonValidatingFactory", "&sslmode=disable")) {
            try (var connection = DriverManager.getConnection(jdbc(url, more))) {
                var queue = newQueue(connection);
                same(List.of(1L), query(connection, "select pgmq.send(?, ?::jsonb)", queue, "\"" + "x".repeat(100_000) + "\""));
                same(List.of("worker"), query(connection, "select current_user"));
            }
        }
        refused("28P01", () -> DriverManager.getConnection(jdbc(url, "&sslmode=require").replaceFirst("password=[^&]*", "password=wrong")));
        refused("08006", () -> DriverManager.getConnection(jdbc(url, "&sslmode=verify-full")));
    }
}
