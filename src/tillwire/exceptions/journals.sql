-- name: lock_of_journals
-- Exceptions first, journals after: as everybody does who touches both.
SELECT exception_id FROM exception WHERE journal_id = ANY(%s) ORDER BY exception_id FOR UPDATE

-- name: raise_journals
-- One exception per journal: raised again, it is open again, whatever it was before.
WITH given AS (
    SELECT * FROM json_to_recordset(%(rows)s::json) AS r (
        journal_id bigint, erp text, code text, owner text, message text, cause text, key text, store text,
        business_date date, amount numeric, currency text, faults jsonb)
), raised AS (
    INSERT INTO exception (code, owner, message, pointer, faults, cause, entity, event_type, source, key, store,
                           business_date, amount, currency, journal_id, erp)
    SELECT code, owner, message, '', faults, cause, 'journal:' || key, 'journal', 'urn:erp:' || erp, key, store,
           business_date, amount, currency, journal_id, erp
    FROM given
    ON CONFLICT (journal_id) WHERE journal_id IS NOT NULL DO UPDATE
    SET code = excluded.code, owner = excluded.owner, message = excluded.message, faults = excluded.faults,
        cause = excluded.cause, source = excluded.source, erp = excluded.erp, amount = excluded.amount,
        currency = excluded.currency, state = 'open', resolved_at = NULL, attempts = exception.attempts + 1
    RETURNING exception_id, code, cause, message, attempts
)
INSERT INTO exception_action (exception_id, action, actor, before, after, note)
SELECT exception_id, 'raise', 'hub', '{}'::jsonb, jsonb_build_object('state', 'open', 'code', code, 'cause', cause),
       message
FROM raised

-- name: in_queue_of_journals
SELECT exception_id FROM exception
WHERE journal_id = ANY(%(journals)s) AND state IN ('open', 'waiting', 'retrying', 'approval', 'dismissed')
  AND (%(code)s::text IS NULL OR code = %(code)s)
ORDER BY exception_id FOR UPDATE

-- name: journals_in_queue
SELECT journal_id, state FROM exception WHERE journal_id = ANY(%s) AND state IN ('open', 'retrying')

-- name: to_retry_of_journal
SELECT exception_id FROM exception
WHERE journal_id = ANY(%(journals)s) AND state = ANY(%(states)s) ORDER BY exception_id FOR UPDATE

-- name: raise_erp
-- One exception per ERP and code. Told again while it is in the queue, it only has newer words.
WITH raised AS (
    INSERT INTO exception (code, owner, message, pointer, faults, cause, entity, event_type, source, key, erp)
    VALUES (%(code)s, %(owner)s, %(message)s, '', %(faults)s, %(cause)s, 'erp:' || %(erp)s, 'erp',
            'urn:erp:' || %(erp)s, %(erp)s, %(erp)s)
    ON CONFLICT (erp, code) WHERE erp IS NOT NULL AND journal_id IS NULL DO UPDATE
    SET message = excluded.message, faults = excluded.faults, state = 'open', resolved_at = NULL,
        raised_at = CASE WHEN exception.state IN ('open', 'retrying') THEN exception.raised_at
                         ELSE clock_timestamp() END,
        attempts = exception.attempts + 1
    WHERE exception.state <> 'open'
    RETURNING exception_id, code, cause, message
)
INSERT INTO exception_action (exception_id, action, actor, after, note)
SELECT exception_id, 'raise', 'hub', jsonb_build_object('state', 'open', 'code', code, 'cause', cause), message
FROM raised

-- name: in_queue_of_erp
SELECT exception_id FROM exception
WHERE erp = %(erp)s AND journal_id IS NULL AND code = ANY(%(codes)s)
  AND state IN ('open', 'waiting', 'retrying', 'approval', 'dismissed')
ORDER BY exception_id FOR UPDATE
