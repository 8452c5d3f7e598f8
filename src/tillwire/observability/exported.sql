-- name: alerts
SELECT name, severity, owner, silenced, count(*) FROM alert WHERE state = 'firing' GROUP BY 1, 2, 3, 4

-- name: observed
SELECT extract(epoch FROM sampled_at)::float8 FROM observer

-- name: waiting
SELECT route, count(*) FROM alert_delivery WHERE state = 'waiting' GROUP BY route
