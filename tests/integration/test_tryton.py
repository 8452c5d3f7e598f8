"""Posting to a real Tryton: what is accepted, what is refused and why, and what stands in its books."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tryton_journals import CREATE, POST, kinds, reasons, sales

from tillwire.connectors.erp import Pending, Posted, Rejected, Unknown
from tillwire.connectors.tryton import DuplicatePostingError, TrytonConnector
from tillwire.connectors.tryton.faults import FaultProxy
from tillwire.connectors.tryton.server import TrytonServer
from tillwire.errors import AuthenticationError, ConfigurationError, EngineError, RejectedError
from tillwire.model.ledger import ErpDocument, JournalLine

if TYPE_CHECKING:
    from tryton_fixtures import Books

pytest_plugins = ("tryton_fixtures",)
pytestmark = pytest.mark.erp

Connect = Callable[..., TrytonConnector]


def test_posts_under_rising_numbers_and_reads_back_the_same(connector: TrytonConnector) -> None:
    journals = [sales(), sales(day=date(2017, 12, 31)), sales(amount="0.01")]
    outcomes = connector.post(journals)
    assert kinds(outcomes) == [Posted] * 3
    assert [outcome.reference for outcome in outcomes] == [journal.reference for journal in journals]
    numbers = [outcome.number for outcome in outcomes if isinstance(outcome, Posted)]
    assert numbers == sorted(set(numbers))
    assert numbers[0].startswith("2017-")
    found = connector.read_back([*(journal.reference for journal in journals), "never posted"])
    assert found == {
        journal.reference: ErpDocument(
            reference=journal.reference,
            document_id=outcome.document_id,
            number=outcome.number,
            posted=True,
            posting_date=journal.business_date,
            lines=journal.lines,
        )
        for journal, outcome in zip(journals, outcomes, strict=True)
        if isinstance(outcome, Posted)
    }
    assert connector.find([journals[0].reference])[journals[0].reference].lines == ()


def test_goes_in_few_calls_one_after_the_other(connect: Connect, proxy: FaultProxy) -> None:
    journals = [sales() for _ in range(10)]
    connector = connect(batch_lines=12, batch_references=4)
    assert kinds(connector.post(journals)) == [Posted] * 10
    assert (proxy.calls[CREATE], proxy.calls[POST], proxy.peak_concurrency) == (3, 3, 1)
    assert len(connector.find([journal.reference for journal in journals])) == 10
    assert connector.post([]) == []
    assert connector.finish([]) == []
    assert connector.find([]) == {}


def test_a_line_without_a_text_carries_the_journals(connector: TrytonConnector) -> None:
    lines = (JournalLine(account="1190", debit=Decimal(1)), JournalLine(account="4190", credit=Decimal(1)))
    journal = sales(lines=lines, description="Umsatz Filiale 1 – Käse")
    connector.post([journal])
    found = connector.read_back([journal.reference])[journal.reference]
    assert {line.description for line in found.lines} == {"Umsatz Filiale 1 – Käse"}


def test_what_a_move_has_no_place_for_is_told_by_its_lines(connector: TrytonConnector, books: Books) -> None:
    lines = (
        JournalLine(account="1190", debit=Decimal(1), description="cash", dimensions={"store": "S001", "till": ""}),
        JournalLine(account="4190", credit=Decimal(1)),
    )
    journal = sales(
        lines=lines,
        description="again",
        day=date(2017, 3, 1),
        posting_date=date(2017, 4, 2),
        reverses="TW-2017-03-01-0",
    )
    (outcome,) = connector.post([journal])
    assert isinstance(outcome, Posted)
    (move,) = books.call("model.account.move.read", [int(outcome.document_id)], ["date", "period.name", "description"])
    assert (move["date"], move["period."]["name"], move["description"]) == (
        date(2017, 4, 2),
        "2017-04",
        journal.reference,
    )
    found = connector.read_back([journal.reference])[journal.reference]
    assert found.posting_date == journal.books_date
    assert [line.description for line in found.lines] == [
        "cash [store: S001] [reverses TW-2017-03-01-0]",
        "again [reverses TW-2017-03-01-0]",
    ]


def test_nothing_is_ever_only_accepted(connector: TrytonConnector) -> None:
    assert kinds(connector.poll([Pending("x", "1")])) == [Unknown]
    assert connector.poll([]) == []
    assert (connector.takes, connector.most_lanes) == ({"journal", "stock", "invoice"}, 1)


def test_dimensions_need_their_module(connect: Connect) -> None:
    with pytest.raises(ConfigurationError, match="activate its module analytic_account"):
        connect(dimensions={"store": "STORES"}).post([sales()])


def test_what_the_erp_refuses_stands_alone(connector: TrytonConnector, proxy: FaultProxy, books: Books) -> None:
    journals = [sales() for _ in range(8)]
    journals[2] = sales(account="4.1.0")  # is in the chart, but may not be entered on
    journals[6] = sales(amount="1.001")
    outcomes = connector.post(journals)
    assert kinds(outcomes) == [Posted, Posted, Rejected, Posted, Posted, Posted, Rejected, Posted]
    chart, digits = reasons(outcomes)
    assert [one.kind for one in outcomes if isinstance(one, Rejected)] == ["unknown_account", "other"]
    assert chart.startswith(f"{journals[2].reference}: The value")
    assert "4.1.0" in chart
    assert digits.startswith(f"{journals[6].reference}: The number of digits")
    assert [books.states(journal) for journal in journals] == [
        [] if outcome is Rejected else ["posted"] for outcome in kinds(outcomes)
    ]
    assert proxy.calls[CREATE] <= 2 * 8 - 1


BAD = {
    "account": (sales(account="9999"), "the ERP's chart has no account 9999", "unknown_account"),
    "no period": (sales(day=date(2019, 1, 5)), "no accounting period for 2019-01-05", "closed_period"),
    "currency": (
        sales(currency="EUR"),
        "the journal is in EUR, the books in USD: the ERP does not know the currency EUR",
        "other",
    ),
    "company": (sales(company="Other"), "company 'Other'", "other"),
    "unbalanced": (
        sales(lines=(JournalLine(account="1190", debit=Decimal(1)),)),
        "does not balance: debit 1, credit 0",
        "unbalanced",
    ),
    "empty": (sales(lines=()), "no lines", "other"),
    "blank": (sales(reference=" x "), "blanks", "other"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_posted_is_rejected_in_words(
    connect: Connect, proxy: FaultProxy, books: Books, name: str
) -> None:
    bad, words, kind = BAD[name]
    good = sales()
    outcomes = connect(hub_companies=("TW",)).post([bad, good])
    assert kinds(outcomes) == [Rejected, Posted]
    assert isinstance(outcomes[0], Rejected)
    assert outcomes[0].kind == kind
    assert reasons(outcomes)[0].startswith(f"{bad.reference}: ")
    assert words in reasons(outcomes)[0]
    assert (proxy.calls[CREATE], books.states(bad)) == (1, [])


def test_one_reference_twice_in_a_batch_is_posted_once(connector: TrytonConnector, books: Books) -> None:
    journal = sales()
    assert kinds(connector.post([journal, journal])) == [Posted, Rejected]
    assert books.states(journal) == ["posted"]


def test_a_closed_period_is_said_and_can_be_reopened(connector: TrytonConnector, books: Books) -> None:
    closed, open_ = sales(day=date(2017, 6, 15)), sales(day=date(2017, 7, 1))
    june = books.period("2017-06")
    books.call("model.account.period.close", [june])
    outcomes = connector.post([closed, open_])
    assert kinds(outcomes) == [Rejected, Posted]
    assert reasons(outcomes) == [f"{closed.reference}: the accounting period 2017-06 of 2017-06-15 is closed"]
    books.call("model.account.period.reopen", [june])
    assert kinds(connector.post([closed])) == [Posted]


def test_a_journal_closed_in_the_erp_is_refused_in_its_words(connector: TrytonConnector, books: Books) -> None:
    first, later, other = sales(day=date(2017, 9, 1)), sales(day=date(2017, 9, 2)), sales(day=date(2017, 10, 1))
    connector.post([first])
    domain = [["period", "=", books.period("2017-09")]]
    entries = books.call("model.account.journal.period.search", domain, 0, None, None)
    books.call("model.account.journal.period.close", entries)
    outcomes = connector.post([later, other])
    assert kinds(outcomes) == [Rejected, Posted]
    assert "closed journal-period" in reasons(outcomes)[0]
    assert isinstance(outcomes[0], Rejected)
    assert outcomes[0].kind == "closed_period"


def test_wrong_settings_are_named(connect: Connect) -> None:
    for changes, error, words in [
        ({"username": "stranger"}, AuthenticationError, "stranger"),
        ({"company": "Nobody Ltd"}, ConfigurationError, "Nobody Ltd"),
        ({"journal_code": "NONE"}, ConfigurationError, "NONE"),
    ]:
        with pytest.raises(error, match=words):
            connect(**changes).post([sales()])
    assert "password='" not in repr(connect().settings)


def test_books_that_the_user_does_not_see_are_not_empty_books(
    connect: Connect, books: Books, erp: TrytonServer
) -> None:
    (user,) = books.call("model.res.user.search", [["login", "=", erp.setup.username]], 0, 1, None)
    (company,) = books.call("model.res.user.read", [user], ["companies"])[0]["companies"]
    books.call("model.res.user.write", [user], {"company": None, "companies": [["remove", [company]]]})
    try:
        with pytest.raises(ConfigurationError, match="does not see the books of 'Tillwire Retail'"):
            connect().find(["x"])
    finally:
        books.call("model.res.user.write", [user], {"companies": [["add", [company]]], "company": company})


def test_a_warning_of_the_erp_is_confirmed_once(connector: TrytonConnector, proxy: FaultProxy, books: Books) -> None:
    (outcome,) = connector.post([sales(day=date(2017, 5, 3))])
    assert isinstance(outcome, Posted)
    may = books.period("2017-05")
    books.call("model.account.period.close", [may])
    # Tryton warns before it copies a move of a closed period; then it looks for today's period, and there is none.
    with pytest.raises(RejectedError, match=r"fiscal year|period"):
        connector.client.call("model.account.move.copy", [int(outcome.document_id)], {})
    assert (proxy.calls["model.res.user.warning.skip"], proxy.calls["model.account.move.copy"]) == (1, 2)
    books.call("model.account.period.reopen", [may])


def test_two_postings_under_one_reference_are_reported_with_the_rest(connector: TrytonConnector) -> None:
    twice, once = sales(), sales()
    outcomes = connector.post([twice, once])
    assert isinstance(outcomes[0], Posted)
    copies = connector.client.call("model.account.move.copy", [int(outcomes[0].document_id)], {})
    connector.client.call(POST, copies)
    assert kinds(connector.post([twice])) == [Unknown]
    for look_up in (connector.find, connector.read_back):
        with pytest.raises(DuplicatePostingError, match=twice.reference) as caught:
            look_up([twice.reference, once.reference])
        assert [len(documents) for documents in caught.value.duplicates.values()] == [2]
        assert set(caught.value.found) == {once.reference}


def test_a_move_cancelled_by_an_accountant_is_not_a_second_posting(connector: TrytonConnector, books: Books) -> None:
    journal = sales()
    (outcome,) = connector.post([journal])
    assert isinstance(outcome, Posted)
    books.client.context |= {
        "active_model": "account.move",
        "active_id": int(outcome.document_id),
        "active_ids": [int(outcome.document_id)],
    }
    session, *_ = books.call("wizard.account.move.cancel.create")
    books.call("wizard.account.move.cancel.execute", session, {"default": {"reversal": True}}, "cancel")
    assert books.states(journal) == ["posted", "posted"]
    assert connector.find([journal.reference])[journal.reference].document_id == outcome.document_id


def test_without_a_tryton_it_says_how_to_get_one(
    erp: TrytonServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TILLWIRE_ERP_BIN", str(tmp_path))
    with pytest.raises(EngineError, match="make erp"):
        erp.spec()
