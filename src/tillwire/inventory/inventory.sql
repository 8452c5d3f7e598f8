-- name: copy_movements
COPY stock_document (store, business_date, event_offset, reason, lines, skus, quantities) FROM STDIN

-- name: add_to_balances
-- MERGE is enough, and cheaper than ON CONFLICT: the lock on the store's partition keeps other writers away.
MERGE INTO stock_balance b
USING unnest(%(stores)s::text[], %(skus)s::text[], %(quantities)s::numeric[]) AS m (store, sku, quantity)
   ON b.store = m.store AND b.sku = m.sku
WHEN MATCHED THEN UPDATE SET on_hand = b.on_hand + m.quantity
WHEN NOT MATCHED THEN INSERT (store, sku, on_hand) VALUES (m.store, m.sku, m.quantity)

-- name: copy_balances
COPY stock_balance (store, sku, on_hand) FROM STDIN

-- name: on_hand
SELECT on_hand FROM stock_balance WHERE store = %s AND sku = %s
