-- API clients: what each may do and where, several keys each, expiry, and the networks they may call from.

ALTER TABLE api_client
    ADD COLUMN expires_at timestamptz,                -- after it none of its keys counts; none: never
    ADD COLUMN networks   cidr[] NOT NULL DEFAULT '{}';  -- from where it may call; none: from anywhere

-- A client may have several keys in force: a new one beside the old, until the old one expires.
CREATE TABLE api_client_key (
    key_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client     text NOT NULL REFERENCES api_client,
    digest     bytea NOT NULL UNIQUE,                 -- SHA-256 of the key, which is kept nowhere
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX ON api_client_key (client);

CREATE TABLE api_client_grant (
    grant_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client     text NOT NULL REFERENCES api_client,
    operations text[] NOT NULL CHECK (cardinality(operations) > 0),
    stores     text[] NOT NULL,                       -- patterns with * and ?
    companies  text[] NOT NULL,
    sources    text[] NOT NULL
);
CREATE INDEX ON api_client_grant (client);

-- Clients that were made before keep their key and everything that a key could do until now, everywhere. What is new (to
-- administer access, to read the audit log, to unmask and to erase personal data) no key could do: it is not among it.
INSERT INTO api_client_key (client, digest, made_at, revoked_at)
SELECT name, key_digest, created_at, revoked_at FROM api_client ORDER BY created_at, name;

INSERT INTO api_client_grant (client, operations, stores, companies, sources)
SELECT name,
       ARRAY['events:send', 'events:read', 'sales:read', 'stock:read', 'master-data:read', 'master-data:write',
             'exceptions:read', 'exceptions:work', 'exceptions:approve', 'ledger:read', 'ledger:work',
             'connectors:read', 'connectors:test', 'service-levels:read', 'catalogue:read'],
       '{*}', '{*}', '{*}'
FROM api_client WHERE revoked_at IS NULL;

-- A process of the release before, which knows no grants, finds no key here and lets nobody in.
ALTER TABLE api_client DROP COLUMN key_digest;

-- Which master records may be seen by who reaches some stores only: their own stores, registers and prices, the chart and
-- the periods of those stores' companies, and whatever belongs to no store or company.
CREATE FUNCTION in_reach(type text, body bytea, stores text[], companies text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE type
        WHEN 'tillwire.master.store.v1' THEN record ->> 'store' = ANY(stores)
        WHEN 'tillwire.master.register.v1' THEN record ->> 'store' = ANY(stores)
        WHEN 'tillwire.master.price.v1' THEN coalesce(record ->> 'store', '') = '' OR record ->> 'store' = ANY(stores)
        WHEN 'tillwire.master.account.v1' THEN record ->> 'company' = ANY(companies)
        WHEN 'tillwire.master.period.v1' THEN record ->> 'company' = ANY(companies)
        WHEN 'tillwire.master.mapping.v1' THEN record ->> 'kind' <> 'store' OR record ->> 'ours' = ANY(stores)
        ELSE true
    END
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS record) AS r
$$;
