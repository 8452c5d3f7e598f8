-- name: add
INSERT INTO person (name, display, password, must_change) VALUES (%(name)s, %(display)s, %(password)s, %(must_change)s)
ON CONFLICT DO NOTHING RETURNING name

-- name: people
SELECT p.name, p.display, p.made_at, p.disabled_at, p.totp IS NOT NULL, cardinality(p.recovery), p.must_change,
       coalesce((SELECT jsonb_agg(jsonb_build_object('grant_id', g.grant_id, 'role', g.role, 'stores', g.stores,
                                                     'companies', g.companies, 'by_groups', g.by_groups)
                                  ORDER BY g.grant_id)
                 FROM person_grant g WHERE g.person = p.name), '[]'),
       (SELECT max(seen_at) FROM person_session s WHERE s.person = p.name), p.password IS NOT NULL,
       ARRAY(SELECT i.issuer || ' ' || i.subject FROM person_identity i WHERE i.person = p.name ORDER BY 1)
FROM person p WHERE %(name)s::text IS NULL OR p.name = %(name)s ORDER BY p.name

-- name: lock
SELECT password, totp, totp_step, recovery, must_change, disabled_at IS NOT NULL FROM person WHERE name = %s FOR UPDATE

-- name: grant
INSERT INTO person_grant (person, role, stores, companies) VALUES (%(name)s, %(role)s, %(stores)s, %(companies)s)

-- name: drop_grant
DELETE FROM person_grant WHERE person = %(name)s AND role = %(role)s AND NOT by_groups

-- name: set_password
UPDATE person SET password = %(password)s, must_change = %(must_change)s WHERE name = %(name)s

-- name: strengthen
UPDATE person SET password = %(password)s WHERE name = %(name)s AND password = %(was)s

-- name: set_recovery
UPDATE person SET recovery = %(recovery)s WHERE name = %(name)s

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
