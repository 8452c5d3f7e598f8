-- name: resolutions
-- Exceptions whose service level (the first that fits) was decided: resolved in time, or due and not resolved.
WITH due AS (
    SELECT e.store, e.resolved_at, e.raised_at + make_interval(hours => level.hours) AS due_at
    FROM exception e
    CROSS JOIN LATERAL (
        SELECT l.hours
        FROM unnest(%(codes)s::text[], %(owners)s::text[], %(hours)s::int4[]) WITH ORDINALITY
             AS l (code, owner, hours, n)
        WHERE l.code IN ('*', e.code) AND l.owner IN ('*', e.owner)
        ORDER BY l.n LIMIT 1
    ) AS level
    WHERE e.severity = 'blocking' AND e.raised_at > %(since)s::timestamptz - make_interval(hours => %(most_hours)s)
)
SELECT coalesce(store, ''), '', 1, 1 FROM due
WHERE resolved_at > %(since)s AND resolved_at <= %(until)s AND resolved_at <= due_at
UNION ALL
SELECT coalesce(store, ''), '', 0, 1 FROM due
WHERE due_at > %(since)s AND due_at <= %(until)s AND (resolved_at IS NULL OR resolved_at > due_at)

-- name: counted_of_hub
-- Whole hours as far as they are added up, minutes from there on.
SELECT part, sum(total), sum(n) FROM figure_history
WHERE figure = %(figure)s AND store = ''
  AND ((grain = 'hour' AND at >= %(hour)s AND at < %(rolled_to)s)
       OR (grain = 'minute' AND at >= %(from_minutes)s AND at <= %(until)s))
GROUP BY part

-- name: counted_of_stores
SELECT part, sum(total), sum(n) FROM figure_history
WHERE figure = %(figure)s AND grain = 'hour' AND store = ANY(%(reach)s::text[])
  AND at >= %(hour)s AND at <= %(until)s
GROUP BY part
