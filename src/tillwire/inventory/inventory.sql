-- name: copy_movements
COPY stock_movement (store, business_date, event_offset, line, sku, reason, quantity) FROM STDIN

-- name: add_to_balances
INSERT INTO stock_balance (store, sku, on_hand)
SELECT * FROM unnest(%(stores)b::text[], %(skus)b::text[], %(quantities)s::numeric[])
ON CONFLICT (store, sku) DO UPDATE SET on_hand = stock_balance.on_hand + excluded.on_hand

-- name: on_hand
SELECT on_hand FROM stock_balance WHERE store = %s AND sku = %s
