-- The first schema. Text keys are the trade's own; the database sorts bytewise (C), so they index and compare fast.

-- ---------------------------------------------------------------- intake: what was accepted, durable before the answer
CREATE TABLE intake_group (
    group_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body        bytea NOT NULL          -- the raw events that were committed together: frames, compressed
);
ALTER TABLE intake_group ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE intake (
    key       text NOT NULL,            -- the business key
    source    text NOT NULL,
    group_id  bigint NOT NULL,
    ordinal   integer NOT NULL,         -- place of the event in its group
    PRIMARY KEY (key, source)
);

-- One row per group and partition that waits for a worker; removed in the transaction that records its events.
CREATE TABLE intake_queue (
    partition smallint NOT NULL,
    group_id  bigint NOT NULL,
    ordinals  integer[] NOT NULL,
    retry     boolean NOT NULL DEFAULT false,  -- asked for by a person, after an exception
    PRIMARY KEY (partition, group_id, retry)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000000000);

CREATE TABLE exception (
    exception_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code          text NOT NULL,
    owner         text NOT NULL,
    state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'retrying', 'resolved', 'dismissed')),
    message       text NOT NULL,
    pointer       text NOT NULL,
    faults        jsonb NOT NULL,        -- every fault found, the first of which gives the code
    event_type    text NOT NULL,
    source        text NOT NULL,
    key           text NOT NULL,
    store         text,
    register      text,
    business_date date,
    kind          text,                  -- of a transaction
    amount        numeric,               -- money at risk, in currency
    currency      text,
    group_id      bigint NOT NULL,
    ordinal       integer NOT NULL,
    attempts      integer NOT NULL DEFAULT 1,
    raised_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at   timestamptz,
    note          text,
    digest        bytea,                 -- of a conflicting content, so that resending it raises nothing new
    UNIQUE (group_id, ordinal)
);
CREATE UNIQUE INDEX exception_conflict ON exception (key, source, digest) WHERE digest IS NOT NULL;
CREATE INDEX exception_by_day ON exception (store, business_date) WHERE state IN ('open', 'retrying');

-- ---------------------------------------------------------------- the event store
CREATE TABLE event_partition (
    partition   smallint PRIMARY KEY,
    next_offset bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO event_partition (partition) SELECT generate_series(0, 16);

-- Where each accepted event went. Its payload is in the chunk that holds the offset.
CREATE TABLE event (
    group_id      bigint NOT NULL,
    ordinal       integer NOT NULL,
    partition     smallint NOT NULL,
    event_offset  bigint NOT NULL,
    PRIMARY KEY (group_id, ordinal)      -- an accepted event is recorded once, whatever happens
);

CREATE TABLE event_chunk (
    partition    smallint NOT NULL,
    first_offset bigint NOT NULL,
    event_count  integer NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    body         bytea NOT NULL,         -- the events with their enrichment: frames, compressed
    PRIMARY KEY (partition, first_offset)
);
ALTER TABLE event_chunk ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE projection_position (
    projection  text NOT NULL,
    partition   smallint NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (projection, partition)
) WITH (fillfactor = 50);

-- ---------------------------------------------------------------- inline projections: rebuilt from the event store at will
CREATE TABLE master_record (
    type      text NOT NULL,
    id        text NOT NULL,
    revision  bigint NOT NULL,
    body      bytea NOT NULL,            -- the record as JSON
    changed   bigint NOT NULL,           -- offset, in partition 0, of the event that set it
    PRIMARY KEY (type, id)
);
CREATE INDEX ON master_record (changed);

-- The sales subledger: one row per event with its double-entry components side by side (debit positive, credit
-- negative; they add up to zero). Arrays, because a row and an index entry for each component cost four times the time;
-- the view ledger_entry shows them as rows. kind is none for a till close, which has components and is no transaction.
CREATE TABLE sale (
    store         text NOT NULL,
    business_date date NOT NULL,
    event_offset  bigint NOT NULL,
    register      text NOT NULL,
    sequence      bigint,
    kind          text,
    currency      text NOT NULL,
    total         numeric NOT NULL,
    tax           numeric NOT NULL,
    discount      numeric NOT NULL,
    components    text[] NOT NULL,
    codes         text[] NOT NULL,
    amounts       numeric[] NOT NULL,
    PRIMARY KEY (store, business_date, event_offset)
);

-- Stock movements: one row per event, its lines side by side; the view stock_movement shows them as rows.
CREATE TABLE stock_document (
    store         text NOT NULL,
    business_date date NOT NULL,
    event_offset  bigint NOT NULL,
    reason        text NOT NULL,
    lines         integer[] NOT NULL,
    skus          text[] NOT NULL,
    quantities    numeric[] NOT NULL,    -- in the products' stock units; positive into the store
    PRIMARY KEY (store, business_date, event_offset)
);

CREATE TABLE stock_balance (
    store   text NOT NULL,
    sku     text NOT NULL,
    on_hand numeric NOT NULL,            -- in the product's stock unit; below zero is normal (sold before received)
    PRIMARY KEY (store, sku)
) WITH (fillfactor = 75);

CREATE TABLE completeness (
    store         text NOT NULL,
    register      text NOT NULL,
    business_date date NOT NULL,
    recorded      bigint NOT NULL,       -- transactions of every kind
    selling       bigint NOT NULL,       -- those that sell
    amount        numeric NOT NULL,      -- the totals of those that sell
    currency      text NOT NULL,
    sequences     int8multirange NOT NULL,
    PRIMARY KEY (store, register, business_date)
) WITH (fillfactor = 50);

CREATE TABLE till_close (
    store         text NOT NULL,
    business_date date NOT NULL,
    register      text NOT NULL,
    shift         text NOT NULL,
    event_offset  bigint NOT NULL,
    currency      text NOT NULL,
    transactions  bigint NOT NULL,       -- the source's own control totals
    amount        numeric NOT NULL,
    over_short    numeric NOT NULL,
    first_sequence bigint,               -- the span of numbers that the register says it used
    last_sequence bigint,
    PRIMARY KEY (store, business_date, register, shift)
);

CREATE TABLE store_day (
    store         text NOT NULL,
    business_date date NOT NULL,
    opened_offset bigint,
    closed_offset bigint,
    currency      text,
    transactions  bigint,                -- the store's own control totals
    amount        numeric,
    PRIMARY KEY (store, business_date)
);

CREATE TABLE rule_note (
    store         text NOT NULL,
    business_date date NOT NULL,
    rule          text NOT NULL,
    lines         bigint NOT NULL,
    PRIMARY KEY (store, business_date, rule)
) WITH (fillfactor = 50);

-- ---------------------------------------------------------------- async projection: sales by hour of the store's day
CREATE TABLE hourly_sales (
    store         text NOT NULL,
    business_date date NOT NULL,
    hour          smallint NOT NULL,     -- on the register's own clock
    currency      text NOT NULL,
    transactions  bigint NOT NULL,
    amount        numeric NOT NULL,
    PRIMARY KEY (store, business_date, hour, currency)
);

-- ---------------------------------------------------------------- posting
CREATE TABLE journal (
    journal_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reference         text NOT NULL UNIQUE,  -- the idempotency key towards the ERP
    company           text NOT NULL,
    store             text NOT NULL,
    business_date     date NOT NULL,
    version           integer NOT NULL,
    currency          text NOT NULL,
    partition         smallint NOT NULL,
    from_offset       bigint NOT NULL,       -- holds the store's events of the day in [from_offset, to_offset)
    to_offset         bigint NOT NULL,
    transactions      bigint NOT NULL,
    amount            numeric NOT NULL,      -- the transactions' totals added
    state             text NOT NULL DEFAULT 'built'
                      CHECK (state IN ('built', 'sent', 'posted', 'rejected', 'unknown')),
    document_id       text,
    document_number   text,
    attempts          integer NOT NULL DEFAULT 0,
    next_attempt_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_error        text,
    built_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at           timestamptz,
    posted_at         timestamptz,
    confirmed_at      timestamptz,           -- when the ERP's own books were read back and said the same
    UNIQUE (store, business_date, from_offset, currency)
);
CREATE INDEX journal_to_dispatch ON journal (next_attempt_at) WHERE state IN ('built', 'sent', 'unknown');

CREATE TABLE journal_line (
    journal_id bigint NOT NULL REFERENCES journal,
    line       integer NOT NULL,
    account    text NOT NULL,
    debit      numeric NOT NULL,
    credit     numeric NOT NULL,
    component  text NOT NULL,
    code       text NOT NULL,
    PRIMARY KEY (journal_id, line)
);

-- Up to which offset the store's day is in journals. A state, not a projection: what was posted stays posted.
CREATE TABLE posting_cursor (
    store         text NOT NULL,
    business_date date NOT NULL,
    next_offset   bigint NOT NULL,
    PRIMARY KEY (store, business_date)
);

-- Store days with entries that are in no journal yet. Whoever records entries locks the row until its commit, so that a
-- day is never taken off while something is being added to it.
CREATE TABLE posting_due (
    store         text NOT NULL,
    business_date date NOT NULL,
    last_offset   bigint NOT NULL,
    PRIMARY KEY (store, business_date)
) WITH (fillfactor = 50);

-- Every call to an ERP that failed, as the dispatcher saw it: for proof, and for the figures operations run on.
CREATE TABLE erp_incident (
    incident_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind        text NOT NULL,           -- unavailable, rate_limited, outcome_unknown, authentication
    detail      text NOT NULL
);

-- ---------------------------------------------------------------- who may call
CREATE TABLE api_client (
    name       text PRIMARY KEY,
    key_digest bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);
