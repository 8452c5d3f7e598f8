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
