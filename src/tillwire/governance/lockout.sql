-- name: begin
INSERT INTO sign_in_failure (subject, failures, last_at)
SELECT s, 0, clock_timestamp() - interval '1 year' FROM unnest(%s::text[]) AS s ON CONFLICT DO NOTHING

-- name: lock
SELECT subject, failures, last_at FROM sign_in_failure WHERE subject = ANY(%s) ORDER BY subject FOR UPDATE

-- name: count
UPDATE sign_in_failure AS f SET failures = n.failures, last_at = %(now)s
FROM unnest(%(subjects)s::text[], %(failures)s::integer[]) AS n (subject, failures) WHERE f.subject = n.subject

-- name: one_less
UPDATE sign_in_failure SET failures = greatest(0, failures - 1) WHERE subject = %s

-- name: forgive
DELETE FROM sign_in_failure WHERE subject = %s

-- name: sweep
DELETE FROM sign_in_failure WHERE last_at < %s
