"""The connector ``odoo`` against its simulator: payloads, drafts, lock dates, currencies, and who refuses what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import httpx2
import msgspec
import pytest
from erp_driving import Case, Rig, rig, settle

from tillwire.connectors.erp import Posted, Rejected, Unknown
from tillwire.connectors.odoo import SPEC
from tillwire.connectors.odoo.payload import FIELDS, external_name, in_company_currency
from tillwire.connectors.odoo.simulator import OdooSimulator
from tillwire.connectors.odoo.simulator_records import OdooFault
from tillwire.errors import AuthenticationError, ConfigurationError, ContractChangedError, TransientError
from tillwire.model.ledger import ErpDocument, JournalLine
from tillwire.model.master import PeriodRecord, ProductRecord, TaxCodeRecord
from tillwire.model.money import Money


@pytest.fixture
def erp() -> Iterator[Rig]:
    with rig(Case(SPEC, {})) as made:
        yield made


def simulator(erp: Rig) -> OdooSimulator:
    assert isinstance(erp.simulator, OdooSimulator)
    return erp.simulator


def call(erp: Rig, model: str, method: str, *args: Any, **named: Any) -> Any:
    """A raw call as anyone may make it; what it answers, or the words of its error."""
    odoo = simulator(erp)
    given = [odoo.database, odoo.uid, odoo.key, model, method, list(args), named]
    return raw(erp, {"service": "object", "method": "execute_kw", "args": given})


def raw(erp: Rig, params: Any, **changes: Any) -> Any:
    body = {"jsonrpc": "2.0", "method": "call", "params": params, "id": 1} | changes
    answer = httpx2.post(f"{erp.simulator.url}/jsonrpc", json=body).json()
    if "error" not in answer:
        return answer.get("result")
    return f"{answer['error']['data']['name']}: {answer['error']['data']['message']}"


def row(erp: Rig, **changes: str) -> list[str]:
    """A row that Odoo takes, but that it does not balance alone."""
    (account,) = call(erp, "account.account", "search_read", [["code", "=", "4000"]], fields=["id"])
    values = {
        "id": "tillwire.x",
        "move_type": "entry",
        "journal_id/.id": "5",
        "date": "2026-02-10",
        "ref": "x",
        "line_ids/id": "tillwire.x_l1",
        "line_ids/account_id/.id": str(account["id"]),
        "line_ids/name": "sales",
        "line_ids/debit": "0",
        "line_ids/credit": "0",
        "line_ids/currency_id/.id": "2",
        "line_ids/amount_currency": "0",
    }
    return [(values | changes).get(field, "") for field in FIELDS]


# ---- what is sent


def test_external_names_have_no_dots_and_stay_apart() -> None:
    names = [external_name(reference) for reference in ("A/1.0", "A/1,0", "A/1_0", "x" * 500, "x" * 501, "ä")]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and "." not in name and " " not in name for name in names)
    assert names[0] == external_name("A/1.0")


def test_a_move_says_what_the_journal_says(erp: Rig) -> None:
    whole = erp.journal()
    first = msgspec.structs.replace(whole.lines[0], foreign=Money(Decimal("90.00"), "EUR"))
    journal = msgspec.structs.replace(
        whole, lines=(first, *whole.lines[1:]), reverses="SIM/101/earlier", description="Tills <1> & 2"
    )
    settle(erp.connector(), journal)
    (move,) = simulator(erp).moves.values()
    assert move["ref"] == journal.reference
    assert move["move_type"] == "entry"
    assert move["narration"] == "Tills &lt;1&gt; &amp; 2<br/>reverses SIM/101/earlier"
    assert move["lines"][0]["name"] == "tender cash (90.00 EUR)"
    assert move["lines"][0]["analytic_distribution"] == {"31": 100}
    assert simulator(erp).external_ids == {f"tillwire.{external_name(journal.reference)}": move["id"]}


def test_many_journals_take_few_calls(erp: Rig) -> None:
    connector = erp.connector()
    settle(connector, erp.journal())
    before = len(erp.simulator.called_at)
    settle(connector, *[erp.journal() for _ in range(100)])
    assert len(erp.simulator.called_at) - before == 6  # accounts, analytic accounts, locks, load, post, numbers


def test_batches_have_so_many_lines(erp: Rig) -> None:
    journals = [erp.journal() for _ in range(5)]
    settle(erp.connector(batch_lines=7), *journals)
    assert erp.simulator.writing_calls == 6  # of two, two and one journals of three lines
    erp.assert_books(*journals)


# ---- external ids and drafts


def test_loading_again_finds_the_draft_and_does_not_double_its_lines(erp: Rig) -> None:
    journal = erp.journal()
    erp.simulator.fail_next("lost_reply", writing=True)
    (outcome,) = erp.connector().post([journal])
    assert isinstance(outcome, Unknown)
    (again,) = erp.connector().post([journal])
    assert isinstance(again, Posted)
    assert len(simulator(erp).moves) == 1
    erp.assert_books(journal)


def test_a_posted_entry_is_not_loaded_over(erp: Rig) -> None:
    journal = erp.journal()
    (first,) = settle(erp.connector(), journal)
    (same,) = erp.connector().post([journal])
    assert same == first
    changed = msgspec.structs.replace(journal, lines=erp.journal(amount="7.00").lines)
    (other,) = erp.connector().post([changed])
    assert other == first  # it is there already; the proof shows what stands in it
    erp.assert_books(journal)


def test_a_draft_that_is_gone_is_unknown_and_one_that_was_cancelled_is_told(erp: Rig) -> None:
    gone, cancelled = erp.journal(), erp.journal()
    erp.simulator.fail_next("lost_reply", writing=True)
    erp.connector().post([gone, cancelled])
    drafts = erp.connector().find([gone.reference, cancelled.reference])
    assert {draft.posted for draft in drafts.values()} == {False}
    simulator(erp).moves.pop(int(drafts[gone.reference].document_id))
    number = int(drafts[cancelled.reference].document_id)
    simulator(erp).moves[number] = {**simulator(erp).moves[number], "state": "cancel"}
    first, second = erp.connector().finish([drafts[gone.reference], drafts[cancelled.reference]])
    assert isinstance(first, Unknown)
    assert isinstance(second, Rejected)
    assert "was cancelled in Odoo" in second.reason
    assert erp.connector().find([cancelled.reference]) == {}


def test_a_draft_that_odoo_will_not_post_is_deleted(erp: Rig) -> None:
    """The account goes between the two calls."""
    journal, other = erp.journal(), erp.journal(lines=erp.journal().lines[1:] + (erp.line("3000", Decimal("108.25")),))
    erp.simulator.open_accounts([*erp.simulator.account_codes, "3000"])
    erp.simulator.fail_next("lost_reply", writing=True)
    erp.connector().post([journal, other])
    drafts = erp.connector().find([journal.reference, other.reference])
    erp.simulator.open_accounts(erp.simulator.account_codes)
    outcomes = erp.connector().finish([drafts[journal.reference], drafts[other.reference]])
    assert isinstance(outcomes[0], Posted)
    assert isinstance(outcomes[1], Rejected)
    assert "account 3000 does not exist" in outcomes[1].reason
    assert [move["ref"] for move in simulator(erp).moves.values()] == [journal.reference]
    erp.assert_books(journal)


def test_what_a_person_entered_under_our_reference_is_found(erp: Rig) -> None:
    journal = erp.journal()
    settle(erp.connector(), journal)
    simulator(erp).external_ids.clear()
    assert erp.connector().find([journal.reference])[journal.reference].posted


# ---- lock dates


def test_odoo_would_post_into_a_locked_period_at_another_date(erp: Rig) -> None:
    """Why the connector asks for lock dates: Odoo moves the entry, and says nothing."""
    erp.simulator.close_period(date(2026, 2, 1), date(2026, 2, 28))
    there = row(erp, **{"line_ids/debit": "1", "line_ids/amount_currency": "1"})
    back = row(erp, **{"line_ids/credit": "1", "line_ids/amount_currency": "-1", "line_ids/id": "tillwire.x_l2"})
    back[:6] = [""] * 6
    (number,) = call(erp, "account.move", "load", list(FIELDS), [there, back])["ids"]
    call(erp, "account.move", "action_post", [number])
    assert simulator(erp).moves[number]["date"] == "2026-03-01"
    journal = erp.journal()
    (outcome,) = erp.connector().post([journal])
    assert isinstance(outcome, Rejected)
    assert outcome.kind == "closed_period"
    assert "user_fiscalyear_lock_date is 2026-02-28" in outcome.reason
    assert len(simulator(erp).moves) == 1


# ---- other currencies


def test_a_foreign_journal_is_valued_at_odoos_rate_and_balances(erp: Rig) -> None:
    """1 USD is 0.8 EUR there: 33.33 EUR are 41.6625 USD."""
    lines = tuple(
        JournalLine(account=account, debit=max(amount, Decimal(0)), credit=max(-amount, Decimal(0)))
        for account, amount in (
            ("1010", Decimal("99.99")),
            ("4000", Decimal("-33.33")),
            ("4000", Decimal("-33.33")),
            ("2200", Decimal("-33.33")),
        )
    )
    journal = erp.journal(currency="EUR", lines=lines)
    settle(erp.connector(), journal)
    (move,) = simulator(erp).moves.values()
    assert [line["debit"] - line["credit"] for line in move["lines"]] == [
        Decimal("124.98"),
        Decimal("-41.66"),
        Decimal("-41.66"),
        Decimal("-41.66"),
    ]
    assert {line["currency_id"][1] for line in move["lines"]} == {"EUR"}
    erp.assert_read_back([journal])


def test_a_currency_without_a_rate_and_one_out_of_balance_are_rejected(erp: Rig) -> None:
    early = erp.journal(currency="EUR", business_date=date(2019, 12, 31))
    crooked = msgspec.structs.replace(erp.unbalanced(), currency="EUR")
    unknown = erp.journal(currency="XTS")
    outcomes = erp.connector().post([early, crooked, unknown])
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)]
    assert "no rate of EUR for 2019-12-31" in reasons[0]
    assert "debits 109.25 and credits 108.25 differ" in reasons[1]
    assert "no active currency XTS" in reasons[2]
    assert erp.simulator.writing_calls == 0


def test_what_rounding_leaves_over_goes_to_the_greatest_line(erp: Rig) -> None:
    amounts = [Decimal(text) for text in ("10.00", "-3.33", "-3.33", "-3.34")]
    lines = tuple(JournalLine(account="1", debit=max(one, Decimal(0)), credit=max(-one, Decimal(0))) for one in amounts)
    journal = erp.journal(lines=lines)
    for factor in ("1.117", "0.333", "155.5", "1.25"):
        for currency in ("USD", "JPY", "KWD"):
            converted = in_company_currency(journal, Decimal(factor), currency)
            assert sum(converted) == 0
            assert converted[1] == pytest.approx(Decimal("-3.33") * Decimal(factor), abs=Decimal(1))


# ---- who refuses what


def test_unknown_dimension_values_are_rejected(erp: Rig) -> None:
    whole = erp.journal()
    lines = tuple(msgspec.structs.replace(line, dimensions={"store": "777"}) for line in whole.lines)
    (outcome,) = erp.connector().post([msgspec.structs.replace(whole, lines=lines)])
    assert isinstance(outcome, Rejected)
    assert "no analytic account '777'" in outcome.reason


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"company": "OTHER"}, "Odoo shows 0 companies named 'OTHER'"),
        ({"journal_code": "NOPE"}, "no miscellaneous journal 'NOPE'"),
        ({"journal_code": "INV"}, "no miscellaneous journal 'INV'"),
        ({"database": "nosuch"}, 'database "nosuch" does not exist'),
    ],
)
def test_settings_that_odoo_does_not_know_are_told(erp: Rig, settings: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        erp.connector(**settings).post([erp.journal()])
    assert words in str(raised.value)


def test_settings_send_no_key_in_clear_and_show_none(erp: Rig) -> None:
    with pytest.raises(ConfigurationError, match="https"):
        erp.connector(url="http://erp.example.com")


class Failing(OdooSimulator):
    """An Odoo that answers every call to a model with one exception."""

    fault: OdooFault

    def _execute(self, args: Any) -> Any:
        raise self.fault


@pytest.mark.parametrize(
    ("name", "words", "error"),
    [
        ("odoo.exceptions.UserError", "no", ContractChangedError),
        ("odoo.exceptions.AccessError", "You are not allowed to access 'Company'", AuthenticationError),
        ("odoo.exceptions.AccessDenied", "Access Denied", AuthenticationError),
        ("odoo.http.SessionExpiredException", "Session expired", AuthenticationError),
        ("psycopg2.errors.SerializationFailure", "could not serialize access", TransientError),
        ("psycopg2.errors.LockNotAvailable", "could not obtain lock", TransientError),
        ("odoo.sql_db.PoolError", "The Connection Pool Is Full", TransientError),
        ("builtins.ValueError", "Invalid field 'x'", ContractChangedError),
        ("", "", ContractChangedError),
    ],
)
def test_odoos_exceptions_are_told_apart(name: str, words: str, error: type[Exception]) -> None:
    odoo = Failing()
    odoo.fault = OdooFault(name, words)
    with odoo:
        made = Rig(SPEC, odoo)
        with pytest.raises(error):
            made.connector().find(["x"])
        assert made.watch.failures


def test_another_server_is_a_changed_contract(erp: Rig) -> None:
    with pytest.raises(ContractChangedError, match="404"):
        erp.connector(url=f"{erp.simulator.url}/elsewhere").find(["x"])


# ---- the simulator is strict


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "tillwire.a.b"}, "too many dots"),
        ({"move_type": "journal"}, "not found in selection field"),
        ({"journal_id/.id": "77"}, "No matching record found for database id '77' in field 'Journal'"),
        ({"line_ids/account_id/.id": "1"}, "No matching record found for database id '1' in field 'Account'"),
        ({"date": "10.02.2026"}, "does not seem to be a valid date"),
        ({"line_ids/debit": "1,00"}, "does not seem to be a number"),
        ({"line_ids/debit": "-1"}, "Wrong credit or debit value"),
        ({"line_ids/debit": "1", "line_ids/credit": "1"}, "Wrong credit or debit value"),
        ({"line_ids/debit": "1", "line_ids/amount_currency": "-1"}, "must be positive when account is debited"),
        ({"line_ids/analytic_distribution": "x"}, "valid JSON"),
        ({"line_ids/analytic_distribution": '{"999": 100}'}, "No matching record"),
        ({"line_ids/debit": "1", "line_ids/amount_currency": "1"}, "is not balanced"),
    ],
)
def test_rows_that_odoo_refuses(erp: Rig, changes: dict[str, str], words: str) -> None:
    answer = call(erp, "account.move", "load", list(FIELDS), [row(erp, **changes)])
    assert answer["ids"] is False
    assert words in answer["messages"][0]["message"]
    assert answer["messages"][0]["rows"] == {"from": 0, "to": 0}
    assert not simulator(erp).moves


def test_calls_that_odoo_refuses(erp: Rig) -> None:
    assert "Object no.model doesn't exist" in call(erp, "no.model", "read", [1])
    assert "does not exist" in call(erp, "account.move", "sing", [1])
    assert "Invalid field 'nosuch'" in call(erp, "account.move", "search_read", [["nosuch", "=", 1]])
    assert "Invalid field 'nosuch'" in call(erp, "account.move", "search_read", [], fields=["nosuch"])
    assert "Invalid leaf" in call(erp, "account.move", "search_read", [["id", "in", 1]])
    assert "unexpected keyword" in call(erp, "account.move", "search_read", [], colour="red")
    assert "has been deleted" in call(erp, "account.move", "action_post", [999])
    assert "unauthorized or invalid companies" in call(
        erp, "account.move", "search_read", [], context={"allowed_company_ids": [2]}
    )
    assert "Invalid field name" in call(erp, "account.move", "load", ["id", "colour"], [["a.b", "red"]])
    assert "Access Denied" in raw(
        erp, {"service": "object", "method": "execute_kw", "args": ["sim", 7, "x", "a", "b", []]}
    )
    assert "authenticate() takes" in raw(erp, {"service": "common", "method": "authenticate", "args": ["sim"]})
    assert "jsonrpc 2.0" in raw(erp, {"service": "common"}, jsonrpc="1.0")
    url = f"{erp.simulator.url}/jsonrpc"
    assert httpx2.post(url, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 400
    assert httpx2.post(url, content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert httpx2.get(url).status_code == 404


# ---- master data


def test_master_data_has_locks_taxes_and_products(erp: Rig) -> None:
    connector: Any = erp.connector()
    assert [record.open for record in connector.pull("period")] == [True]
    erp.simulator.close_period(date(2026, 1, 1), date(2026, 1, 31))
    locked, free = connector.pull("period")
    assert isinstance(locked, PeriodRecord)
    assert (locked.last, locked.open, free.first, free.open) == (date(2026, 1, 31), False, date(2026, 2, 1), True)
    (tax,) = connector.pull("tax-code")
    assert isinstance(tax, TaxCodeRecord)
    assert (tax.code, tax.rate) == ("STD", Decimal("0.0825"))
    (product,) = connector.pull("product")
    assert isinstance(product, ProductRecord)
    assert (product.sku, product.unit, product.active) == ("milk-1l", "EA", True)


def test_a_document_that_is_no_journal_is_rejected(erp: Rig) -> None:
    (outcome,) = erp.connector().post([erp.document("stock")])
    assert isinstance(outcome, Rejected)
    assert "takes journals only" in outcome.reason


def test_a_number_is_told_of_what_was_posted_meanwhile(erp: Rig) -> None:
    """Another one has posted the draft: that is Posted, not Rejected."""
    journal = erp.journal()
    (first,) = settle(erp.connector(), journal)
    assert isinstance(first, Posted)
    stale = ErpDocument(reference=journal.reference, document_id=first.document_id, number=None, posted=False)
    assert erp.connector().finish([stale]) == [first]
