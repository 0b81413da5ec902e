package expr

import "testing"

// TestSessionZone evaluates in a session whose time zone is not UTC.
func TestSessionZone(t *testing.T) {
	ctx := testContext()
	ctx.Setting = func(name string) (string, bool) { return "Europe/Paris", name == "timezone" }
	for src, want := range map[string]string{
		"now()":                                    "timestamp with time zone 2024-02-29 13:34:56.789+01",
		"now()::timestamp":                         "timestamp without time zone 2024-02-29 13:34:56.789",
		"now()::date + 1":                          "date 2024-03-01",
		"'2024-07-01 12:00'::text::timestamptz":    "timestamp with time zone 2024-07-01 12:00:00+02",
		"'2024-07-01 12:00+00'::text::timestamptz": "timestamp with time zone 2024-07-01 14:00:00+02",
		"date_trunc('day', now())":                 "timestamp with time zone 2024-02-29 00:00:00+01",
		"extract('hour', now())":                   "numeric 13",
		"extract('timezone', now())":               "numeric 3600",
		"to_char(now(), 'HH24 TZ OF')":             "text 13 CET +01",
		// Summer time begins on 31 March at 02:00 and ends on 27 October at 03:00.
		"'2024-03-31 02:30'::timestamp::timestamptz":              "timestamp with time zone 2024-03-31 03:30:00+02",
		"'2024-10-27 02:30'::timestamp::timestamptz":              "timestamp with time zone 2024-10-27 02:30:00+01",
		"'2024-03-30 12:00'::timestamp::timestamptz + '1 day'":    "timestamp with time zone 2024-03-31 12:00:00+02",
		"'2024-03-30 12:00'::timestamp::timestamptz + '24 hours'": "timestamp with time zone 2024-03-31 13:00:00+02",
		"'2024-07-01 12:00'::timestamptz":                         "timestamp with time zone 2024-07-01 12:00:00+02",
		"'2024-07-01 12:00Z'::timestamptz":                        "timestamp with time zone 2024-07-01 14:00:00+02",
		"('{2024-07-01,2024-01-01 00:00+00}'::timestamptz[])[1]":  "timestamp with time zone 2024-07-01 00:00:00+02",
		"now()::text": "text 2024-02-29 13:34:56.789+01",
	} {
		if got, err := evalText(ctx, src); err != nil || got != want {
			t.Errorf("%s: %s, want %s (%v)", src, got, want, err)
		}
	}
}
