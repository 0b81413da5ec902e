-- Windows of event time over one stream: three at once, as they fill, and final
-- ones for a sink. With Kafka on localhost:9092:
--   streamsql serve -f examples/windows.sql
-- and records such as {"sensor": "a", "value": 21.5, "timestamp": 1700000000.25}.

CREATE SOURCE readings (
  sensor       text,
  value        double precision,
  "timestamp"  double precision,  -- seconds since 1970
  event_time   timestamptz AS to_timestamp("timestamp"),
  -- A record may come up to ten seconds after a later one. What comes after its
  -- window was closed is kept in one_minute_late, five_minute_late, sliding_late.
  WATERMARK FOR event_time AS event_time - INTERVAL '10 seconds'
) WITH (
  connector = 'kafka',
  topic = 'readings',
  properties.bootstrap.server = 'localhost:9092',
  scan.startup.mode = 'earliest',
  -- A partition in which nothing comes for this long holds no window open.
  idle_timeout = '30 seconds'
) FORMAT PLAIN ENCODE JSON;

-- Each answers at once and is corrected while rows arrive.
CREATE MATERIALIZED VIEW one_minute AS
SELECT window_start, window_end, count(*) AS count, sum(value) AS sum, min(value) AS min, max(value) AS max
FROM TUMBLE(readings, event_time, INTERVAL '1 minute')
GROUP BY window_start, window_end;

CREATE MATERIALIZED VIEW five_minute AS
SELECT window_start, window_end, count(*) AS count, sum(value) AS sum, min(value) AS min, max(value) AS max
FROM TUMBLE(readings, event_time, INTERVAL '5 minutes')
GROUP BY window_start, window_end;

CREATE MATERIALIZED VIEW sliding AS
SELECT window_start, window_end, count(*) AS count, sum(value) AS sum, min(value) AS min, max(value) AS max
FROM HOP(readings, event_time, INTERVAL '30 seconds', INTERVAL '1 minute')
GROUP BY window_start, window_end;

-- The same, once per window, when it is closed: rows that are never taken back.
CREATE MATERIALIZED VIEW one_minute_final AS
SELECT window_start, window_end, count(*) AS count, sum(value) AS sum, min(value) AS min, max(value) AS max
FROM TUMBLE(readings, event_time, INTERVAL '1 minute')
GROUP BY window_start, window_end
EMIT ON WINDOW CLOSE;

-- Why is a view empty, or behind?  EXPLAIN WATERMARK one_minute_final;
