-- Views over projections. Made anew after every migration and whenever a replay has swapped tables.

CREATE OR REPLACE VIEW ledger_entry AS
SELECT s.store, s.business_date, s.event_offset, e.component, e.code, s.currency, e.amount
FROM sale s, unnest(s.components, s.codes, s.amounts) AS e (component, code, amount);

CREATE OR REPLACE VIEW stock_movement AS
SELECT d.store, d.business_date, d.event_offset, m.line, m.sku, d.reason, m.quantity
FROM stock_document d, unnest(d.lines, d.skus, d.quantities) AS m (line, sku, quantity);
