-- A watermark that follows how late rows really are. With Kafka on localhost:9092:
--   streamsql serve -f examples/watermarks.sql
-- and records such as {"device": "d1", "value": 1.5, "timestamp": 1700000000.25}.

CREATE SOURCE telemetry (
  device       text,
  value        double precision,
  "timestamp"  double precision,  -- seconds since 1970
  event_time   timestamptz AS to_timestamp("timestamp"),
  -- It is behind the latest event by 1.5 times the mean delay of the last 100 rows,
  -- by a minute at least, and never goes back. A row's delay is how far it is
  -- behind the latest event before it: reading history again delays nothing.
  WATERMARK FOR event_time AS adaptive_watermark(event_time, 1.5, 100, INTERVAL '60 seconds')
) WITH (
  connector = 'kafka',
  topic = 'telemetry',
  properties.bootstrap.server = 'localhost:9092',
  scan.startup.mode = 'earliest',
  -- Input that pauses for so long holds nothing back: event time goes on with the clock.
  idle_timeout = '1 minute',
  -- No partition is read further ahead of the slowest than this, in event time.
  max_drift = '10 minutes'
) FORMAT PLAIN ENCODE JSON;

CREATE MATERIALIZED VIEW per_device AS
SELECT device, window_start, count(*) AS count, avg(value) AS mean
FROM TUMBLE(telemetry, event_time, INTERVAL '1 minute')
GROUP BY device, window_start, window_end
EMIT ON WINDOW CLOSE;

-- How many rows were too late all the same, and by how much: per minute of theirs.
CREATE MATERIALIZED VIEW too_late AS
SELECT date_trunc('minute', event_time) AS minute, count(*) AS rows, max(late_by) AS worst
FROM per_device_late
GROUP BY 1;

-- Where the watermark stands and what holds it back: EXPLAIN WATERMARK per_device;
