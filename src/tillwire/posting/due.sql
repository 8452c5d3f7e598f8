-- name: mark_due
INSERT INTO posting_due (store, business_date, last_offset, events)
SELECT * FROM unnest(%(stores)s::text[], %(dates)s::date[], %(offsets)s::int8[], %(events)s::int8[])
ON CONFLICT (store, business_date) DO UPDATE
SET last_offset = greatest(posting_due.last_offset, excluded.last_offset), events = posting_due.events + excluded.events

-- name: candidates
-- Closed days, and where days are posted while they are open (trickles) the open ones, too. Without locks: an open day
-- that is not to be posted yet must not make its workers wait.
(
    SELECT d.store, d.business_date, d.events, 0::float8 AS waiting_s, true AS closed, '' AS company
    FROM posting_due d JOIN store_day s USING (store, business_date)
    WHERE s.closed_offset IS NOT NULL
    ORDER BY d.business_date, d.store
    LIMIT %(most)s
) UNION ALL (
    SELECT d.store, d.business_date, d.events, extract(epoch FROM clock_timestamp() - d.since)::float8, false,
           coalesce(convert_from(m.body, 'UTF8')::jsonb ->> 'company', '')
    FROM posting_due d
    LEFT JOIN store_day s USING (store, business_date)
    LEFT JOIN master_record m ON m.type = 'tillwire.master.store.v1' AND m.id = d.store
    WHERE %(trickles)s AND s.closed_offset IS NULL
)
ORDER BY business_date, store

-- name: take
-- A row that a worker is adding to is locked, and left for the next look. A store that master data does not know (a lenient
-- configuration lets its sales in) is of no company.
SELECT d.store, d.business_date, d.last_offset, coalesce(c.next_offset, 0), d.events,
       coalesce(convert_from(m.body, 'UTF8')::jsonb ->> 'company', ''),
       coalesce(convert_from(m.body, 'UTF8')::jsonb ->> 'region', '')
FROM posting_due d
JOIN unnest(%(stores)b::text[], %(dates)b::date[]) AS w (store, business_date) USING (store, business_date)
LEFT JOIN master_record m ON m.type = 'tillwire.master.store.v1' AND m.id = d.store
LEFT JOIN posting_cursor c USING (store, business_date)
ORDER BY d.business_date, d.store
FOR UPDATE OF d SKIP LOCKED

-- name: advance_cursors
INSERT INTO posting_cursor (store, business_date, next_offset)
SELECT * FROM unnest(%(stores)b::text[], %(dates)b::date[], %(tos)b::int8[])
ON CONFLICT (store, business_date) DO UPDATE SET next_offset = excluded.next_offset

-- name: not_due
DELETE FROM posting_due USING unnest(%(stores)b::text[], %(dates)b::date[]) AS d (store, business_date)
WHERE posting_due.store = d.store AND posting_due.business_date = d.business_date
