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
UPDATE journal SET state = 'unknown', next_attempt_at = clock_timestamp(),
                   unknown_at = CASE WHEN state = 'unknown' THEN unknown_at ELSE clock_timestamp() END
WHERE journal_id = ANY(%s) AND state IN ('rejected', 'unknown')
