-- name: movements
SELECT d.day, CASE WHEN d.each THEN m.event_offset END, m.reason, m.sku, m.bucket, sum(m.quantity),
       coalesce(max(convert_from(p.body, 'UTF8')::jsonb ->> 'unit'), 'EA')
FROM unnest(%(days)b::int4[], %(stores)b::text[], %(dates)b::date[], %(froms)b::int8[], %(tos)b::int8[],
            %(each)b::bool[]) AS d (day, store, business_date, from_offset, to_offset, each)
JOIN stock_movement m ON m.store = d.store AND m.business_date = d.business_date
                     AND m.event_offset >= d.from_offset AND m.event_offset < d.to_offset
LEFT JOIN master_record p ON p.type = 'tillwire.master.product.v1' AND p.id = m.sku
GROUP BY 1, 2, 3, 4, 5
HAVING sum(m.quantity) <> 0
ORDER BY 1, 2, 3, 4, 5
