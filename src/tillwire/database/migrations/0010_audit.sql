-- The audit log: who did what, append-only, each entry with a digest over itself and the digest before it, so that an
-- entry that is changed, taken away or slipped in later does not fit any more.
CREATE TABLE audit_entry (
    entry_id bigint PRIMARY KEY,            -- dense, in the order of the chain
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    who      text NOT NULL,
    kind     text NOT NULL,                 -- person, client, local, command
    action   text NOT NULL,
    subject  text NOT NULL DEFAULT '',      -- what it was done to
    details  jsonb NOT NULL DEFAULT '{}',
    digest   bytea NOT NULL
);
CREATE INDEX ON audit_entry (who, entry_id);
CREATE INDEX ON audit_entry (subject, entry_id);

-- What the digest is over, as text: fields are kept apart by the unit separator, which no field may hold.
CREATE FUNCTION audit_text(e audit_entry) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat_ws(E'\x1f', e.entry_id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), e.who, e.kind,
                     e.action, e.subject, e.details::text)
$$;

-- Whoever adds an entry holds the end of the chain until its transaction ends, so there is one order of all.
CREATE FUNCTION audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last audit_entry;
BEGIN
    PERFORM pg_advisory_xact_lock(x'71110011'::bigint);
    SELECT * INTO last FROM audit_entry ORDER BY entry_id DESC LIMIT 1;
    NEW.entry_id := coalesce(last.entry_id, 0) + 1;
    NEW.at := clock_timestamp();
    NEW.who := replace(NEW.who, E'\x1f', ' ');
    NEW.kind := replace(NEW.kind, E'\x1f', ' ');
    NEW.action := replace(NEW.action, E'\x1f', ' ');
    NEW.subject := replace(NEW.subject, E'\x1f', ' ');
    NEW.digest := sha256(coalesce(last.digest, ''::bytea) || convert_to(audit_text(NEW), 'UTF8'));
    RETURN NEW;
END $$;
CREATE TRIGGER chain BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_chain();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION exception_action_text(a exception_action) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat_ws(E'\x1f', a.exception_id, to_char(a.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), a.action,
                     a.actor, a.before::text, a.after::text, a.note)
$$;

-- What people and clients do to exceptions has an audit trail of its own; the log has each of its rows by a digest, and
-- no content of it, which may hold personal data.
CREATE FUNCTION audit_exception_action() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_entry (who, kind, action, subject, details)
    SELECT actor, 'exceptions', 'exception ' || action, 'exception ' || exception_id,
           jsonb_build_object('action_id', action_id,
                              'content', encode(sha256(convert_to(exception_action_text(added), 'UTF8')), 'hex'))
    FROM added WHERE actor <> 'hub' ORDER BY action_id;
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT ON exception_action REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION audit_exception_action();
