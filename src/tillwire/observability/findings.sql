-- name: missed
SELECT store, business_date, due_at FROM day_judged
WHERE objective = %(objective)s AND due_at > %(since)s AND NOT complete

-- name: posted_twice
-- Until the books were read back and found right since.
SELECT i.erp, i.detail, i.at, j.store, j.currency, j.amount
FROM erp_incident i JOIN journal j ON j.reference = i.detail
WHERE i.kind = 'posted_twice' AND (j.confirmed_at IS NULL OR j.confirmed_at < i.at)
ORDER BY i.at

-- name: overdue
-- By owner, store and currency: what is in the queue longer than its service level (the first that fits) allows.
SELECT e.owner, coalesce(e.store, ''), coalesce(e.currency, ''), sum(abs(coalesce(e.amount, 0))), count(*),
       min(e.raised_at + make_interval(hours => level.hours))
FROM exception e
CROSS JOIN LATERAL (
    SELECT l.hours
    FROM unnest(%(codes)s::text[], %(owners)s::text[], %(hours)s::int4[]) WITH ORDINALITY AS l (code, owner, hours, n)
    WHERE l.code IN ('*', e.code) AND l.owner IN ('*', e.owner)
    ORDER BY l.n LIMIT 1
) AS level
WHERE e.state IN ('open', 'waiting', 'retrying', 'approval') AND e.severity = 'blocking'
  AND e.raised_at + make_interval(hours => level.hours) < %(now)s
GROUP BY e.owner, 2, 3

-- name: at_risk
-- Currencies of which more lies in the queue than may be, and when it became more.
SELECT currency, max(amount), min(raised_at) FILTER (WHERE amount > %(limit)s)
FROM (
    SELECT currency, raised_at, sum(abs(amount)) OVER (PARTITION BY currency ORDER BY raised_at, exception_id) AS amount
    FROM exception
    WHERE state IN ('open', 'waiting', 'retrying', 'approval') AND severity = 'blocking'
      AND amount IS NOT NULL AND currency IS NOT NULL
) AS e
GROUP BY currency
HAVING max(amount) > %(limit)s

-- name: at_risk_by_store
SELECT coalesce(store, ''), sum(abs(amount)) FROM exception
WHERE state IN ('open', 'waiting', 'retrying', 'approval') AND severity = 'blocking' AND currency = %(currency)s
  AND amount IS NOT NULL
GROUP BY 1

-- name: oldest_waiting
-- The catalogue yields to sales; what comes out of the exception queue was late before.
SELECT min(g.received_at), (SELECT sum(cardinality(ordinals))::int8 FROM intake_queue WHERE partition <> 17)
FROM (SELECT group_id FROM intake_queue WHERE partition <> 17 AND retry = 0 ORDER BY group_id LIMIT 1) AS q
JOIN intake_group g USING (group_id)
HAVING min(g.received_at) IS NOT NULL

-- name: waiting
SELECT q.ordinals, g.body
FROM (
    SELECT group_id, ordinals FROM intake_queue WHERE partition <> 17 AND retry = 0 ORDER BY group_id LIMIT %(most)s
) AS q
JOIN intake_group g USING (group_id)

-- name: behind
SELECT n.projection, sum(e.next_offset - coalesce(p.next_offset, 0))::int8
FROM event_partition e
CROSS JOIN (SELECT DISTINCT projection FROM projection_position) AS n
LEFT JOIN projection_position p ON p.partition = e.partition AND p.projection = n.projection
GROUP BY n.projection
HAVING sum(e.next_offset - coalesce(p.next_offset, 0)) > %(limit)s

-- name: first_bad
SELECT min(at) FROM figure_history
WHERE figure = %(figure)s AND part = %(part)s AND store = '' AND total < n
  AND ((grain = 'minute' AND at >= %(since)s) OR (grain = 'hour' AND at >= %(hour)s))

-- name: bad_stores
SELECT DISTINCT store FROM figure_history
WHERE figure = %(figure)s AND part = %(part)s AND store <> '' AND grain = 'hour' AND at >= %(hour)s AND total < n

-- name: broken
SELECT store FROM (
    SELECT DISTINCT ON (store) store, last FROM figure_history
    WHERE figure = 'reconciliation_breaks' AND grain = 'hour' AND store <> '' AND at >= %(since)s
    ORDER BY store, at DESC
) AS newest
WHERE last > 0

-- name: undelivered
SELECT route, count(*), min(made_at), coalesce(max(last_error), '') FROM alert_delivery
WHERE state = 'waiting' AND attempts > 0
GROUP BY route HAVING min(made_at) < %(before)s
