-- name: posted_newest
-- Journals posted in a stretch of time: how long after the accept of their newest event, weighted by transactions.
-- What came to nothing on balance was never sent.
SELECT j.store, '' AS part, extract(epoch FROM j.posted_at - c.accepted_at)::float8, greatest(j.transactions, 1)
FROM journal j
CROSS JOIN LATERAL (
    SELECT coalesce(accepted_at, recorded_at) AS accepted_at FROM event_chunk
    WHERE partition = j.partition AND first_offset < j.to_offset ORDER BY first_offset DESC LIMIT 1
) AS c
WHERE j.posted_at > %(since)s AND j.posted_at <= %(until)s AND j.document_id IS NOT NULL
  AND j.kind IN ('sales', 'invoice', 'payments')

-- name: posted_oldest
-- The same, after the accept of their oldest event.
SELECT j.store, '' AS part, extract(epoch FROM j.posted_at - c.accepted_at)::float8, greatest(j.transactions, 1)
FROM journal j
CROSS JOIN LATERAL (
    SELECT min(event_offset) AS first_offset FROM sale
    WHERE store = j.store AND business_date = j.business_date
      AND event_offset >= j.from_offset AND event_offset < j.to_offset
) AS s
CROSS JOIN LATERAL (
    SELECT coalesce(accepted_at, recorded_at) AS accepted_at FROM event_chunk
    WHERE partition = j.partition AND first_offset <= s.first_offset ORDER BY first_offset DESC LIMIT 1
) AS c
WHERE j.posted_at > %(since)s AND j.posted_at <= %(until)s AND j.document_id IS NOT NULL
  AND j.kind IN ('sales', 'invoice', 'payments')

-- name: recorded
-- Chunks recorded since the last look, each with its oldest event's time, and stores by their newest chunk among them.
SELECT '' AS store, '' AS part, extract(epoch FROM c.recorded_at - c.accepted_at)::float8, c.event_count::int8
FROM unnest(%(partitions)s::int2[], %(starts)s::int8[], %(ends)s::int8[]) AS p (partition, first, next)
JOIN event_chunk c ON c.partition = p.partition AND c.first_offset >= p.first AND c.first_offset < p.next
WHERE c.accepted_at IS NOT NULL AND p.partition NOT IN (0, 17)
UNION ALL
SELECT s.store, '', extract(epoch FROM c.recorded_at - c.accepted_at)::float8, 1
FROM unnest(%(partitions)s::int2[], %(starts)s::int8[], %(ends)s::int8[]) AS p (partition, first, next)
JOIN store_seen s ON s.partition = p.partition AND s.event_offset >= p.first AND s.event_offset < p.next
CROSS JOIN LATERAL (
    SELECT recorded_at, accepted_at FROM event_chunk
    WHERE partition = s.partition AND first_offset <= s.event_offset ORDER BY first_offset DESC LIMIT 1
) AS c
WHERE c.accepted_at IS NOT NULL

-- name: oldest_waiting
-- Sales wait apart from the catalogue, which yields to them.
SELECT '' AS store, '' AS part,
       coalesce(extract(epoch FROM %(until)s - min(g.received_at)), 0)::float8
FROM (SELECT min(group_id) AS group_id FROM intake_queue WHERE partition <> 17 AND retry = 0) AS q
LEFT JOIN intake_group g USING (group_id)

-- name: failed
-- Blocking exceptions raised about events, of all that was processed.
SELECT '' AS store, '' AS part, failed, failed + recorded
FROM (
    SELECT (SELECT count(*) FROM exception
            WHERE raised_at > %(since)s AND raised_at <= %(until)s AND severity = 'blocking' AND group_id IS NOT NULL)
               AS failed,
           (SELECT coalesce(sum(c.event_count), 0)::int8
            FROM unnest(%(partitions)s::int2[], %(starts)s::int8[], %(ends)s::int8[]) AS p (partition, first, next)
            JOIN event_chunk c ON c.partition = p.partition AND c.first_offset >= p.first AND c.first_offset < p.next)
               AS recorded
) AS counted

-- name: exceptions_open
SELECT coalesce(store, ''), owner, count(*)
FROM exception
WHERE state IN ('open', 'waiting', 'retrying', 'approval') AND severity = 'blocking'
GROUP BY 1, 2

-- name: exceptions_raised
SELECT coalesce(store, ''), owner, count(*)
FROM exception
WHERE raised_at > %(since)s AND raised_at <= %(until)s AND severity = 'blocking'
GROUP BY 1, 2

-- name: exception_age
SELECT '' AS store, owner, extract(epoch FROM %(until)s - min(raised_at))::float8
FROM exception
WHERE state IN ('open', 'waiting', 'retrying', 'approval') AND severity = 'blocking'
GROUP BY owner

-- name: money_at_risk
SELECT coalesce(store, ''), currency, sum(abs(amount))
FROM exception
WHERE state IN ('open', 'waiting', 'retrying', 'approval') AND severity = 'blocking'
  AND amount IS NOT NULL AND currency IS NOT NULL
GROUP BY 1, 2

-- name: exceptions_resolved
SELECT coalesce(store, ''), owner, extract(epoch FROM resolved_at - raised_at)::float8, 1::int8
FROM exception
WHERE resolved_at > %(since)s AND resolved_at <= %(until)s AND severity = 'blocking'

-- name: duplicate_postings
SELECT '' AS store, erp, count(*)
FROM erp_incident
WHERE kind = 'posted_twice' AND at > %(since)s AND at <= %(until)s
GROUP BY erp

-- name: projection_lag
SELECT '' AS store, n.projection, sum(e.next_offset - coalesce(p.next_offset, 0))
FROM event_partition e
CROSS JOIN (SELECT DISTINCT projection FROM projection_position) AS n
LEFT JOIN projection_position p ON p.partition = e.partition AND p.projection = n.projection
GROUP BY n.projection

-- name: interventions
-- What was done to business since the last look; who signed in, and what clients may do, is no intervention.
SELECT '' AS store, action, count(*)
FROM audit_entry
WHERE entry_id > %(audited)s
  AND (kind = 'exceptions' OR action IN ('replay', 'reclassify suspense', 'map journals anew', 'retry journals'))
GROUP BY action

-- name: detected
SELECT '' AS store, name, extract(epoch FROM fired_at - began_at)::float8, 1::int8
FROM alert WHERE fired_at > %(since)s AND fired_at <= %(until)s

-- name: alerts_resolved
SELECT '' AS store, name, extract(epoch FROM resolved_at - fired_at)::float8, 1::int8
FROM alert WHERE resolved_at > %(since)s AND resolved_at <= %(until)s AND fired_at IS NOT NULL
