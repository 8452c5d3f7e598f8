-- name: days
-- Captured by the source (its own control totals), recorded, in journals, posted, confirmed by reading the ERP back:
-- per store and business date, transactions that sell and their totals, in the currency the store trades in.
WITH recorded AS (
    SELECT store, business_date, min(currency) AS currency, sum(selling)::int8 AS count, sum(amount) AS amount
    FROM completeness
    WHERE (%(store)s::text IS NULL OR store = %(store)s)
      AND business_date >= %(first)s AND business_date <= %(last)s
    GROUP BY store, business_date
), closed AS (
    SELECT store, business_date, currency, transactions AS count, amount
    FROM store_day
    WHERE closed_offset IS NOT NULL AND (%(store)s::text IS NULL OR store = %(store)s)
      AND business_date >= %(first)s AND business_date <= %(last)s
), tills AS (
    SELECT store, business_date, min(currency) AS currency, sum(transactions)::int8 AS count, sum(amount) AS amount
    FROM till_close
    WHERE (%(store)s::text IS NULL OR store = %(store)s)
      AND business_date >= %(first)s AND business_date <= %(last)s
    GROUP BY store, business_date
), journals AS (
    SELECT store, business_date, min(currency) AS currency,
           sum(transactions)::int8 AS count, sum(amount) AS amount,
           coalesce(sum(transactions) FILTER (WHERE state = 'posted'), 0)::int8 AS posted_count,
           coalesce(sum(amount) FILTER (WHERE state = 'posted'), 0) AS posted_amount,
           coalesce(sum(transactions) FILTER (WHERE state = 'posted' AND confirmed_at IS NOT NULL), 0)::int8 AS confirmed_count,
           coalesce(sum(amount) FILTER (WHERE state = 'posted' AND confirmed_at IS NOT NULL), 0) AS confirmed_amount,
           array_agg(DISTINCT state) FILTER (WHERE state <> 'posted') AS unposted
    FROM journal
    WHERE (%(store)s::text IS NULL OR store = %(store)s)
      AND business_date >= %(first)s AND business_date <= %(last)s
    GROUP BY store, business_date
)
SELECT store, business_date,
       coalesce(closed.currency, recorded.currency, tills.currency, journals.currency) AS currency,
       closed.count, closed.amount, tills.count, tills.amount,
       coalesce(recorded.count, 0), coalesce(recorded.amount, 0),
       coalesce(journals.count, 0), coalesce(journals.amount, 0),
       coalesce(journals.posted_count, 0), coalesce(journals.posted_amount, 0),
       coalesce(journals.confirmed_count, 0), coalesce(journals.confirmed_amount, 0),
       coalesce(journals.unposted, '{}')
FROM recorded
FULL JOIN closed USING (store, business_date)
FULL JOIN tills USING (store, business_date)
FULL JOIN journals USING (store, business_date)
ORDER BY business_date, store

-- name: excepted
-- What waits in exceptions, by what it is and its currency. A conflict is no transaction of its own, and neither is a
-- correction; what has a warning only is recorded.
SELECT store, business_date, event_type, kind, currency, count(*), coalesce(sum(amount), 0)
FROM exception
WHERE state IN ('open', 'waiting', 'retrying', 'approval') AND severity = 'blocking' AND code <> 'duplicate_conflict'
  AND version = 1 AND store IS NOT NULL AND business_date IS NOT NULL
  AND (%(store)s::text IS NULL OR store = %(store)s)
  AND business_date >= %(first)s AND business_date <= %(last)s
GROUP BY store, business_date, event_type, kind, currency
ORDER BY store, business_date, event_type, kind, currency

-- name: gaps
-- Holes in a register's sequence numbers: within the span it has shown, and within the one its till closes claim.
SELECT store, business_date, register, lower(gap), upper(gap) - 1
FROM (
    SELECT store, business_date, register, min(first_sequence) AS first, max(last_sequence) AS last
    FROM till_close GROUP BY store, business_date, register
) AS claimed
FULL JOIN completeness AS seen USING (store, business_date, register),
     LATERAL (SELECT coalesce(seen.sequences, '{}') AS numbers) AS s,
     unnest(int8multirange(int8range(
         least(lower(s.numbers), claimed.first), greatest(upper(s.numbers), claimed.last + 1)
     )) - s.numbers) AS gap
WHERE (%(store)s::text IS NULL OR store = %(store)s)
  AND business_date >= %(first)s AND business_date <= %(last)s
  AND (claimed.first IS NOT NULL OR seen.sequences IS NOT NULL)
ORDER BY store, business_date, register, lower(gap)

-- name: exception_sequences
-- Numbers that are no gap: their transactions came and are in exceptions.
SELECT store, business_date, register, key FROM exception
WHERE state IN ('open', 'waiting', 'retrying', 'approval') AND severity = 'blocking' AND kind IS NOT NULL AND (%(store)s::text IS NULL OR store = %(store)s)
  AND business_date >= %(first)s AND business_date <= %(last)s

-- name: accepted
SELECT i.key, i.source, i.group_id, i.ordinal, g.received_at, g.body
FROM intake i JOIN intake_group g USING (group_id) WHERE i.key = %s

-- name: recorded
SELECT e.partition, e.event_offset, c.recorded_at
FROM event e
JOIN LATERAL (
    SELECT recorded_at FROM event_chunk c
    WHERE c.partition = e.partition AND c.first_offset <= e.event_offset ORDER BY c.first_offset DESC LIMIT 1
) AS c ON true
WHERE e.group_id = %s AND e.ordinal = %s

-- name: entries
SELECT component, code, currency, amount FROM ledger_entry
WHERE store = %s AND business_date = %s AND event_offset = %s ORDER BY component, code

-- name: movements
SELECT line, sku, reason, quantity FROM stock_movement
WHERE store = %s AND business_date = %s AND event_offset = %s ORDER BY line

-- name: journal
SELECT reference, state, document_id, document_number, transactions, amount, currency, built_at, sent_at, posted_at,
       confirmed_at, last_error
FROM journal
WHERE store = %s AND business_date = %s AND from_offset <= %s AND to_offset > %s

-- name: exceptions_of
SELECT exception_id, code, state, message, pointer, owner, raised_at FROM exception
WHERE key = %s AND source = %s ORDER BY exception_id

-- name: published
SELECT next_offset > %s FROM projection_position WHERE projection = 'relay' AND partition = %s
