-- name: add_client
-- A name that was revoked may be given again.
INSERT INTO api_client (name, expires_at, networks) VALUES (%(name)s, %(expires_at)s, %(networks)s::cidr[])
ON CONFLICT (name) DO UPDATE SET created_at = clock_timestamp(), revoked_at = NULL, expires_at = excluded.expires_at,
    networks = excluded.networks
WHERE api_client.revoked_at IS NOT NULL
RETURNING name

-- name: lock_client
SELECT expires_at FROM api_client WHERE name = %s AND revoked_at IS NULL FOR UPDATE

-- name: add_key
INSERT INTO api_client_key (client, digest, expires_at) VALUES (%(name)s, %(digest)s, %(expires_at)s)

-- name: expire_keys
-- Keys in force are good until a moment at the latest.
UPDATE api_client_key SET expires_at = least(expires_at, %(until)s) WHERE client = %(name)s AND revoked_at IS NULL

-- name: revoke_keys
UPDATE api_client_key SET revoked_at = clock_timestamp() WHERE client = %s AND revoked_at IS NULL

-- name: add_grants
INSERT INTO api_client_grant (client, operations, stores, companies, sources)
SELECT %(name)s, ARRAY(SELECT jsonb_array_elements_text(g -> 'operations')), ARRAY(SELECT jsonb_array_elements_text(g -> 'stores')),
       ARRAY(SELECT jsonb_array_elements_text(g -> 'companies')), ARRAY(SELECT jsonb_array_elements_text(g -> 'sources'))
FROM jsonb_array_elements(%(grants)s::jsonb) WITH ORDINALITY AS given (g, n) ORDER BY n

-- name: drop_grants
DELETE FROM api_client_grant WHERE client = %s

-- name: restrict
UPDATE api_client SET networks = coalesce(%(networks)s::cidr[], networks), expires_at = coalesce(%(expires_at)s, expires_at)
WHERE name = %(name)s

-- name: revoke_client
UPDATE api_client SET revoked_at = clock_timestamp() WHERE name = %s AND revoked_at IS NULL RETURNING name

-- name: clients
-- Without the digests of their keys: nobody who looks has a use for them.
SELECT c.name, c.created_at, c.expires_at, c.revoked_at, c.networks::text[],
       coalesce((SELECT jsonb_agg(jsonb_build_object('operations', g.operations, 'stores', g.stores,
                                                     'companies', g.companies, 'sources', g.sources) ORDER BY g.grant_id)
                 FROM api_client_grant g WHERE g.client = c.name), '[]'),
       coalesce((SELECT jsonb_agg(jsonb_build_object('key_id', k.key_id, 'made_at', k.made_at,
                                                     'expires_at', k.expires_at) ORDER BY k.key_id)
                 FROM api_client_key k WHERE k.client = c.name AND k.revoked_at IS NULL), '[]')
FROM api_client c
WHERE %(name)s::text IS NULL OR c.name = %(name)s
ORDER BY c.name

-- name: keys_in_force
-- Every key that was not revoked, with its client: what an API process keeps in memory. Expiry is judged by its clock.
SELECT k.digest, k.key_id, k.expires_at, c.name, c.expires_at, c.networks::text[],
       (SELECT jsonb_agg(jsonb_build_object('operations', g.operations, 'stores', g.stores, 'companies', g.companies,
                                            'sources', g.sources) ORDER BY g.grant_id)
        FROM api_client_grant g WHERE g.client = c.name)
FROM api_client_key k JOIN api_client c ON c.name = k.client
WHERE k.revoked_at IS NULL AND c.revoked_at IS NULL
ORDER BY k.key_id
