-- Dispatch to several ERPs in several lanes: what was sent where, breakers, alerts, and exceptions about journals.

ALTER TABLE journal ADD COLUMN unknown_at timestamptz;   -- since when nobody knows whether the ERP has it

-- Until now there was one ERP, and it had no name of its own.
UPDATE journal SET erp = 'erp'
WHERE erp IS NULL AND (state IN ('sent', 'unknown', 'rejected') OR document_id IS NOT NULL);
UPDATE journal SET rejection = 'other' WHERE state = 'rejected';
UPDATE journal SET unknown_at = coalesce(sent_at, built_at) WHERE state = 'unknown';

-- Oldest first within a company, money ahead of goods; companies are few, and each has its ERP.
DROP INDEX journal_to_send;
CREATE INDEX journal_to_send ON journal (company, ((kind = 'stock')::int), (lane % 32), business_date, store, journal_id)
    WHERE state = 'built';
CREATE INDEX ON erp_incident (erp, at);

ALTER TABLE erp_gate
    ADD COLUMN lanes smallint,                           -- into how many lanes its journals are dealt; one count at a time
    ADD COLUMN throttled integer NOT NULL DEFAULT 0,     -- "too many calls", in a row
    ADD COLUMN alert text,                               -- what people were told last
    ADD COLUMN alerted_at timestamptz;

-- An exception is about something that was accepted (group_id, ordinal), about a journal, or about an ERP as a whole.
ALTER TABLE exception
    ALTER COLUMN group_id DROP NOT NULL,
    ALTER COLUMN ordinal DROP NOT NULL,
    ADD COLUMN journal_id bigint REFERENCES journal,
    ADD COLUMN erp text,
    ADD CONSTRAINT exception_about CHECK (
        (group_id IS NOT NULL AND ordinal IS NOT NULL AND journal_id IS NULL AND erp IS NULL)
        OR (group_id IS NULL AND ordinal IS NULL AND erp IS NOT NULL)
    );
CREATE UNIQUE INDEX exception_of_journal ON exception (journal_id) WHERE journal_id IS NOT NULL;
CREATE UNIQUE INDEX exception_of_erp ON exception (erp, code) WHERE erp IS NOT NULL AND journal_id IS NULL;

-- What was refused before there were such exceptions.
INSERT INTO exception (code, owner, message, pointer, faults, cause, entity, event_type, source, key, store,
                       business_date, amount, currency, journal_id, erp)
SELECT 'erp_rejected', 'finance', words, '',
       jsonb_build_array(jsonb_build_object('code', 'erp_rejected', 'message', words, 'pointer', '')),
       left('erp_rejected:' || erp || ':' || words, 500), 'journal:' || reference, 'journal', 'urn:erp:' || erp, reference,
       store, business_date, amount, currency, journal_id, erp
FROM (SELECT *, coalesce(last_error, 'refused') AS words FROM journal WHERE state = 'rejected') AS refused;
