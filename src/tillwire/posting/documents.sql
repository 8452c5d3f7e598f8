-- name: headers
SELECT j.journal_id, j.reference, j.kind, j.company, j.store, j.business_date, j.posting_date, j.currency, j.version,
       j.transactions, o.reference, b.body
FROM journal j
LEFT JOIN journal o ON o.journal_id = j.reverses
LEFT JOIN document_body b ON b.journal_id = j.journal_id
WHERE j.journal_id = ANY(%s)

-- name: erp_lines
-- Lines from before there were ERP lines are each one of their own. At most three of its parts name a line.
SELECT journal_id, account, sum(debit - credit),
       (array_agg(dimensions ORDER BY line))[1],
       (array_agg(DISTINCT component || ' ' || split_part(code, ';', 1)))[1:3],
       CASE WHEN count(*) = count(original_date) AND min(original_date) = max(original_date) THEN min(original_date) END,
       sum(foreign_amount),
       CASE WHEN count(*) = count(foreign_currency) AND min(foreign_currency) = max(foreign_currency)
            THEN min(foreign_currency) END
FROM journal_line
WHERE journal_id = ANY(%s)
GROUP BY journal_id, account, coalesce(erp_line, line)
ORDER BY journal_id, coalesce(erp_line, line)
