-- name: add
INSERT INTO person (name, display, password, must_change) VALUES (%(name)s, %(display)s, %(password)s, %(must_change)s)
ON CONFLICT DO NOTHING RETURNING name

-- name: people
SELECT p.name, p.display, p.made_at, p.disabled_at, p.totp IS NOT NULL, cardinality(p.recovery), p.must_change,
       coalesce((SELECT jsonb_agg(jsonb_build_object('grant_id', g.grant_id, 'role', g.role, 'stores', g.stores,
                                                     'companies', g.companies) ORDER BY g.grant_id)
                 FROM person_grant g WHERE g.person = p.name), '[]'),
       (SELECT max(seen_at) FROM person_session s WHERE s.person = p.name)
FROM person p WHERE %(name)s::text IS NULL OR p.name = %(name)s ORDER BY p.name

-- name: lock
SELECT password, totp, totp_step, recovery, must_change, disabled_at IS NOT NULL FROM person WHERE name = %s FOR UPDATE

-- name: grant
INSERT INTO person_grant (person, role, stores, companies) VALUES (%(name)s, %(role)s, %(stores)s, %(companies)s)

-- name: drop_grant
DELETE FROM person_grant WHERE person = %(name)s AND role = %(role)s

-- name: set_password
UPDATE person SET password = %(password)s, must_change = %(must_change)s WHERE name = %(name)s

-- name: set_totp
UPDATE person SET totp = %(totp)s, totp_step = %(step)s, recovery = %(recovery)s WHERE name = %(name)s

-- name: use_step
UPDATE person SET totp_step = %(step)s WHERE name = %(name)s AND totp_step < %(step)s RETURNING true

-- name: use_recovery
UPDATE person SET recovery = array_remove(recovery, %(digest)s) WHERE name = %(name)s AND %(digest)s = ANY(recovery)
RETURNING true

-- name: disable
UPDATE person SET disabled_at = CASE WHEN %(disabled)s THEN clock_timestamp() END WHERE name = %(name)s RETURNING true

-- name: end_sessions
DELETE FROM person_session WHERE person = %(name)s AND (%(but)s::bytea IS NULL OR digest <> %(but)s)

-- name: open_session
INSERT INTO person_session (digest, person, stage, csrf, ends_at, address, agent)
VALUES (%(digest)s, %(name)s, %(stage)s, %(csrf)s, %(ends_at)s, %(address)s, %(agent)s)

-- name: end_session
DELETE FROM person_session WHERE digest = %s RETURNING person

-- name: sessions
SELECT encode(digest, 'hex'), made_at, seen_at, address, agent FROM person_session WHERE person = %s AND stage = 'full'
ORDER BY seen_at DESC

-- name: session
-- A session in force with its person's grants; noted as seen at most once a minute.
WITH found AS (
    SELECT s.digest, s.person, p.display, s.stage, s.csrf, s.pending, s.seen_at
    FROM person_session s JOIN person p ON p.name = s.person
    WHERE s.digest = %(digest)s AND p.disabled_at IS NULL AND s.ends_at > clock_timestamp()
      AND s.seen_at > clock_timestamp() - make_interval(secs => %(idle_s)s)
), seen AS (
    UPDATE person_session SET seen_at = clock_timestamp()
    WHERE digest IN (SELECT digest FROM found WHERE seen_at < clock_timestamp() - interval '1 minute')
)
SELECT f.person, f.display, f.stage, f.csrf, f.pending,
       coalesce((SELECT jsonb_agg(jsonb_build_object('role', g.role, 'stores', g.stores, 'companies', g.companies)
                                  ORDER BY g.grant_id)
                 FROM person_grant g WHERE g.person = f.person), '[]')
FROM found f

-- name: set_pending
UPDATE person_session SET pending = %(pending)s WHERE digest = %(digest)s

-- name: sweep
DELETE FROM person_session WHERE ends_at < clock_timestamp() OR seen_at < clock_timestamp() - make_interval(secs => %(idle_s)s)

-- name: who
SELECT password, totp, must_change, disabled_at IS NOT NULL, ARRAY(SELECT role FROM person_grant WHERE person = name)
FROM person WHERE name = %s

-- name: failures
SELECT subject, failures, last_at FROM sign_in_failure WHERE subject = ANY(%s)

-- name: failed
INSERT INTO sign_in_failure (subject, failures, last_at) SELECT s, 1, clock_timestamp() FROM unnest(%(subjects)s::text[]) AS s
ON CONFLICT (subject) DO UPDATE SET last_at = excluded.last_at,
    failures = CASE WHEN sign_in_failure.last_at < clock_timestamp() - interval '1 day' THEN 1 ELSE sign_in_failure.failures + 1 END

-- name: forgiven
DELETE FROM sign_in_failure WHERE subject = ANY(%s)
