-- name: marks
-- Numbers that are others as soon as something has changed: events recorded, exceptions and what was done to them,
-- journals and calls to ERPs, what waits for workers.
SELECT (SELECT coalesce(sum(next_offset), 0)::int8 FROM event_partition),
       (SELECT coalesce(max(exception_id), 0) FROM exception) + (SELECT coalesce(max(action_id), 0) FROM exception_action),
       (SELECT coalesce(max(journal_id), 0)::text FROM journal)
       || (SELECT coalesce(max(arrival), '-infinity')::text || coalesce(max(opened_at), '-infinity')::text FROM erp_gate),
       (SELECT count(*) FROM (SELECT FROM intake_queue LIMIT 1000) AS q)

-- name: newest_date
-- The newest business date of stores within reach.
SELECT max(business_date) FROM completeness
WHERE %(reach)s::text[] IS NULL OR store = ANY(%(reach)s)

-- name: hours
-- What was sold in each hour of a business date, on the registers' own clocks.
SELECT currency, hour, sum(transactions)::int8, sum(amount) FROM hourly_sales
WHERE business_date = %(day)s AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
GROUP BY currency, hour ORDER BY currency, hour

-- name: risks
-- What is in the exception queue of stores within reach, by owner and currency.
SELECT owner, state, currency, count(*), sum(amount) FROM exception
WHERE state IN ('open', 'waiting', 'retrying', 'approval') AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
GROUP BY owner, state, currency

-- name: stores
-- Every store within reach as master data has it.
SELECT id, convert_from(body, 'UTF8')::jsonb ->> 'name', convert_from(body, 'UTF8')::jsonb ->> 'company',
       coalesce(convert_from(body, 'UTF8')::jsonb ->> 'region', ''), convert_from(body, 'UTF8')::jsonb ->> 'currency',
       convert_from(body, 'UTF8')::jsonb ->> 'time_zone'
FROM master_record
WHERE type = 'tillwire.master.store.v1' AND active AND (%(reach)s::text[] IS NULL OR id = ANY(%(reach)s))
ORDER BY id

-- name: store_days
-- What each store has sold on a business date, whether it closed the day, and when its newest event was recorded.
SELECT s.store, c.transactions, c.amount, d.closed_offset IS NOT NULL, coalesce(x.open, 0), t.recorded_at
FROM unnest(%(stores)s::text[], %(partitions)s::int[]) AS s (store, partition)
LEFT JOIN LATERAL (
    SELECT sum(selling)::int8 AS transactions, sum(amount) AS amount FROM completeness
    WHERE store = s.store AND business_date = %(day)s
) AS c ON true
LEFT JOIN store_day d ON d.store = s.store AND d.business_date = %(day)s
LEFT JOIN LATERAL (
    SELECT max(event_offset) AS event_offset FROM sale WHERE sale.store = s.store AND sale.business_date = %(day)s
) AS n ON true
LEFT JOIN LATERAL (
    SELECT recorded_at FROM event_chunk
    WHERE partition = s.partition AND first_offset <= n.event_offset ORDER BY first_offset DESC LIMIT 1
) AS t ON true
LEFT JOIN (
    SELECT store, count(*) AS open FROM exception
    WHERE state IN ('open', 'waiting', 'retrying', 'approval') GROUP BY store
) AS x ON x.store = s.store
ORDER BY s.store

-- name: registers
-- What each register of a store has sold on a business date, and what it said itself when it closed.
SELECT coalesce(c.register, t.register), c.recorded, c.selling, c.amount, coalesce(c.currency, t.currency), t.transactions,
       t.amount, t.over_short,
       ARRAY(SELECT lower(gap) || CASE WHEN upper(gap) - 1 > lower(gap) THEN '–' || (upper(gap) - 1) ELSE '' END
             FROM unnest(int8multirange(int8range(lower(c.sequences), upper(c.sequences))) - c.sequences) AS gap LIMIT 20)
FROM (SELECT * FROM completeness WHERE store = %(store)s AND business_date = %(day)s) AS c
FULL JOIN (
    SELECT register, currency, sum(transactions)::int8 AS transactions, sum(amount) AS amount, sum(over_short) AS over_short
    FROM till_close WHERE store = %(store)s AND business_date = %(day)s GROUP BY register, currency
) AS t ON t.register = c.register
ORDER BY 1

-- name: recent_days
-- A store's latest business dates.
SELECT business_date, sum(selling)::int8, sum(amount), min(currency) FROM completeness
WHERE store = %(store)s GROUP BY business_date ORDER BY business_date DESC LIMIT %(most)s

-- name: transactions
-- Transactions of stores within reach, the newest business date first.
SELECT store, business_date, register, sequence, kind, currency, total, effect, event_offset FROM sale
WHERE kind IS NOT NULL AND store = ANY(%(stores)s::text[])
  AND (%(day)s::date IS NULL OR business_date = %(day)s)
  AND (%(register)s::text IS NULL OR register = %(register)s) AND (%(sequence)s::int8 IS NULL OR sequence = %(sequence)s)
  AND (%(amount)s::numeric IS NULL OR abs(total) = %(amount)s)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
ORDER BY business_date DESC, store, event_offset DESC
LIMIT %(most)s

-- name: backlog_by_date
-- Journals of stores within reach that are not in the ERP's books yet, by business date, the oldest first.
SELECT business_date, count(*) FROM journal
WHERE state IN ('built', 'sent', 'accepted', 'unknown') AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
GROUP BY business_date ORDER BY business_date LIMIT 31

-- name: journals
SELECT reference, kind, company, store, business_date, currency, transactions, amount, state, erp, document_number, built_at,
       posted_at, coalesce(last_error, '')
FROM journal
WHERE (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s)) AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(day)s::date IS NULL OR business_date = %(day)s)
ORDER BY business_date DESC, store, journal_id LIMIT %(most)s

-- name: balances
-- Balances of stores within reach beside what is reported of them: largest drift first, then the lowest.
SELECT b.store, b.sku, coalesce(convert_from(m.body, 'UTF8')::jsonb ->> 'name', ''), b.on_hand, b.unavailable, b.quantity,
       b.drift, b.at
FROM (
    SELECT store, sku, on_hand, unavailable, l.quantity, l.quantity - on_hand AS drift, l.at
    FROM stock_balance LEFT JOIN stock_level l USING (store, sku)
    WHERE (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s)) AND (%(sku)s::text IS NULL OR sku = %(sku)s)
    ORDER BY abs(l.quantity - on_hand) DESC NULLS LAST, on_hand, store, sku
    LIMIT %(most)s
) AS b
LEFT JOIN master_record m ON m.type = 'tillwire.master.product.v1' AND m.id = b.sku
ORDER BY abs(b.drift) DESC NULLS LAST, b.on_hand, b.store, b.sku

-- name: movements
-- The latest movements of an item in a store.
SELECT business_date, event_offset, reason, bucket, quantity FROM stock_movement
WHERE store = %(store)s AND sku = %(sku)s ORDER BY business_date DESC, event_offset DESC LIMIT %(most)s
