-- name: by_claim
SELECT file_id, name, digest, state, next_record, counts, report, began_at FROM foreign_file
WHERE connection = %(connection)s AND claim = %(claim)s

-- name: begin
-- None is returned if the same content is there already, being worked on or done.
INSERT INTO foreign_file (connection, name, claim, digest, bytes, state)
VALUES (%(connection)s, %(name)s, %(claim)s, %(digest)s, %(bytes)s, 'checking')
ON CONFLICT (connection, digest) WHERE state IN ('checking', 'recording', 'done') DO NOTHING
RETURNING file_id, name, digest, state, next_record, counts, report, began_at

-- name: same_content
SELECT file_id, name, claim, state, began_at FROM foreign_file
WHERE connection = %(connection)s AND digest = %(digest)s AND state IN ('checking', 'recording', 'done')

-- name: inherit
-- The claim of a file that is gone passes to another file of the same content.
UPDATE foreign_file SET claim = %(claim)s, changed_at = clock_timestamp()
WHERE file_id = %(file_id)s AND claim = %(before)s

-- name: recording
UPDATE foreign_file SET state = 'recording', changed_at = clock_timestamp()
WHERE file_id = %(file_id)s AND claim = %(claim)s AND state = 'checking'

-- name: position
SELECT next_record FROM foreign_file WHERE file_id = %(file_id)s AND claim = %(claim)s AND state = 'recording' FOR UPDATE

-- name: advance
UPDATE foreign_file SET next_record = %(next_record)s, counts = %(counts)s, changed_at = clock_timestamp()
WHERE file_id = %(file_id)s

-- name: finish
UPDATE foreign_file SET state = %(state)s, report = %(report)s, changed_at = clock_timestamp(),
    finished_at = clock_timestamp()
WHERE file_id = %(file_id)s

-- name: finished_at_once
INSERT INTO foreign_file (connection, name, claim, digest, bytes, state, report, finished_at)
VALUES (%(connection)s, %(name)s, %(claim)s, %(digest)s, %(bytes)s, %(state)s, %(report)s, clock_timestamp())

-- name: told
SELECT exception_id, code, message FROM exception WHERE exception_id = ANY(%s) ORDER BY exception_id

-- name: listed
SELECT file_id, connection, name, state, bytes, next_record, counts, began_at, finished_at, report FROM foreign_file
WHERE (%(connection)s::text IS NULL OR connection = %(connection)s) AND (%(state)s::text IS NULL OR state = %(state)s)
ORDER BY file_id DESC LIMIT %(most)s

-- name: report_of
SELECT report FROM foreign_file WHERE file_id = %s
