-- name: changed_since
-- What workers keep in memory; the condition on types is that of the index.
SELECT type, body FROM master_record
WHERE changed >= %s AND type NOT IN ('tillwire.master.price.v1', 'tillwire.master.customer.v1')

-- name: stores_since
-- Stores and their companies; the conditions on types are those of the index.
SELECT id, coalesce(convert_from(body, 'UTF8')::jsonb ->> 'company', '') FROM master_record
WHERE changed >= %s AND type NOT IN ('tillwire.master.price.v1', 'tillwire.master.customer.v1')
  AND type = 'tillwire.master.store.v1'

-- name: store_places
-- Where stores are: active ones, with their company, region and time zone.
SELECT id, coalesce(record ->> 'company', ''), coalesce(record ->> 'region', ''), coalesce(record ->> 'time_zone', 'UTC')
FROM (
    SELECT id, convert_from(body, 'UTF8')::jsonb AS record FROM master_record
    WHERE type = 'tillwire.master.store.v1' AND active
) AS s
ORDER BY id

-- name: customers_since
SELECT id, active FROM master_record WHERE changed >= %s AND type = 'tillwire.master.customer.v1'

-- name: upsert
-- Returns the places whose newest revision is now one of these.
INSERT INTO master_record (type, id, revision, body, changed, active)
SELECT * FROM unnest(%(types)b::text[], %(ids)b::text[], %(revisions)b::int8[], %(bodies)b::bytea[],
                     %(changed)b::int8[], %(active)b::bool[])
    AS r (type, id, revision, body, changed, active)
ON CONFLICT (type, id) DO UPDATE
SET revision = excluded.revision, body = excluded.body, changed = excluded.changed, active = excluded.active
WHERE excluded.revision > master_record.revision
RETURNING type, id

-- name: keep_versions
-- The first content of a revision stays, as in master_record.
INSERT INTO master_version (type, id, revision, body, changed)
SELECT * FROM unnest(%(types)b::text[], %(ids)b::text[], %(revisions)b::int8[], %(bodies)b::bytea[],
                     %(changed)b::int8[]) AS r (type, id, revision, body, changed)
ON CONFLICT DO NOTHING

-- name: forget_gtins
DELETE FROM product_gtin WHERE sku = ANY(%s::text[])

-- name: keep_gtins
INSERT INTO product_gtin (gtin, sku)
SELECT * FROM unnest(%(gtins)b::text[], %(skus)b::text[]) AS g (gtin, sku)
ON CONFLICT (gtin) DO UPDATE SET sku = excluded.sku

-- name: owners_of_gtins
SELECT gtin, sku FROM product_gtin WHERE gtin = ANY(%s::text[])

-- name: current
SELECT id, revision, body FROM master_record WHERE type = %(type)s AND id = ANY(%(ids)s::text[])

-- name: same_revisions
-- What is recorded under these very revisions; for new ones, which most are, nothing.
SELECT v.type, v.id, v.revision, v.body
FROM unnest(%(types)s::text[], %(ids)s::text[], %(revisions)s::int8[]) AS r (type, id, revision)
JOIN master_version v USING (type, id, revision)

-- name: prices_of_slots
-- The prices of slots (what a price is for), those that ended long ago and those to come included: a range of the key.
SELECT r.body FROM unnest(%s::text[]) AS slot,
     LATERAL (SELECT body FROM master_record
              WHERE type = 'tillwire.master.price.v1' AND id >= slot || '/' AND id < slot || '0') AS r

-- name: one
SELECT revision, body, active FROM master_record WHERE type = %(type)s AND id = %(id)s

-- name: one_in_reach
SELECT revision, body, active FROM master_record
WHERE type = %(type)s AND id = %(id)s
  AND (%(reach)s::text[] IS NULL OR in_reach(type, body, %(reach)s::text[], %(companies)s::text[]))

-- name: versions
SELECT revision, body FROM master_version
WHERE type = %(type)s AND id = %(id)s AND revision < %(before)s
  AND (%(reach)s::text[] IS NULL OR in_reach(type, body, %(reach)s::text[], %(companies)s::text[]))
ORDER BY revision DESC LIMIT %(most)s

-- name: listed
-- In the order of identifiers, from after one on; a prefix is a range of the key, a text is looked for in every record.
SELECT id, body FROM master_record
WHERE type = %(type)s AND id > %(after)s
  AND (%(prefix)s = '' OR (id >= %(prefix)s AND starts_with(id, %(prefix)s)))
  AND (%(text)s = '' OR strpos(lower(convert_from(body, 'UTF8')), %(text)s) > 0)
  AND (%(active)s::boolean IS NULL OR active = %(active)s)
  AND (%(reach)s::text[] IS NULL OR in_reach(type, body, %(reach)s::text[], %(companies)s::text[]))
ORDER BY id LIMIT %(most)s

-- name: product_of_gtin
SELECT r.body FROM product_gtin g JOIN master_record r ON r.type = 'tillwire.master.product.v1' AND r.id = g.sku
WHERE g.gtin = %s

-- name: lock_assignment
SELECT pg_advisory_xact_lock(hashtextextended('tillwire.masterdata.assign ' || %s, 0))

-- name: assigned
SELECT id, revision, digest FROM master_assigned WHERE type = %(type)s AND id = ANY(%(ids)s)

-- name: assign
INSERT INTO master_assigned (type, id, revision, digest)
SELECT %(type)s, * FROM unnest(%(ids)b::text[], %(revisions)b::int8[], %(digests)b::bytea[])
ON CONFLICT (type, id) DO UPDATE SET revision = excluded.revision, digest = excluded.digest

-- name: set_at
SELECT type, id, changed FROM master_record
JOIN (SELECT DISTINCT * FROM unnest(%(types)s::text[], %(ids)s::text[]) AS w (type, id)) AS w USING (type, id)
