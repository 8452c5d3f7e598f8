-- name: listed
SELECT alert_id, name, key, group_key, severity, owner, state, began_at, seen_at, fired_at, resolved_at, deadline,
       store_count, detail
FROM alert a
WHERE state = ANY(%(states)s::text[]) AND (%(ids)s::int8[] IS NULL OR alert_id = ANY(%(ids)s))
  AND (%(reach)s::text[] IS NULL
       OR EXISTS (SELECT FROM alert_impact i WHERE i.alert_id = a.alert_id AND i.store = ANY(%(reach)s)))
ORDER BY state = 'resolved', resolved_at DESC, state = 'pending',
         CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, fired_at, alert_id
LIMIT %(most)s

-- name: impact
-- The stores with most at stake first. Amounts of several currencies do not compare: each by its own.
SELECT alert_id, store, currency, amount FROM alert_impact
WHERE alert_id = ANY(%(ids)s::int8[]) AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s::text[]))
ORDER BY alert_id, max(abs(amount)) OVER (PARTITION BY alert_id, store) DESC, store, currency

-- name: open
SELECT alert_id, name, key, group_key, severity, owner, state, fired_at FROM alert
WHERE state <> 'resolved' ORDER BY alert_id

-- name: silences
SELECT silence_id, alerts, keys, stores, until, reason, made_by, made_at, ended_by, ended_at FROM alert_silence
WHERE until > %(now)s AND ended_at IS NULL ORDER BY silence_id

-- name: silence
INSERT INTO alert_silence (alerts, keys, stores, until, reason, made_by, made_at)
VALUES (%(alerts)s, %(keys)s, %(stores)s, %(until)s, %(reason)s, %(by)s, %(now)s)
RETURNING silence_id, alerts, keys, stores, until, reason, made_by, made_at, ended_by, ended_at

-- name: unsilence
UPDATE alert_silence SET ended_by = %(by)s, ended_at = %(now)s WHERE silence_id = %(silence_id)s
