-- name: open
SELECT alert_id, name, key, state, began_at, seen_at, fired_at, absent_since FROM alert
WHERE state <> 'resolved' ORDER BY alert_id FOR UPDATE

-- name: add
INSERT INTO alert (name, key, group_key, severity, owner, state, began_at, seen_at, fired_at, deadline, store_count, detail)
VALUES (%(name)s, %(key)s, %(group)s, %(severity)s, %(owner)s, %(state)s, %(began_at)s, %(seen_at)s, %(fired_at)s,
        %(deadline)s, %(store_count)s, %(detail)s)
RETURNING alert_id

-- name: keep
UPDATE alert SET group_key = %(group)s, severity = %(severity)s, owner = %(owner)s, state = %(state)s,
                 began_at = %(began_at)s, fired_at = %(fired_at)s, deadline = %(deadline)s,
                 store_count = %(store_count)s, detail = %(detail)s, absent_since = NULL
WHERE alert_id = %(alert_id)s
  AND (group_key, severity, owner, state, began_at, fired_at, deadline, store_count, detail, absent_since)
      IS DISTINCT FROM (%(group)s, %(severity)s, %(owner)s, %(state)s, %(began_at)s::timestamptz,
                        %(fired_at)s::timestamptz, %(deadline)s::timestamptz, %(store_count)s::int, %(detail)s,
                        NULL::timestamptz)

-- name: forget_impact
DELETE FROM alert_impact i
WHERE alert_id = %(alert_id)s
  AND NOT EXISTS (SELECT FROM unnest(%(stores)s::text[], %(currencies)s::text[]) AS p (store, currency)
                  WHERE p.store = i.store AND p.currency = i.currency)

-- name: note_impact
INSERT INTO alert_impact AS i (alert_id, store, currency, amount)
SELECT %(alert_id)s, * FROM unnest(%(stores)s::text[], %(currencies)s::text[], %(amounts)s::numeric[])
ON CONFLICT (alert_id, store, currency) DO UPDATE SET amount = excluded.amount WHERE i.amount <> excluded.amount

-- name: drop
DELETE FROM alert WHERE alert_id = %s

-- name: absent
UPDATE alert SET absent_since = %(absent_since)s, resolved_at = %(resolved_at)s,
                 state = CASE WHEN %(resolved_at)s::timestamptz IS NULL THEN state ELSE 'resolved' END
WHERE alert_id = %(alert_id)s
