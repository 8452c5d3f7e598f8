-- name: lock_alone
SELECT pg_advisory_xact_lock(%s)

-- name: lock_shared
SELECT pg_advisory_xact_lock_shared(%s)

-- name: blockers
-- What is in the queue and was accepted before: entity, and the event by which it is. Locked, so that it does not leave
-- the queue unseen while something is being put behind it.
SELECT w.n, e.entity, e.group_id, e.ordinal
FROM unnest(%(ns)b::int4[], %(entities)b::text[], %(groups)b::int8[], %(ordinals)b::int4[])
     AS w (n, entity, group_id, ordinal)
JOIN exception e ON e.entity = w.entity
WHERE e.state IN ('open', 'waiting', 'retrying', 'approval') AND e.severity = 'blocking'
  AND e.code <> 'duplicate_conflict'
  AND (e.group_id, e.ordinal) < (w.group_id, w.ordinal)
ORDER BY e.exception_id
FOR SHARE OF e

-- name: edits
-- The payloads that take the place of what was accepted, for events that are processed again.
SELECT e.group_id, e.ordinal, p.body
FROM unnest(%(groups)b::int8[], %(ordinals)b::int4[]) AS r (group_id, ordinal)
JOIN exception e ON e.group_id = r.group_id AND e.ordinal = r.ordinal AND e.severity = 'blocking'
JOIN LATERAL (
    SELECT body FROM exception_proposal p
    WHERE p.exception_id = e.exception_id AND p.state = 'applied' AND p.kind = 'edit'
    ORDER BY p.proposal_id DESC LIMIT 1
) AS p ON true

-- name: retried
SELECT e.exception_id
FROM unnest(%(groups)b::int8[], %(ordinals)b::int4[]) AS r (group_id, ordinal)
JOIN exception e ON e.group_id = r.group_id AND e.ordinal = r.ordinal
WHERE e.state = 'retrying'
ORDER BY e.exception_id FOR UPDATE OF e

-- name: retried_foreign
SELECT exception_id FROM exception WHERE foreign_id = ANY(%s) AND state IN ('open', 'retrying', 'approval') ORDER BY exception_id FOR UPDATE

-- name: held_behind
SELECT exception_id FROM exception
WHERE state = 'waiting' AND waits_for = ANY(%(entities)b::text[]) ORDER BY exception_id FOR UPDATE

-- name: of_causes
SELECT exception_id FROM exception
WHERE state = 'open' AND severity = 'blocking' AND foreign_id IS NULL AND cause = ANY(%(causes)b::text[]) ORDER BY exception_id FOR UPDATE

-- name: of_endings
SELECT e.exception_id
FROM unnest(%(codes)b::text[], %(endings)b::text[]) AS m (code, ending)
JOIN exception e ON e.code = m.code AND right(e.cause, length(m.ending)) = m.ending
WHERE e.state = 'open' AND e.severity = 'blocking' AND e.foreign_id IS NULL
ORDER BY e.exception_id FOR UPDATE OF e

-- name: older_states
SELECT e.exception_id
FROM unnest(%(entities)b::text[], %(revisions)b::int8[]) AS r (entity, revision)
JOIN exception e ON e.entity = r.entity AND e.revision < r.revision
WHERE e.state IN ('open', 'waiting', 'approval') AND e.severity = 'blocking' AND e.code <> 'duplicate_conflict'
ORDER BY e.exception_id FOR UPDATE OF e

-- name: requeue
-- Back to the workers' queue, in rows of their own: what a worker has taken off it is never added to.
WITH before AS (
    SELECT exception_id, state FROM exception WHERE exception_id = ANY(%(ids)s)
), again AS (
    UPDATE exception e SET state = 'retrying', waits_for = NULL
    FROM before b WHERE e.exception_id = b.exception_id
    RETURNING e.exception_id, b.state AS was, e.partition, e.group_id, e.ordinal, e.foreign_id, e.journal_id, e.erp
), queued AS (
    INSERT INTO intake_queue (partition, group_id, ordinals, retry)
    SELECT partition, group_id, array_agg(ordinal ORDER BY ordinal), nextval('intake_retry')
    FROM again WHERE foreign_id IS NULL AND group_id IS NOT NULL GROUP BY partition, group_id
), audited AS (
    INSERT INTO exception_action (exception_id, action, actor, before, after, note)
    SELECT exception_id, %(action)s, %(actor)s, jsonb_build_object('state', was),
           jsonb_build_object('state', 'retrying'), %(note)s
    FROM again
)
SELECT foreign_id, journal_id, erp FROM again

-- name: close
-- Out of the queue for good: resolved, dismissed or superseded. A proposal that still waited is withdrawn.
WITH before AS (
    SELECT exception_id, state FROM exception WHERE exception_id = ANY(%(ids)s)
), closed AS (
    UPDATE exception e
    SET state = %(state)s, waits_for = NULL, resolved_at = clock_timestamp(), note = coalesce(%(note)s, e.note)
    FROM before b WHERE e.exception_id = b.exception_id
    RETURNING e.exception_id, b.state AS was, e.entity, e.severity
), withdrawn AS (
    UPDATE exception_proposal p SET state = 'withdrawn' FROM closed c
    WHERE p.exception_id = c.exception_id AND p.state = 'waits'
), audited AS (
    INSERT INTO exception_action (exception_id, action, actor, before, after, note)
    SELECT exception_id, %(action)s, %(actor)s, jsonb_build_object('state', was),
           jsonb_build_object('state', %(state)s::text), coalesce(%(note)s, '')
    FROM closed
)
SELECT entity FROM closed WHERE severity = 'blocking'
