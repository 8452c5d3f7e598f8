-- name: habits
-- Transactions of stores by weekday (Monday is 0) and hour, and over how many weeks they were counted: a store that is
-- new has had fewer. Two weeks at least, or there is no habit.
WITH span AS (
    SELECT * FROM hourly_sales WHERE business_date >= %(first)s AND business_date <= %(last)s
), week AS (
    SELECT store, ceil((%(last)s::date - min(business_date) + 1) / 7.0)::int AS weeks FROM span GROUP BY store
)
SELECT s.store, extract(isodow FROM s.business_date)::int - 1, s.hour, sum(s.transactions)::float8, w.weeks
FROM span s JOIN week w USING (store)
WHERE w.weeks >= 2
GROUP BY s.store, 2, s.hour, w.weeks

-- name: seen
SELECT store, event_offset, seen_at, silent_since, back_at FROM store_seen

-- name: newest
-- The newest event of each store that is newer than the one that is known: of its latest business date and the three
-- before it, where what comes late goes.
SELECT s.store, n.event_offset, c.recorded_at
FROM unnest(%(stores)s::text[], %(partitions)s::int2[], %(offsets)s::int8[]) AS s (store, partition, known)
CROSS JOIN LATERAL (
    SELECT business_date FROM sale WHERE store = s.store ORDER BY business_date DESC LIMIT 1
) AS d
CROSS JOIN LATERAL (
    SELECT max(newest.event_offset) AS event_offset
    FROM generate_series(0, 3) AS back (days)
    CROSS JOIN LATERAL (
        SELECT event_offset FROM sale WHERE store = s.store AND business_date = d.business_date - back.days
        ORDER BY event_offset DESC LIMIT 1
    ) AS newest
) AS n
CROSS JOIN LATERAL (
    SELECT recorded_at FROM event_chunk
    WHERE partition = s.partition AND first_offset <= n.event_offset ORDER BY first_offset DESC LIMIT 1
) AS c
WHERE n.event_offset > s.known

-- name: note
INSERT INTO store_seen (store, partition, event_offset, seen_at, silent_since, back_at)
SELECT * FROM unnest(%(stores)s::text[], %(partitions)s::int2[], %(offsets)s::int8[], %(seen)s::timestamptz[],
                     %(silent)s::timestamptz[], %(back)s::timestamptz[])
ON CONFLICT (store) DO UPDATE
SET event_offset = excluded.event_offset, seen_at = excluded.seen_at, silent_since = excluded.silent_since,
    back_at = excluded.back_at

-- name: at_rest
UPDATE store_seen s SET silent_since = NULL, back_at = NULL
FROM (SELECT store, back_at FROM store_seen WHERE back_at IS NOT NULL AND seen_at < %(before)s FOR UPDATE) AS b
WHERE s.store = b.store
RETURNING s.store, s.seen_at, b.back_at

-- name: note_silent
-- Who is silent now; who is no longer, and was not heard either (its day was closed meanwhile), is at rest.
UPDATE store_seen SET silent_since = CASE WHEN store = ANY(%(stores)s::text[]) THEN seen_at END
WHERE back_at IS NULL
  AND silent_since IS DISTINCT FROM CASE WHEN store = ANY(%(stores)s::text[]) THEN seen_at END

-- name: closed
SELECT d.store FROM store_day d
JOIN unnest(%(stores)s::text[], %(dates)s::date[]) AS s (store, business_date) USING (store, business_date)
WHERE d.closed_offset IS NOT NULL
