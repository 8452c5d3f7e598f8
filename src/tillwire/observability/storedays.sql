-- name: newest_date
SELECT max(business_date) FROM completeness

-- name: standings
-- Store days as far as they have come. A day that nothing is known of has no row; of several currencies one each.
WITH day AS (
    SELECT * FROM unnest(%(stores)s::text[], %(dates)s::date[]) AS d (store, business_date)
), standing AS (
    SELECT d.store, d.business_date, s.closed_offset IS NOT NULL AS closed,
           greatest(coalesce(s.transactions, 0), coalesce(r.selling, 0) + coalesce(x.selling, 0)) AS expected,
           coalesce(j.posted, 0) AS posted,
           s.closed_offset IS NOT NULL AND coalesce(x.held, 0) = 0 AND coalesce(j.unposted, 0) = 0
               AND NOT EXISTS (SELECT FROM posting_due p WHERE p.store = d.store AND p.business_date = d.business_date)
               AS complete,
           s.store IS NOT NULL OR r.selling IS NOT NULL OR x.held > 0 AS known
    FROM day d
    LEFT JOIN store_day s USING (store, business_date)
    CROSS JOIN LATERAL (
        SELECT sum(selling)::int8 AS selling FROM completeness
        WHERE store = d.store AND business_date = d.business_date
    ) AS r
    CROSS JOIN LATERAL (
        SELECT count(*) AS held,
               count(*) FILTER (WHERE kind IN ('sale', 'return', 'exchange', 'post_void') AND journal_id IS NULL) AS selling
        FROM exception
        WHERE store = d.store AND business_date = d.business_date
          AND state IN ('open', 'waiting', 'retrying', 'approval') AND severity = 'blocking'
          AND code <> 'duplicate_conflict'
    ) AS x
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(transactions) FILTER (WHERE state = 'posted'), 0)::int8 AS posted,
               count(*) FILTER (WHERE state <> 'posted') AS unposted
        FROM journal
        WHERE store = d.store AND business_date = d.business_date AND kind NOT IN ('stock', 'reclassification')
    ) AS j
)
SELECT n.store, n.business_date, n.closed, n.expected, n.posted, n.complete, m.currency, m.amount
FROM standing n
LEFT JOIN LATERAL (
    SELECT currency, sum(amount) AS amount FROM (
        SELECT currency, sum(amount) AS amount FROM completeness
        WHERE store = n.store AND business_date = n.business_date GROUP BY currency
        UNION ALL
        SELECT currency, sum(abs(amount)) FROM exception
        WHERE store = n.store AND business_date = n.business_date AND amount IS NOT NULL AND currency IS NOT NULL
          AND state IN ('open', 'waiting', 'retrying', 'approval') AND severity = 'blocking' AND journal_id IS NULL
          AND code <> 'duplicate_conflict'
        GROUP BY currency
        UNION ALL
        SELECT currency, -sum(amount) FROM journal
        WHERE store = n.store AND business_date = n.business_date AND state = 'posted'
          AND kind NOT IN ('stock', 'reclassification', 'intercompany')
        GROUP BY currency
    ) AS parts
    GROUP BY currency
) AS m ON NOT n.complete AND m.amount <> 0
WHERE n.known

-- name: judge
INSERT INTO day_judged (objective, store, business_date, due_at, complete)
SELECT %(objective)s, * FROM unnest(%(stores)s::text[], %(dates)s::date[], %(dues)s::timestamptz[], %(complete)s::bool[])
ON CONFLICT DO NOTHING
RETURNING store, complete

-- name: forget
DELETE FROM day_judged WHERE due_at < %s
