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
	r := &sqllogictest.Result{}
	m := w.c.Exec(ctx, sql)
	for m.NextResult() {
		rr := m.ResultReader()
		r = &sqllogictest.Result{}
		for _, f := range rr.FieldDescriptions() {
			t, ok := types.FromOID(f.DataTypeOID)
			if !ok {
				return nil, errors.Join(fmt.Errorf("column %s has a type with OID %d", f.Name, f.DataTypeOID), m.Close())
			}
			r.Types = append(r.Types, t)
		}
		for rr.NextRow() {
			row := make([]types.Datum, len(r.Types))
			for i, v := range rr.Values() {
				if v == nil {
					row[i] = types.NullDatum
					continue
				}
				var err error
				if row[i], err = types.ParseText(r.Types[i], string(v)); err != nil {
					return nil, errors.Join(fmt.Errorf("column %d: the server sent %q: %w", i+1, v, err), m.Close())
				}
			}
			r.Rows = append(r.Rows, row)
		}
		tag, err := rr.Close()
		if err != nil {
			break // Close says it again
		}
		r.Count = int(tag.RowsAffected())
	}
	if err := m.Close(); err != nil {
		return nil, serverError(err)
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
