-- name: listed
SELECT reference, kind, state, erp, business_date, posting_date, transactions, amount, currency, document_number, attempts,
       last_error
FROM journal
WHERE (%(state)s::text IS NULL OR state = %(state)s) AND (%(erp)s::text IS NULL OR erp = %(erp)s)
ORDER BY business_date, store, version LIMIT %(most)s

-- name: rejected_of
SELECT journal_id FROM journal
WHERE state = 'rejected' AND (%(reference)s::text IS NULL OR reference = %(reference)s)

-- name: send_again
-- What an ERP refused is looked up first; what was kept back as it was built has never been anywhere.
UPDATE journal SET state = CASE WHEN erp IS NULL THEN 'built' ELSE 'unknown' END,
                   rejection = CASE WHEN erp IS NULL THEN NULL ELSE rejection END, next_attempt_at = clock_timestamp(),
                   unknown_at = CASE WHEN erp IS NULL THEN NULL WHEN state = 'unknown' THEN unknown_at ELSE clock_timestamp() END
WHERE journal_id = ANY(%s) AND state IN ('rejected', 'unknown')
