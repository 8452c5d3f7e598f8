-- name: places
-- Of the store days of a batch: those that are closed (no key), and the transactions of theirs that are expected.
SELECT store, business_date, NULL, NULL, NULL, NULL
FROM unnest(%(stores)s::text[], %(dates)s::date[]) AS p (store, business_date)
JOIN store_day d USING (store, business_date)
WHERE d.closed_offset IS NOT NULL
UNION ALL
SELECT DISTINCT store, business_date, a.key, a.source, a.version, a.group_id
FROM unnest(%(stores)s::text[], %(dates)s::date[]) AS p (store, business_date)
JOIN awaited a USING (store, business_date)

-- name: past_of
-- Every version that was accepted under a business key, and what it did if it is recorded.
SELECT w.key, i.key, i.source, e.partition, e.event_offset, s.kind, s.currency, s.total, s.register, s.sequence,
       d.skus, d.quantities
FROM unnest(%(keys)b::text[], %(stores)b::text[], %(dates)b::date[]) AS w (key, store, business_date)
CROSS JOIN LATERAL (
    SELECT * FROM intake WHERE intake.key = w.key
    UNION ALL
    SELECT * FROM intake WHERE intake.key > w.key || '@' AND intake.key < w.key || 'A'
) AS i
LEFT JOIN event e ON e.group_id = i.group_id AND e.ordinal = i.ordinal
LEFT JOIN late_arrival l ON l.store = w.store AND l.business_date = w.business_date AND l.event_offset = e.event_offset
LEFT JOIN sale s ON s.store = w.store AND s.business_date = coalesce(l.posted_date, w.business_date)
                AND s.event_offset = e.event_offset
LEFT JOIN stock_document d ON d.store = w.store AND d.business_date = w.business_date
                          AND d.event_offset = e.event_offset

-- name: references
-- What was done to transactions, and what they themselves did to others.
SELECT original, voids, skus, quantities, partition, event_offset FROM reference_to WHERE original = ANY(%(keys)b)
UNION
SELECT r.original, r.voids, r.skus, r.quantities, r.partition, r.event_offset
FROM unnest(%(partitions)b::int2[], %(offsets)b::int8[]) AS w (partition, event_offset)
JOIN reference_to r USING (partition, event_offset)

-- name: orders
-- Sales of orders that are in force: neither reversed nor voided.
SELECT o.order_number, o.company, o.source, o.channel, o.key, min(o.store), min(o.business_date)
FROM order_sale o WHERE o.order_number = ANY(%s)
  AND NOT EXISTS (SELECT FROM reference_to r WHERE r.original = o.key HAVING sum(r.voids) > 0)
GROUP BY o.order_number, o.company, o.source, o.channel, o.key
HAVING sum(o.effect) > 0

-- name: days_of
SELECT store, business_date, closed_offset IS NOT NULL FROM store_day
JOIN unnest(%(stores)b::text[], %(firsts)b::date[]) AS f (store, first) USING (store)
WHERE business_date >= first

-- name: closed_by
-- Whether something was accepted before the close of its day was.
SELECT (%(group_id)s::int8, %(ordinal)s::int4) < (group_id, ordinal) FROM intake WHERE key = %(key)s
ORDER BY group_id, ordinal LIMIT 1

-- name: expect
INSERT INTO awaited (store, business_date, key, source, version, group_id, ordinal) VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (store, business_date, key, source, group_id, ordinal) DO UPDATE
SET version = greatest(awaited.version, excluded.version), looks = 0, next_look_at = clock_timestamp()

-- name: arrived
DELETE FROM awaited WHERE store = %s AND business_date = %s AND key = %s AND source = %s AND group_id = 0

-- name: touched
UPDATE awaited SET version = -1, looks = 0, next_look_at = clock_timestamp()
FROM unnest(%(stores)b::text[], %(dates)b::date[], %(keys)b::text[]) AS t (store, business_date, key)
WHERE awaited.store = t.store AND awaited.business_date = t.business_date AND awaited.key = t.key AND group_id > 0

-- name: look
-- Exceptions whose originals may have come meanwhile, each at growing intervals (1 s to about an hour).
UPDATE awaited a
SET looks = a.looks + 1, next_look_at = clock_timestamp() + make_interval(secs => power(2, least(a.looks, 12)))
FROM (
    SELECT store, business_date, key, source, group_id, ordinal FROM awaited
    WHERE group_id > 0 AND next_look_at <= clock_timestamp() ORDER BY next_look_at LIMIT 200 FOR UPDATE SKIP LOCKED
) AS due
LEFT JOIN exception x ON x.group_id = due.group_id AND x.ordinal = due.ordinal
WHERE a.store = due.store AND a.business_date = due.business_date AND a.key = due.key AND a.source = due.source
  AND a.group_id = due.group_id AND a.ordinal = due.ordinal
RETURNING a.group_id, a.ordinal, x.state,
    a.version < (
        SELECT count(*) FROM event e JOIN (
            SELECT group_id, ordinal FROM intake WHERE intake.key = a.key
            UNION ALL
            SELECT group_id, ordinal FROM intake WHERE intake.key > a.key || '@' AND intake.key < a.key || 'A'
        ) AS i ON e.group_id = i.group_id AND e.ordinal = i.ordinal
    )

-- name: no_longer
DELETE FROM awaited WHERE group_id = %s AND ordinal = %s

-- name: open_exception
SELECT exception_id FROM exception WHERE group_id = %s AND ordinal = %s AND state = 'open' AND severity = 'blocking'
FOR UPDATE
