-- name: forget
DELETE FROM figure_now WHERE figure = ANY(%(measured)s::text[])

-- name: keep
INSERT INTO figure_now (figure, part, quantile, value, at)
SELECT f, p, q, v, %(at)s
FROM unnest(%(figures)s::text[], %(parts)s::text[], %(quantiles)s::text[], %(values)s::numeric[]) AS n (f, p, q, v)

-- name: kept
SELECT figure, part, quantile, value FROM figure_now ORDER BY figure, part, quantile

-- name: flow_of_hub
-- Whole hours as far as they are added up, minutes from there on.
SELECT part, sum(n), sum(total), sketch_sum(sketch) FROM figure_history
WHERE figure = %(figure)s AND store = ''
  AND ((grain = 'hour' AND at >= %(hour)s AND at < %(rolled_to)s)
       OR (grain = 'minute' AND at >= %(from_minutes)s AND at <= %(until)s))
GROUP BY part ORDER BY part

-- name: flow_of_stores
SELECT part, sum(n), sum(total), sketch_sum(sketch) FROM figure_history
WHERE figure = %(figure)s AND grain = 'hour' AND store = ANY(%(reach)s::text[]) AND at >= %(hour)s AND at <= %(until)s
GROUP BY part ORDER BY part

-- name: flows_by_store
SELECT store, part, sum(n), sum(total), sketch_sum(sketch) FROM figure_history
WHERE figure = %(figure)s AND grain = 'hour' AND store <> '' AND at >= %(since)s
  AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s::text[]))
GROUP BY store, part ORDER BY store, part

-- name: states_of_stores
-- The newest that is known of each store.
SELECT DISTINCT ON (store, part) store, part, last FROM figure_history
WHERE figure = %(figure)s AND grain = 'hour' AND store <> '' AND at >= %(since)s
  AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s::text[]))
ORDER BY store, part, at DESC
