-- What other systems sent in their own words: kept as it came, mapped to canonical events by the connection's connector.

CREATE TABLE foreign_message (
    message_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection   text NOT NULL,
    delivery_key text NOT NULL,          -- the sender's own identifier of the delivery, or the digest of its content
    topic        text NOT NULL,
    headers      jsonb NOT NULL,
    body         bytea NOT NULL,         -- the raw bytes, compressed
    received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'mapped', 'failed')),
    attempts     integer NOT NULL DEFAULT 0,
    outcome      text NOT NULL DEFAULT '',   -- what came of it, in words
    part_of      text NOT NULL DEFAULT '',   -- the file or message that it is a record of, and its place there
    mapped_at    timestamptz,
    UNIQUE (connection, delivery_key)
);
ALTER TABLE foreign_message ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX foreign_message_waiting ON foreign_message (connection, message_id) WHERE state = 'waiting';

-- What is known of things that their source sends again when they change.
CREATE TABLE foreign_entity (
    connection  text NOT NULL,
    entity      text NOT NULL,
    version     bigint NOT NULL,         -- the source's own
    digest      bytea NOT NULL,          -- of the canonical message it made
    key         text NOT NULL,           -- the business key without version; empty for what is no transaction
    hub_version integer NOT NULL,        -- the version of the transaction here: 1, 2, 3 without gap
    PRIMARY KEY (connection, entity)
) WITH (fillfactor = 70);

-- Which foreign record each canonical event of an intake group was made from.
CREATE TABLE foreign_batch (
    group_id    bigint PRIMARY KEY,
    connection  text NOT NULL,
    part_of     text NOT NULL,           -- the file; empty for messages
    records     integer[] NOT NULL,      -- per event, the place of its record in body, from one on; none for messages
    message_ids bigint[] NOT NULL,       -- per event, its message; none for files
    body        bytea                    -- records of a file: frames, compressed
);
ALTER TABLE foreign_batch ALTER COLUMN body SET STORAGE EXTERNAL;

-- How far a connection has come with fetching.
CREATE TABLE connection_state (
    connection text PRIMARY KEY,
    state      jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_error text NOT NULL DEFAULT ''
);

ALTER TABLE exception ADD COLUMN IF NOT EXISTS foreign_id bigint;  -- the foreign message that could not be mapped
CREATE UNIQUE INDEX exception_of_foreign_message ON exception (foreign_id) WHERE foreign_id IS NOT NULL;
