package check

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/examples/recommender/plain"
)

// Query runs one statement of a session and returns its rows as text; NULL is
// the text Null.
type Query func(ctx context.Context, sql string) ([][]string, error)

// Null stands for NULL in the rows of a Query.
const Null = "\x00null"

// tolerance is by how much a float may differ.
const tolerance = 1e-9

// Moment is what was found at an epoch.
type Moment struct {
	Epoch     string
	Positions map[int32]int64
	Events    int // of the source up to the positions
	Late      int // of those, excluded from the folds
	Rows      map[string]int
	Answers   *plain.Answers
}

// Epoch reads all views in one transaction and compares them. An error says what
// is wrong with them; the Moment is there with it when the reading went well.
func Epoch(ctx context.Context, q Query, log *Log, category map[string]string) (*Moment, error) {
	if _, err := q(ctx, "BEGIN"); err != nil {
		return nil, err
	}
	m, err := epoch(ctx, q, log, category)
	if _, end := q(ctx, "COMMIT"); err == nil && end != nil {
		err = end
	}
	return m, err
}

func epoch(ctx context.Context, q Query, log *Log, category map[string]string) (*Moment, error) {
	m := &Moment{Positions: map[int32]int64{}, Rows: map[string]int{}}
	down, err := q(ctx, "SELECT name, state, error FROM streamsql.jobs WHERE state <> 'RUNNING'")
	if err != nil {
		return nil, err
	}
	for _, j := range down {
		return nil, fmt.Errorf("%s is %s: %s", j[0], j[1], j[2])
	}
	read := map[string][][]string{}
	for _, v := range views {
		rows, err := q(ctx, "SELECT "+v.columns+" FROM "+v.name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		read[v.name], m.Rows[v.name] = rows, len(rows)
	}
	rows, err := q(ctx, "SELECT partition, next_offset, epoch FROM streamsql.source_positions WHERE source = 'user_events'")
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		p, err1 := strconv.ParseInt(r[0], 10, 32)
		off, err2 := strconv.ParseInt(r[1], 10, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("source_positions: %q", r)
		}
		m.Positions[int32(p)], m.Epoch = off, r[2]
	}
	events, broken, err := log.upto(m.Positions)
	if err != nil {
		return nil, err
	}
	m.Events = len(events)
	at := map[[2]int64]int{}
	for i, e := range events {
		at[[2]int64{int64(e.Partition), e.Offset}] = i
	}
	late := func(view string, mark func(*plain.Event)) error {
		rows, err := q(ctx, `SELECT "row"->>'kafka_partition', "row"->>'kafka_offset', sum(weight) FROM `+view+`_late GROUP BY 1, 2 HAVING sum(weight) <> 0`)
		if err != nil {
			return fmt.Errorf("%s_late: %w", view, err)
		}
		for _, r := range rows {
			if r[2] != "1" {
				return fmt.Errorf("%s_late has record %s of partition %s %s times", view, r[1], r[0], r[2])
			}
			p, _ := strconv.ParseInt(r[0], 10, 32)
			off, _ := strconv.ParseInt(r[1], 10, 64)
			i, ok := at[[2]int64{p, off}]
			if !ok {
				return fmt.Errorf("%s_late has record %d of partition %d, which is not among the events", view, off, p)
			}
			mark(&events[i])
		}
		return nil
	}
	if err := late("user_interests", func(e *plain.Event) { e.LateForInterests = true }); err != nil {
		return nil, err
	}
	if err := late("ratings", func(e *plain.Event) { e.LateForRatings = true; m.Late++ }); err != nil {
		return nil, err
	}
	dead, err := q(ctx, "SELECT count(*) FROM user_events_dead_letters")
	if err != nil {
		return nil, err
	}
	m.Answers = plain.Compute(events, category)
	var wrong []error
	if dead[0][0] != strconv.Itoa(broken) {
		wrong = append(wrong, fmt.Errorf("%s dead letters, want %d", dead[0][0], broken))
	}
	for _, v := range views {
		if err := compare(v, read[v.name], v.want(m.Answers)); err != nil {
			wrong = append(wrong, err)
		}
	}
	return m, errors.Join(wrong...)
}

// view is a view of the recommender: the first keys columns identify a row.
type view struct {
	name    string
	columns string
	keys    int
	want    func(a *plain.Answers) map[string][]any // by the key columns, joined
}

// two makes the rows of a view by pairs.
func two[V any](m map[plain.Pair]V, cells func(V) []any) map[string][]any {
	out := make(map[string][]any, len(m))
	for k, v := range m {
		out[k.A+" "+k.B] = cells(v)
	}
	return out
}

func similarity(s plain.Similarity) []any      { return []any{s.Value, s.Overlap} }
func recommended(r plain.Recommendation) []any { return []any{r.Score, r.Reason} }

var views = []view{
	{"user_interests", "user_id, category, interest", 2, func(a *plain.Answers) map[string][]any {
		return two(a.Interests, func(v float64) []any { return []any{v} })
	}},
	{"user_patterns", "user_id, pattern, events", 2, func(a *plain.Answers) map[string][]any {
		return two(a.Patterns, func(n int64) []any { return []any{n} })
	}},
	{"user_profiles", "user_id, events, last_event, top_interests, top_values, patterns", 1, func(a *plain.Answers) map[string][]any {
		out := map[string][]any{}
		for u, p := range a.Profiles {
			out[u] = []any{p.Events, time.UnixMicro(p.LastEvent), p.TopInterests, p.TopValues, p.Patterns}
		}
		return out
	}},
	{"ratings", "user_id, item_id, rating, last_event", 2, func(a *plain.Answers) map[string][]any {
		return two(a.Ratings, func(r plain.Rating) []any { return []any{r.Value, time.UnixMicro(r.LastEvent)} })
	}},
	{"kept_ratings", "user_id, item_id, rating", 2, func(a *plain.Answers) map[string][]any {
		return two(a.KeptRatings, func(v float64) []any { return []any{v} })
	}},
	{"item_pairs", "item_a, item_b, similarity, overlap", 2, func(a *plain.Answers) map[string][]any { return two(a.ItemPairs, similarity) }},
	{"item_similarity", "item_id, similar_item, similarity, overlap", 2, func(a *plain.Answers) map[string][]any { return two(a.ItemSimilarity, similarity) }},
	{"user_pairs", "user_a, user_b, similarity, overlap", 2, func(a *plain.Answers) map[string][]any { return two(a.UserPairs, similarity) }},
	{"user_similarity", "user_id, similar_user, similarity, overlap", 2, func(a *plain.Answers) map[string][]any { return two(a.UserSimilarity, similarity) }},
	{"item_recommendations", "user_id, item_id, score, reason", 2, func(a *plain.Answers) map[string][]any { return two(a.ItemRecommendations, recommended) }},
	{"user_recommendations", "user_id, item_id, score, reason", 2, func(a *plain.Answers) map[string][]any { return two(a.UserRecommendations, recommended) }},
	{"recommendations", "user_id, item_id, score, reason", 2, func(a *plain.Answers) map[string][]any { return two(a.Recommendations, recommended) }},
}

// compare tells how a view differs, by its first few rows that do.
func compare(v view, rows [][]string, want map[string][]any) error {
	var wrong []string
	seen := map[string]bool{}
	for _, r := range rows {
		key := strings.Join(r[:v.keys], " ")
		w, ok := want[key]
		switch {
		case seen[key]:
			wrong = append(wrong, key+" is there twice")
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s should not be there: %q", key, r[v.keys:]))
		default:
			for i, cell := range r[v.keys:] {
				if !equal(cell, w[i]) {
					wrong = append(wrong, fmt.Sprintf("%s: column %d is %q, want %v", key, v.keys+i+1, cell, w[i]))
				}
			}
		}
		seen[key] = true
	}
	for key, w := range want {
		if !seen[key] {
			wrong = append(wrong, fmt.Sprintf("%s is missing: %v", key, w))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%s (%d rows, want %d): %d differences, e.g. %s", v.name, len(rows), len(want), len(wrong), strings.Join(wrong[:min(3, len(wrong))], "; "))
}

// equal compares a text with a value: floats within the tolerance.
func equal(cell string, want any) bool {
	switch w := want.(type) {
	case float64:
		f, err := strconv.ParseFloat(cell, 64)
		return err == nil && math.Abs(f-w) <= tolerance
	case int64:
		return cell == strconv.FormatInt(w, 10)
	case string:
		return cell == w || cell == Null && w == ""
	case time.Time:
		t, err := time.Parse("2006-01-02 15:04:05.999999-07", cell)
		return err == nil && t.Equal(w)
	case []string:
		return list(cell, len(w), func(i int, s string) bool { return s == w[i] })
	case []float64:
		return list(cell, len(w), func(i int, s string) bool { return equal(s, w[i]) })
	}
	return false
}

// list compares the text of an array, whose elements need no quotes.
func list(cell string, n int, same func(int, string) bool) bool {
	if n == 0 {
		return cell == Null || cell == "{}"
	}
	elems := strings.Split(strings.Trim(cell, "{}"), ",")
	for i, e := range elems {
		if i >= n || !same(i, e) {
			return false
		}
	}
	return len(elems) == n
}
