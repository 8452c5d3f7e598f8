-- Names are one, whatever their case. People whom a company's own sign-in (OpenID Connect) vouches for need no password.
CREATE UNIQUE INDEX person_lower_name ON person (lower(name));
ALTER TABLE person ALTER COLUMN password DROP NOT NULL;

-- Roles that somebody has by the groups that their company's sign-in tells; they are as told at the last sign-in.
ALTER TABLE person_grant ADD COLUMN by_groups boolean NOT NULL DEFAULT false;

-- Who somebody is at their company's sign-in. Nothing else links the two: no name and no e-mail address does.
CREATE TABLE person_identity (
    issuer  text NOT NULL,
    subject text NOT NULL,
    person  text NOT NULL REFERENCES person,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX ON person_identity (person);

-- Attempts that have come back from a company's sign-in, by their digest: each is good once.
CREATE TABLE sign_in_used (
    digest  bytea PRIMARY KEY,
    ends_at timestamptz NOT NULL
);
