-- Views over projections. Made anew after every migration and whenever a replay has swapped tables.

-- Codes of taxes and tenders carry what accounting rules also look at: tax;rate;jurisdiction, tender;currency;acquirer.
CREATE OR REPLACE VIEW ledger_entry AS
SELECT s.store, s.business_date, s.event_offset, e.component,
       CASE WHEN e.component IN ('tax', 'tender', 'change') THEN split_part(e.code, ';', 1) ELSE e.code END AS code,
       s.currency, e.amount, s.original_date, e.code AS qualified, coalesce(s.kind, 'till') AS kind,
       CASE WHEN e.component = 'tax' THEN nullif(split_part(e.code, ';', 2), '')::numeric END AS rate,
       CASE WHEN e.component = 'tax' THEN substring(e.code FROM '^[^;]*;[^;]*;(.+)$') END AS jurisdiction,
       CASE WHEN e.component IN ('tender', 'change') THEN nullif(split_part(e.code, ';', 2), '') END AS tender_currency,
       CASE WHEN e.component IN ('tender', 'change') THEN substring(e.code FROM '^[^;]*;[^;]*;(.+)$') END AS acquirer,
       e.foreign_amount
FROM sale s, unnest(s.components, s.codes, s.amounts, s.foreign_amounts) AS e (component, code, amount, foreign_amount);

CREATE OR REPLACE VIEW stock_movement AS
SELECT d.store, d.business_date, d.event_offset, m.line, m.sku, d.reason, m.quantity,
       coalesce(m.bucket, 'on_hand') AS bucket
FROM stock_document d, unnest(d.lines, d.skus, d.quantities, d.buckets) AS m (line, sku, quantity, bucket)
WHERE coalesce(m.bucket, '') <> 'unmoved';
