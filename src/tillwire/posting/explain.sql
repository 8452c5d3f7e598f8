-- name: rows_of
-- What a transaction (or, without a number, a register's till closes) has in the subledger: a row for each version and for
-- what took one back, on the day it is posted to.
SELECT s.store, s.business_date, s.event_offset, s.effect, s.original_date, coalesce(s.kind, 'till') AS kind, s.currency,
       coalesce(convert_from(m.body, 'UTF8')::jsonb ->> 'company', '') AS company,
       coalesce(convert_from(m.body, 'UTF8')::jsonb ->> 'region', '') AS region
FROM sale s
LEFT JOIN master_record m ON m.type = 'tillwire.master.store.v1' AND m.id = s.store
WHERE s.store = %(store)s AND s.register = %(register)s AND s.sequence IS NOT DISTINCT FROM %(sequence)s
  AND (s.business_date = %(day)s OR s.business_date IN (
      SELECT posted_date FROM late_arrival WHERE store = %(store)s AND business_date = %(day)s
  ))
  AND coalesce(s.original_date, s.business_date) = %(day)s
ORDER BY s.event_offset

-- name: entries_of
SELECT component, qualified, amount FROM ledger_entry
WHERE store = %s AND business_date = %s AND event_offset = %s

-- name: cards_of
-- Gift cards that were paid with, and the company that sold each, if that is known.
SELECT g.number, g.redeemed,
       (SELECT i.company FROM gift_card i WHERE i.number = g.number AND i.sold > 0
        ORDER BY i.business_date, i.partition, i.event_offset LIMIT 1),
       coalesce((SELECT e.qualified FROM ledger_entry e
                 WHERE e.store = g.store AND e.business_date = g.business_date AND e.event_offset = g.event_offset
                   AND e.component = 'tender' AND e.code = 'gift_card' ORDER BY e.qualified LIMIT 1), 'gift_card')
FROM gift_card g
WHERE g.store = %s AND g.business_date = %s AND g.event_offset = %s AND g.redeemed <> 0
ORDER BY g.number

-- name: journaled
-- The lines of journals that hold the event's entries. What takes back something of an earlier journal is in the reversal
-- of that one (as building has it, posting/amounts.sql).
SELECT l.component, l.code, j.reference, j.state, j.rule_book, l.account, coalesce(l.rule, ''), l.dimensions
FROM sale s
LEFT JOIN LATERAL (
    SELECT p.journal_id
    FROM sale o
    JOIN journal p ON p.store = o.store AND p.business_date = o.business_date AND p.currency = s.currency
                  AND p.from_offset <= o.event_offset AND p.to_offset > o.event_offset AND p.kind IN ('sales', 'invoice')
    WHERE s.effect = -1 AND o.store = s.store
      AND o.business_date >= coalesce(s.original_date, s.business_date) AND o.business_date <= s.business_date
      AND o.register = s.register AND o.sequence = s.sequence AND o.effect = 1
      AND coalesce(o.original_date, o.business_date) = coalesce(s.original_date, s.business_date)
      AND o.event_offset < s.event_offset
    ORDER BY o.event_offset DESC LIMIT 1
) AS earlier ON true
JOIN journal j ON j.store = s.store AND j.business_date = s.business_date AND j.currency = s.currency
              AND j.from_offset <= s.event_offset AND j.to_offset > s.event_offset
              AND j.kind IN ('sales', 'payments', 'reversal', 'invoice')
              AND CASE WHEN j.reverses IS NOT NULL THEN earlier.journal_id = j.reverses
                       ELSE earlier.journal_id IS NULL OR NOT EXISTS (
                           SELECT FROM journal r
                           WHERE r.reverses = earlier.journal_id AND r.store = s.store AND r.business_date = s.business_date
                             AND r.from_offset <= s.event_offset AND r.to_offset > s.event_offset
                             AND (r.kind = 'payments') = (j.kind = 'payments')
                       ) END
JOIN journal_line l ON l.journal_id = j.journal_id AND (l.kind IS NULL OR l.kind = coalesce(s.kind, 'till'))
                   AND l.original_date IS NOT DISTINCT FROM s.original_date
WHERE s.store = %s AND s.business_date = %s AND s.event_offset = %s
ORDER BY j.journal_id, l.line
