-- name: open_session
INSERT INTO person_session (digest, person, stage, csrf, ends_at, address, agent)
VALUES (%(digest)s, %(name)s, %(stage)s, %(csrf)s, %(ends_at)s, %(address)s, %(agent)s)

-- name: end_session
DELETE FROM person_session WHERE digest = %s RETURNING person

-- name: of_person
SELECT encode(digest, 'hex'), made_at, seen_at, address, agent FROM person_session
WHERE person = %(name)s AND stage = 'full' AND ends_at > clock_timestamp()
  AND seen_at > clock_timestamp() - make_interval(secs => %(idle_s)s)
ORDER BY seen_at DESC

-- name: end_of_person
-- One of somebody's sessions, or all of them but one.
DELETE FROM person_session WHERE person = %(name)s
  AND CASE WHEN %(only)s::bytea IS NULL THEN digest IS DISTINCT FROM %(but)s::bytea ELSE digest = %(only)s END

-- name: session
-- A session in force with its person's grants; noted as seen at most once a minute, and only where somebody does something.
WITH found AS (
    SELECT s.digest, s.person, p.display, s.stage, s.csrf, s.seen_at
    FROM person_session s JOIN person p ON p.name = s.person
    WHERE s.digest = %(digest)s AND p.disabled_at IS NULL AND s.ends_at > clock_timestamp()
      AND s.seen_at > clock_timestamp() - make_interval(secs => %(idle_s)s)
), seen AS (
    UPDATE person_session SET seen_at = clock_timestamp()
    WHERE %(done)s AND digest IN (SELECT digest FROM found WHERE seen_at < clock_timestamp() - interval '1 minute')
)
SELECT f.person, f.display, f.stage, f.csrf,
       coalesce((SELECT jsonb_agg(jsonb_build_object('role', g.role, 'stores', g.stores, 'companies', g.companies)
                                  ORDER BY g.grant_id)
                 FROM person_grant g WHERE g.person = f.person), '[]')
FROM found f

-- name: set_pending
UPDATE person_session SET pending = %(pending)s WHERE digest = %(digest)s

-- name: pending
SELECT pending FROM person_session WHERE digest = %s

-- name: sweep
DELETE FROM person_session WHERE ends_at < clock_timestamp() OR seen_at < clock_timestamp() - make_interval(secs => %(idle_s)s)

-- name: sweep_used
DELETE FROM sign_in_used WHERE ends_at < clock_timestamp()

-- name: use
INSERT INTO sign_in_used (digest, ends_at) VALUES (%(digest)s, %(ends_at)s) ON CONFLICT DO NOTHING RETURNING true

-- name: who
SELECT name, password, totp IS NOT NULL, must_change, disabled_at IS NOT NULL,
       ARRAY(SELECT role FROM person_grant WHERE person = name)
FROM person WHERE lower(name) = lower(%s)
