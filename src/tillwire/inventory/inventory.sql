-- name: copy_movements
COPY stock_document (store, business_date, event_offset, reason, lines, skus, quantities) FROM STDIN

-- name: add_to_balances
-- MERGE is enough, and cheaper than ON CONFLICT: the lock on the store's partition keeps other writers away.
MERGE INTO stock_balance b
USING unnest(%(stores)s::text[], %(skus)s::text[], %(quantities)s::numeric[]) AS m (store, sku, quantity)
   ON b.store = m.store AND b.sku = m.sku
WHEN MATCHED THEN UPDATE SET on_hand = b.on_hand + m.quantity
WHEN NOT MATCHED THEN INSERT (store, sku, on_hand) VALUES (m.store, m.sku, m.quantity)

-- name: copy_movements_with_buckets
COPY stock_document (store, business_date, event_offset, reason, lines, skus, quantities, buckets) FROM STDIN

-- name: add_to_unavailable
MERGE INTO stock_balance b
USING unnest(%(stores)s::text[], %(skus)s::text[], %(quantities)s::numeric[]) AS m (store, sku, quantity)
   ON b.store = m.store AND b.sku = m.sku
WHEN MATCHED THEN UPDATE SET unavailable = b.unavailable + m.quantity
WHEN NOT MATCHED THEN INSERT (store, sku, on_hand, unavailable) VALUES (m.store, m.sku, 0, m.quantity)

-- name: copy_balances
COPY stock_balance (store, sku, on_hand, unavailable) FROM STDIN

-- name: set_levels
INSERT INTO stock_level (store, sku, quantity, at, revision) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (store, sku) DO UPDATE
SET quantity = excluded.quantity, at = excluded.at, revision = excluded.revision
WHERE excluded.revision > stock_level.revision

-- name: set_fulfilments
INSERT INTO fulfilment (store, document, order_number, state, revision, business_date, carrier, tracking, at, skus,
                        quantities)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (store, document) DO UPDATE
SET order_number = excluded.order_number, state = excluded.state, revision = excluded.revision,
    business_date = excluded.business_date, carrier = excluded.carrier, tracking = excluded.tracking,
    at = excluded.at, skus = excluded.skus, quantities = excluded.quantities
WHERE excluded.revision > fulfilment.revision

-- name: on_hand
SELECT on_hand FROM stock_balance WHERE store = %s AND sku = %s
