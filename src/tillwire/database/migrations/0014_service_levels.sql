-- Service levels: figures with their history, objectives, alerts and what people were told of them.

-- When the first of a chunk's events was accepted; of those alone that were never in the exception queue, none: null.
ALTER TABLE event_chunk ADD COLUMN accepted_at timestamptz;

-- What became of something in a stretch of time.
CREATE INDEX journal_posted ON journal (posted_at) WHERE posted_at IS NOT NULL;
CREATE INDEX journal_unposted ON journal (state) WHERE state <> 'posted';
CREATE INDEX exception_raised ON exception (raised_at);
CREATE INDEX exception_resolved ON exception (resolved_at) WHERE resolved_at IS NOT NULL;

-- Distributions are kept as counts by bucket (an exponent of a fixed base), so that they add: minutes to hours to days.
CREATE FUNCTION sketch_add(a jsonb, b jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN a IS NULL THEN b WHEN b IS NULL THEN a ELSE (
        SELECT jsonb_object_agg(bucket, events) FROM (
            SELECT key AS bucket, sum(value::bigint) AS events
            FROM (SELECT * FROM jsonb_each_text(a) UNION ALL SELECT * FROM jsonb_each_text(b)) AS both_of
            GROUP BY key
        ) AS added
    ) END
$$;
CREATE AGGREGATE sketch_sum(jsonb) (SFUNC = sketch_add, STYPE = jsonb, PARALLEL = SAFE, COMBINEFUNC = sketch_add);

-- One row per figure, store (empty: the whole hub), part (currency, ERP, owner, …; empty: all) and minute, hour or day.
-- Of a distribution n is how many were measured; of a ratio its denominator; of a state how often it was looked at.
CREATE TABLE figure_history (
    figure text NOT NULL,
    grain  text NOT NULL CHECK (grain IN ('minute', 'hour', 'day')),
    store  text NOT NULL,
    part   text NOT NULL,
    at     timestamptz NOT NULL,
    n      bigint NOT NULL,
    total  numeric NOT NULL,
    least  numeric NOT NULL,
    most   numeric NOT NULL,
    last   numeric NOT NULL,
    sketch jsonb,
    PRIMARY KEY (figure, grain, store, at, part)
) WITH (fillfactor = 80);
CREATE INDEX ON figure_history (grain, at);

-- The value of each figure as it is now, for who asks often.
CREATE TABLE figure_now (
    figure   text NOT NULL,
    part     text NOT NULL,
    quantile text NOT NULL,              -- of distributions: 0.5, 0.95; else empty
    value    numeric NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (figure, part, quantile)
);

-- How far the observer has looked: one row.
CREATE TABLE observer (
    only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    sampled_at timestamptz NOT NULL,
    offsets    jsonb NOT NULL,           -- per partition
    audited    bigint NOT NULL,          -- the newest audit entry
    rolled_to  timestamptz NOT NULL      -- hours before it are rolled up
);

-- When each store was last heard from, and whether it is silent against its habit, or back and catching up.
CREATE TABLE store_seen (
    store         text PRIMARY KEY,
    partition     smallint NOT NULL,
    event_offset  bigint NOT NULL,       -- of the newest event
    seen_at       timestamptz NOT NULL,
    silent_since  timestamptz,           -- the last it was heard before it fell silent
    back_at       timestamptz            -- heard again, while what it sends is still old
) WITH (fillfactor = 70);

-- Store days whose deadline has passed: whether they were complete then. Judged once.
CREATE TABLE day_judged (
    objective     text NOT NULL,
    store         text NOT NULL,
    business_date date NOT NULL,
    due_at        timestamptz NOT NULL,
    complete      boolean NOT NULL,
    PRIMARY KEY (objective, store, business_date)
);
CREATE INDEX ON day_judged (due_at);

-- ---------------------------------------------------------------- alerts
CREATE TABLE alert (
    alert_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL,          -- of its definition
    key          text NOT NULL,          -- what it is about: an ERP, an owner, a store, …
    group_key    text NOT NULL,          -- what is told together: one cause
    severity     text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    owner        text NOT NULL,
    state        text NOT NULL CHECK (state IN ('pending', 'firing', 'resolved')),
    began_at     timestamptz NOT NULL,   -- when what it is about began, which is before anybody noticed
    seen_at      timestamptz NOT NULL,   -- when it was noticed
    fired_at     timestamptz,
    absent_since timestamptz,            -- firing, and not found any more; over when that lasts
    resolved_at  timestamptz,
    deadline     timestamptz,
    store_count  integer NOT NULL,
    silenced     boolean NOT NULL DEFAULT false,  -- as it was judged last
    detail       text NOT NULL           -- in words; may name anything of the whole hub
);
CREATE UNIQUE INDEX alert_open ON alert (name, key) WHERE state <> 'resolved';
CREATE INDEX ON alert (resolved_at) WHERE state = 'resolved';

-- Which stores an alert is about, with the money at stake in each.
CREATE TABLE alert_impact (
    alert_id bigint NOT NULL REFERENCES alert ON DELETE CASCADE,
    store    text NOT NULL,
    currency text NOT NULL,              -- empty where there is no money
    amount   numeric NOT NULL,
    PRIMARY KEY (alert_id, store, currency)
);
CREATE INDEX ON alert_impact (store);

CREATE TABLE alert_silence (
    silence_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alerts     text NOT NULL,            -- pattern of definitions' names
    keys       text NOT NULL,            -- pattern of what alerts are about
    stores     text[] NOT NULL,          -- patterns; an alert is silenced if each of its stores fits one
    until      timestamptz NOT NULL,
    reason     text NOT NULL,
    made_by    text NOT NULL,
    made_at    timestamptz NOT NULL,
    ended_by   text,
    ended_at   timestamptz
);
CREATE INDEX ON alert_silence (until);

-- What was told last to a route of a group of alerts, so that it is told again when it is another, or after long.
CREATE TABLE alert_told (
    route     text NOT NULL,
    group_key text NOT NULL,
    firing    bigint[] NOT NULL,
    told_at   timestamptz NOT NULL,
    PRIMARY KEY (route, group_key)
);

-- What is to be sent, until it was received: at least once, under a key that stays.
CREATE TABLE alert_delivery (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    route       text NOT NULL,
    recipient   text NOT NULL,           -- of e-mail; else empty
    delivery_key text NOT NULL UNIQUE,
    group_key   text NOT NULL,
    message     jsonb NOT NULL,
    state       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed')),
    attempts    integer NOT NULL DEFAULT 0,
    made_at     timestamptz NOT NULL,
    next_at     timestamptz NOT NULL,
    sent_at     timestamptz,
    last_error  text
);
CREATE INDEX ON alert_delivery (next_at) WHERE state = 'waiting';
CREATE INDEX ON alert_delivery (made_at);
