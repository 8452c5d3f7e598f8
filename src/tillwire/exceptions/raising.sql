-- name: raise_all
-- Every exception of a batch in one statement, each with its entry in the audit trail. What is raised again after a
-- retry takes the place of its old row. A retry that was asked for meanwhile cannot be: its row is in the queue.
WITH given AS (
    SELECT * FROM json_to_recordset(%(rows)s::json) AS r (
        code text, owner text, state text, severity text, message text, pointer text, faults jsonb, cause text,
        entity text, waits_for text, event_type text, source text, key text, store text, register text,
        business_date date, kind text, amount numeric, currency text, version integer, revision bigint,
        partition smallint, group_id bigint, ordinal integer)
), raised AS (
    INSERT INTO exception (code, owner, state, severity, message, pointer, faults, cause, entity, waits_for, event_type,
                           source, key, store, register, business_date, kind, amount, currency, version, revision,
                           partition, group_id, ordinal, resolved_at)
    SELECT code, owner, state, severity, message, pointer, faults, cause, entity, waits_for, event_type, source, key,
           store, register, business_date, kind, amount, currency, version, revision, partition, group_id, ordinal,
           CASE WHEN state = 'superseded' THEN clock_timestamp() END
    FROM given
    ON CONFLICT (group_id, ordinal, severity) DO UPDATE
    SET code = excluded.code, owner = excluded.owner, state = excluded.state, message = excluded.message,
        pointer = excluded.pointer, faults = excluded.faults, cause = excluded.cause, entity = excluded.entity,
        waits_for = excluded.waits_for, event_type = excluded.event_type, source = excluded.source,
        key = excluded.key, store = excluded.store, register = excluded.register,
        business_date = excluded.business_date, kind = excluded.kind, amount = excluded.amount,
        currency = excluded.currency, version = excluded.version, revision = excluded.revision,
        partition = excluded.partition, resolved_at = excluded.resolved_at, attempts = exception.attempts + 1
    RETURNING exception_id, group_id, ordinal, code, state, cause, waits_for, attempts
), audited AS (
    INSERT INTO exception_action (exception_id, action, actor, before, after)
    SELECT exception_id,
           CASE state WHEN 'waiting' THEN 'hold' WHEN 'superseded' THEN 'supersede' ELSE 'raise' END, 'hub',
           CASE WHEN attempts = 1 THEN '{}'::jsonb ELSE jsonb_build_object('state', 'retrying') END,
           jsonb_build_object('state', state, 'code', code, 'cause', cause, 'waits_for', waits_for)
    FROM raised
)
SELECT exception_id, group_id, ordinal FROM raised

-- name: newer_recorded
-- Of states that failed: those of which a newer revision is recorded already. They differ by their key's last part.
SELECT DISTINCT w.entity, w.revision
FROM unnest(%(entities)b::text[], %(revisions)b::int8[]) AS w (entity, revision)
JOIN intake i ON i.key > w.entity || '@' AND i.key < w.entity || 'A'
JOIN event e ON e.group_id = i.group_id AND e.ordinal = i.ordinal
WHERE CASE WHEN substr(i.key, length(w.entity) + 2) ~ '^[0-9]{1,19}$'
           THEN substr(i.key, length(w.entity) + 2)::numeric > w.revision ELSE false END

-- name: raise_foreign
-- What is raised again keeps the bytes that were accepted first, whatever has been edited since.
WITH raised AS (
    INSERT INTO exception (code, owner, message, pointer, faults, cause, entity, event_type, source, key, store,
                           business_date, amount, currency, group_id, ordinal, foreign_id)
    VALUES (%(code)s, %(owner)s, %(message)s, %(pointer)s, %(faults)s, %(cause)s, %(entity)s, 'foreign', %(source)s,
            %(key)s, %(store)s, %(business_date)s, %(amount)s, %(currency)s, %(group_id)s, %(ordinal)s, %(foreign_id)s)
    ON CONFLICT (foreign_id) WHERE foreign_id IS NOT NULL DO UPDATE
    SET code = excluded.code, owner = excluded.owner, message = excluded.message, pointer = excluded.pointer,
        faults = excluded.faults, cause = excluded.cause, key = excluded.key, store = excluded.store,
        business_date = excluded.business_date, amount = excluded.amount, currency = excluded.currency,
        state = 'open', resolved_at = NULL, attempts = exception.attempts + 1
    RETURNING exception_id, code, state, cause, attempts
), audited AS (
    INSERT INTO exception_action (exception_id, action, actor, before, after)
    SELECT exception_id, 'raise', 'hub',
           CASE WHEN attempts = 1 THEN '{}'::jsonb ELSE jsonb_build_object('state', 'retrying') END,
           jsonb_build_object('state', state, 'code', code, 'cause', cause)
    FROM raised
)
SELECT exception_id FROM raised
