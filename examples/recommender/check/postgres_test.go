package check

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/streamsql/streamsql/examples"
	"github.com/streamsql/streamsql/examples/recommender/tastes"
	"github.com/streamsql/streamsql/internal/pgtest"
)

// What stands in PostgreSQL for the Go functions and the source.
const postgres = `
CREATE FUNCTION event_weight(t text) RETURNS double precision LANGUAGE sql IMMUTABLE AS
  $$ SELECT CASE t WHEN 'click' THEN 0.3 WHEN 'like' THEN 0.5 WHEN 'purchase' THEN 1.0 ELSE 0.1 END::double precision $$;
CREATE FUNCTION event_rating(t text) RETURNS double precision LANGUAGE sql IMMUTABLE AS
  $$ SELECT CASE t WHEN 'click' THEN 2 WHEN 'like' THEN 3 WHEN 'purchase' THEN 5 ELSE 1 END::double precision $$;
CREATE FUNCTION ema_step(s double precision, v double precision, a double precision) RETURNS double precision
  LANGUAGE sql IMMUTABLE AS $$ SELECT (1 - a) * s + a * v $$;
CREATE AGGREGATE ema(double precision, double precision) (SFUNC = ema_step, STYPE = double precision, INITCOND = '0');
CREATE FUNCTION fold_step(s double precision, v double precision) RETURNS double precision
  LANGUAGE sql IMMUTABLE AS $$ SELECT (s + v) / 2 $$;
CREATE AGGREGATE fold_rating(double precision) (SFUNC = fold_step, STYPE = double precision, INITCOND = '0');
CREATE TABLE user_events (user_id text, item_id text, event_type text, event_time timestamptz,
  kafka_partition int, kafka_offset bigint);
CREATE TABLE user_interests_late ("row" jsonb, weight bigint);
CREATE TABLE ratings_late ("row" jsonb, weight bigint);
CREATE TABLE user_events_dead_letters (reason text);
CREATE SCHEMA streamsql;
CREATE TABLE streamsql.jobs (name text, state text, error text);
CREATE TABLE streamsql.source_positions (source text, partition int, next_offset bigint, epoch bigint);
INSERT INTO streamsql.source_positions VALUES ('user_events', 0, 1500, 1), ('user_events', 1, 1500, 1), ('user_events', 2, 1499, 1);
`

var notPostgres = regexp.MustCompile(`(?s)CREATE (FUNCTION|SOURCE) .*?;| APPEND ONLY(;)`)

// TestAgainstPostgres: the SQL and the plain computation agree where PostgreSQL
// runs the one over the events of the other.
func TestAgainstPostgres(t *testing.T) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, pgtest.Start(t)+"postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	exec(postgres)
	log := NewLog(3)
	s := tastes.New(tastes.Options{Users: 60, Items: 300}).Stream(tastes.StreamOptions{TooLate: 0.01})
	var events [][]any
	for i := range 4499 {
		e, _, ok := s.Next(1.7e9+float64(i)/50, nil)
		if i%100 == 7 {
			e.ItemID = "item_of_no_category"
		}
		log.Add(i%3, e, ok)
		events = append(events, []any{e.UserID, e.ItemID, e.Type, time.UnixMicro(e.EventTime), i % 3, int64(i / 3)})
	}
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{"user_events"},
		[]string{"user_id", "item_id", "event_type", "event_time", "kafka_partition", "kafka_offset"}, pgx.CopyFromRows(events)); err != nil {
		t.Fatal(err)
	}
	exec(notPostgres.ReplaceAllString(examples.Recommender, "$2"))
	m, err := Epoch(ctx, func(ctx context.Context, sql string) ([][]string, error) {
		results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		if err != nil {
			return nil, err
		}
		var out [][]string
		for _, r := range results[0].Rows {
			row := make([]string, len(r))
			for i, cell := range r {
				if row[i] = string(cell); cell == nil {
					row[i] = Null
				}
			}
			out = append(out, row)
		}
		return out, nil
	}, log, tastes.Categories())
	if err != nil {
		t.Fatal(err)
	}
	if m.Events != 4499 || len(m.Answers.Recommendations) == 0 {
		t.Errorf("%d events, %v", m.Events, m.Rows)
	}
	t.Log(m.Rows)
}
