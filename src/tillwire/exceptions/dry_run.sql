-- name: rehearsal_group
INSERT INTO intake_group (body) VALUES (%s) RETURNING group_id

-- name: queued
-- What a fix has put into the queue, and what that has released: nobody else puts anything there meanwhile.
SELECT q.partition, q.group_id, q.ordinals, q.retry, g.body
FROM intake_queue q JOIN intake_group g USING (group_id)
WHERE q.retry > %s
ORDER BY q.group_id, q.partition, q.retry

-- name: unqueue
DELETE FROM intake_queue WHERE retry > %s

-- name: last_retry
SELECT nextval('intake_retry')

-- name: outcomes
SELECT e.group_id, e.ordinal, e.exception_id, e.key, e.state, e.faults, e.amount, e.currency,
       r.partition, r.event_offset, b.event_offset
FROM unnest(%(groups)b::int8[], %(ordinals)b::int4[]) AS w (group_id, ordinal)
JOIN exception e ON e.group_id = w.group_id AND e.ordinal = w.ordinal AND e.severity = 'blocking'
LEFT JOIN event r ON r.group_id = w.group_id AND r.ordinal = w.ordinal
LEFT JOIN event b ON b.group_id = w.group_id AND b.ordinal = -1 - w.ordinal  -- the reversal of what it corrects
WHERE %(reach)s::text[] IS NULL OR e.store = ANY(%(reach)s)
ORDER BY e.exception_id

-- name: warnings
SELECT faults FROM exception WHERE group_id = %s AND ordinal = %s AND severity = 'warning'

-- name: entries
SELECT e.store, e.business_date, e.currency, e.original_date, e.kind, e.component, e.qualified, e.amount,
       coalesce(convert_from(m.body, 'UTF8')::jsonb ->> 'company', ''),
       coalesce(convert_from(m.body, 'UTF8')::jsonb ->> 'region', '')
FROM ledger_entry e
LEFT JOIN master_record m ON m.type = 'tillwire.master.store.v1' AND m.id = e.store
WHERE e.store = %s AND e.event_offset = ANY(%s) ORDER BY e.business_date, e.component, e.qualified

-- name: movements
SELECT store, sku, reason, quantity FROM stock_movement WHERE store = %s AND event_offset = ANY(%s) ORDER BY event_offset, line

-- name: foreign_of
-- What no worker records (a message in its source's own words, a journal) among the exceptions of a dry run.
SELECT foreign_id IS NOT NULL FROM exception
WHERE (foreign_id IS NOT NULL OR group_id IS NULL) AND (exception_id = %(exception_id)s OR (cause = %(cause)s AND state = 'open'))
  AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s)) LIMIT 1

-- name: within_reach
SELECT count(*) FROM unnest(%(groups)b::int8[], %(ordinals)b::int4[]) AS w (group_id, ordinal)
JOIN exception e ON e.group_id = w.group_id AND e.ordinal = w.ordinal AND e.severity = 'blocking'
WHERE %(reach)s::text[] IS NULL OR e.store = ANY(%(reach)s)
