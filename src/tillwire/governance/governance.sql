-- name: add_client
INSERT INTO api_client (name, key_digest) VALUES (%s, %s)
ON CONFLICT (name) DO NOTHING
RETURNING name

-- name: revoke_client
UPDATE api_client SET revoked_at = clock_timestamp() WHERE name = %s AND revoked_at IS NULL RETURNING name

-- name: clients
SELECT name, created_at, revoked_at FROM api_client ORDER BY name

-- name: keys_in_force
SELECT key_digest, name FROM api_client WHERE revoked_at IS NULL
