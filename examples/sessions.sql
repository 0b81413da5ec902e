-- Sessions of users: they start with the first event after more than 30 minutes
-- of silence, and end 30 minutes after their last one. With Kafka on localhost:9092:
--   streamsql serve -f examples/sessions.sql
-- and records such as
--   {"user_id": "u1", "event_type": "view", "timestamp": 1700000000}

CREATE SOURCE user_events (
  user_id      text,
  event_type   text,
  "timestamp"  double precision,  -- seconds since 1970
  event_time   timestamptz AS to_timestamp("timestamp"),
  WATERMARK FOR event_time AS event_time - INTERVAL '10 seconds'
) WITH (
  connector = 'kafka',
  topic = 'user-events',
  properties.bootstrap.server = 'localhost:9092',
  scan.startup.mode = 'earliest',
  -- When nothing comes any more, event time goes on with the clock after this
  -- long, so that the last sessions end on time.
  idle_timeout = '1 minute'
) FORMAT PLAIN ENCODE JSON;

-- What each event is: the first of a session, or activity in one.
CREATE MATERIALIZED VIEW session_events AS
SELECT user_id, event_type, event_time,
       'session_' || (extract(epoch FROM session_start) * 1000)::bigint AS session_id,
       CASE WHEN event_time = session_start THEN 'session started' ELSE 'activity' END AS what
FROM (
  SELECT user_id, event_type, event_time,
         max(CASE WHEN previous IS NULL OR event_time - previous > INTERVAL '30 minutes' THEN event_time END)
           OVER (PARTITION BY user_id ORDER BY event_time) AS session_start
  FROM (
    SELECT user_id, event_type, event_time,
           lag(event_time) OVER (PARTITION BY user_id ORDER BY event_time) AS previous
    FROM user_events
  ) AS steps
) AS starts;

-- The sessions as they stand, open ones included.
CREATE MATERIALIZED VIEW sessions AS
SELECT user_id, 'session_' || (extract(epoch FROM window_start) * 1000)::bigint AS session_id,
       window_start AS started, max(event_time) AS last_event, count(*) AS events
FROM SESSION(user_events PARTITION BY user_id, event_time, INTERVAL '30 minutes')
GROUP BY user_id, window_start, window_end;

-- A row when a session has ended, and no earlier; never taken back.
CREATE MATERIALIZED VIEW sessions_ended AS
SELECT user_id, 'session_' || (extract(epoch FROM window_start) * 1000)::bigint AS session_id,
       window_start AS started, max(event_time) AS last_event, window_end AS ended, count(*) AS events
FROM SESSION(user_events PARTITION BY user_id, event_time, INTERVAL '30 minutes')
GROUP BY user_id, window_start, window_end
EMIT ON WINDOW CLOSE;

-- The whole story, in order: SELECT * FROM session_log ORDER BY at;
CREATE VIEW session_log AS
SELECT event_time AS at, user_id, session_id, what, event_type FROM session_events
UNION ALL
SELECT ended, user_id, session_id, 'session ended', NULL FROM sessions_ended;
