package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/examples/recommender/tastes"
)

const (
	shownUsers = 6
	shownItems = 3 // of each
)

// show draws a picture every second on a terminal, every five elsewhere, until
// ctx ends. One that cannot be drawn, because another client keeps the engine busy
// or has dropped what it shows, ends nothing; an error is that none was drawn.
func (d *demo) show(ctx context.Context) error {
	drawn := false
	var last error
	every := time.Second
	if !d.redraw {
		every = 5 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if !drawn {
				return last
			}
			return nil
		case <-tick.C:
		}
		// A picture that is begun is finished.
		draw, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		last = d.draw(draw)
		cancel()
		if drawn = drawn || last == nil; last != nil {
			fmt.Fprintf(d.out, "no picture this time: %v\n", last)
		}
	}
}

// demoState is what the head of the picture says.
type demoState struct {
	produced, read int64
	epoch          string
	trouble        string
	late, dead     int64
}

func (d *demo) state(ctx context.Context) (s demoState, err error) {
	s.produced = d.feed.sent.Load()
	rows, err := d.rows(ctx, "SELECT next_offset, epoch, trouble FROM streamsql.source_positions WHERE source = 'user_events'")
	if err != nil {
		return s, err
	}
	for _, r := range rows {
		n, _ := strconv.ParseInt(r[0], 10, 64)
		s.read += n
		s.epoch = r[1]
		if r[2] != "" {
			s.trouble = r[2]
		}
	}
	counts, err := d.rows(ctx, "SELECT (SELECT count(*) FROM ratings_late), (SELECT count(*) FROM user_events_dead_letters)")
	if err != nil {
		return s, err
	}
	s.late, _ = strconv.ParseInt(counts[0][0], 10, 64)
	s.dead, _ = strconv.ParseInt(counts[0][1], 10, 64)
	return s, nil
}

// draw writes one picture, over the last one on a terminal.
func (d *demo) draw(ctx context.Context) error {
	s, err := d.state(ctx)
	if err != nil {
		return err
	}
	users := make([]string, shownUsers)
	for i := range users {
		users[i] = "'" + d.world.Users[i].ID + "'"
	}
	in := " WHERE user_id IN (" + strings.Join(users, ", ") + ")"
	profiles, err := d.rows(ctx, "SELECT user_id, top_interests, top_values FROM user_profiles"+in)
	if err != nil {
		return err
	}
	recs, err := d.rows(ctx, "SELECT user_id, item_id, score, reason FROM recommendations"+in+" ORDER BY user_id, score DESC, item_id")
	if err != nil {
		return err
	}
	now := time.Now()
	through := float64(s.read)
	if d.last.IsZero() {
		through /= now.Sub(d.started).Seconds()
	} else {
		through = float64(s.read-d.lastCount) / now.Sub(d.last).Seconds()
	}
	d.last, d.lastCount = now, s.read

	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	lag := max(s.produced-s.read, 0)
	add("%4.0f s   %s events, %s/s   lag %s (%.1f s)   epoch %s   %s late   %s dead letters",
		now.Sub(d.started).Seconds(), thousands(s.read), thousands(int64(through)), thousands(lag), float64(lag)/float64(d.rate), s.epoch, thousands(s.late), thousands(s.dead))
	if s.trouble != "" {
		add("the source has trouble: %s", s.trouble)
	}
	add("")
	add("%-9s %-20s %-10s %-12s %-6s %s", "user", "likes most", "is shown", "of category", "score", "because")
	categories := tastes.Categories()
	for _, u := range d.world.Users[:shownUsers] {
		likes := ""
		for _, p := range profiles {
			if p[0] == u.ID && p[1] != "" {
				v, _ := strconv.ParseFloat(firstOf(p[2]), 64)
				likes = fmt.Sprintf("%s %.2f", firstOf(p[1]), v)
			}
		}
		n := 0
		for _, r := range recs {
			if r[0] != u.ID || n == shownItems {
				continue
			}
			name := u.ID
			if n > 0 {
				name, likes = "", ""
			}
			score, _ := strconv.ParseFloat(r[2], 64)
			add("%-9s %-20s %-10s %-12s %.3f  %s", name, likes, r[1], categories[r[1]], score, r[3])
			n++
		}
		if n == 0 {
			add("%-9s %-20s %s", u.ID, likes, "nothing yet")
		}
	}
	add("")
	add("try: %s", d.psql())

	if d.redraw {
		lines = append([]string{"\x1b[H\x1b[Jstreamsql demo: what a shop would show to some of its users, kept true by SQL", ""}, lines...)
	}
	_, err = fmt.Fprintln(d.out, strings.Join(lines, "\n"))
	return err
}

// firstOf is the first element of an array's text.
func firstOf(array string) string {
	first, _, _ := strings.Cut(strings.Trim(array, "{}"), ",")
	return first
}

// psql is the line that asks for one user's recommendations.
func (d *demo) psql() string {
	host, port, _ := net.SplitHostPort(d.addr.String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return fmt.Sprintf(`psql -h %s -p %s -c "SELECT item_id, score, reason FROM recommendations WHERE user_id = '%s' ORDER BY score DESC"`,
		host, port, d.world.Users[0].ID)
}

// thousands prints 1234567 as 1,234,567.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
