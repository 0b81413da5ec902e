-- A recommender over a stream of user events. Everything below is a view whose
-- answer is kept true while events arrive; its Go functions stand in
-- examples/recommender. `streamsql demo` runs it with a broker and users of its
-- own; or, with Kafka on localhost:9092: `streamsql serve -f examples/recommender.sql`.

CREATE FUNCTION event_weight(text) RETURNS double precision
  LANGUAGE go IMMUTABLE STRICT AS 'recommender.EventWeight';   -- view 0.1 … purchase 1.0
CREATE FUNCTION event_rating(text) RETURNS double precision
  LANGUAGE go IMMUTABLE STRICT AS 'recommender.Rating';        -- view 1 … purchase 5
CREATE FUNCTION ema(double precision, double precision) RETURNS double precision
  LANGUAGE go IMMUTABLE STRICT AS 'recommender.EMA';           -- of a value, by α; from 0
CREATE FUNCTION fold_rating(double precision) RETURNS double precision
  LANGUAGE go IMMUTABLE STRICT AS 'recommender.FoldRating';    -- (old + new) / 2; from 0

-- An item's category counts as it stands when an event arrives. For an item that
-- comes later than its events, they are too late for the folds below. APPEND ONLY:
-- an item keeps its category, so that no event ever has to be taken back and the
-- interests can be folded up behind the watermark.
CREATE TABLE items (item_id text PRIMARY KEY, category text NOT NULL) APPEND ONLY;

INSERT INTO items
SELECT 'item_' || n,
       CASE n % 5 WHEN 0 THEN 'electronics' WHEN 1 THEN 'books' WHEN 2 THEN 'clothing'
                  WHEN 3 THEN 'home' ELSE 'sports' END
FROM generate_series(0, 999) AS g(n);

-- A record that lacks one of these keys, has another, or is no JSON goes to
-- user_events_dead_letters, and the stream goes on.
CREATE SOURCE user_events (
  user_id      text,
  item_id      text,
  event_type   text,
  "timestamp"  double precision,  -- seconds since 1970
  session_id   text,
  metadata     jsonb,
  event_time   timestamptz AS to_timestamp("timestamp"),
  WATERMARK FOR event_time AS event_time - INTERVAL '10 seconds'
)
INCLUDE partition AS kafka_partition
INCLUDE offset AS kafka_offset
WITH (
  connector = 'kafka',
  topic = 'user-events',
  properties.bootstrap.server = 'localhost:9092',
  properties.group.id = 'recommendation-system',
  scan.startup.mode = 'earliest',
  on_missing_field = 'error',
  on_unknown_field = 'error'
) FORMAT PLAIN ENCODE JSON;

-- A key that is there and null says nothing that could be used.
CREATE VIEW events AS
SELECT user_id, item_id, event_type, event_time, kafka_partition, kafka_offset
FROM user_events
WHERE user_id IS NOT NULL AND item_id IS NOT NULL
  AND event_type IS NOT NULL AND event_time IS NOT NULL;


-- Profiles -------------------------------------------------------------------

-- The moving average moves with an event of its category alone. It folds in the
-- order of event time: up to the watermark only the average itself is kept, behind
-- it the rows that are still open. What comes more than 10 s late has missed its
-- turn and is in user_interests_late.
CREATE MATERIALIZED VIEW user_interests AS
SELECT e.user_id, i.category,
       ema(event_weight(e.event_type), 0.1
           ORDER BY e.event_time, e.kafka_partition, e.kafka_offset) AS interest
FROM events e JOIN items i ON i.item_id = e.item_id
GROUP BY e.user_id, i.category;

-- Counts need no order: late events are in them.
CREATE MATERIALIZED VIEW user_patterns AS
SELECT e.user_id, e.event_type || '_' || i.category AS pattern, count(*) AS events
FROM events e JOIN items i ON i.item_id = e.item_id
GROUP BY e.user_id, e.event_type || '_' || i.category;

-- One row a user: the five strongest interests, strongest first, with their
-- values beside them, and all counters. last_event is the time of the user's
-- last event; when the row was computed is nothing that a view can be true about.
CREATE MATERIALIZED VIEW user_profiles AS
SELECT u.user_id, u.events, u.last_event, t.top_interests, t.top_values, p.patterns
FROM (SELECT user_id, count(*) AS events, max(event_time) AS last_event
      FROM events GROUP BY user_id) u
LEFT JOIN (SELECT user_id,
                  array_agg(category ORDER BY interest DESC, category) AS top_interests,
                  array_agg(interest ORDER BY interest DESC, category) AS top_values
           FROM (SELECT user_id, category, interest,
                        ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY interest DESC, category) AS n
                 FROM user_interests) ranked
           WHERE n <= 5
           GROUP BY user_id) t ON t.user_id = u.user_id
LEFT JOIN (SELECT user_id, string_agg(pattern || '=' || events, ' ' ORDER BY pattern) AS patterns
           FROM user_patterns GROUP BY user_id) p ON p.user_id = u.user_id;


-- Ratings and similarity -----------------------------------------------------

-- Folded in event-time order as the interests are; late events: ratings_late.
CREATE MATERIALIZED VIEW ratings AS
SELECT user_id, item_id,
       fold_rating(event_rating(event_type)
                   ORDER BY event_time, kafka_partition, kafka_offset) AS rating,
       max(event_time) AS last_event
FROM events
GROUP BY user_id, item_id;

-- The vectors that are compared. A rating that changes meets every other rating
-- of its user (pairs of items) and of its item (pairs of users), so both lengths
-- are bounded here: an event costs at most 19 + 49 pairs, however long the
-- history and however popular the item.
--   20 ratings a user: a taste that was left more than 20 items ago is forgotten.
--   50 users an item:  of a very popular item only the latest raters are compared,
--                      over whom it says least.
CREATE MATERIALIZED VIEW kept_ratings AS
SELECT user_id, item_id, rating
FROM (SELECT user_id, item_id, rating,
             ROW_NUMBER() OVER (PARTITION BY item_id ORDER BY last_event DESC, user_id) AS of_item
      FROM (SELECT user_id, item_id, rating, last_event,
                   ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY last_event DESC, item_id) AS of_user
            FROM ratings) by_user
      WHERE of_user <= 20) by_item
WHERE of_item <= 50;

-- The cosine of two items over the kept ratings of their users:
--   sum(a·b) / (|a| · |b|).
-- One rating changes the norm of its item and with it all pairs of that item:
-- that is the price of a true cosine. It is paid once a step, not once an event.
--   At least 5 users in common: two items that share one user have a cosine of 1
--   whatever that user does, and such chance would fill the lists. It costs the
--   items that hardly anyone has touched: they are never recommended.
CREATE MATERIALIZED VIEW item_pairs AS
SELECT p.item_a, p.item_b, p.dot / (a.norm * b.norm) AS similarity, p.overlap
FROM (SELECT a.item_id AS item_a, b.item_id AS item_b,
             sum(a.rating * b.rating) AS dot, count(*) AS overlap
      FROM kept_ratings a JOIN kept_ratings b ON a.user_id = b.user_id AND a.item_id < b.item_id
      GROUP BY a.item_id, b.item_id
      HAVING count(*) >= 5) p
JOIN (SELECT item_id, sqrt(sum(rating * rating)) AS norm FROM kept_ratings GROUP BY item_id) a
  ON a.item_id = p.item_a
JOIN (SELECT item_id, sqrt(sum(rating * rating)) AS norm FROM kept_ratings GROUP BY item_id) b
  ON b.item_id = p.item_b;

-- 10 neighbours an item. Those behind could only be reached when the nearer ones
-- are the user's already; they are given up, as the cut comes first.
CREATE MATERIALIZED VIEW item_similarity AS
SELECT item_id, similar_item, similarity, overlap
FROM (SELECT item_id, similar_item, similarity, overlap,
             ROW_NUMBER() OVER (PARTITION BY item_id ORDER BY similarity DESC, similar_item) AS n
      FROM (SELECT item_a AS item_id, item_b AS similar_item, similarity, overlap FROM item_pairs
            UNION ALL
            SELECT item_b, item_a, similarity, overlap FROM item_pairs) both_ways) ranked
WHERE n <= 10;

-- The same for users over the items that they have in common, at least 5.
CREATE MATERIALIZED VIEW user_pairs AS
SELECT p.user_a, p.user_b, p.dot / (a.norm * b.norm) AS similarity, p.overlap
FROM (SELECT a.user_id AS user_a, b.user_id AS user_b,
             sum(a.rating * b.rating) AS dot, count(*) AS overlap
      FROM kept_ratings a JOIN kept_ratings b ON a.item_id = b.item_id AND a.user_id < b.user_id
      GROUP BY a.user_id, b.user_id
      HAVING count(*) >= 5) p
JOIN (SELECT user_id, sqrt(sum(rating * rating)) AS norm FROM kept_ratings GROUP BY user_id) a
  ON a.user_id = p.user_a
JOIN (SELECT user_id, sqrt(sum(rating * rating)) AS norm FROM kept_ratings GROUP BY user_id) b
  ON b.user_id = p.user_b;

CREATE MATERIALIZED VIEW user_similarity AS
SELECT user_id, similar_user, similarity, overlap
FROM (SELECT user_id, similar_user, similarity, overlap,
             ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY similarity DESC, similar_user) AS n
      FROM (SELECT user_a AS user_id, user_b AS similar_user, similarity, overlap FROM user_pairs
            UNION ALL
            SELECT user_b, user_a, similarity, overlap FROM user_pairs) both_ways) ranked
WHERE n <= 10;


-- Recommendations ------------------------------------------------------------

-- The neighbours of all of a user's kept items. An item found several ways has
-- the mean of its scores, and comes before one of the same score that was found
-- in fewer; what the user has rated at any time is left out, after the cut to 10
-- neighbours. 10 a user.
CREATE MATERIALIZED VIEW item_recommendations AS
SELECT user_id, item_id, score, 'Similar to items you liked' AS reason
FROM (SELECT user_id, item_id, score,
             ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY score DESC, ways DESC, item_id) AS n
      FROM (SELECT k.user_id, s.similar_item AS item_id, avg(s.similarity * 0.8) AS score,
                   count(*) AS ways
            FROM kept_ratings k JOIN item_similarity s ON s.item_id = k.item_id
            GROUP BY k.user_id, s.similar_item) found
      WHERE NOT EXISTS (SELECT 1 FROM ratings r
                        WHERE r.user_id = found.user_id AND r.item_id = found.item_id)) ranked
WHERE n <= 10;

-- The kept items of the 10 most similar users.
CREATE MATERIALIZED VIEW user_recommendations AS
SELECT user_id, item_id, score, 'Users with similar tastes liked this' AS reason
FROM (SELECT user_id, item_id, score,
             ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY score DESC, ways DESC, item_id) AS n
      FROM (SELECT s.user_id, k.item_id, avg(s.similarity * 0.6) AS score,
                   count(*) AS ways
            FROM user_similarity s JOIN kept_ratings k ON k.user_id = s.similar_user
            GROUP BY s.user_id, k.item_id) found
      WHERE NOT EXISTS (SELECT 1 FROM ratings r
                        WHERE r.user_id = found.user_id AND r.item_id = found.item_id)) ranked
WHERE n <= 10;

-- Both lists together, up to 20 a user. What both found has the mean of the two
-- scores and the reason of the first.
CREATE MATERIALIZED VIEW recommendations AS
SELECT user_id, item_id, avg(score) AS score,
       CASE WHEN bool_or(by_item) THEN 'Similar to items you liked'
            ELSE 'Users with similar tastes liked this' END AS reason
FROM (SELECT user_id, item_id, score, true AS by_item FROM item_recommendations
      UNION ALL
      SELECT user_id, item_id, score, false FROM user_recommendations) found
GROUP BY user_id, item_id;
