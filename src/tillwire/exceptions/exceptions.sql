-- name: listed
-- The queue, each exception with the time it is due: the first service level that fits its code and owner.
SELECT exception_id, code, owner, state, severity, message, pointer, cause, entity, waits_for, event_type, source, key,
       store, business_date, amount, currency, attempts, raised_at, due_at, assigned
FROM (
    SELECT e.*, e.raised_at + make_interval(hours => level.hours) AS due_at
    FROM exception e
    LEFT JOIN LATERAL (
        SELECT l.hours
        FROM unnest(%(codes)b::text[], %(owners)b::text[], %(hours)b::int4[]) WITH ORDINALITY
             AS l (code, owner, hours, n)
        WHERE l.code IN ('*', e.code) AND l.owner IN ('*', e.owner)
        ORDER BY l.n LIMIT 1
    ) AS level ON true
) AS e
WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
  AND (%(code)s::text IS NULL OR code = %(code)s)
  AND (%(cause)s::text IS NULL OR cause = %(cause)s)
  AND (%(owner)s::text IS NULL OR owner = %(owner)s)
  AND (%(store)s::text IS NULL OR store = %(store)s)
  AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
  AND (%(assigned)s::text IS NULL OR assigned = %(assigned)s)
  AND (%(severity)s::text IS NULL OR severity = %(severity)s)
  AND (%(least)s::numeric IS NULL OR abs(amount) >= %(least)s)
  AND (%(before)s::timestamptz IS NULL OR raised_at < %(before)s)
  AND (%(overdue_at)s::timestamptz IS NULL OR due_at < %(overdue_at)s)
  AND exception_id > %(after)s
ORDER BY exception_id LIMIT %(most)s

-- name: causes
-- What one fix would mend, with the money at risk. Currencies are never added: a cause has a row for each.
SELECT cause, currency, min(code), min(owner), count(*), sum(abs(amount)), min(raised_at),
       count(*) FILTER (WHERE state = 'open'), count(*) FILTER (WHERE state = 'waiting'),
       count(*) FILTER (WHERE state = 'retrying'), count(*) FILTER (WHERE state = 'approval')
FROM exception
WHERE state IN ('open', 'waiting', 'retrying', 'approval') AND severity = 'blocking'
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(store)s::text IS NULL OR store = %(store)s)
  AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
GROUP BY cause, currency

-- name: one
SELECT e.exception_id, e.code, e.owner, e.state, e.severity, e.message, e.pointer, e.cause, e.entity, e.waits_for,
       e.event_type, e.source, e.key, e.store, e.business_date, e.amount, e.currency, e.attempts, e.raised_at,
       e.raised_at + make_interval(hours => level.hours), e.assigned,
       e.faults, e.ordinal, g.body, e.journal_id, e.note
FROM exception e
LEFT JOIN intake_group g USING (group_id)
LEFT JOIN LATERAL (
    SELECT l.hours
    FROM unnest(%(codes)b::text[], %(owners)b::text[], %(hours)b::int4[]) WITH ORDINALITY AS l (code, owner, hours, n)
    WHERE l.code IN ('*', e.code) AND l.owner IN ('*', e.owner)
    ORDER BY l.n LIMIT 1
) AS level ON true
WHERE e.exception_id = %(exception_id)s AND (%(reach)s::text[] IS NULL OR e.store = ANY(%(reach)s))

-- name: actions
SELECT at, action, actor, before, after, note FROM exception_action WHERE exception_id = %s ORDER BY action_id

-- name: proposals
SELECT proposal_id, kind, state, diff, moved, currency, author, reason, proposed_at, decided_by, decided_at, decision,
       body
FROM exception_proposal WHERE exception_id = %s ORDER BY proposal_id

-- name: retriable
SELECT exception_id FROM exception
WHERE state = 'open' AND severity = 'blocking' AND code <> 'duplicate_conflict'
  AND (%(exception_id)s::int8 IS NULL OR exception_id = %(exception_id)s)
  AND (%(code)s::text IS NULL OR code = %(code)s)
  AND (%(cause)s::text IS NULL OR cause = %(cause)s)
  AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
ORDER BY exception_id FOR UPDATE

-- name: cause_named
-- A cause by itself, or by the short name that fits into an address.
SELECT cause FROM (
    SELECT DISTINCT cause FROM exception
    WHERE cause = %(name)s AND state IN ('open', 'waiting', 'retrying', 'approval')
      AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
    UNION ALL
    SELECT DISTINCT cause FROM exception
    WHERE md5(cause) = %(name)s AND state IN ('open', 'waiting', 'retrying', 'approval')
      AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
) AS named LIMIT 1
