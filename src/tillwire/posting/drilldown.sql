-- name: head
SELECT j.reference, j.kind, j.state, j.erp, j.company, j.store, j.business_date, j.posting_date, j.currency,
       j.transactions, j.amount, o.reference AS reverses, j.document_number, j.rule_book, j.built_at, j.posted_at,
       j.last_error
FROM journal j LEFT JOIN journal o ON o.journal_id = j.reverses
WHERE j.reference = %s

-- name: lines
SELECT coalesce(l.erp_line, l.line), l.account, sum(l.debit - l.credit), (array_agg(l.dimensions ORDER BY l.line))[1],
       array_agg(l.component || ' ' || l.code || coalesce(' (' || l.kind || ')', '') ORDER BY l.line)
FROM journal j JOIN journal_line l USING (journal_id)
WHERE j.reference = %s
GROUP BY 1, 2
ORDER BY 1

-- name: parts
-- Entries of the journal's range that are in the line. What takes back something that was in an earlier journal is in the
-- reversal of that one, and in no other. Claims between companies are by gift card, receivables by invoice.
WITH j AS (
    SELECT * FROM journal WHERE reference = %(reference)s
), wanted AS (
    SELECT l.* FROM journal_line l JOIN j USING (journal_id) WHERE coalesce(l.erp_line, l.line) = %(line)s
), entry AS (
    SELECT e.*, s.register, s.sequence, s.effect, earlier.journal_id AS takes_back
    FROM j
    JOIN ledger_entry e ON e.store = j.store AND e.business_date = j.business_date AND e.currency = j.currency
                       AND e.event_offset >= j.from_offset AND e.event_offset < j.to_offset
    JOIN sale s ON s.store = e.store AND s.business_date = e.business_date AND s.event_offset = e.event_offset
    LEFT JOIN LATERAL (
        SELECT p.journal_id
        FROM sale o
        JOIN journal p ON p.store = o.store AND p.business_date = o.business_date AND p.currency = s.currency
                      AND p.from_offset <= o.event_offset AND p.to_offset > o.event_offset
                      AND p.kind IN ('sales', 'invoice')
        WHERE s.effect = -1 AND o.store = s.store
          AND o.business_date >= coalesce(s.original_date, s.business_date) AND o.business_date <= s.business_date
          AND o.register = s.register AND o.sequence = s.sequence AND o.effect = 1
          AND coalesce(o.original_date, o.business_date) = coalesce(s.original_date, s.business_date)
          AND o.event_offset < s.event_offset
        ORDER BY o.event_offset DESC LIMIT 1
    ) AS earlier ON true
), own AS (
    -- A journal that takes back has what takes back of that one; another has what no such journal of the range has: what
    -- was built together with what it takes back is in none. Payments have such journals of their own, if any.
    SELECT e.* FROM entry e, j
    WHERE CASE WHEN j.reverses IS NOT NULL THEN e.takes_back = j.reverses
               ELSE e.takes_back IS NULL OR j.kind = 'intercompany' OR NOT EXISTS (
                   SELECT FROM journal r
                   WHERE r.reverses = e.takes_back AND r.store = e.store AND r.business_date = e.business_date
                     AND r.from_offset <= e.event_offset AND r.to_offset > e.event_offset
                     AND (r.kind = 'payments') = (j.kind = 'payments')
               ) END
)
SELECT * FROM (
    SELECT CASE WHEN e.sequence IS NULL THEN e.store || '/' || e.register || '/' || e.business_date || '/till-close'
                ELSE e.store || '/' || e.register || '/' || coalesce(e.original_date, e.business_date) || '/' || e.sequence
           END AS key,
           e.kind, e.component, e.qualified AS code, e.amount, e.original_date
    FROM own e
    JOIN wanted l ON l.component = e.component AND l.code = e.qualified AND l.kind = e.kind
                 AND l.original_date IS NOT DISTINCT FROM e.original_date
                 AND l.foreign_currency IS NOT DISTINCT FROM e.tender_currency
    WHERE (SELECT kind FROM j) NOT IN ('intercompany', 'reclassification')
    UNION ALL
    SELECT e.store || '/' || e.register || '/' || coalesce(e.original_date, e.business_date) || '/' || e.sequence, e.kind,
           e.component, e.qualified, e.amount, e.original_date
    FROM own e JOIN wanted l ON l.component = 'suspense' AND l.code = 'rounding' AND l.kind = e.kind
    WHERE e.component = 'rounding' AND e.qualified = 'tolerance'
    UNION ALL
    SELECT 'gift card ' || c.number || ' in ' || j.store, c.kind, l.component, l.code,
           CASE WHEN l.component = 'liability' OR l.component = 'intercompany' AND j.kind <> 'intercompany'
                THEN c.amount ELSE -c.amount END,
           c.original_date
    FROM j
    JOIN intercompany_claim c USING (journal_id)
    JOIN wanted l ON l.kind = c.kind AND l.original_date IS NOT DISTINCT FROM c.original_date
                 AND (j.kind = 'intercompany' OR l.component = 'tender' AND l.code = c.code
                      OR l.component = 'intercompany' AND l.code = c.issuer)
    UNION ALL
    SELECT i.reference, l.kind, l.component, l.code,
           CASE WHEN i.journal_id = j.journal_id THEN r.debit - r.credit ELSE r.credit - r.debit END, r.original_date
    FROM j
    JOIN wanted l ON l.component = 'receivable'
    JOIN journal i ON i.store = j.store AND i.business_date = j.business_date AND i.currency = j.currency
                  AND i.kind = 'invoice' AND i.from_offset >= j.from_offset AND i.to_offset <= j.to_offset
                  AND CASE WHEN j.reverses IS NOT NULL THEN i.reverses = j.reverses
                           ELSE i.reverses IS NULL OR NOT EXISTS (
                               SELECT FROM journal r
                               WHERE r.reverses = i.reverses AND r.kind = 'payments' AND r.store = i.store
                                 AND r.business_date = i.business_date
                                 AND r.from_offset <= i.from_offset AND r.to_offset >= i.to_offset
                           ) END
    JOIN journal_line r ON r.journal_id = i.journal_id AND r.component = 'receivable'
                       AND r.original_date IS NOT DISTINCT FROM l.original_date
) AS part
WHERE amount <> 0
ORDER BY key, component, code
LIMIT %(most)s
