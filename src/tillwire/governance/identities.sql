-- name: of_identity
SELECT p.name, p.disabled_at IS NOT NULL FROM person_identity i JOIN person p ON p.name = i.person
WHERE i.issuer = %(issuer)s AND i.subject = %(subject)s FOR UPDATE OF p

-- name: link
INSERT INTO person_identity (issuer, subject, person) VALUES (%(issuer)s, %(subject)s, %(name)s)
ON CONFLICT DO NOTHING RETURNING true

-- name: unlink
DELETE FROM person_identity WHERE person = %s

-- name: by_groups
SELECT role, stores, companies FROM person_grant WHERE person = %s AND by_groups

-- name: drop_by_groups
DELETE FROM person_grant WHERE person = %s AND by_groups

-- name: grant_by_groups
INSERT INTO person_grant (person, role, stores, companies, by_groups)
VALUES (%(name)s, %(role)s, %(stores)s, %(companies)s, true)

-- name: has_grants
SELECT true FROM person_grant WHERE person = %s LIMIT 1
