-- name: listed
SELECT exception_id, code, owner, state, message, pointer, event_type, source, key, store, business_date, amount,
       currency, attempts, raised_at
FROM exception
WHERE (%(state)s::text IS NULL OR state = %(state)s) AND (%(code)s::text IS NULL OR code = %(code)s)
  AND exception_id > %(after)s
ORDER BY exception_id LIMIT %(most)s

-- name: one
SELECT e.exception_id, e.code, e.owner, e.state, e.message, e.pointer, e.event_type, e.source, e.key, e.store,
       e.business_date, e.amount, e.currency, e.attempts, e.raised_at, e.faults, e.ordinal, g.body
FROM exception e JOIN intake_group g USING (group_id) WHERE e.exception_id = %s

-- name: retry
-- Back to the queue with their raw bytes as they were. Conflicts are not retried: their key is taken.
WITH again AS (
    UPDATE exception SET state = 'retrying'
    WHERE state = 'open' AND code <> 'duplicate_conflict'
      AND (%(exception_id)s::int8 IS NULL OR exception_id = %(exception_id)s)
      AND (%(code)s::text IS NULL OR code = %(code)s)
    RETURNING group_id, ordinal
), queued AS (
    INSERT INTO intake_queue (partition, group_id, ordinals, retry)
    SELECT p.partition, a.group_id, array_agg(a.ordinal ORDER BY a.ordinal), true
    FROM again a
    JOIN unnest(%(groups)s::int8[], %(ordinals)s::int4[], %(partitions)s::int2[]) AS p (group_id, ordinal, partition)
        USING (group_id, ordinal)
    GROUP BY p.partition, a.group_id
    ON CONFLICT (partition, group_id, retry) DO UPDATE SET ordinals = intake_queue.ordinals || excluded.ordinals
)
SELECT count(*) FROM again

-- name: retriable
SELECT group_id, ordinal, store, event_type FROM exception
WHERE state = 'open' AND code <> 'duplicate_conflict'
  AND (%(exception_id)s::int8 IS NULL OR exception_id = %(exception_id)s)
  AND (%(code)s::text IS NULL OR code = %(code)s)
FOR UPDATE

-- name: dismiss
UPDATE exception SET state = 'dismissed', resolved_at = clock_timestamp(), note = %(reason)s
WHERE exception_id = %(exception_id)s AND state = 'open'
