package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgtype"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
	_ "github.com/jackc/pgx/v4/stdlib"
)

var background = context.Background()

func pgxChecks() []check {
	checks := []check{
		{"pgx: the statements of pgmq-go, by the pool", pgmqGo},
		{"pgx: prepared statements and their description", pgxPrepared},
		{"pgx: types both ways", pgxTypes},
		{"pgx: batches in one pipeline", pgxBatches},
		{"pgx: transactions and savepoints", pgxTransactions},
		{"pgx: errors", pgxErrors},
		{"pgx: contexts that end", pgxContexts},
		{"pgx: notifications", pgxNotifications},
		{"pgx: COPY TO and several statements", pgxConn},
		{"pgx: portions of a read, and goroutines", pgxConcurrent},
	}
	for _, mode := range []string{"prepare", "describe", "off", "simple"} {
		mode := mode
		checks = append(checks, check{"pgx: every call, statement cache " + mode, func() { pgxCalls(mode) }})
	}
	if tlsURL != "" {
		checks = append(checks, check{"pgx: TLS and SCRAM", pgxTLS})
	}
	return checks
}

func connect() *pgx.Conn {
	conn, err := pgx.Connect(background, url)
	must(err)
	return conn
}

func pgxQueue(conn *pgx.Conn) string {
	name := newQueueName()
	_, err := conn.Exec(background, "SELECT pgmq.create($1)", name)
	must(err)
	return name
}

// one reads a single value.
func one(conn *pgx.Conn, sql string, arguments ...interface{}) (value interface{}) {
	must(conn.QueryRow(background, sql, arguments...).Scan(&value))
	return value
}

func all(rows pgx.Rows, err error) (values []interface{}) {
	must(err)
	defer rows.Close()
	for rows.Next() {
		row, err := rows.Values()
		must(err)
		values = append(values, row[0])
	}
	must(rows.Err())
	return values
}

func ids(values ...int64) (boxed []interface{}) {
	for _, value := range values {
		boxed = append(boxed, value)
	}
	return boxed
}

type message struct {
	id, reads              int64
	enqueued, lastRead, vt *time.Time
	body, headers          []byte
}

func (m *message) fields() []interface{} {
	return []interface{}{&m.id, &m.reads, &m.enqueued, &m.lastRead, &m.vt, &m.body, &m.headers}
}

func pgmqGo() {
	pool, err := pgxpool.Connect(background, url+"?pool_max_conns=4")
	must(err)
	defer pool.Close()
	must(pool.Ping(background))
	if !real() {
		_, err = pool.Exec(background, "CREATE EXTENSION IF NOT EXISTS pgmq CASCADE")
		must(err)
	}
	queue := newQueueName()
	for _, create := range []string{"SELECT pgmq.create($1)", "SELECT pgmq.create_unlogged($1)"} {
		_, err = pool.Exec(background, create, queue)
		must(err)
		_, err = pool.Exec(background, "SELECT pgmq.drop_queue($1)", queue)
		must(err)
	}
	_, err = pool.Exec(background, "SELECT pgmq.create($1)", queue)
	must(err)
	for round := int64(0); round < 3; round++ {
		var id int64
		must(pool.QueryRow(background, "SELECT * FROM pgmq.send($1, $2, $3::int)", queue, json.RawMessage(`{"a": 1}`), 0).Scan(&id))
		same(3*round+1, id)
		must(pool.QueryRow(background, "SELECT * FROM pgmq.send($1, $2, $3::timestamptz)", queue, map[string]interface{}{"b": 2}, time.Now().Add(-time.Second)).Scan(&id))
		same(3*round+2, id)
		must(pool.QueryRow(background, "SELECT pgmq.send($1, $2)", queue, []byte(`"bytes"`)).Scan(&id))
		same(3*round+3, id)
	}
	batch := []string{`{"n": 10}`, `{"n": "x, \"y\""}`}
	same(ids(10, 11), all(pool.Query(background, "SELECT * FROM pgmq.send_batch($1, $2::jsonb[], $3::int)", queue, batch, 0)))
	same(ids(12, 13), all(pool.Query(background, "SELECT * FROM pgmq.send_batch($1, $2::jsonb[], $3::timestamptz)", queue, batch, time.Now())))
	var read message
	must(pool.QueryRow(background, "SELECT * FROM pgmq.read($1, $2, $3)", queue, int64(30), 1).Scan(read.fields()...))
	same([]interface{}{int64(1), int64(1), `{"a": 1}`}, []interface{}{read.id, read.reads, string(read.body)})
	yes(read.vt.After(time.Now()) && read.headers == nil, "vt and headers")
	same(12, len(all(pool.Query(background, "SELECT * FROM pgmq.read($1, $2, $3)", queue, int64(30), int64(100)))))
	var done bool
	must(pool.QueryRow(background, "SELECT pgmq.archive($1, $2::bigint)", queue, int64(1)).Scan(&done))
	yes(done, "archived")
	must(pool.QueryRow(background, "SELECT pgmq.delete($1, $2::bigint)", queue, int64(1)).Scan(&done))
	yes(!done, "gone")
	same(ids(2, 3), all(pool.Query(background, "SELECT pgmq.archive($1, $2::bigint[])", queue, []int64{2, 3, 99})))
	same(ids(4, 5), all(pool.Query(background, "SELECT pgmq.delete($1, $2::bigint[])", queue, []int64{4, 5, 99})))
	must(pool.QueryRow(background, "SELECT * FROM pgmq.set_vt($1, $2::bigint, $3::int)", queue, int64(6), int64(0)).Scan(read.fields()...))
	same(int64(6), read.id)
	must(pool.QueryRow(background, "SELECT * FROM pgmq.pop($1)", queue).Scan(read.fields()...))
	same(int64(6), read.id)
	same(pgx.ErrNoRows, pool.QueryRow(background, "SELECT * FROM pgmq.pop($1)", queue).Scan(read.fields()...))
}

// pgxCalls makes calls often enough for every way of the driver to send them.
func pgxCalls(mode string) {
	config, err := pgx.ParseConfig(url)
	must(err)
	switch mode {
	case "simple":
		config.PreferSimpleProtocol = true
	case "off":
		config.BuildStatementCache = nil
	default:
		config, err = pgx.ParseConfig(url + "?statement_cache_capacity=3&statement_cache_mode=" + mode)
		must(err)
	}
	conn, err := pgx.ConnectConfig(background, config)
	must(err)
	defer conn.Close(background)
	queue := pgxQueue(conn)
	for n := int64(1); n <= 8; n++ {
		same(n, one(conn, "SELECT pgmq.send($1::text, $2::jsonb)", queue, `{"it's": 1}`))
		var read message
		must(conn.QueryRow(background, "SELECT * FROM pgmq.read($1, $2, $3)", queue, 30, 1).Scan(read.fields()...))
		same(n, read.id)
		yes(read.enqueued.Before(time.Now().Add(time.Minute)), "enqueued")
		var count int64
		must(conn.QueryRow(background, "SELECT count(*) FROM pgmq.q_"+queue+" WHERE msg_id <= $1 AND vt > $2", n, time.Now()).Scan(&count))
		same(n, count)
		same(ids(n), all(conn.Query(background, "SELECT msg_id FROM pgmq.set_vt($1, $2::bigint, $3::int)", queue, n, 60)))
		var name string
		var length, total int64
		must(conn.QueryRow(background, "SELECT queue_name, queue_length, total_messages FROM pgmq.metrics($1)", queue).Scan(&name, &length, &total))
		same([]interface{}{queue, n, n}, []interface{}{name, length, total})
		var partitioned, unlogged bool
		var created time.Time
		must(conn.QueryRow(background, "SELECT * FROM pgmq.list_queues() WHERE queue_name = $1", queue).Scan(&name, &partitioned, &unlogged, &created))
		yes(!partitioned && !unlogged && created.Before(time.Now().Add(time.Minute)), "list_queues")
	}
	same(ids(1, 2), all(conn.Query(background, "SELECT pgmq.delete($1, $2::bigint[])", queue, []int64{1, 2})))
	same(int64(6), one(conn, "SELECT pgmq.purge_queue($1)", queue))
	same(true, one(conn, "SELECT pgmq.drop_queue($1)", queue))
}

func pgxPrepared() {
	conn := connect()
	defer conn.Close(background)
	queue := pgxQueue(conn)
	for name, want := range map[string][]uint32{
		"SELECT * FROM pgmq.read($1, $2, $3)":                            {pgtype.TextOID, pgtype.Int4OID, pgtype.Int4OID},
		"SELECT pgmq.send(queue_name => $1, msg => $2)":                  {pgtype.TextOID, pgtype.JSONBOID},
		"SELECT pgmq.send_batch($1, $2::jsonb[], $3::timestamptz)":       {pgtype.TextOID, pgtype.JSONBArrayOID, pgtype.TimestamptzOID},
		"SELECT pgmq.delete($1, $2::bigint[])":                           {pgtype.TextOID, pgtype.Int8ArrayOID},
		"SELECT msg_id FROM pgmq.q_" + queue + " WHERE msg_id = ANY($1)": {pgtype.Int8ArrayOID},
	} {
		described, err := conn.Prepare(background, name, name)
		must(err)
		same(want, described.ParamOIDs)
		must(conn.Deallocate(background, name))
	}
	described, err := conn.Prepare(background, "read", "SELECT * FROM pgmq.read($1, $2, $3)")
	must(err)
	var columns []string
	for _, field := range described.Fields {
		columns = append(columns, string(field.Name))
	}
	same("msg_id read_ct enqueued_at last_read_at vt message headers", strings.Join(columns, " "))
	same([]interface{}(nil), all(conn.Query(background, "read", queue, 1, 1)))
}

func pgxTypes() {
	conn := connect()
	defer conn.Close(background)
	at := time.Date(2024, 2, 3, 4, 5, 6, 789000000, time.UTC)
	var array pgtype.Int8Array
	must(conn.QueryRow(background, "SELECT ARRAY[$1::int8, NULL]", int64(1<<40)).Scan(&array))
	same(int64(1<<40), array.Elements[0].Int)
	same(pgtype.Null, array.Elements[1].Status)
	var (
		i2    int16
		i4    int32
		f     float64
		t     string
		b     bool
		when  time.Time
		bytea []byte
		null  *int
		uuid  pgtype.UUID
		num   pgtype.Numeric
		list  []string
		js    map[string]interface{}
		span  pgtype.Interval
		date  time.Time
	)
	row := conn.QueryRow(background, "SELECT $1::int2, $2::int4, $3::float8, $4::text, $5::bool, $6::timestamptz, $7::bytea, $8::int4, $9::uuid, $10::numeric, $11::text[], $12::jsonb, $13::interval, $14::date",
		int16(-3), int32(70000), 2.5, "é", true, at, []byte{0, 255}, nil, "123e4567-e89b-12d3-a456-426614174000", "12345.678", []string{"a", "b,\"c\""}, map[string]int{"k": 1}, 90*time.Minute, at)
	must(row.Scan(&i2, &i4, &f, &t, &b, &when, &bytea, &null, &uuid, &num, &list, &js, &span, &date))
	same([]interface{}{int16(-3), int32(70000), 2.5, "é", true}, []interface{}{i2, i4, f, t, b})
	yes(when.Equal(at) && bytes.Equal(bytea, []byte{0, 255}) && null == nil, "times, bytes, null")
	same([]string{"a", "b,\"c\""}, list)
	same(1.0, js["k"])
	var exact float64
	must(num.AssignTo(&exact))
	same(12345.678, exact)
	same(int64(90*60*1e6), span.Microseconds)
	same("2024-02-03", date.Format("2006-01-02"))
	for _, special := range []string{"infinity", "-infinity"} {
		var found pgtype.Timestamptz
		must(conn.QueryRow(background, "SELECT $1::text::timestamptz", special).Scan(&found))
		yes(found.InfinityModifier != pgtype.None, special)
	}
}

func pgxBatches() {
	conn := connect()
	defer conn.Close(background)
	queue := pgxQueue(conn)
	for round := int64(0); round < 2; round++ {
		batch := &pgx.Batch{}
		for n := 0; n < 50; n++ {
			batch.Queue("SELECT pgmq.send($1, $2, $3::int)", queue, map[string]int{"n": n}, 0)
		}
		batch.Queue("SELECT count(*) FROM pgmq.q_" + queue)
		results := conn.SendBatch(background, batch)
		for n := int64(1); n <= 50; n++ {
			var id int64
			must(results.QueryRow().Scan(&id))
			same(50*round+n, id)
		}
		var count int64
		must(results.QueryRow().Scan(&count))
		same(50*(round+1), count)
		must(results.Close())
	}
	// The batch is one implicit transaction: an error takes back what was before it.
	batch := &pgx.Batch{}
	batch.Queue("SELECT pgmq.send($1, '1'::jsonb)", queue)
	batch.Queue("SELECT 1 / $1::int", 0)
	batch.Queue("SELECT pgmq.send($1, '2'::jsonb)", queue)
	results := conn.SendBatch(background, batch)
	_, err := results.Exec()
	must(err)
	_, err = results.Exec()
	same("22012", state(err))
	yes(results.Close() != nil, "closing tells the error")
	same(int64(100), one(conn, "SELECT count(*) FROM pgmq.q_"+queue))
}

func state(err error) string {
	var told *pgconn.PgError
	if errors.As(err, &told) {
		return told.Code
	}
	return "no state: " + err.Error()
}

func pgxTransactions() {
	conn, other := connect(), connect()
	defer conn.Close(background)
	defer other.Close(background)
	queue := pgxQueue(conn)
	tx, err := conn.BeginTx(background, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadWrite})
	must(err)
	_, err = tx.Exec(background, "SELECT pgmq.send($1, '1'::jsonb)", queue)
	must(err)
	nested, err := tx.Begin(background)
	must(err)
	_, err = nested.Exec(background, "SELECT pgmq.send($1, '2'::jsonb)", queue)
	must(err)
	_, err = nested.Exec(background, "SELECT nonsense")
	same("42703", state(err))
	_, err = nested.Exec(background, "SELECT 1")
	same("25P02", state(err))
	must(nested.Rollback(background))
	same(int64(0), one(other, "SELECT count(*) FROM pgmq.q_"+queue))
	must(tx.Commit(background))
	same(int64(1), one(other, "SELECT count(*) FROM pgmq.q_"+queue))
	err = conn.BeginFunc(background, func(tx pgx.Tx) error {
		_, err := tx.Exec(background, "SELECT pgmq.pop($1)", queue)
		must(err)
		return errors.New("not today")
	})
	same("not today", err.Error())
	same(int64(1), one(conn, "SELECT count(*) FROM pgmq.q_"+queue))
	tx, err = conn.Begin(background)
	must(err)
	_, err = tx.Exec(background, "SELECT nonsense")
	same("42703", state(err))
	same(pgx.ErrTxCommitRollback, tx.Commit(background))
}

func pgxErrors() {
	conn := connect()
	defer conn.Close(background)
	for sql, want := range map[string]string{
		"SELECT pgmq.send('missing_queue', '{}'::jsonb)": "42P01",
		"SELECT pgmq.no_such_function()":                 "42883",
		"SELEC 1":                                        "42601",
		"SELECT pgmq.create('semi;colon')":               "P0001",
		"SELECT 'no json'::jsonb":                        "22P02",
	} {
		_, err := conn.Exec(background, sql)
		same(want, state(err))
	}
	_, err := conn.Exec(background, "SELECT pgmq.send($1, $2)", "missing_queue", `{}`)
	same("42P01", state(err))
	_, err = conn.Exec(background, "SELECT 1; SELECT $1::int", 1)
	same("42601", state(err))
	same(int32(1), one(conn, "SELECT 1"))
}

func pgxContexts() {
	conn := connect()
	queue := pgxQueue(conn)
	short, stop := context.WithTimeout(background, 200*time.Millisecond)
	defer stop()
	_, err := conn.Exec(short, "SELECT * FROM pgmq.read_with_poll($1, 1, 1, 50, 100)", queue)
	yes(err != nil && errors.Is(err, context.DeadlineExceeded), "the deadline")
	yes(conn.IsClosed(), "pgx closes the connection")
	// The message of a connection that has gone is there for others.
	conn = connect()
	defer conn.Close(background)
	// Cancelling by request leaves the connection usable.
	waiting := make(chan error)
	go func() {
		_, err := conn.Exec(background, "SELECT * FROM pgmq.read_with_poll($1, 1, 1, 50, 100)", queue)
		waiting <- err
	}()
	for ended := false; !ended; {
		must(conn.PgConn().CancelRequest(background))
		select {
		case err := <-waiting:
			same("57014", state(err))
			ended = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	same(int32(1), one(conn, "SELECT 1"))
}

func pgxNotifications() {
	listener, sender := connect(), connect()
	defer listener.Close(background)
	defer sender.Close(background)
	queue := pgxQueue(sender)
	_, err := sender.Exec(background, "SELECT pgmq.enable_notify_insert($1, 0)", queue)
	must(err)
	channel := "pgmq.q_" + queue + ".INSERT"
	_, err = listener.Exec(background, "LISTEN "+pgx.Identifier{channel}.Sanitize())
	must(err)
	patient, stop := context.WithTimeout(background, 20*time.Second)
	defer stop()
	for n := 0; n < 3; n++ {
		_, err = sender.Exec(background, "SELECT pgmq.send($1, '1'::jsonb)", queue)
		must(err)
		told, err := listener.WaitForNotification(patient)
		must(err)
		same(channel, told.Channel)
		same(sender.PgConn().PID(), told.PID)
	}
	_, err = listener.Exec(background, "LISTEN go_suite")
	must(err)
	_, err = sender.Exec(background, "SELECT pg_notify($1, $2)", "go_suite", "payload")
	must(err)
	told, err := listener.WaitForNotification(patient)
	must(err)
	same("payload", told.Payload)
	// Giving up waiting leaves the connection usable.
	short, stop := context.WithTimeout(background, 50*time.Millisecond)
	defer stop()
	_, err = listener.WaitForNotification(short)
	yes(err != nil, "gave up")
	same(int32(1), one(listener, "SELECT 1"))
}

func pgxConn() {
	conn := connect()
	defer conn.Close(background)
	queue := pgxQueue(conn)
	_, err := conn.Exec(background, "SELECT pgmq.send_batch($1, $2::jsonb[])", queue, []string{`{"a": 1}`, `2`})
	must(err)
	var out bytes.Buffer
	tag, err := conn.PgConn().CopyTo(background, &out, "COPY (SELECT msg_id, message FROM pgmq.q_"+queue+" ORDER BY 1) TO STDOUT")
	must(err)
	same("COPY 2", tag.String())
	same("1\t{\"a\": 1}\n2\t2\n", out.String())
	results, err := conn.PgConn().Exec(background, "BEGIN; SELECT 1 AS a; SELECT 2 AS b, 3; COMMIT").ReadAll()
	must(err)
	same(4, len(results))
	same("3", string(results[2].Rows[0][1]))
	same("COMMIT", results[3].CommandTag.String())
	same("UTF8", conn.PgConn().ParameterStatus("client_encoding"))
	must(conn.Ping(background))
	_, err = conn.CopyFrom(background, pgx.Identifier{"pgmq", "q_" + queue}, []string{"message"}, pgx.CopyFromRows([][]interface{}{{"1"}}))
	yes(err != nil, "no COPY FROM into a queue")
	same(int32(1), one(conn, "SELECT 1"))
}

func pgxConcurrent() {
	pool, err := pgxpool.Connect(background, url+"?pool_max_conns=8")
	must(err)
	defer pool.Close()
	queue := newQueueName()
	_, err = pool.Exec(background, "SELECT pgmq.create($1)", queue)
	must(err)
	var (
		workers sync.WaitGroup
		lock    sync.Mutex
		seen    = map[int64]int{}
	)
	for worker := 0; worker < 16; worker++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for n := 0; n < 20; n++ {
				_, err := pool.Exec(background, "SELECT pgmq.send($1, '1'::jsonb)", queue)
				must(err)
				for _, id := range all(pool.Query(background, "SELECT msg_id FROM pgmq.read($1, 60, 3)", queue)) {
					lock.Lock()
					seen[id.(int64)]++
					lock.Unlock()
				}
			}
		}()
	}
	workers.Wait()
	for _, id := range all(pool.Query(background, "SELECT msg_id FROM pgmq.read($1, 60, 1000)", queue)) {
		seen[id.(int64)]++
	}
	same(320, len(seen))
	for _, times := range seen {
		same(1, times)
	}
	// Rows that are left unread.
	conn, err := pool.Acquire(background)
	must(err)
	rows, err := conn.Query(background, "SELECT * FROM pgmq.q_"+queue)
	must(err)
	yes(rows.Next(), "a row")
	rows.Close()
	must(conn.Ping(background))
	conn.Release()
}

func pgxTLS() {
	for _, mode := range []string{"require", "prefer", "disable"} {
		conn, err := pgx.Connect(background, tlsURL+"?sslmode="+mode)
		must(err)
		same("worker", one(conn, "SELECT current_user::text"))
		must(conn.Close(background))
	}
	_, err := pgx.Connect(background, strings.Replace(tlsURL, ":secret@", ":wrong@", 1)+"?sslmode=require")
	same("28P01", state(err))
}
