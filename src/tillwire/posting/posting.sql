-- name: to_send
SELECT journal_id, reference, company, store, business_date, version, currency, transactions FROM journal
WHERE state = 'built' AND next_attempt_at <= clock_timestamp()
ORDER BY business_date, store, version LIMIT %(most)s

-- name: lines_of
SELECT journal_id, account, debit, credit, component, code, original_date FROM journal_line WHERE journal_id = ANY(%s)
ORDER BY journal_id, line

-- name: mark_sent
UPDATE journal SET state = 'sent', sent_at = clock_timestamp(), attempts = attempts + 1 WHERE journal_id = ANY(%s)

-- name: mark_posted
UPDATE journal SET state = 'posted', posted_at = clock_timestamp(), document_id = %(document_id)s,
                   document_number = %(number)s, last_error = NULL
WHERE reference = %(reference)s AND state <> 'posted'

-- name: mark_rejected
UPDATE journal SET state = 'rejected', last_error = %(reason)s WHERE reference = %(reference)s AND state <> 'posted'

-- name: mark_unknown
UPDATE journal SET state = 'unknown', last_error = %(reason)s,
                   next_attempt_at = clock_timestamp() + make_interval(secs => %(wait_s)s)
WHERE reference = %(reference)s AND state IN ('built', 'sent', 'unknown')

-- name: mark_to_resend
UPDATE journal SET state = 'built', last_error = %(reason)s,
                   next_attempt_at = clock_timestamp() + make_interval(secs => %(wait_s)s)
WHERE reference = ANY(%(references)s) AND state IN ('built', 'sent', 'unknown')

-- name: orphans
-- A dispatcher that starts owns the lane: what is still marked sent was sent by one that died.
UPDATE journal SET state = 'unknown', last_error = 'the dispatcher died before it could note the outcome'
WHERE state = 'sent'

-- name: to_look_up
SELECT reference, attempts, sent_at < clock_timestamp() - make_interval(secs => %(settle_s)s)
FROM journal WHERE state = 'unknown' AND next_attempt_at <= clock_timestamp()
ORDER BY business_date, store LIMIT %(most)s

-- name: retry_rejected
UPDATE journal SET state = 'built', next_attempt_at = clock_timestamp()
WHERE state = 'rejected' AND (%(reference)s::text IS NULL OR reference = %(reference)s)

-- name: listed
SELECT reference, state, transactions, amount, currency, document_number, attempts, last_error FROM journal
WHERE %(state)s::text IS NULL OR state = %(state)s
ORDER BY business_date, store, version LIMIT %(most)s

-- name: to_confirm
SELECT j.reference, j.document_number FROM journal j
WHERE j.state = 'posted' AND j.document_id IS NOT NULL AND (%(again)s OR j.confirmed_at IS NULL) AND j.reference > %(after)s
ORDER BY j.reference LIMIT %(most)s

-- name: lines_by_reference
SELECT j.reference, l.account, sum(l.debit - l.credit) FROM journal j JOIN journal_line l USING (journal_id)
WHERE j.reference = ANY(%s) GROUP BY j.reference, l.account

-- name: confirm
UPDATE journal SET confirmed_at = clock_timestamp() WHERE reference = ANY(%s)

-- name: unconfirm
UPDATE journal SET confirmed_at = NULL WHERE reference = ANY(%s)

-- name: note_incident
INSERT INTO erp_incident (kind, detail) VALUES (%s, %s)

-- name: mark_duplicate
UPDATE journal SET state = 'rejected', last_error = %(reason)s WHERE reference = %(reference)s
