-- name: listed
SELECT j.company, j.store, coalesce(convert_from((array_agg(m.body))[1], 'UTF8')::jsonb ->> 'region', '') AS region, j.currency,
       l.account, coalesce(l.kind, 'sale') AS kind, l.component, l.code, sum(l.debit - l.credit) AS amount,
       min(coalesce(l.original_date, j.business_date)) FILTER (WHERE j.kind <> 'reclassification') AS first,
       count(DISTINCT j.journal_id) FILTER (WHERE j.kind <> 'reclassification')::int AS journals
FROM journal_line l
JOIN journal j USING (journal_id)
LEFT JOIN master_record m ON m.type = 'tillwire.master.store.v1' AND m.id = j.store
WHERE l.rule = 'suspense' AND (%(reach)s::text[] IS NULL OR j.store = ANY(%(reach)s))
GROUP BY j.company, j.store, j.currency, l.account, coalesce(l.kind, 'sale'), l.component, l.code
HAVING sum(l.debit - l.credit) <> 0
ORDER BY abs(sum(l.debit - l.credit)) DESC, j.company, j.store, l.component, l.code

-- name: one_at_a_time
SELECT pg_advisory_xact_lock(1897988101)

-- name: before
SELECT count(*) FROM journal WHERE store = %s AND kind = 'reclassification'
