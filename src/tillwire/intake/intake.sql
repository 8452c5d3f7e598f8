-- name: accept
-- One statement, one round trip, one commit: the keys that are new, the group's raw bytes if any is, and their place in
-- the workers' queue. Keys go in sorted, so that two groups with the same keys wait for each other and never deadlock.
WITH this AS (
    SELECT nextval(pg_get_serial_sequence('intake_group', 'group_id')) AS group_id
), fresh AS (
    INSERT INTO intake (key, source, group_id, ordinal)
    SELECT e.key, e.source, this.group_id, e.ordinal
    FROM this, unnest(%(keys)s::text[], %(sources)s::text[], %(ordinals)s::int4[]) AS e (key, source, ordinal)
    ORDER BY e.key, e.source
    ON CONFLICT DO NOTHING
    RETURNING group_id, ordinal
), stored AS (
    INSERT INTO intake_group (group_id, body) OVERRIDING SYSTEM VALUE
    SELECT group_id, %(body)b FROM this WHERE EXISTS (SELECT FROM fresh)
), queued AS (
    INSERT INTO intake_queue (partition, group_id, ordinals)
    SELECT p.partition, f.group_id, array_agg(f.ordinal ORDER BY f.ordinal)
    FROM fresh f
    JOIN unnest(%(ordinals)s::int4[], %(partitions)s::int2[]) AS p (ordinal, partition) USING (ordinal)
    GROUP BY p.partition, f.group_id
)
SELECT coalesce(array_agg(ordinal), '{}'), (SELECT group_id FROM this) FROM fresh

-- name: store_group
INSERT INTO intake_group (body) VALUES (%(body)b) RETURNING group_id

-- name: known
SELECT i.key, i.source, i.group_id, i.ordinal
FROM unnest(%(keys)s::text[], %(sources)s::text[]) AS k (key, source)
JOIN intake i USING (key, source)

-- name: group_bodies
SELECT group_id, body FROM intake_group WHERE group_id = ANY(%s)

-- name: raise_conflict
WITH raised AS (
    INSERT INTO exception (code, owner, message, pointer, faults, cause, entity, event_type, source, key, store, register,
                           business_date, kind, amount, currency, version, revision, partition, group_id, ordinal, digest)
    VALUES (%(code)s, %(owner)s, %(message)s, '', %(faults)s, %(cause)s, %(entity)s, %(event_type)s, %(source)s, %(key)s,
            %(store)s, %(register)s, %(business_date)s, %(kind)s, %(amount)s, %(currency)s, %(version)s, %(revision)s,
            %(partition)s, %(group_id)s, %(ordinal)s, %(digest)s)
    ON CONFLICT DO NOTHING
    RETURNING exception_id, code, cause
)
INSERT INTO exception_action (exception_id, action, actor, after)
SELECT exception_id, 'raise', 'hub', jsonb_build_object('state', 'open', 'code', code, 'cause', cause) FROM raised

-- name: backlog
-- Events that wait for a worker, and those in the catalogue's lane; counting stops at the limit, so that a long queue
-- costs no more than that.
SELECT (SELECT coalesce(sum(events), 0)
        FROM (SELECT cardinality(ordinals) AS events FROM intake_queue WHERE partition <> 17 LIMIT %(most)s) AS waiting),
       (SELECT coalesce(sum(events), 0)
        FROM (SELECT cardinality(ordinals) AS events FROM intake_queue WHERE partition = 17 LIMIT %(most)s) AS waiting)
