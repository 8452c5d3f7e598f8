-- name: note
INSERT INTO audit_entry (who, kind, action, subject, details)
VALUES (%(who)s, %(kind)s, %(action)s, %(subject)s, %(details)s::jsonb)

-- name: listed
-- The newest first.
SELECT entry_id, at, who, kind, action, subject, details::text, encode(digest, 'hex')
FROM audit_entry
WHERE entry_id < %(before)s
  AND (%(who)s::text IS NULL OR who = %(who)s)
  AND (%(subject)s::text IS NULL OR subject = %(subject)s)
  AND (%(action)s::text IS NULL OR starts_with(action, %(action)s))
  AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
ORDER BY entry_id DESC
LIMIT %(most)s

-- name: chain
SELECT entry_id, digest, audit_text(a) FROM audit_entry a ORDER BY entry_id

-- name: altered_actions
-- Actions on exceptions that are not, any more, what the log has the digest of.
SELECT e.entry_id
FROM audit_entry e
LEFT JOIN exception_action x ON x.action_id = (e.details ->> 'action_id')::bigint
WHERE e.kind = 'exceptions'
  AND encode(sha256(convert_to(exception_action_text(x), 'UTF8')), 'hex')
      IS DISTINCT FROM e.details ->> 'content'
ORDER BY e.entry_id
