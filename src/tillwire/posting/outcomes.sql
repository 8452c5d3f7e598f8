-- name: ids_of
SELECT journal_id FROM journal WHERE reference = ANY(%(references)s) AND (erp IS NULL OR erp = %(erp)s)

-- name: lock
SELECT journal_id, reference, state, company, store, business_date, coalesce(posting_date, business_date), amount,
       currency
FROM journal WHERE journal_id = ANY(%s) ORDER BY journal_id FOR UPDATE

-- name: posted
UPDATE journal j SET state = 'posted', posted_at = clock_timestamp(), document_id = o.document_id,
                     document_number = o.number, last_error = NULL, rejection = NULL, erp = %(erp)s
FROM unnest(%(ids)b::int8[], %(documents)b::text[], %(numbers)b::text[]) AS o (journal_id, document_id, number)
WHERE j.journal_id = o.journal_id

-- name: accepted
UPDATE journal j SET state = 'accepted', accepted_at = coalesce(accepted_at, clock_timestamp()), handle = o.handle,
                     last_error = NULL, erp = %(erp)s,
                     next_attempt_at = clock_timestamp() + make_interval(secs => %(poll_s)s)
FROM unnest(%(ids)b::int8[], %(handles)b::text[]) AS o (journal_id, handle)
WHERE j.journal_id = o.journal_id

-- name: rejected
UPDATE journal j SET state = 'rejected', last_error = o.reason, rejection = o.rejection, erp = %(erp)s
FROM unnest(%(ids)b::int8[], %(reasons)b::text[], %(kinds)b::text[]) AS o (journal_id, reason, rejection)
WHERE j.journal_id = o.journal_id

-- name: unknown
-- Unknown since when the reply was found lost: a request that is still under way began before that.
UPDATE journal j SET state = 'unknown', last_error = o.reason, erp = %(erp)s,
                     unknown_at = CASE WHEN state = 'unknown' THEN unknown_at ELSE clock_timestamp() END,
                     next_attempt_at = clock_timestamp() + make_interval(secs => %(wait_s)s)
FROM unnest(%(ids)b::int8[], %(reasons)b::text[]) AS o (journal_id, reason)
WHERE j.journal_id = o.journal_id

-- name: unsent
UPDATE journal j SET state = 'built', erp = NULL, handle = NULL, accepted_at = NULL, unknown_at = NULL,
                     last_error = o.reason, next_attempt_at = clock_timestamp()
FROM unnest(%(ids)b::int8[], %(reasons)b::text[]) AS o (journal_id, reason)
WHERE j.journal_id = o.journal_id

-- name: dated
-- Another posting date, and again from the start; the business date stays.
UPDATE journal j SET posting_date = o.day, state = 'built', erp = NULL, handle = NULL, accepted_at = NULL,
                     unknown_at = NULL, last_error = o.reason, next_attempt_at = clock_timestamp()
FROM unnest(%(ids)b::int8[], %(days)b::date[], %(reasons)b::text[]) AS o (journal_id, day, reason)
WHERE j.journal_id = o.journal_id

-- name: accounts_of
SELECT journal_id, array_agg(DISTINCT account) FROM journal_line WHERE journal_id = ANY(%s) GROUP BY journal_id

-- name: unknown_for_long
SELECT journal_id, erp, reference, store, business_date, amount, currency, coalesce(last_error, ''), unknown_at,
       next_attempt_at > clock_timestamp()
FROM journal
WHERE state = 'unknown' AND erp = %(erp)s AND unknown_at < clock_timestamp() - make_interval(mins => %(minutes)s)
ORDER BY journal_id LIMIT 10000
