-- Posting: several ERPs, documents beside journals, reversals, periods, trickled days, a budget that all dispatchers share.

-- What something in another currency was (a tender handed over in it), entry by entry; none where there is nothing.
-- Codes of entries carry what rules also look at, behind semicolons: tax;rate;jurisdiction, tender;acquirer;currency.
ALTER TABLE sale ADD COLUMN foreign_amounts numeric[];

-- Gift cards sold and redeemed, by number: which company owes on a card that another's store takes. Written by an inline
-- projection, rebuilt from the event store.
CREATE TABLE gift_card (
    partition     smallint NOT NULL,
    event_offset  bigint NOT NULL,
    number        text NOT NULL,
    store         text NOT NULL,
    business_date date NOT NULL,         -- that it is posted to
    company       text NOT NULL,         -- of the store
    currency      text NOT NULL,
    sold          numeric NOT NULL,
    redeemed      numeric NOT NULL,
    PRIMARY KEY (partition, event_offset, number)
);
CREATE INDEX ON gift_card (number) WHERE sold > 0;
CREATE INDEX ON gift_card (store, business_date, event_offset) WHERE redeemed <> 0;

-- The rule books that journals were built by, each once.
CREATE TABLE rule_book (
    version  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest   bytea NOT NULL UNIQUE,
    content  jsonb NOT NULL,
    used_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A journal is one thing that goes to an ERP: a journal in the narrow sense, or a document (stock, invoice).
ALTER TABLE journal DROP CONSTRAINT journal_store_business_date_from_offset_currency_key,
                    DROP CONSTRAINT journal_state_check;
ALTER TABLE journal
    ADD COLUMN kind text NOT NULL DEFAULT 'sales'
        CHECK (kind IN ('sales', 'payments', 'reversal', 'intercompany', 'reclassification', 'stock', 'invoice')),
    ADD COLUMN posting_date date,                    -- the day it counts in the books; none: the business date
    ADD COLUMN reverses bigint REFERENCES journal,   -- the journal whose transactions it takes back: goes after it
    ADD COLUMN erp text,                             -- where it was sent; none while it may still go anywhere
    ADD COLUMN handle text,                          -- what an ERP that has accepted it is asked by
    ADD COLUMN rule_book integer REFERENCES rule_book,
    ADD COLUMN lane smallint NOT NULL DEFAULT 0,     -- of a store, by a hash of its number: what keeps its order
    ADD COLUMN accepted_at timestamptz,
    ADD COLUMN rejection text,                       -- closed_period, unknown_account, unbalanced, other
    ADD CONSTRAINT journal_state_check
        CHECK (state IN ('built', 'sent', 'accepted', 'posted', 'rejected', 'unknown'));
CREATE INDEX journal_by_day ON journal (store, business_date, from_offset);
DROP INDEX journal_to_dispatch;
CREATE INDEX journal_to_send ON journal (lane, business_date, store, journal_id) WHERE state = 'built';
CREATE INDEX journal_under_way ON journal (erp, state, next_attempt_at) WHERE state IN ('sent', 'accepted', 'unknown');
CREATE INDEX journal_reverses ON journal (reverses) WHERE reverses IS NOT NULL;

-- journal_line is at the finest (one component and code of one kind of transaction), so that every line of the ERP's can
-- be followed to its transactions; erp_line says which line of the ERP's document it is part of.
ALTER TABLE journal_line
    ADD COLUMN kind text,
    ADD COLUMN erp_line integer,
    ADD COLUMN dimensions jsonb,
    ADD COLUMN rule text,
    ADD COLUMN foreign_amount numeric,
    ADD COLUMN foreign_currency text;

CREATE INDEX journal_line_suspense ON journal_line (journal_id) WHERE rule = 'suspense';

-- The content of documents that are no journals: lines of goods, of invoices, of their taxes.
CREATE TABLE document_body (
    journal_id bigint PRIMARY KEY REFERENCES journal,
    body       jsonb NOT NULL
);

-- Gift cards that one company's store took and another owes on, with both companies' journals.
CREATE TABLE intercompany_claim (
    journal_id    bigint NOT NULL REFERENCES journal,
    event_offset  bigint NOT NULL,
    number        text NOT NULL,
    issuer        text NOT NULL,
    kind          text NOT NULL,
    code          text NOT NULL,         -- of the tender's entry
    original_date date,
    amount        numeric NOT NULL,
    PRIMARY KEY (journal_id, event_offset, number)
);

-- Since when something waits for a day, and how much: for days that are posted while they are open.
ALTER TABLE posting_due ADD COLUMN since timestamptz NOT NULL DEFAULT clock_timestamp(),
                        ADD COLUMN events bigint NOT NULL DEFAULT 0;

ALTER TABLE erp_incident ADD COLUMN erp text NOT NULL DEFAULT 'erp';

-- One row per ERP, shared by all dispatchers: its budget of calls (a theoretical arrival time, as of the generic cell rate
-- algorithm), its breaker, and what it asked us to wait for.
CREATE TABLE erp_gate (
    erp            text PRIMARY KEY,
    arrival        timestamptz NOT NULL DEFAULT '-infinity',
    paused_until   timestamptz NOT NULL DEFAULT '-infinity',   -- Retry-After
    failures       integer NOT NULL DEFAULT 0,                 -- in a row
    opened_at      timestamptz,                                -- the breaker is open; none: closed
    probe_at       timestamptz,                                -- when one call may try again
    reason         text,
    pulled_at      timestamptz
) WITH (fillfactor = 50);
