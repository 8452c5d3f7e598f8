-- name: claim
-- Partitions with work that no other worker holds, the longest waiting first. The lock is held to the commit: it gives
-- out dense offsets, and a worker that dies lets go of it at once. What was accepted after a master record that sales
-- depend on waits for it. The catalogue's lane is claimed by itself.
SELECT p.partition, p.next_offset
FROM event_partition p
JOIN LATERAL (
    SELECT q.group_id FROM intake_queue q WHERE q.partition = p.partition ORDER BY q.group_id LIMIT 1
) AS oldest ON true
WHERE p.partition <> 17
  AND (p.partition = 0
       OR oldest.group_id < coalesce((SELECT min(group_id) FROM intake_queue WHERE partition = 0), 9223372036854775807))
ORDER BY oldest.group_id
LIMIT %(most)s
FOR UPDATE OF p SKIP LOCKED

-- name: claim_catalogue
-- The lane of prices and customers, if anything waits there. What was accepted after a mapping waits for it here, too.
SELECT p.partition, p.next_offset
FROM event_partition p
JOIN LATERAL (
    SELECT q.group_id FROM intake_queue q WHERE q.partition = p.partition ORDER BY q.group_id LIMIT 1
) AS oldest ON true
WHERE p.partition = 17
  AND oldest.group_id < coalesce((SELECT min(group_id) FROM intake_queue WHERE partition = 0), 9223372036854775807)
FOR UPDATE OF p SKIP LOCKED

-- name: master_offsets
SELECT partition, next_offset FROM event_partition WHERE partition IN (0, 17)

-- name: take
-- What waits in the claimed partitions, oldest first, up to about so many events.
SELECT w.partition, w.group_id, w.ordinals, w.retry, g.body, g.received_at
FROM (
    SELECT q.partition, q.group_id, q.ordinals, q.retry,
           sum(cardinality(q.ordinals)) OVER (ORDER BY q.group_id, q.partition, q.retry)
               - cardinality(q.ordinals) AS before
    FROM (
        SELECT * FROM intake_queue
        WHERE partition = ANY(%(partitions)b::int2[])
          AND (partition = 0 OR group_id < coalesce(
                  (SELECT min(group_id) FROM intake_queue WHERE partition = 0), 9223372036854775807))
        ORDER BY group_id LIMIT %(most)s
    ) AS q
) AS w
JOIN intake_group g USING (group_id)
WHERE w.before < %(most)s
ORDER BY w.group_id, w.partition, w.retry

-- name: done
DELETE FROM intake_queue
USING unnest(%(partitions)b::int2[], %(groups)b::int8[], %(retries)b::int8[]) AS d (partition, group_id, retry)
WHERE intake_queue.partition = d.partition AND intake_queue.group_id = d.group_id AND intake_queue.retry = d.retry

-- name: leave
-- Of a row that was taken in part: what stays.
UPDATE intake_queue SET ordinals = %(ordinals)s
WHERE partition = %(partition)s AND group_id = %(group)s AND retry = %(retry)s
