package main

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestMaxConnections: one client too many gets 53300, and a place that is left is
// another's.
func TestMaxConnections(t *testing.T) {
	addr, _, stop := startServe(t, "-data", "memory", "-max-connections", "2")
	ctx := context.Background()
	connect := func() (*pgx.Conn, error) { return pgx.Connect(ctx, "postgres://u@"+addr+"/d?sslmode=disable") }
	var open []*pgx.Conn
	for range 2 {
		c, err := connect()
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	_, err := connect()
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != "53300" {
		t.Errorf("the third client got %v", err)
	}
	for _, c := range open {
		c.Close(ctx)
	}
	if code := stop(); code != 0 {
		t.Errorf("serve ended with %d", code)
	}
}
