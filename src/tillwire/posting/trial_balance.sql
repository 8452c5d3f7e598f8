-- name: balances
SELECT j.company, j.currency, l.account, sum(l.debit - l.credit) AS built,
       coalesce(sum(l.debit - l.credit) FILTER (WHERE j.state = 'posted'), 0) AS posted
FROM journal j JOIN journal_line l USING (journal_id)
WHERE (%(company)s::text IS NULL OR j.company = %(company)s) AND (%(store)s::text IS NULL OR j.store = %(store)s)
  AND (%(reach)s::text[] IS NULL OR j.store = ANY(%(reach)s))
  AND j.business_date >= %(first)s AND j.business_date <= %(last)s
GROUP BY j.company, j.currency, l.account
ORDER BY j.company, j.currency, l.account
