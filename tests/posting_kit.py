"""What tests of posting share: rule books, policies, building with every journal checked, and the books that result."""

from __future__ import annotations

from typing import Any

import psycopg
from driving import rows

from tillwire.config import AccountRule, ErpInstance, Posting, erp_policies
from tillwire.config.posting import Erp
from tillwire.posting.accounts import AccountBook
from tillwire.posting.build import build_journals
from tillwire.posting.policy import PostingPolicy

SUMMARY, BY_TRANSACTION, INVOICES = "summary", "transaction", "invoice"
BOOK = AccountBook(Posting())


def book_of(*rules: AccountRule, **posting: Any) -> AccountBook:
    """A rule book; without rules the usual one."""
    return AccountBook(Posting(accounts=rules, **posting) if rules else Posting(**posting))


def policy_of(mode: str = SUMMARY, *erps: ErpInstance, **posting: Any) -> PostingPolicy:
    """How stores post."""
    settings = Posting(mode=mode, **posting)  # type: ignore[arg-type]
    return PostingPolicy(settings, erp_policies(settings, Erp(), erps))


def build(connection: psycopg.Connection, mode: str = SUMMARY, book: AccountBook = BOOK, **posting: Any) -> int:
    """Build what is due, all of it, and check the books; how many journals were built."""
    built = 0
    while made := build_journals(connection, book, policy_of(mode, **posting)):
        built += made
    check_books(connection)
    return built


def check_books(connection: psycopg.Connection) -> None:
    """Every journal balances, and the journals of built days hold exactly the entries of their ranges."""
    unbalanced = "SELECT journal_id FROM journal_line GROUP BY 1 HAVING sum(debit) <> sum(credit)"
    assert rows(connection, unbalanced) == []
    odd = "SELECT * FROM journal_line WHERE debit < 0 OR credit < 0 OR (debit = 0) = (credit = 0)"
    assert rows(connection, odd) == []
    ledger = rows(
        connection,
        "SELECT store, business_date, component, qualified, sum(amount) FROM ledger_entry e JOIN posting_cursor c"
        " USING (store, business_date) WHERE event_offset < next_offset GROUP BY 1, 2, 3, 4 HAVING sum(amount) <> 0"
        " ORDER BY 1, 2, 3, 4",
    )
    posted = rows(
        connection,
        "SELECT store, business_date, component, code, sum(amount) FROM ("
        "  SELECT store, business_date, component, l.code, debit - credit AS amount FROM journal_line l"
        "  JOIN journal j USING (journal_id) WHERE j.kind NOT IN ('intercompany', 'reclassification')"
        "  UNION ALL SELECT store, business_date, 'tender', c.code, c.amount FROM intercompany_claim c"
        "  JOIN journal j USING (journal_id) WHERE j.kind <> 'intercompany'"
        "  UNION ALL SELECT store, business_date, 'intercompany', c.issuer, -c.amount FROM intercompany_claim c"
        "  JOIN journal j USING (journal_id) WHERE j.kind <> 'intercompany'"
        ") AS line GROUP BY 1, 2, 3, 4 HAVING sum(amount) <> 0 ORDER BY 1, 2, 3, 4",
    )
    assert posted == ledger


def trial_balance(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Company, store, business date, currency, account and balance, as journals have it."""
    return rows(
        connection,
        "SELECT company, store, business_date, currency, account, sum(debit - credit) FROM journal_line"
        " JOIN journal USING (journal_id) GROUP BY 1, 2, 3, 4, 5 HAVING sum(debit - credit) <> 0 ORDER BY 1, 2, 3, 4, 5",
    )


def accounts(connection: psycopg.Connection, **where: Any) -> dict[str, Any]:
    """Balances by account, of all or of some journals (by columns of theirs)."""
    condition = "".join(f" AND j.{name} = %s" for name in where)
    query = (
        f"SELECT account, sum(debit - credit) FROM journal_line l JOIN journal j USING (journal_id) WHERE true{condition}"
        " GROUP BY 1 HAVING sum(debit - credit) <> 0 ORDER BY 1"
    )
    return dict(rows(connection, query, *where.values()))


def figures(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Store, business date, transactions and amount, as journals have them."""
    query = "SELECT store, business_date, sum(transactions)::int, sum(amount) FROM journal WHERE kind <> 'stock' GROUP BY 1, 2 ORDER BY 1, 2"
    return rows(connection, query)


def kinds(connection: psycopg.Connection) -> list[str]:
    """The kinds of all journals, in the order in which they were built."""
    return [kind for (kind,) in rows(connection, "SELECT kind FROM journal ORDER BY journal_id")]
