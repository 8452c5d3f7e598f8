-- name: periods
-- By the beginnings of their identifiers: company and a slash.
SELECT body FROM master_record
WHERE type = 'tillwire.master.period.v1' AND EXISTS (SELECT FROM unnest(%s::text[]) AS p (prefix) WHERE starts_with(id, p.prefix))
