-- The exception queue: root causes, holds, fixes with a second person, and an audit trail nobody can rewrite.

ALTER TABLE exception
    DROP CONSTRAINT exception_state_check,
    ADD CONSTRAINT exception_state_check CHECK (state IN
        ('open', 'waiting', 'retrying', 'approval', 'resolved', 'dismissed', 'superseded')),
    ADD COLUMN severity text NOT NULL DEFAULT 'blocking' CHECK (severity IN ('blocking', 'warning')),
    ADD COLUMN cause text NOT NULL DEFAULT '',      -- what one fix mends: code and offending value
    ADD COLUMN entity text NOT NULL DEFAULT '',     -- what its later messages wait for
    ADD COLUMN waits_for text,                      -- the entity it waits behind, in state waiting
    ADD COLUMN version integer NOT NULL DEFAULT 1,  -- of a transaction; above one it is a correction
    ADD COLUMN revision bigint,                     -- of a state: a newer one that is recorded supersedes it
    ADD COLUMN partition smallint,
    ADD COLUMN assigned text,
    ADD COLUMN foreign_id bigint,                   -- of a message in its source's own words: its connection processes it
    DROP CONSTRAINT exception_group_id_ordinal_key,
    ADD CONSTRAINT exception_event UNIQUE (group_id, ordinal, severity);
UPDATE exception SET cause = code || ':' || source, entity = key WHERE cause = '';
ALTER TABLE exception ALTER COLUMN cause DROP DEFAULT, ALTER COLUMN entity DROP DEFAULT;

CREATE INDEX exception_by_cause ON exception (cause) WHERE state IN ('open', 'waiting', 'retrying', 'approval');
CREATE INDEX exception_by_entity ON exception (entity) WHERE state IN ('open', 'waiting', 'retrying', 'approval');
CREATE INDEX exception_held ON exception (waits_for) WHERE state = 'waiting';
DROP INDEX exception_by_day;
CREATE INDEX exception_by_day ON exception (store, business_date)
    WHERE state IN ('open', 'waiting', 'retrying', 'approval');

-- Edits of a payload and dismissals. One that needs a second person waits; the newest applied edit is what is processed.
CREATE TABLE exception_proposal (
    proposal_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exception_id bigint NOT NULL REFERENCES exception,
    kind         text NOT NULL CHECK (kind IN ('edit', 'dismissal')),
    state        text NOT NULL CHECK (state IN ('waits', 'applied', 'refused', 'withdrawn')),
    body         bytea,                  -- of an edit: the whole new payload; the accepted bytes stay as they are
    diff         jsonb NOT NULL,
    moved        numeric,                -- money that it moves, in currency
    currency     text,
    author       text NOT NULL,
    reason       text NOT NULL,
    proposed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    state_before text NOT NULL,
    decided_by   text,
    decided_at   timestamptz,
    decision     text,
    CHECK ((kind = 'edit') = (body IS NOT NULL)),
    CHECK (decided_by IS NULL OR decided_by <> author)
);
CREATE UNIQUE INDEX exception_proposal_waiting ON exception_proposal (exception_id) WHERE state = 'waits';
CREATE INDEX exception_proposal_applied ON exception_proposal (exception_id, proposal_id)
    WHERE state = 'applied' AND kind = 'edit';

-- Everything that was ever done to an exception. Rows are added, never changed.
CREATE TABLE exception_action (
    action_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exception_id bigint NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    action       text NOT NULL,
    actor        text NOT NULL,          -- a person, an API client, or the hub itself
    before       jsonb NOT NULL DEFAULT '{}',
    after        jsonb NOT NULL DEFAULT '{}',
    note         text NOT NULL DEFAULT ''
);
CREATE INDEX ON exception_action (exception_id, action_id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only: % on % is refused', TG_OP, TG_TABLE_NAME;
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON exception_action
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Every retry is a row of the queue of its own: what a worker has taken is never added to meanwhile. 0: the first time.
CREATE SEQUENCE intake_retry;
ALTER TABLE intake_queue ALTER COLUMN retry DROP DEFAULT;
ALTER TABLE intake_queue ALTER COLUMN retry TYPE bigint USING retry::int;
ALTER TABLE intake_queue ALTER COLUMN retry SET DEFAULT 0;
