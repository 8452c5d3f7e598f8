-- name: add_client
-- A name whose key was revoked may be given again.
INSERT INTO api_client (name, key_digest) VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET key_digest = excluded.key_digest, created_at = clock_timestamp(), revoked_at = NULL
WHERE api_client.revoked_at IS NOT NULL
RETURNING name

-- name: revoke_client
UPDATE api_client SET revoked_at = clock_timestamp() WHERE name = %s AND revoked_at IS NULL RETURNING name

-- name: clients
SELECT name, created_at, revoked_at FROM api_client ORDER BY name

-- name: keys_in_force
SELECT key_digest, name FROM api_client WHERE revoked_at IS NULL

-- name: companies_of_stores
SELECT id, coalesce(convert_from(body, 'UTF8')::jsonb ->> 'company', '') FROM master_record
WHERE type = 'tillwire.master.store.v1'
