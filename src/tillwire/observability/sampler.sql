-- name: position
SELECT sampled_at, offsets, audited, rolled_to FROM observer

-- name: note
INSERT INTO observer (sampled_at, offsets, audited, rolled_to)
VALUES (%(sampled_at)s, %(offsets)s, %(audited)s, %(rolled_to)s)
ON CONFLICT (only_one) DO UPDATE
SET sampled_at = excluded.sampled_at, offsets = excluded.offsets, audited = excluded.audited,
    rolled_to = excluded.rolled_to

-- name: newest_audit
SELECT coalesce(max(entry_id), 0) FROM audit_entry

-- name: standing
-- States of stores that are other than nothing in their newest row of the last hours.
SELECT figure, store, part FROM (
    SELECT DISTINCT ON (figure, store, part) figure, store, part, last FROM figure_history
    WHERE grain = 'hour' AND at >= %(since)s AND store <> '' AND figure = ANY(%(figures)s::text[])
    ORDER BY figure, store, part, at DESC
) AS newest
WHERE last <> 0
