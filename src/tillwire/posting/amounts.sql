-- name: reversals
-- What takes back a transaction that is in a journal already: the offset, that journal, and the rule book it was built by.
-- What it takes back is the last row of the same register and number before it, under the same business date of its own.
-- What sells nothing has no invoice where stores post such: it is in the payments.
SELECT d.day, s.event_offset, j.journal_id, j.rule_book
FROM unnest(%(days)b::int4[], %(stores)b::text[], %(dates)b::date[], %(froms)b::int8[], %(tos)b::int8[])
         AS d (day, store, business_date, from_offset, to_offset)
JOIN sale s ON s.store = d.store AND s.business_date = d.business_date
           AND s.event_offset >= d.from_offset AND s.event_offset < d.to_offset AND s.effect = -1
CROSS JOIN LATERAL (
    SELECT o.business_date, o.event_offset FROM sale o
    WHERE o.store = s.store AND o.business_date >= coalesce(s.original_date, s.business_date)
      AND o.business_date <= s.business_date AND o.register = s.register AND o.sequence = s.sequence AND o.effect = 1
      AND coalesce(o.original_date, o.business_date) = coalesce(s.original_date, s.business_date)
      AND o.event_offset < s.event_offset
    ORDER BY o.event_offset DESC LIMIT 1
) AS o
CROSS JOIN LATERAL (
    SELECT j.journal_id, j.rule_book FROM journal j
    WHERE j.store = s.store AND j.business_date = o.business_date AND j.currency = s.currency
      AND j.from_offset <= o.event_offset AND j.to_offset > o.event_offset
      AND (j.kind IN ('sales', 'invoice') OR j.kind = 'payments' AND j.reverses IS NULL)
    ORDER BY j.kind = 'payments' LIMIT 1
) AS j

-- name: entries
-- Entries added up by all that rules look at: of the whole range, or of each transaction. A rounding difference above the
-- bound is no rounding any more: it is in suspense. Fine: some amount is finer than the currency's minor unit.
SELECT day, item, reverses, currency, kind, component, code, original_date, foreign_currency,
       sum(amount), coalesce(sum(foreign_amount), 0), bool_or(scale(trim_scale(amount)) > digits)
FROM (
    SELECT d.day, CASE WHEN d.by_item THEN e.event_offset END AS item, r.reverses, e.currency, e.kind,
           CASE WHEN b.above THEN 'suspense' ELSE e.component END AS component,
           CASE WHEN b.above THEN 'rounding' ELSE e.qualified END AS code,
           e.original_date, e.tender_currency AS foreign_currency, e.amount, e.foreign_amount, b.digits
    FROM unnest(%(days)b::int4[], %(stores)b::text[], %(dates)b::date[], %(froms)b::int8[], %(tos)b::int8[],
                %(by_item)b::bool[]) AS d (day, store, business_date, from_offset, to_offset, by_item)
    JOIN ledger_entry e ON e.store = d.store AND e.business_date = d.business_date
                       AND e.event_offset >= d.from_offset AND e.event_offset < d.to_offset
    LEFT JOIN unnest(%(reversal_days)s::int4[], %(reversal_offsets)s::int8[], %(reversal_journals)s::int8[])
         AS r (day, event_offset, reverses) ON r.day = d.day AND r.event_offset = e.event_offset
    LEFT JOIN unnest(%(currencies)s::text[], %(digits)s::int4[]) AS c (currency, digits) ON c.currency = e.currency
    CROSS JOIN LATERAL (
        SELECT coalesce(c.digits, 2) AS digits,
               e.component = 'rounding' AND e.qualified = 'tolerance'
               AND abs(e.amount) * power(10::numeric, coalesce(c.digits, 2)) > %(most_units)s::numeric AS above
    ) AS b
) AS entry
GROUP BY day, item, reverses, currency, kind, component, code, original_date, foreign_currency
ORDER BY day, item, reverses NULLS FIRST, currency, original_date NULLS FIRST, component, code, kind

-- name: ragged
-- Every entry of the transactions that have an amount finer than the minor unit.
SELECT d.day, CASE WHEN d.by_item THEN e.event_offset END, r.reverses, e.currency, e.event_offset, e.kind, e.component,
       e.qualified, e.original_date, e.tender_currency, e.amount
FROM unnest(%(days)b::int4[], %(stores)b::text[], %(dates)b::date[], %(froms)b::int8[], %(tos)b::int8[],
            %(by_item)b::bool[]) AS d (day, store, business_date, from_offset, to_offset, by_item)
JOIN sale s ON s.store = d.store AND s.business_date = d.business_date
           AND s.event_offset >= d.from_offset AND s.event_offset < d.to_offset
LEFT JOIN unnest(%(currencies)s::text[], %(digits)s::int4[]) AS c (currency, digits) ON c.currency = s.currency
JOIN ledger_entry e ON e.store = s.store AND e.business_date = s.business_date AND e.event_offset = s.event_offset
LEFT JOIN unnest(%(reversal_days)s::int4[], %(reversal_offsets)s::int8[], %(reversal_journals)s::int8[])
     AS r (day, event_offset, reverses) ON r.day = d.day AND r.event_offset = e.event_offset
WHERE EXISTS (SELECT FROM unnest(s.amounts) AS a (amount) WHERE scale(trim_scale(a.amount)) > coalesce(c.digits, 2))
ORDER BY d.day, e.event_offset, e.component, e.qualified

-- name: totals
SELECT d.day, CASE WHEN d.by_item THEN s.event_offset END, r.reverses, s.currency, sum(s.effect)::int8, sum(s.total)
FROM unnest(%(days)b::int4[], %(stores)b::text[], %(dates)b::date[], %(froms)b::int8[], %(tos)b::int8[],
            %(by_item)b::bool[]) AS d (day, store, business_date, from_offset, to_offset, by_item)
JOIN sale s ON s.store = d.store AND s.business_date = d.business_date
           AND s.event_offset >= d.from_offset AND s.event_offset < d.to_offset
LEFT JOIN unnest(%(reversal_days)s::int4[], %(reversal_offsets)s::int8[], %(reversal_journals)s::int8[])
     AS r (day, event_offset, reverses) ON r.day = d.day AND r.event_offset = s.event_offset
WHERE s.kind = ANY(%(selling)s)
GROUP BY 1, 2, 3, 4

-- name: redemptions
-- Gift cards taken by the stores, with the company that sold each, if that is known by now. Code: as the entry has it.
SELECT d.day, CASE WHEN d.by_item THEN g.event_offset END, r.reverses, g.currency, g.event_offset, s.kind,
       s.original_date, g.number, g.redeemed,
       (SELECT i.company FROM gift_card i WHERE i.number = g.number AND i.sold > 0
        ORDER BY i.business_date, i.partition, i.event_offset LIMIT 1),
       coalesce((SELECT e.qualified FROM ledger_entry e
                 WHERE e.store = g.store AND e.business_date = g.business_date AND e.event_offset = g.event_offset
                   AND e.component = 'tender' AND e.code = 'gift_card' ORDER BY e.qualified LIMIT 1), 'gift_card')
FROM unnest(%(days)b::int4[], %(stores)b::text[], %(dates)b::date[], %(froms)b::int8[], %(tos)b::int8[],
            %(by_item)b::bool[]) AS d (day, store, business_date, from_offset, to_offset, by_item)
JOIN gift_card g ON g.store = d.store AND g.business_date = d.business_date AND g.redeemed <> 0
                AND g.event_offset >= d.from_offset AND g.event_offset < d.to_offset
JOIN sale s ON s.store = g.store AND s.business_date = g.business_date AND s.event_offset = g.event_offset
LEFT JOIN unnest(%(reversal_days)s::int4[], %(reversal_offsets)s::int8[], %(reversal_journals)s::int8[])
     AS r (day, event_offset, reverses) ON r.day = d.day AND r.event_offset = g.event_offset
ORDER BY d.day, g.event_offset, g.number
