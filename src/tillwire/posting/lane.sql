-- name: share_count
-- Held by the owner of any lane: as long as anybody holds it, the number of lanes stays what it is.
SELECT pg_try_advisory_lock_shared(hashtextextended('tillwire lanes of ' || %s, 0))

-- name: unshare_count
SELECT pg_advisory_unlock_shared(hashtextextended('tillwire lanes of ' || %s, 0))

-- name: count_in_force
SELECT lanes FROM erp_gate WHERE erp = %s

-- name: lock_count
SELECT pg_try_advisory_lock(hashtextextended('tillwire lanes of ' || %s, 0))

-- name: unlock_count
SELECT pg_advisory_unlock(hashtextextended('tillwire lanes of ' || %s, 0))

-- name: set_count
UPDATE erp_gate SET lanes = %(lanes)s WHERE erp = %(erp)s

-- name: lock_lane
SELECT pg_try_advisory_lock(hashtextextended('tillwire lane ' || %(number)s::text || ' of ' || %(erp)s, 0))

-- name: orphans
-- Whoever owns a lane sends in it: what is still marked sent was sent by one that died.
UPDATE journal SET state = 'unknown', unknown_at = clock_timestamp(), next_attempt_at = clock_timestamp(),
                   last_error = 'the dispatcher died before it could note the outcome'
WHERE state = 'sent' AND erp = %(erp)s AND (lane %% 32) %% %(lanes)s = %(number)s

-- name: companies
-- The companies with journals that wait, by a walk along the index: few, however many journals there are.
WITH RECURSIVE walk AS (
    (SELECT company FROM journal WHERE state = 'built' ORDER BY company LIMIT 1)
    UNION ALL
    SELECT (SELECT j.company FROM journal j WHERE j.state = 'built' AND j.company > w.company
            ORDER BY j.company LIMIT 1)
    FROM walk w WHERE w.company IS NOT NULL
)
SELECT company FROM walk WHERE company IS NOT NULL

-- name: to_send
-- Oldest business date first, and within a store in the order in which they were built; a reversal only after what it
-- takes back. Stock is told by a number, as a truth value would be planned as a filter and not by the index's order;
-- a lane reads its own buckets of the index, so that it steps over nobody else's backlog.
SELECT j.journal_id, j.kind
FROM unnest(%(companies)s::text[]) AS c (company)
CROSS JOIN generate_series(%(number)s::int, 31, %(lanes)s::int) AS b (bucket)
CROSS JOIN LATERAL (
    SELECT w.journal_id, w.kind, w.business_date, w.store FROM journal w
    WHERE w.state = 'built' AND w.company = c.company AND (w.kind = 'stock')::int = %(stock)s::int
      AND w.lane %% 32 = b.bucket AND w.next_attempt_at <= clock_timestamp()
      AND w.kind <> ALL(%(never)s::text[])
      AND (w.reverses IS NULL
           OR EXISTS (SELECT FROM journal o WHERE o.journal_id = w.reverses AND o.state = 'posted'))
    ORDER BY w.business_date, w.store, w.journal_id LIMIT %(most)s
) AS j
ORDER BY j.business_date, j.store, j.journal_id LIMIT %(most)s

-- name: mark_sent
-- From here on they are this ERP's until it is sure that it does not have them.
UPDATE journal SET state = 'sent', erp = %(erp)s, sent_at = clock_timestamp(), attempts = attempts + 1,
                   rejection = NULL, unknown_at = NULL
WHERE journal_id = ANY(%(ids)s) AND state = 'built'
RETURNING journal_id

-- name: to_look_up
-- Settled: nothing of it can be under way any more. What the ERP has refused was never under way.
SELECT journal_id, reference, kind,
       rejection IS NOT NULL OR unknown_at < clock_timestamp() - make_interval(secs => %(settle_s)s)
FROM journal
WHERE erp = %(erp)s AND state = 'unknown' AND (lane %% 32) %% %(lanes)s = %(number)s AND next_attempt_at <= clock_timestamp()
ORDER BY business_date, store, journal_id LIMIT %(most)s

-- name: still_unknown
SELECT journal_id FROM journal WHERE journal_id = ANY(%s) AND state = 'unknown' ORDER BY journal_id FOR UPDATE

-- name: to_poll
SELECT reference, handle, kind FROM journal
WHERE erp = %(erp)s AND state = 'accepted' AND (lane %% 32) %% %(lanes)s = %(number)s AND next_attempt_at <= clock_timestamp()
ORDER BY business_date, store, journal_id LIMIT %(most)s

-- name: poll_later
UPDATE journal SET next_attempt_at = clock_timestamp() + make_interval(secs => %(wait_s)s)
WHERE reference = ANY(%(references)s) AND state = 'accepted'
