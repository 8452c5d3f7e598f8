-- name: told
SELECT route, group_key, firing, told_at FROM alert_told FOR UPDATE

-- name: resolved
-- Of those that do not fire any more, the ones that are over; others are silenced, or go elsewhere now.
SELECT alert_id FROM alert WHERE alert_id = ANY(%s) AND state = 'resolved' ORDER BY alert_id

-- name: note
INSERT INTO alert_told (route, group_key, firing, told_at) VALUES (%(route)s, %(group)s, %(firing)s, %(now)s)
ON CONFLICT (route, group_key) DO UPDATE SET firing = excluded.firing, told_at = excluded.told_at

-- name: forget
DELETE FROM alert_told WHERE route = %(route)s AND group_key = %(group)s

-- name: deliver
INSERT INTO alert_delivery (route, recipient, delivery_key, group_key, message, made_at, next_at)
SELECT %(route)s, r.recipient, r.delivery_key, %(group)s, %(message)s::jsonb, %(now)s, %(now)s
FROM unnest(%(recipients)s::text[], %(keys)s::text[]) AS r (recipient, delivery_key)

-- name: note_silenced
UPDATE alert SET silenced = alert_id = ANY(%(ids)s::int8[])
WHERE state <> 'resolved' AND silenced <> (alert_id = ANY(%(ids)s::int8[]))
