-- name: to_confirm
SELECT j.journal_id, j.reference, j.kind FROM journal j
WHERE j.state = 'posted' AND j.document_id IS NOT NULL AND j.erp = %(erp)s
  AND (%(again)s OR j.confirmed_at IS NULL) AND j.reference > %(after)s
ORDER BY j.reference LIMIT %(most)s

-- name: confirm
UPDATE journal SET confirmed_at = clock_timestamp() WHERE reference = ANY(%s)

-- name: unconfirm
UPDATE journal SET confirmed_at = NULL WHERE reference = ANY(%s)

-- name: note_twice
INSERT INTO erp_incident (erp, kind, detail)
SELECT %(erp)s, 'posted_twice', r.reference FROM unnest(%(references)s::text[]) AS r (reference)
WHERE NOT EXISTS (SELECT FROM erp_incident i WHERE i.erp = %(erp)s AND i.kind = 'posted_twice' AND i.detail = r.reference)
