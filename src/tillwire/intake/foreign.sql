-- name: receive
-- One row per delivery; a repetition of one changes nothing.
INSERT INTO foreign_message (connection, delivery_key, topic, headers, body)
SELECT %(connection)s, d.key, d.topic, d.headers::jsonb, d.body
FROM unnest(%(keys)s::text[], %(topics)s::text[], %(headers)s::text[], %(bodies)s::bytea[]) AS d (key, topic, headers, body)
ON CONFLICT (connection, delivery_key) DO NOTHING
RETURNING delivery_key

-- name: entities
SELECT entity, version, digest, key, hub_version FROM foreign_entity
WHERE connection = %(connection)s AND entity = ANY(%(entities)s)
ORDER BY entity FOR UPDATE

-- name: note_entities
INSERT INTO foreign_entity (connection, entity, version, digest, key, hub_version)
SELECT %(connection)s, e.* FROM unnest(%(entities)s::text[], %(versions)s::int8[], %(digests)s::bytea[],
                                       %(keys)s::text[], %(hub_versions)s::int4[]) AS e
ON CONFLICT (connection, entity) DO UPDATE
SET version = excluded.version, digest = excluded.digest, key = excluded.key, hub_version = excluded.hub_version

-- name: note_batch
INSERT INTO foreign_batch (group_id, connection, part_of, records, message_ids, body)
VALUES (%(group_id)s, %(connection)s, %(part_of)s, %(records)s, %(message_ids)s, %(body)b)

-- name: failed_record
-- A record that could not be mapped becomes a message of its own, to be read again alone.
INSERT INTO foreign_message (connection, delivery_key, topic, headers, body, state, attempts, outcome, part_of)
VALUES (%(connection)s, %(delivery_key)s, %(topic)s, %(headers)s, %(body)b, 'failed', 1, %(outcome)s, %(part_of)s)
ON CONFLICT (connection, delivery_key) DO UPDATE SET state = 'failed', attempts = foreign_message.attempts + 1,
    outcome = excluded.outcome, body = excluded.body
RETURNING message_id

-- name: waiting
-- The oldest of a connection's messages that wait; a connection is worked by one process at a time.
SELECT message_id, topic, headers, body, attempts FROM foreign_message
WHERE connection = %(connection)s AND state = 'waiting' ORDER BY message_id LIMIT %(most)s

-- name: mapped
UPDATE foreign_message SET state = 'mapped', outcome = m.outcome, attempts = attempts + 1, mapped_at = clock_timestamp()
FROM unnest(%(ids)s::int8[], %(outcomes)s::text[]) AS m (message_id, outcome)
WHERE foreign_message.message_id = m.message_id

-- name: failed
UPDATE foreign_message SET state = 'failed', attempts = attempts + 1 WHERE message_id = ANY(%s)

-- name: requeue
UPDATE foreign_message SET state = 'waiting' WHERE message_id = ANY(%s) AND state = 'failed'

-- name: replace_body
UPDATE foreign_message SET body = %(body)b WHERE message_id = %(message_id)s AND state = 'failed'

-- name: state_of
SELECT state FROM connection_state WHERE connection = %s

-- name: set_state
INSERT INTO connection_state (connection, state) VALUES (%(connection)s, %(state)s)
ON CONFLICT (connection) DO UPDATE SET state = excluded.state, changed_at = clock_timestamp(), last_error = ''

-- name: note_error
INSERT INTO connection_state (connection, state, last_error) VALUES (%(connection)s, '{}', %(error)s)
ON CONFLICT (connection) DO UPDATE SET last_error = excluded.last_error, changed_at = clock_timestamp()

-- name: listed
SELECT connection, coalesce(m.messages, 0), coalesce(m.waiting, 0), coalesce(m.failed, 0), m.last,
       coalesce(s.last_error, '')
FROM (SELECT connection, count(*) AS messages, count(*) FILTER (WHERE state = 'waiting') AS waiting,
             count(*) FILTER (WHERE state = 'failed') AS failed, max(received_at) AS last
      FROM foreign_message GROUP BY connection) AS m
FULL JOIN connection_state s USING (connection) ORDER BY connection

-- name: origin_of
SELECT b.connection, b.part_of, b.records[%(ordinal)s + 1], b.message_ids[%(ordinal)s + 1], b.body
FROM foreign_batch b WHERE b.group_id = %(group_id)s

-- name: body_of
SELECT body, topic, part_of FROM foreign_message WHERE message_id = %s
