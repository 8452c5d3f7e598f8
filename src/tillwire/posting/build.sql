-- name: add_journals
-- A journal without lines (all amounts zero) has nothing to post: it is done as it is built. One whose period is closed,
-- and that may not or cannot go to a later one, is kept back.
INSERT INTO journal (reference, kind, company, store, business_date, posting_date, version, currency, partition, lane,
                     from_offset, to_offset, transactions, amount, reverses, rule_book, state, posted_at, confirmed_at,
                     rejection, last_error)
SELECT reference, kind, company, store, business_date, posting_date, version, currency, partition, lane, from_offset,
       to_offset, transactions, amount, reverses, rule_book,
       CASE WHEN empty THEN 'posted' WHEN refused THEN 'rejected' ELSE 'built' END,
       CASE WHEN empty THEN clock_timestamp() END, CASE WHEN empty THEN clock_timestamp() END,
       CASE WHEN refused AND NOT empty THEN 'closed_period' END,
       CASE WHEN refused AND NOT empty
            THEN 'the period of ' || business_date || ' is closed in ' || company || ', and it may go to no later one' END
FROM unnest(%(references)b::text[], %(kinds)b::text[], %(companies)b::text[], %(stores)b::text[], %(dates)b::date[],
            %(posting_dates)s::date[], %(versions)b::int4[], %(currencies)b::text[], %(partitions)b::int2[],
            %(lanes)b::int2[], %(froms)b::int8[], %(tos)b::int8[], %(transactions)b::int8[], %(amounts)s::numeric[],
            %(reverses)s::int8[], %(books)b::int4[], %(empty)b::bool[], %(refused)b::bool[])
    AS j (reference, kind, company, store, business_date, posting_date, version, currency, partition, lane, from_offset,
          to_offset, transactions, amount, reverses, rule_book, empty, refused)
RETURNING reference, journal_id

-- name: copy_lines
COPY journal_line (journal_id, line, account, debit, credit, component, code, original_date, kind, erp_line, dimensions,
                   rule, foreign_amount, foreign_currency)
FROM STDIN

-- name: add_body
INSERT INTO document_body (journal_id, body) VALUES (%s, %s)

-- name: add_claim
INSERT INTO intercompany_claim (journal_id, event_offset, number, issuer, kind, code, original_date, amount)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)

-- name: versions
SELECT store, business_date, max(version) FROM journal
JOIN unnest(%(stores)b::text[], %(dates)b::date[]) AS d (store, business_date) USING (store, business_date)
GROUP BY store, business_date
