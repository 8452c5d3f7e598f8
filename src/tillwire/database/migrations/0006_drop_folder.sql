-- Files that were dropped into a connection's inbox, and how far each has come.

CREATE TABLE foreign_file (
    file_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection  text NOT NULL,
    name        text NOT NULL,           -- as it lay in the inbox
    claim       text NOT NULL,           -- its name in working/, unlike any other
    digest      bytea,                   -- SHA-256 of its content; none if it could not be read
    bytes       bigint NOT NULL DEFAULT 0,
    state       text NOT NULL CHECK (state IN ('checking', 'recording', 'done', 'failed', 'duplicate')),
    next_record bigint NOT NULL DEFAULT 0,   -- every record before it is recorded, in the transaction that set this
    counts      jsonb NOT NULL DEFAULT '{}',
    report      jsonb,                   -- as it lies beside the file
    began_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    UNIQUE (connection, claim)
);
-- One content is recorded once; what failed may come again.
CREATE UNIQUE INDEX foreign_file_content ON foreign_file (connection, digest)
WHERE state IN ('checking', 'recording', 'done');
