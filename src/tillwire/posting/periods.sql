-- name: periods
SELECT body FROM master_record
WHERE type = 'tillwire.master.period.v1' AND convert_from(body, 'UTF8')::jsonb ->> 'company' = ANY(%s)
