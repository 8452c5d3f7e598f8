-- name: copy_sales
COPY sale (store, business_date, event_offset, register, sequence, kind, currency, total, tax, discount, components,
           codes, amounts)
FROM STDIN

-- name: copy_other_sales
COPY sale (store, business_date, event_offset, effect, original_date, foreign_amounts, register, sequence, kind, currency, total, tax,
           discount, components, codes, amounts)
FROM STDIN

-- name: add_completeness
INSERT INTO completeness (store, register, business_date, recorded, selling, amount, currency, sequences)
SELECT * FROM unnest(%(stores)b::text[], %(registers)b::text[], %(dates)b::date[], %(recorded)b::int8[],
                     %(selling)b::int8[], %(amounts)s::numeric[], %(currencies)b::text[],
                     %(sequences)s::int8multirange[])
ON CONFLICT (store, register, business_date, currency) DO UPDATE
SET recorded = completeness.recorded + excluded.recorded,
    selling = completeness.selling + excluded.selling,
    amount = completeness.amount + excluded.amount,
    sequences = completeness.sequences + excluded.sequences

-- name: add_till_close
INSERT INTO till_close (store, business_date, register, shift, event_offset, currency, transactions, amount, over_short,
                        first_sequence, last_sequence)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (store, business_date, register, shift) DO UPDATE
SET event_offset = excluded.event_offset, currency = excluded.currency, transactions = excluded.transactions,
    amount = excluded.amount, over_short = excluded.over_short, first_sequence = excluded.first_sequence,
    last_sequence = excluded.last_sequence

-- name: open_day
INSERT INTO store_day (store, business_date, opened_offset) VALUES (%s, %s, %s)
ON CONFLICT (store, business_date) DO UPDATE SET opened_offset = excluded.opened_offset

-- name: close_day
INSERT INTO store_day (store, business_date, closed_offset, currency, transactions, amount)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (store, business_date) DO UPDATE
SET closed_offset = excluded.closed_offset, currency = excluded.currency,
    transactions = excluded.transactions, amount = excluded.amount

-- name: add_notes
INSERT INTO rule_note (store, business_date, rule, lines)
SELECT * FROM unnest(%(stores)b::text[], %(dates)b::date[], %(rules)b::text[], %(lines)b::int8[])
ON CONFLICT (store, business_date, rule) DO UPDATE SET lines = rule_note.lines + excluded.lines

-- name: add_hours
INSERT INTO hourly_sales (store, business_date, hour, currency, transactions, amount)
SELECT * FROM unnest(%(stores)b::text[], %(dates)b::date[], %(hours)b::int2[], %(currencies)b::text[],
                     %(transactions)b::int8[], %(amounts)s::numeric[])
ON CONFLICT (store, business_date, hour, currency) DO UPDATE
SET transactions = hourly_sales.transactions + excluded.transactions,
    amount = hourly_sales.amount + excluded.amount

-- name: copy_late
COPY late_arrival (store, business_date, event_offset, posted_date, register, currency, transactions, amount) FROM STDIN

-- name: add_references
INSERT INTO reference_to (partition, event_offset, original, by_key, voids, skus, quantities)
VALUES (%s, %s, %s, %s, %s, %s, %s)

-- name: add_versions
INSERT INTO version (partition, event_offset, key, source, version, outcome, by_version) VALUES (%s, %s, %s, %s, %s, %s, %s)

-- name: add_order_sales
INSERT INTO order_sale (partition, event_offset, company, order_number, source, channel, key, store, business_date, effect)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)

-- name: copy_gift_cards
COPY gift_card (partition, event_offset, number, store, business_date, company, currency, sold, redeemed) FROM STDIN
