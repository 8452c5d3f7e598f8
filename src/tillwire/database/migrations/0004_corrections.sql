-- Corrections, late arrivals, originals: what a transaction does to those before it. New tables are written by inline
-- projections and rebuilt from the event store, unless said otherwise.

-- A correction's reversal has an effect of -1 and amounts of the other sign. A sale that came after its day was closed,
-- and is posted to a later one, stands under the date it is posted to.
ALTER TABLE sale ADD COLUMN effect smallint NOT NULL DEFAULT 1,
                 ADD COLUMN original_date date;   -- its own business date, where it is posted to another

-- Where goods lie, or do not move at all: on_hand (none), unavailable (damaged, for the vendor), unmoved.
ALTER TABLE stock_document ADD COLUMN buckets text[];
ALTER TABLE stock_balance ADD COLUMN unavailable numeric NOT NULL DEFAULT 0;

-- Two currencies of one register's day never add.
ALTER TABLE completeness DROP CONSTRAINT completeness_pkey,
                         ADD PRIMARY KEY (store, register, business_date, currency);

ALTER TABLE journal_line ADD COLUMN original_date date;

-- What arrived after its store's day was closed, and the day it is posted to.
CREATE TABLE late_arrival (
    store         text NOT NULL,
    business_date date NOT NULL,
    event_offset  bigint NOT NULL,
    posted_date   date NOT NULL,         -- business_date itself where the day is reopened
    register      text NOT NULL,
    currency      text NOT NULL,
    transactions  smallint NOT NULL,     -- 1, or -1 for a reversal; 0 for what is no sale
    amount        numeric NOT NULL,
    PRIMARY KEY (store, business_date, event_offset)
);
CREATE INDEX ON late_arrival (store, posted_date) WHERE posted_date <> business_date;

-- What events did to earlier transactions: voided them (or took a void back), took goods back.
CREATE TABLE reference_to (
    partition    smallint NOT NULL,
    event_offset bigint NOT NULL,
    original     text NOT NULL,          -- business key without version
    by_key       text NOT NULL,          -- of the transaction that did it, without version
    voids        smallint NOT NULL,      -- 1 voids it, -1 takes a void back
    skus         text[] NOT NULL,
    quantities   numeric[] NOT NULL,     -- came back, in the products' stock units; negative: not any more
    PRIMARY KEY (partition, event_offset, original)
);
CREATE INDEX ON reference_to (original);

-- Every version of what was corrected, with what became of it.
CREATE TABLE version (
    partition     smallint NOT NULL,
    event_offset  bigint NOT NULL,
    key           text NOT NULL,         -- without version
    source        text NOT NULL,
    version       integer NOT NULL,
    outcome       text NOT NULL CHECK (outcome IN ('recorded', 'reversed', 'superseded')),
    by_version    integer,               -- the one that took its place
    PRIMARY KEY (partition, event_offset)
);
CREATE INDEX ON version (key);

-- Sales of orders, by which two systems that report the same one are found out.
CREATE TABLE order_sale (
    partition     smallint NOT NULL,
    event_offset  bigint NOT NULL,
    company       text NOT NULL,
    order_number  text NOT NULL,
    source        text NOT NULL,
    channel       text NOT NULL,
    key           text NOT NULL,         -- of the transaction, without version
    store         text NOT NULL,
    business_date date NOT NULL,
    effect        smallint NOT NULL,     -- -1: reversed by a correction
    PRIMARY KEY (partition, event_offset)
);
CREATE INDEX ON order_sale (order_number);

-- States as other systems say them: the newest revision.
CREATE TABLE stock_level (
    store    text NOT NULL,
    sku      text NOT NULL,
    quantity numeric NOT NULL,           -- in the product's stock unit
    at       timestamptz NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (store, sku)
) WITH (fillfactor = 75);

CREATE TABLE fulfilment (
    store         text NOT NULL,
    document      text NOT NULL,
    order_number  text NOT NULL,
    state         text NOT NULL,
    revision      bigint NOT NULL,
    business_date date NOT NULL,
    carrier       text,
    tracking      text,
    at            timestamptz,
    skus          text[] NOT NULL,
    quantities    numeric[] NOT NULL,    -- in the products' stock units
    PRIMARY KEY (store, document)
) WITH (fillfactor = 75);
CREATE INDEX ON fulfilment (order_number);

-- Transactions that are expected: version one of what was corrected before it came, and originals that exceptions wait
-- for. A state of the workers, no projection.
CREATE TABLE awaited (
    store         text NOT NULL,
    business_date date NOT NULL,
    key           text NOT NULL,         -- without version
    source        text NOT NULL,         -- of the version; empty for an original
    version       integer NOT NULL,      -- the newest that is recorded; 0 for none
    group_id      bigint NOT NULL,       -- who waits for an original; 0 for a version
    ordinal       integer NOT NULL,
    looks         integer NOT NULL DEFAULT 0,
    next_look_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (store, business_date, key, source, group_id, ordinal)
);
CREATE INDEX ON awaited (next_look_at) WHERE group_id > 0;
