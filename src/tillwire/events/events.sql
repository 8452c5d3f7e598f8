-- name: copy_events
COPY event (group_id, ordinal, partition, event_offset) FROM STDIN

-- name: add_chunk
INSERT INTO event_chunk (partition, first_offset, event_count, body, accepted_at) VALUES (%b, %b, %b, %b, %b)

-- name: advance
UPDATE event_partition SET next_offset = v.next_offset
FROM unnest(%(partitions)b::int2[], %(offsets)b::int8[]) AS v (partition, next_offset)
WHERE event_partition.partition = v.partition

-- name: offsets
SELECT partition, next_offset FROM event_partition ORDER BY partition

-- name: lock_partitions
SELECT partition, next_offset FROM event_partition WHERE partition = ANY(%s) ORDER BY partition FOR UPDATE

-- name: chunks
-- The chunks from an offset on. The position arrives as a parameter, so that it is an index condition.
SELECT first_offset, event_count, body FROM event_chunk
WHERE partition = %(partition)s AND first_offset >= %(first_offset)s
ORDER BY first_offset LIMIT %(most)s

-- name: chunk_start
-- The first offset of the chunk that holds an event.
SELECT first_offset FROM event_chunk WHERE partition = %s AND first_offset <= %s ORDER BY first_offset DESC LIMIT 1

-- name: positions
SELECT partition, next_offset FROM projection_position WHERE projection = %s

-- name: lock_position
-- Held to the commit, so that two runners of one projection take turns and never apply an event twice.
INSERT INTO projection_position (projection, partition) VALUES (%(projection)s, %(partition)s)
ON CONFLICT (projection, partition) DO UPDATE SET next_offset = projection_position.next_offset
RETURNING next_offset

-- name: set_position
UPDATE projection_position SET next_offset = %(next_offset)s
WHERE projection = %(projection)s AND partition = %(partition)s

-- name: reset_positions
UPDATE projection_position SET next_offset = 0 WHERE projection = %s

-- name: chunks_of
-- The chunks that hold some events, each once.
SELECT DISTINCT ON (c.partition, c.first_offset) c.partition, c.first_offset, c.body
FROM unnest(%(partitions)b::int2[], %(offsets)b::int8[]) AS w (partition, event_offset)
CROSS JOIN LATERAL (
    SELECT * FROM event_chunk e WHERE e.partition = w.partition AND e.first_offset <= w.event_offset
    ORDER BY e.first_offset DESC LIMIT 1
) AS c
