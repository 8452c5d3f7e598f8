-- name: add
-- What is added to a minute (or a store's hour) that has been written before is added up.
INSERT INTO figure_history AS h (figure, grain, store, part, at, n, total, least, most, last, sketch)
SELECT f, g, s, p, a, n, t, lo, hi, la, sk::jsonb
FROM unnest(%(figures)s::text[], %(grains)s::text[], %(stores)s::text[], %(parts)s::text[], %(ats)s::timestamptz[],
            %(ns)s::int8[], %(totals)s::numeric[], %(leasts)s::numeric[], %(mosts)s::numeric[], %(lasts)s::numeric[],
            %(sketches)s::text[]) AS v (f, g, s, p, a, n, t, lo, hi, la, sk)
ORDER BY f, g, s, a, p
ON CONFLICT (figure, grain, store, at, part) DO UPDATE
SET n = h.n + excluded.n, total = h.total + excluded.total, least = least(h.least, excluded.least),
    most = greatest(h.most, excluded.most), last = excluded.last, sketch = sketch_add(h.sketch, excluded.sketch)

-- name: roll_hours
-- The hub's minutes; of stores there are hours from the start.
INSERT INTO figure_history (figure, grain, store, part, at, n, total, least, most, last, sketch)
SELECT figure, 'hour', store, part, date_trunc('hour', at, 'UTC'), sum(n)::int8, sum(total), min(least), max(most),
       (array_agg(last ORDER BY at DESC))[1], sketch_sum(sketch)
FROM figure_history
WHERE grain = 'minute' AND at >= %(since)s AND at < %(until)s
GROUP BY figure, store, part, date_trunc('hour', at, 'UTC')
ON CONFLICT (figure, grain, store, at, part) DO UPDATE
SET n = excluded.n, total = excluded.total, least = excluded.least, most = excluded.most, last = excluded.last,
    sketch = excluded.sketch

-- name: roll_days
INSERT INTO figure_history (figure, grain, store, part, at, n, total, least, most, last, sketch)
SELECT figure, 'day', store, part, date_trunc('day', at, 'UTC'), sum(n)::int8, sum(total), min(least), max(most),
       (array_agg(last ORDER BY at DESC))[1], sketch_sum(sketch)
FROM figure_history
WHERE grain = 'hour' AND at >= %(since)s AND at < %(until)s
GROUP BY figure, store, part, date_trunc('day', at, 'UTC')
ON CONFLICT (figure, grain, store, at, part) DO UPDATE
SET n = excluded.n, total = excluded.total, least = excluded.least, most = excluded.most, last = excluded.last,
    sketch = excluded.sketch

-- name: drop_old
DELETE FROM figure_history WHERE grain = %(grain)s AND at < %(before)s

-- name: of_hub
SELECT at, n, total, least, most, sketch FROM figure_history
WHERE figure = %(figure)s AND grain = %(grain)s AND store = '' AND part = %(part)s
  AND at >= %(since)s AND at < %(until)s
ORDER BY at

-- name: of_stores
-- Stores together: what is counted is added up; a state of several that adds up is the sum of their means.
SELECT at, CASE WHEN %(sums)s THEN 1 ELSE sum(n)::int8 END,
       CASE WHEN %(sums)s THEN sum(total / greatest(n, 1)) ELSE sum(total) END, min(least), max(most), sketch_sum(sketch)
FROM figure_history
WHERE figure = %(figure)s AND grain = %(grain)s AND store = ANY(%(reach)s::text[]) AND part = %(part)s
  AND at >= %(since)s AND at < %(until)s
GROUP BY at ORDER BY at
