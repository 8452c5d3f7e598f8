-- People who sign in: what they know, what they may do and where, and where they are signed in.
CREATE TABLE person (
    name        text PRIMARY KEY,
    display     text NOT NULL,
    password    text NOT NULL,               -- argon2id, in PHC form
    must_change boolean NOT NULL DEFAULT false,
    totp        bytea,                       -- the secret, sealed by a key that is not in the database; none: not enrolled
    totp_step   bigint NOT NULL DEFAULT 0,   -- the newest step of thirty seconds whose code was used: none is used twice
    recovery    bytea[] NOT NULL DEFAULT '{}',  -- SHA-256 of codes that are good once
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    disabled_at timestamptz
);

CREATE TABLE person_grant (
    grant_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person    text NOT NULL REFERENCES person,
    role      text NOT NULL,
    stores    text[] NOT NULL,               -- patterns with * and ?
    companies text[] NOT NULL
);
CREATE INDEX ON person_grant (person);

-- The cookie is kept nowhere; its digest is. Until stage is full, nothing but the next step of signing in is open.
CREATE TABLE person_session (
    digest  bytea PRIMARY KEY,
    person  text NOT NULL REFERENCES person,
    stage   text NOT NULL CHECK (stage IN ('totp', 'enrol', 'password', 'full')),
    csrf    text NOT NULL,
    pending bytea,                           -- a TOTP secret that is being enrolled, sealed
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ends_at timestamptz NOT NULL,
    address text NOT NULL,
    agent   text NOT NULL
);
CREATE INDEX ON person_session (person);

-- Failures to sign in, of a name (whether there is such a person or not) and of an address.
CREATE TABLE sign_in_failure (
    subject  text PRIMARY KEY,
    failures integer NOT NULL,
    last_at  timestamptz NOT NULL
);
