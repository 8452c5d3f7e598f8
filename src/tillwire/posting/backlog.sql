-- name: figures
-- What is not in the books yet, by where it goes or went.
SELECT company, erp, state, currency, count(*), sum(amount), min(business_date), min(built_at),
       min(accepted_at) FILTER (WHERE state = 'accepted')
FROM journal WHERE state <> 'posted' AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
GROUP BY company, erp, state, currency

-- name: stores
-- Stores with journals that wait for an ERP or are under way there, those that wait longest first.
SELECT store, count(*) OVER ()::int8 FROM journal
WHERE ((state = 'built' AND company = ANY(%(companies)s)) OR (state IN ('sent', 'accepted', 'unknown') AND erp = %(erp)s))
  AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
GROUP BY store
ORDER BY min(business_date), store LIMIT %(most)s

-- name: gates
SELECT erp, opened_at, coalesce(reason, ''),
       CASE WHEN paused_until > statement_timestamp() THEN paused_until END,
       CASE WHEN arrival > statement_timestamp()
            THEN extract(epoch FROM arrival - statement_timestamp())::float8 ELSE 0 END,
       probe_at, alert IS NOT NULL
FROM erp_gate

-- name: tell
-- One process of all tells people: when what there is to tell changes, and again after so many minutes. What no ERP
-- serves has a row of its own once there is something to tell of it.
INSERT INTO erp_gate (erp, alert, alerted_at)
SELECT %(erp)s, %(alert)s, statement_timestamp()
WHERE %(alert)s::text IS NOT NULL OR EXISTS (SELECT FROM erp_gate WHERE erp = %(erp)s)
ON CONFLICT (erp) DO UPDATE SET alert = excluded.alert, alerted_at = excluded.alerted_at
WHERE erp_gate.alert IS DISTINCT FROM excluded.alert
   OR (excluded.alert IS NOT NULL
       AND erp_gate.alerted_at < statement_timestamp() - make_interval(mins => %(minutes)s))
RETURNING true

-- name: at_stake
SELECT company, erp, store, business_date, currency, sum(amount) FROM journal
WHERE state <> 'posted' AND kind <> 'stock'
GROUP BY company, erp, store, business_date, currency
