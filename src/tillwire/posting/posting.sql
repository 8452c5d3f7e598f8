-- name: due
-- Closed store days with entries in no journal yet, oldest business date first. A row that a worker is adding to is
-- locked, and left for the next look.
SELECT d.store, d.business_date, d.last_offset, coalesce(c.next_offset, 0)
FROM posting_due d
JOIN store_day s USING (store, business_date)
LEFT JOIN posting_cursor c USING (store, business_date)
WHERE s.closed_offset IS NOT NULL
ORDER BY d.business_date, d.store
LIMIT %(most)s
FOR UPDATE OF d SKIP LOCKED

-- name: summarise
SELECT d.day, NULL::int8, e.currency, e.component, e.code, sum(e.amount), e.original_date
FROM unnest(%(days)b::int4[], %(stores)b::text[], %(dates)b::date[], %(froms)b::int8[], %(tos)b::int8[])
         AS d (day, store, business_date, from_offset, to_offset)
JOIN ledger_entry e ON e.store = d.store AND e.business_date = d.business_date
                   AND e.event_offset >= d.from_offset AND e.event_offset < d.to_offset
GROUP BY d.day, e.currency, e.component, e.code, e.original_date
ORDER BY d.day, e.currency, e.original_date NULLS FIRST, e.component, e.code

-- name: itemise
SELECT d.day, e.event_offset, e.currency, e.component, e.code, e.amount, e.original_date
FROM unnest(%(days)b::int4[], %(stores)b::text[], %(dates)b::date[], %(froms)b::int8[], %(tos)b::int8[])
         AS d (day, store, business_date, from_offset, to_offset)
JOIN ledger_entry e ON e.store = d.store AND e.business_date = d.business_date
                   AND e.event_offset >= d.from_offset AND e.event_offset < d.to_offset
ORDER BY d.day, e.event_offset, e.component, e.code

-- name: totals
SELECT d.day, NULL::int8, s.currency, sum(s.effect)::int8, sum(s.total)
FROM unnest(%(days)b::int4[], %(stores)b::text[], %(dates)b::date[], %(froms)b::int8[], %(tos)b::int8[])
         AS d (day, store, business_date, from_offset, to_offset)
JOIN sale s ON s.store = d.store AND s.business_date = d.business_date
           AND s.event_offset >= d.from_offset AND s.event_offset < d.to_offset
WHERE s.kind = ANY(%(selling)s)
GROUP BY d.day, s.currency

-- name: item_totals
SELECT d.day, s.event_offset, s.currency, s.effect, s.total
FROM unnest(%(days)b::int4[], %(stores)b::text[], %(dates)b::date[], %(froms)b::int8[], %(tos)b::int8[])
         AS d (day, store, business_date, from_offset, to_offset)
JOIN sale s ON s.store = d.store AND s.business_date = d.business_date
           AND s.event_offset >= d.from_offset AND s.event_offset < d.to_offset
WHERE s.kind = ANY(%(selling)s)

-- name: add_journals
-- A journal without lines (all amounts zero) has nothing to post: it is done as it is built.
INSERT INTO journal (reference, company, store, business_date, version, currency, partition, from_offset, to_offset,
                     transactions, amount, state, posted_at, confirmed_at)
SELECT reference, company, store, business_date, version, currency, partition, from_offset, to_offset, transactions,
       amount, CASE WHEN empty THEN 'posted' ELSE 'built' END,
       CASE WHEN empty THEN clock_timestamp() END, CASE WHEN empty THEN clock_timestamp() END
FROM unnest(%(references)b::text[], %(companies)b::text[], %(stores)b::text[], %(dates)b::date[],
            %(versions)b::int4[], %(currencies)b::text[], %(partitions)b::int2[], %(froms)b::int8[],
            %(tos)b::int8[], %(transactions)b::int8[], %(amounts)s::numeric[], %(empty)b::bool[])
    AS j (reference, company, store, business_date, version, currency, partition, from_offset, to_offset,
          transactions, amount, empty)
RETURNING reference, journal_id

-- name: copy_lines
COPY journal_line (journal_id, line, account, debit, credit, component, code, original_date) FROM STDIN

-- name: companies
SELECT id, body FROM master_record WHERE type = 'tillwire.master.store.v1' AND id = ANY(%s)

-- name: versions
SELECT store, business_date, max(version) FROM journal
JOIN unnest(%(stores)b::text[], %(dates)b::date[]) AS d (store, business_date) USING (store, business_date)
GROUP BY store, business_date

-- name: advance_cursors
INSERT INTO posting_cursor (store, business_date, next_offset)
SELECT * FROM unnest(%(stores)b::text[], %(dates)b::date[], %(tos)b::int8[])
ON CONFLICT (store, business_date) DO UPDATE SET next_offset = excluded.next_offset

-- name: not_due
DELETE FROM posting_due USING unnest(%(stores)b::text[], %(dates)b::date[]) AS d (store, business_date)
WHERE posting_due.store = d.store AND posting_due.business_date = d.business_date

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
