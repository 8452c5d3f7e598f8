-- name: changed_since
SELECT type, body FROM master_record WHERE changed >= %s

-- name: upsert
INSERT INTO master_record (type, id, revision, body, changed)
SELECT * FROM unnest(%(types)b::text[], %(ids)b::text[], %(revisions)b::int8[], %(bodies)b::bytea[], %(changed)b::int8[])
    AS r (type, id, revision, body, changed)
ON CONFLICT (type, id) DO UPDATE
SET revision = excluded.revision, body = excluded.body, changed = excluded.changed
WHERE excluded.revision > master_record.revision
