package main

import (
	"context"
	"database/sql"
	"errors"
	"sort"
	"strings"
	"time"

	"github.com/lib/pq"
)

func pqChecks() []check {
	checks := []check{
		{"lib/pq: listener", pqListener},
		{"lib/pq: types", pqTypes},
		{"database/sql on pgx", func() { sqlCalls("pgx", url) }},
		{"database/sql on lib/pq", func() { sqlCalls("postgres", url+"?sslmode=disable") }},
		{"database/sql on lib/pq, binary parameters", func() { sqlCalls("postgres", url+"?sslmode=disable&binary_parameters=yes") }},
		{"lib/pq: cancel and errors", pqCancel},
	}
	if tlsURL != "" {
		checks = append(checks, check{"lib/pq: TLS and SCRAM", pqTLS})
	}
	return checks
}

func openPq() *sql.DB {
	db, err := sql.Open("postgres", url+"?sslmode=disable&application_name=go&timezone=UTC")
	must(err)
	return db
}

// numbers gives the first column in rising order, as Postgres promises none.
func numbers(rows *sql.Rows, err error) (found []int64) {
	must(err)
	defer rows.Close()
	for rows.Next() {
		var id int64
		must(rows.Scan(&id))
		found = append(found, id)
	}
	must(rows.Err())
	sort.Slice(found, func(i, j int) bool { return found[i] < found[j] })
	return found
}

func sqlCalls(driver, url string) {
	db, err := sql.Open(driver, url)
	must(err)
	defer db.Close()
	must(db.Ping())
	queue := newQueueName()
	_, err = db.Exec("SELECT pgmq.create($1)", queue)
	must(err)
	send, err := db.Prepare("SELECT pgmq.send($1, $2)")
	must(err)
	for n := int64(1); n <= 7; n++ {
		var id int64
		must(send.QueryRow(queue, `{"n": 1}`).Scan(&id))
		same(n, id)
	}
	must(send.Close())
	same([]int64{8}, numbers(db.Query("SELECT * FROM pgmq.send($1, $2, $3::int)", queue, `"x"`, 0)))
	same([]int64{9}, numbers(db.Query("SELECT * FROM pgmq.send($1::text, $2::jsonb, $3::timestamptz)", queue, `"x"`, time.Now())))
	same([]int64{10, 11}, numbers(db.Query("SELECT * FROM pgmq.send_batch($1, $2::jsonb[])", queue, pq.Array([]string{`{"a": "b,\"c\""}`, `2`}))))
	var m message
	must(db.QueryRow("SELECT * FROM pgmq.read($1, $2, $3)", queue, 30, 1).Scan(m.fields()...))
	same([]interface{}{int64(1), int64(1), `{"n": 1}`}, []interface{}{m.id, m.reads, string(m.body)})
	yes(m.vt.After(time.Now()), "vt")
	same([]int64{1, 2}, numbers(db.Query("SELECT pgmq.delete($1, $2::bigint[])", queue, pq.Array([]int64{1, 2, 99}))))
	same([]int64{3}, numbers(db.Query("SELECT pgmq.archive($1, $2::bigint[])", queue, pq.Int64Array{3})))
	same([]int64{5, 6}, numbers(db.Query("SELECT msg_id FROM pgmq.q_"+queue+" WHERE msg_id = ANY($1) ORDER BY msg_id", pq.Array([]int64{5, 6, 99}))))
	var done bool
	must(db.QueryRow("SELECT pgmq.delete($1, $2::bigint)", queue, 4).Scan(&done))
	yes(done, "deleted")
	result, err := db.Exec("DELETE FROM pgmq.q_"+queue+" WHERE msg_id <= $1", 5)
	must(err)
	affected, err := result.RowsAffected()
	must(err)
	same(int64(1), affected)
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelSerializable})
	must(err)
	_, err = tx.Exec("SELECT pgmq.send($1, '1'::jsonb)", queue)
	must(err)
	must(tx.Rollback())
	same([]int64{6}, numbers(db.Query("SELECT count(*) FROM pgmq.q_"+queue)))
	tx, err = db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	must(err)
	same([]int64{6}, numbers(tx.Query("SELECT count(*) FROM pgmq.q_"+queue)))
	must(tx.Commit())
	tx, err = db.Begin()
	must(err)
	_, err = tx.Exec("SELECT pgmq.send($1, $2)", queue, `{"kept": true}`)
	must(err)
	must(tx.Commit())
	rows, err := db.Query("SELECT * FROM pgmq.q_" + queue + " WHERE message ? 'kept'")
	must(err)
	types, err := rows.ColumnTypes()
	must(err)
	same("INT8 TIMESTAMPTZ JSONB", strings.Join([]string{types[0].DatabaseTypeName(), types[2].DatabaseTypeName(), types[5].DatabaseTypeName()}, " "))
	yes(rows.Next(), "the kept message")
	must(rows.Close())
}

func pqTypes() {
	db := openPq()
	defer db.Close()
	at := time.Date(2024, 2, 3, 4, 5, 6, 789000000, time.UTC)
	var (
		texts  []string
		whole  []int64
		flags  pq.BoolArray
		floats pq.Float64Array
		null   sql.NullString
		when   pq.NullTime
		raw    []byte
		name   string
		anyone interface{}
	)
	row := db.QueryRow("SELECT $1::text[], $2::int8[], ARRAY[true, false], ARRAY[1.5::float8], NULL::text, $3::timestamptz, $4::bytea, 'n'::name, 2::int4", pq.Array([]string{"a", "b,\"c\"", ""}), pq.Array([]int64{1, 2}), at, []byte{1, 255})
	must(row.Scan(pq.Array(&texts), pq.Array(&whole), &flags, &floats, &null, &when, &raw, &name, &anyone))
	same([]string{"a", "b,\"c\"", ""}, texts)
	same([]int64{1, 2}, whole)
	same(pq.BoolArray{true, false}, flags)
	same(pq.Float64Array{1.5}, floats)
	yes(!null.Valid && when.Time.Equal(at) && len(raw) == 2 && name == "n", "values")
	same(int64(2), anyone)
	var zone string
	must(db.QueryRow("SHOW TimeZone").Scan(&zone))
	same("UTC", zone)
}

func pqListener() {
	db := openPq()
	defer db.Close()
	queue := newQueueName()
	_, err := db.Exec("SELECT pgmq.create($1)", queue)
	must(err)
	_, err = db.Exec("SELECT pgmq.enable_notify_insert($1, 0)", queue)
	must(err)
	listener := pq.NewListener(url+"?sslmode=disable", 10*time.Millisecond, time.Second, nil)
	defer listener.Close()
	must(listener.Listen("pgmq.q_" + queue + ".INSERT"))
	must(listener.Listen("go_pq"))
	same(pq.ErrChannelAlreadyOpen, listener.Listen("go_pq"))
	_, err = db.Exec("SELECT pgmq.send($1, '1'::jsonb)", queue)
	must(err)
	same("pgmq.q_"+queue+".INSERT|", heard(listener))
	_, err = db.Exec("NOTIFY go_pq, 'hello'")
	must(err)
	same("go_pq|hello", heard(listener))
	must(listener.Ping())
	must(listener.Unlisten("go_pq"))
	must(listener.UnlistenAll())
}

func heard(listener *pq.Listener) string {
	select {
	case told := <-listener.Notify:
		return told.Channel + "|" + told.Extra
	case <-time.After(20 * time.Second):
		return "nothing"
	}
}

func pqCancel() {
	db := openPq()
	defer db.Close()
	queue := newQueueName()
	_, err := db.Exec("SELECT pgmq.create($1)", queue)
	must(err)
	short, stop := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer stop()
	_, err = db.ExecContext(short, "SELECT * FROM pgmq.read_with_poll($1, 1, 1, 50, 100)", queue)
	yes(err != nil, "cancelled")
	_, err = db.Exec("SELECT pgmq.send('missing_queue', '{}'::jsonb)")
	var told *pq.Error
	yes(errors.As(err, &told), "a pq.Error")
	same("42P01 undefined_table", string(told.Code)+" "+told.Code.Name())
	_, err = db.Exec("SELECT nonsense")
	yes(errors.As(err, &told) && told.Code == "42703" && told.Position != "", "a position")
	must(db.Ping())
	// Several statements without parameters are one simple query.
	rows, err := db.Query("SELECT 1; SELECT 2")
	must(err)
	yes(rows.Next() && !rows.Next() && rows.NextResultSet() && rows.Next(), "two results")
	must(rows.Close())
}

func pqTLS() {
	for _, mode := range []string{"require", "disable"} {
		db, err := sql.Open("postgres", tlsURL+"?sslmode="+mode)
		must(err)
		must(db.Ping())
		must(db.Close())
	}
	db, err := sql.Open("postgres", strings.Replace(tlsURL, ":secret@", ":wrong@", 1)+"?sslmode=require")
	must(err)
	defer db.Close()
	var told *pq.Error
	yes(errors.As(db.Ping(), &told) && told.Code == "28P01", "the wrong password")
}
