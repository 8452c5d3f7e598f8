-- name: seen
-- Whatever the ledger has had to map so far, by store, and when last.
SELECT store, component, qualified, kind, max(business_date) FROM ledger_entry GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
