package target

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/sqllogictest"
)

// Wire is a server, by its connection string.
type Wire string

var _ sqllogictest.DB = Wire("")

// Connect implements sqllogictest.DB.
func (w Wire) Connect(ctx context.Context) (sqllogictest.Conn, error) {
	c, err := pgconn.Connect(ctx, string(w))
	if err != nil {
		return nil, err
	}
	return wireConn{c}, nil
}

type wireConn struct{ c *pgconn.PgConn }

// Close implements sqllogictest.Conn.
func (w wireConn) Close() { w.c.Close(context.Background()) }

// Exec implements sqllogictest.Conn, by the simple protocol.
func (w wireConn) Exec(ctx context.Context, sql string) (*sqllogictest.Result, error) {
	all, err := w.c.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, serverError(err)
	}
	r := &sqllogictest.Result{}
	if len(all) == 0 {
		return r, nil
	}
	last := all[len(all)-1]
	if last.Err != nil {
		return nil, serverError(last.Err)
	}
	r.Count = int(last.CommandTag.RowsAffected())
	for _, f := range last.FieldDescriptions {
		t, ok := types.FromOID(f.DataTypeOID)
		if !ok {
			return nil, fmt.Errorf("column %s has a type with OID %d", f.Name, f.DataTypeOID)
		}
		r.Types = append(r.Types, t)
	}
	for _, row := range last.Rows {
		out := make([]types.Datum, len(row))
		for i, v := range row {
			if v == nil {
				out[i] = types.NullDatum
				continue
			}
			if out[i], err = types.ParseText(r.Types[i], string(v)); err != nil {
				return nil, fmt.Errorf("column %d: the server sent %q: %w", i+1, v, err)
			}
		}
		r.Rows = append(r.Rows, out)
	}
	return r, nil
}

// serverError is the server's own error where it is one.
func serverError(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return &sqlerr.Error{Code: pe.Code, Message: pe.Message, Detail: pe.Detail, Hint: pe.Hint, Pos: int(pe.Position)}
	}
	return err
}
