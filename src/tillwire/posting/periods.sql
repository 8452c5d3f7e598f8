-- name: periods
SELECT body FROM master_record WHERE type = 'tillwire.master.period.v1' AND starts_with(id, %s)
