-- name: lock_one
SELECT state, severity, code, entity, amount, currency, store, event_type, group_id, ordinal, foreign_id, source, key,
       assigned, partition
FROM exception
WHERE exception_id = %(exception_id)s AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s)) FOR UPDATE

-- name: accepted
SELECT body FROM intake_group WHERE group_id = %s

-- name: newest_edit
SELECT body FROM exception_proposal
WHERE exception_id = %s AND state = 'applied' AND kind = 'edit' ORDER BY proposal_id DESC LIMIT 1

-- name: newest_approved_edit
SELECT body FROM exception_proposal
WHERE exception_id = %s AND state = 'applied' AND kind = 'edit' AND decided_by IS NOT NULL
ORDER BY proposal_id DESC LIMIT 1

-- name: propose
INSERT INTO exception_proposal (exception_id, kind, state, body, diff, moved, currency, author, reason, state_before)
VALUES (%(exception_id)s, %(kind)s, %(state)s, %(body)b, %(diff)s, %(moved)s, %(currency)s, %(author)s, %(reason)s,
        %(state_before)s)
RETURNING proposal_id

-- name: waiting_proposal
SELECT proposal_id, kind, body, author, reason, state_before FROM exception_proposal
WHERE exception_id = %s AND state = 'waits' FOR UPDATE

-- name: decide
UPDATE exception_proposal
SET state = %(state)s, decided_by = %(by)s, decided_at = clock_timestamp(), decision = %(decision)s
WHERE proposal_id = %(proposal_id)s

-- name: set_state
UPDATE exception SET state = %(state)s WHERE exception_id = %(exception_id)s

-- name: assign
UPDATE exception SET assigned = %(to)s WHERE exception_id = %(exception_id)s

-- name: note_action
INSERT INTO exception_action (exception_id, action, actor, before, after, note)
VALUES (%(exception_id)s, %(action)s, %(actor)s, %(before)s, %(after)s, %(note)s)

-- name: take_key
-- The key that an edit gives an event, if no other has it: what is sent under it later is then known.
INSERT INTO intake (key, source, group_id, ordinal) VALUES (%(key)s, %(source)s, %(group_id)s, %(ordinal)s)
ON CONFLICT (key, source) DO UPDATE SET key = excluded.key
WHERE intake.group_id = excluded.group_id AND intake.ordinal = excluded.ordinal
RETURNING key

-- name: identify
-- After an edit an exception is about what the edited event is about.
UPDATE exception
SET key = %(key)s, entity = %(entity)s, store = %(store)s, register = %(register)s, business_date = %(business_date)s,
    kind = %(kind)s, amount = %(amount)s, currency = %(currency)s, version = %(version)s, revision = %(revision)s,
    partition = %(partition)s, event_type = %(event_type)s
WHERE exception_id = %(exception_id)s

-- name: dismissible
SELECT exception_id, amount, currency, severity, state FROM exception
WHERE cause = %(cause)s AND state IN ('open', 'waiting') AND (%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))
ORDER BY exception_id FOR UPDATE
