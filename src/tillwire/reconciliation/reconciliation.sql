-- name: days
-- Captured by the source (its own control totals), recorded, in journals, posted, confirmed by reading the ERP back:
-- per store, business date and currency, transactions that sell and their totals. Adjusted is what late arrivals of
-- other days brought into the day's journals, less what its own took to a later day's.
WITH recorded AS (
    SELECT store, business_date, currency, sum(selling)::int8 AS count, sum(amount) AS amount
    FROM completeness
    WHERE (%(store)s::text IS NULL OR store = %(store)s) AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
      AND business_date >= %(first)s AND business_date <= %(last)s
    GROUP BY store, business_date, currency
), closed AS (
    SELECT store, business_date, currency, transactions AS count, amount
    FROM store_day
    WHERE closed_offset IS NOT NULL AND (%(store)s::text IS NULL OR store = %(store)s) AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
      AND business_date >= %(first)s AND business_date <= %(last)s
), tills AS (
    SELECT store, business_date, currency, sum(transactions)::int8 AS count, sum(amount) AS amount
    FROM till_close
    WHERE (%(store)s::text IS NULL OR store = %(store)s) AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
      AND business_date >= %(first)s AND business_date <= %(last)s
    GROUP BY store, business_date, currency
), adjusted AS (
    SELECT l.store, d.business_date, l.currency, sum(d.sign * l.transactions)::int8 AS count,
           sum(d.sign * l.amount) AS amount
    FROM late_arrival l, LATERAL (VALUES (l.posted_date, 1), (l.business_date, -1)) AS d (business_date, sign)
    WHERE l.posted_date <> l.business_date AND (%(store)s::text IS NULL OR l.store = %(store)s)
      AND (%(reach)s::text[] IS NULL OR l.store = ANY(%(reach)s))
      AND d.business_date >= %(first)s AND d.business_date <= %(last)s
    GROUP BY l.store, d.business_date, l.currency
), journals AS (
    SELECT store, business_date, currency,
           sum(transactions)::int8 AS count, sum(amount) AS amount,
           coalesce(sum(transactions) FILTER (WHERE state = 'posted'), 0)::int8 AS posted_count,
           coalesce(sum(amount) FILTER (WHERE state = 'posted'), 0) AS posted_amount,
           coalesce(sum(transactions) FILTER (WHERE state = 'posted' AND confirmed_at IS NOT NULL), 0)::int8 AS confirmed_count,
           coalesce(sum(amount) FILTER (WHERE state = 'posted' AND confirmed_at IS NOT NULL), 0) AS confirmed_amount,
           array_agg(DISTINCT state) FILTER (WHERE state <> 'posted') AS unposted,
           count(*) FILTER (WHERE state = 'posted' AND confirmed_at IS NULL) AS unconfirmed
    FROM journal
    WHERE kind NOT IN ('stock', 'reclassification') AND (%(store)s::text IS NULL OR store = %(store)s) AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
      AND business_date >= %(first)s AND business_date <= %(last)s
    GROUP BY store, business_date, currency
)
SELECT store, business_date, currency, closed.count, closed.amount, tills.count, tills.amount,
       coalesce(recorded.count, 0), coalesce(recorded.amount, 0),
       coalesce(journals.count, 0), coalesce(journals.amount, 0),
       coalesce(journals.posted_count, 0), coalesce(journals.posted_amount, 0),
       coalesce(journals.confirmed_count, 0), coalesce(journals.confirmed_amount, 0),
       coalesce(adjusted.count, 0), coalesce(adjusted.amount, 0),
       coalesce(journals.unposted, '{}'), coalesce(journals.unconfirmed, 0)
FROM recorded
FULL JOIN closed USING (store, business_date, currency)
FULL JOIN tills USING (store, business_date, currency)
FULL JOIN journals USING (store, business_date, currency)
FULL JOIN adjusted USING (store, business_date, currency)
ORDER BY business_date, store, currency

-- name: late
-- What arrived after its day was closed, by the day it is posted to.
SELECT store, business_date, posted_date, currency, count(*), sum(transactions)::int8, sum(amount)
FROM late_arrival
WHERE (%(store)s::text IS NULL OR store = %(store)s) AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
  AND business_date >= %(first)s AND business_date <= %(last)s
GROUP BY store, business_date, posted_date, currency
ORDER BY business_date, store, posted_date, currency

-- name: orders_twice
-- Orders whose sale two systems, or two channels, have reported, and neither sale is voided.
WITH in_force AS (
    SELECT o.company, o.order_number, o.source, o.channel, o.key, o.store, o.business_date
    FROM order_sale o
    WHERE o.order_number IN (
            SELECT order_number FROM order_sale
            WHERE (%(store)s::text IS NULL OR store = %(store)s) AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
              AND business_date >= %(first)s AND business_date <= %(last)s
        )
      AND NOT EXISTS (SELECT FROM reference_to r WHERE r.original = o.key HAVING sum(r.voids) > 0)
    GROUP BY o.company, o.order_number, o.source, o.channel, o.key, o.store, o.business_date
    HAVING sum(o.effect) > 0
)
SELECT a.store, a.business_date, a.order_number, a.key,
       CASE WHEN %(reach)s::text[] IS NULL OR b.store = ANY(%(reach)s) THEN b.key END, b.source
FROM in_force a
JOIN in_force b USING (company, order_number)
WHERE (a.key, a.source) > (b.key, b.source) AND (%(reach)s::text[] IS NULL OR a.store = ANY(%(reach)s))
  AND (a.source <> b.source OR a.channel <> '' AND b.channel <> '' AND a.channel <> b.channel)
ORDER BY a.store, a.business_date, a.order_number

-- name: excepted
-- What waits in exceptions, by what it is and its currency. A conflict is no transaction of its own; of several versions
-- that wait only the newest counts; what has a warning only is recorded; one whose predecessor is recorded is no further transaction but a correction.
WITH waiting AS (
    SELECT x.*, x.entity AS base
    FROM exception x
    WHERE state IN ('open', 'waiting', 'retrying', 'approval') AND severity = 'blocking' AND code <> 'duplicate_conflict'
      AND group_id IS NOT NULL AND store IS NOT NULL AND business_date IS NOT NULL
      AND (%(store)s::text IS NULL OR store = %(store)s) AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
      AND business_date >= %(first)s AND business_date <= %(last)s
), newest AS (
    SELECT DISTINCT ON (source, base, CASE WHEN kind IS NULL THEN exception_id END) *
    FROM waiting
    ORDER BY source, base, CASE WHEN kind IS NULL THEN exception_id END, version DESC
)
SELECT store, business_date, event_type, CASE WHEN corrects THEN 'correction of a ' || kind ELSE kind END AS kind, currency,
       count(*), coalesce(sum(amount), 0)
FROM (
    SELECT n.*, kind IS NOT NULL AND version > 1 AND EXISTS (
        SELECT FROM event e JOIN (
            SELECT group_id, ordinal, source FROM intake WHERE intake.key = n.base
            UNION ALL
            SELECT group_id, ordinal, source FROM intake
            WHERE intake.key > n.base || '@' AND intake.key < n.base || 'A'
        ) AS i ON e.group_id = i.group_id AND e.ordinal = i.ordinal
        WHERE i.source = n.source
    ) AS corrects
    FROM newest n
) AS judged
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5

-- name: gaps
-- Holes in a register's sequence numbers, where its till closes say which numbers it used: within the span that it has
-- shown, and within the one claimed. Registers that claim none (an order's number is no sequence) have no gaps.
SELECT store, business_date, register, lower(gap), upper(gap) - 1
FROM (
    SELECT store, business_date, register, min(first_sequence) AS first, max(last_sequence) AS last
    FROM till_close
    WHERE first_sequence IS NOT NULL OR last_sequence IS NOT NULL
    GROUP BY store, business_date, register
) AS claimed
LEFT JOIN (
    SELECT store, business_date, register, range_agg(sequences) AS sequences
    FROM completeness GROUP BY store, business_date, register
) AS seen USING (store, business_date, register),
     LATERAL (SELECT coalesce(seen.sequences, '{}') AS numbers) AS s,
     unnest(int8multirange(int8range(
         least(lower(s.numbers), claimed.first), greatest(upper(s.numbers), claimed.last + 1)
     )) - s.numbers) AS gap
WHERE (%(store)s::text IS NULL OR store = %(store)s) AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
  AND business_date >= %(first)s AND business_date <= %(last)s
ORDER BY store, business_date, register, lower(gap)

-- name: exception_sequences
-- Numbers that are no gap: their transactions came and are in exceptions.
SELECT store, business_date, register, entity FROM exception
WHERE state IN ('open', 'waiting', 'retrying', 'approval') AND severity = 'blocking' AND kind IS NOT NULL AND (%(store)s::text IS NULL OR store = %(store)s) AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
  AND business_date >= %(first)s AND business_date <= %(last)s

-- name: accepted
SELECT i.key, i.source, i.group_id, i.ordinal, g.received_at, g.body
FROM (
    SELECT * FROM intake WHERE intake.key = %(key)s
    UNION ALL
    SELECT * FROM intake WHERE intake.key > %(key)s || '@' AND intake.key < %(key)s || 'A'
) AS i
JOIN intake_group g USING (group_id)
ORDER BY i.source, length(i.key), i.key

-- name: recorded
SELECT e.partition, e.event_offset, c.recorded_at
FROM event e
JOIN LATERAL (
    SELECT recorded_at FROM event_chunk c
    WHERE c.partition = e.partition AND c.first_offset <= e.event_offset ORDER BY c.first_offset DESC LIMIT 1
) AS c ON true
WHERE e.group_id = %s AND e.ordinal = %s

-- name: entries
SELECT component, code, currency, amount, original_date FROM ledger_entry
WHERE store = %s AND business_date = %s AND event_offset = %s ORDER BY component, code

-- name: movements
SELECT line, sku, reason, quantity, bucket FROM stock_movement
WHERE store = %s AND business_date = %s AND event_offset = %s ORDER BY line

-- name: journals
-- The one that counts the transaction first, then those beside it (payments, stock, another company's).
SELECT reference, state, document_id, document_number, transactions, amount, currency, built_at, sent_at, posted_at,
       confirmed_at, last_error, kind, erp, posting_date
FROM journal
WHERE store = %s AND business_date = %s AND from_offset <= %s AND to_offset > %s
ORDER BY CASE kind WHEN 'sales' THEN 1 WHEN 'invoice' THEN 1 WHEN 'reversal' THEN 2 ELSE 3 END, journal_id

-- name: exceptions_of
SELECT exception_id, code, state, message, pointer, owner, raised_at FROM exception
WHERE key = %s AND source = %s ORDER BY exception_id

-- name: published
SELECT next_offset > %s FROM projection_position WHERE projection = 'relay' AND partition = %s

-- name: posted_date
SELECT posted_date FROM late_arrival WHERE store = %s AND business_date = %s AND event_offset = %s

-- name: version
SELECT version, outcome, by_version FROM version WHERE partition = %s AND event_offset = %s AND outcome <> 'reversed'

-- name: reversal
SELECT v.partition, v.event_offset, v.by_version, c.recorded_at
FROM version v
CROSS JOIN LATERAL (
    SELECT recorded_at FROM event_chunk c
    WHERE c.partition = v.partition AND c.first_offset <= v.event_offset ORDER BY c.first_offset DESC LIMIT 1
) AS c
WHERE v.key = %s AND v.source = %s AND v.version = %s AND v.outcome = 'reversed'

-- name: did_to_others
SELECT original, voids, skus, quantities FROM reference_to WHERE partition = %s AND event_offset = %s ORDER BY original

-- name: done_by_others
-- A key begins with its store.
SELECT by_key, voids, skus, quantities FROM reference_to
WHERE original = %(key)s AND (%(reach)s::text[] IS NULL OR split_part(by_key, '/', 1) = ANY(%(reach)s))
ORDER BY partition, event_offset
