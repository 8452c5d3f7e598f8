-- name: lock
SELECT pg_try_advisory_lock(%s)

-- name: drop_alerts
DELETE FROM alert WHERE state = 'resolved' AND resolved_at < %s

-- name: drop_deliveries
DELETE FROM alert_delivery WHERE made_at < %s

-- name: drop_silences
DELETE FROM alert_silence WHERE until < %s
