-- Master data: every revision is kept, prices and customers have a lane of their own, GTINs belong to one product each.

INSERT INTO event_partition (partition) VALUES (17);

ALTER TABLE master_record ADD COLUMN active boolean NOT NULL DEFAULT true;
UPDATE master_record SET active = false WHERE (convert_from(body, 'UTF8')::jsonb -> 'active') = 'false';
DROP INDEX master_record_changed_idx;
-- What workers keep in memory, by the offsets of the two lanes. Prices are looked up by their key, never loaded.
CREATE INDEX ON master_record (changed)
    WHERE type NOT IN ('tillwire.master.price.v1', 'tillwire.master.customer.v1');
CREATE INDEX ON master_record (changed, id) WHERE type = 'tillwire.master.customer.v1';

CREATE TABLE master_version (
    type      text NOT NULL,
    id        text NOT NULL,
    revision  bigint NOT NULL,
    body      bytea NOT NULL,            -- the record as JSON
    changed   bigint NOT NULL,           -- offset of its event, in partition 17 for prices and customers, else in 0
    PRIMARY KEY (type, id, revision)
);
INSERT INTO master_version (type, id, revision, body, changed)
SELECT type, id, revision, body, changed FROM master_record;

CREATE TABLE product_gtin (
    gtin text PRIMARY KEY,               -- in its form of 14 digits
    sku  text NOT NULL
);
CREATE INDEX ON product_gtin (sku);
INSERT INTO product_gtin (gtin, sku)
SELECT lpad(g.gtin, 14, '0'), r.id
FROM (SELECT id, changed, convert_from(body, 'UTF8')::jsonb AS content FROM master_record
      WHERE type = 'tillwire.master.product.v1' AND active) AS r,
     jsonb_array_elements_text(coalesce(r.content -> 'gtins', '[]')) AS g (gtin)
ORDER BY r.changed
ON CONFLICT DO NOTHING;

-- Revisions that the hub gave to records that came without one; durable before their events are accepted, so that the
-- same content sent again has the same revision, hence the same key. No projection: it is what was decided, not derived.
CREATE TABLE master_assigned (
    type     text NOT NULL,
    id       text NOT NULL,
    revision bigint NOT NULL,
    digest   bytea NOT NULL,             -- of the content without its revision
    PRIMARY KEY (type, id)
);
