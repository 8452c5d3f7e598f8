-- name: known
SELECT version FROM rule_book WHERE digest = %s

-- name: keep
-- Two that keep the same one at once agree on it.
INSERT INTO rule_book (digest, content) VALUES (%s, %s)
ON CONFLICT (digest) DO UPDATE SET used_at = rule_book.used_at
RETURNING version

-- name: content
SELECT content::text FROM rule_book WHERE version = %s
