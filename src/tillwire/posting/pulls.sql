-- name: due
SELECT true FROM erp_gate
WHERE erp = %(erp)s AND coalesce(pulled_at, '-infinity') < clock_timestamp() - make_interval(mins => %(minutes)s)

-- name: pulled
UPDATE erp_gate SET pulled_at = clock_timestamp() - make_interval(mins => %(minutes_ago)s) WHERE erp = %(erp)s
