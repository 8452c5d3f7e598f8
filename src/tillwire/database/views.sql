-- Views over projections. Made anew after every migration and whenever a replay has swapped tables.

CREATE OR REPLACE VIEW ledger_entry AS
SELECT s.store, s.business_date, s.event_offset, e.component, e.code, s.currency, e.amount, s.original_date
FROM sale s, unnest(s.components, s.codes, s.amounts) AS e (component, code, amount);

CREATE OR REPLACE VIEW stock_movement AS
SELECT d.store, d.business_date, d.event_offset, m.line, m.sku, d.reason, m.quantity,
       coalesce(m.bucket, 'on_hand') AS bucket
FROM stock_document d, unnest(d.lines, d.skus, d.quantities, d.buckets) AS m (line, sku, quantity, bucket)
WHERE coalesce(m.bucket, '') <> 'unmoved';
