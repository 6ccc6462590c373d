// Go's drivers as users of pgmq use them: pgx v4 with its pool, and lib/pq under database/sql, both in
// Debian's versions. The statements are those of the Go clients of pgmq. The server is at $KYU_PGMQ_URL,
// and one that demands a password (SCRAM) and offers TLS at $KYU_PGMQ_TLS_URL.
// Real pgmq 1.13.0 on Postgres 15 passes too: `real_postgres.py go run .` runs it there.
package main

import (
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
)

type check struct {
	name string
	run  func()
}

var (
	url    = os.Getenv("KYU_PGMQ_URL")
	tlsURL = os.Getenv("KYU_PGMQ_TLS_URL")
	queues int
)

func main() {
	checks := append(pgxChecks(), pqChecks()...)
	failed := 0
	for _, check := range checks {
		if err := passes(check); err != "" {
			failed++
			fmt.Printf("FAILED  %s\n%s\n", check.name, err)
		} else {
			fmt.Printf("ok      %s\n", check.name)
		}
	}
	fmt.Printf("Go: %d of %d passed\n", len(checks)-failed, len(checks))
	if failed > 0 {
		os.Exit(1)
	}
}

func passes(check check) (failure string) {
	defer func() {
		if reason := recover(); reason != nil {
			failure = fmt.Sprintf("%v\n%s", reason, debug.Stack())
		}
	}()
	check.run()
	return ""
}

func newQueueName() string {
	queues++
	return fmt.Sprintf("go_%d_%d", os.Getpid(), queues)
}

func same(want, got interface{}) {
	if !reflect.DeepEqual(want, got) {
		panic(fmt.Sprintf("wanted %v (%T), got %v (%T)", want, want, got, got))
	}
}

func yes(holds bool, what string) {
	if !holds {
		panic(what)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// real tells whether this is real pgmq, which some leniencies of Kyu go beyond.
func real() bool {
	return strings.HasSuffix(url, "/postgres")
}
