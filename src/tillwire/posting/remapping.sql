-- name: refused
-- What takes something back, and what was reclassified, has accounts that no rule book chooses.
SELECT j.reference, j.journal_id, j.kind, j.company, j.store,
       coalesce(convert_from(m.body, 'UTF8')::jsonb ->> 'region', ''), j.business_date, j.currency, j.from_offset, j.to_offset
FROM journal j
LEFT JOIN master_record m ON m.type = 'tillwire.master.store.v1' AND m.id = j.store
WHERE j.state = 'rejected' AND j.reverses IS NULL AND j.kind IN ('sales', 'payments', 'invoice', 'intercompany')
  AND (%(reference)s::text IS NULL OR j.reference = %(reference)s)
ORDER BY j.journal_id
FOR UPDATE OF j

-- name: lines
SELECT coalesce(kind, 'sale'), component, code, original_date, foreign_currency, account, debit - credit, foreign_amount
FROM journal_line WHERE journal_id = %s ORDER BY line

-- name: forget_lines
DELETE FROM journal_line WHERE journal_id = %s

-- name: copy_lines
COPY journal_line (journal_id, line, account, debit, credit, component, code, original_date, kind, erp_line, dimensions,
                   rule, foreign_amount, foreign_currency)
FROM STDIN

-- name: set_body
UPDATE document_body SET body = %s::jsonb WHERE journal_id = %s

-- name: set_book
UPDATE journal SET rule_book = %s WHERE journal_id = %s
