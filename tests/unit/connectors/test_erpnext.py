"""The connector ``erpnext`` against its simulator: payloads, the two ways to post once, currencies, and refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import httpx2
import msgspec
import pytest
from erp_driving import Case, Rig, rig, settle

from tillwire.connectors.erp import Posted, Rejected, Unknown
from tillwire.connectors.erpnext import SPEC
from tillwire.connectors.erpnext.payload import carried
from tillwire.connectors.erpnext.rest import rejection_kind
from tillwire.connectors.erpnext.simulator import UNIQUE, ErpNextSimulator
from tillwire.connectors.erpnext.simulator_doctypes import FrappeFault
from tillwire.connectors.simulation import Request
from tillwire.errors import AuthenticationError, ConfigurationError, ContractChangedError
from tillwire.model.ledger import JournalLine
from tillwire.model.money import Money

AT_ONCE: dict[str, Any] = {}
DRAFTS: dict[str, Any] = {"unique_field": False}


@pytest.fixture(params=[AT_ONCE, DRAFTS], ids=["at-once", "drafts"])
def erp(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(Case(SPEC, request.param)) as made:
        yield made


@pytest.fixture
def at_once() -> Iterator[Rig]:
    with rig(Case(SPEC, AT_ONCE)) as made:
        yield made


@pytest.fixture
def drafts() -> Iterator[Rig]:
    with rig(Case(SPEC, DRAFTS)) as made:
        yield made


def simulator(erp: Rig) -> ErpNextSimulator:
    assert isinstance(erp.simulator, ErpNextSimulator)
    return erp.simulator


def call(erp: Rig, method: str, path: str, body: Any = None, **params: str) -> httpx2.Response:
    """A raw call as anyone may make it."""
    settings = erp.simulator.settings()
    headers = {"Authorization": f"token {settings['api_key']}:{settings['api_secret']}"}
    return httpx2.request(method, f"{erp.simulator.url}{path}", json=body, params=params, headers=headers)


def entry(**changes: Any) -> dict[str, Any]:
    rows = [
        {"account": "1010 - Account 1010 - SIM", "debit_in_account_currency": 5},
        {"account": "4000 - Account 4000 - SIM", "credit_in_account_currency": 5},
    ]
    head = {"voucher_type": "Journal Entry", "company": "SIM", "posting_date": "2026-02-10", "accounts": rows}
    return head | changes


# ---- what is sent


def test_an_entry_says_what_the_journal_says(erp: Rig) -> None:
    whole = erp.journal(posting_date=date(2026, 3, 1))
    first = msgspec.structs.replace(whole.lines[0], foreign=Money(Decimal("90.00"), "EUR"))
    journal = msgspec.structs.replace(whole, lines=(first, *whole.lines[1:]), reverses="SIM/101/earlier")
    settle(erp.connector(), journal)
    (made,) = simulator(erp).entries.values()
    assert made["docstatus"] == 1
    assert (made["posting_date"], made["cheque_date"]) == ("2026-03-01", "2026-02-10")
    assert made["cheque_no"] == journal.reference
    assert made.get(UNIQUE) == (journal.reference if simulator(erp).unique_field else None)
    assert made["user_remark"] == f"Tillwire {journal.reference}; Store 101, 2026-02-10; reverses SIM/101/earlier"
    assert made["accounts"][0]["user_remark"] == "tender cash (90.00 EUR)"
    assert made["accounts"][0]["cost_center"] == "Store 101 - SIM"


def test_long_references_are_carried_by_their_digest() -> None:
    assert carried("x" * 140) == "x" * 140
    first, second = carried("x" * 141), carried("x" * 140 + "y")
    assert len(first) == len(second) == 140
    assert first != second
    assert first == carried("x" * 141)


def test_many_journals_take_few_calls(at_once: Rig, drafts: Rig) -> None:
    for made, expected in ((at_once, 3), (drafts, 103)):  # accounts, two inserts; and a submission of each
        connector = made.connector()
        settle(connector, made.journal())
        before = len(made.simulator.called_at)
        settle(connector, *[made.journal() for _ in range(100)])
        assert len(made.simulator.called_at) - before == expected


def test_long_and_strange_references_fit_the_urls_that_a_site_takes(erp: Rig) -> None:
    journals = [erp.journal(reference=f"{number:03}/{'ß é/' * 30}") for number in range(50)]
    settle(erp.connector(), *journals)
    erp.assert_books(*journals)


def test_accounts_may_be_told_by_name(at_once: Rig) -> None:
    names = [f"{code} - Account {code} - SIM" for code in ("1010", "4000")]
    lines = (at_once.line(names[0], Decimal(5)), at_once.line(names[1], Decimal(-5)))
    journal = at_once.journal(lines=lines)
    connector = at_once.connector(accounts_by="name")
    settle(connector, journal)
    assert [line.account for line in connector.read_back([journal.reference])[journal.reference].lines] == names


# ---- once


def test_a_duplicated_draft_is_deleted_by_the_next_look_up(drafts: Rig) -> None:
    journal = drafts.journal()
    drafts.simulator.fail_next("duplicated", "insert_many")
    settle(drafts.connector(), journal)
    assert sorted(one["docstatus"] for one in simulator(drafts).entries.values()) == [0, 1]
    assert drafts.connector().find([journal.reference])[journal.reference].posted
    assert [one["docstatus"] for one in simulator(drafts).entries.values()] == [1]
    drafts.assert_books(journal)


def test_of_several_drafts_one_is_submitted(drafts: Rig) -> None:
    journal = drafts.journal()
    for _ in range(3):
        drafts.simulator.fail_next("lost_reply", "insert_many")
        (outcome,) = drafts.connector().post([journal])
        assert isinstance(outcome, Unknown)
    found = drafts.connector().find([journal.reference])
    assert not found[journal.reference].posted
    assert len(simulator(drafts).entries) == 1
    (outcome,) = drafts.connector().finish(list(found.values()))
    assert isinstance(outcome, Posted)
    drafts.assert_books(journal)


def test_a_draft_that_is_gone_is_unknown(drafts: Rig) -> None:
    journal = drafts.journal()
    drafts.simulator.fail_next("lost_reply", "insert_many")
    drafts.connector().post([journal])
    found = drafts.connector().find([journal.reference])
    simulator(drafts).entries.clear()
    (outcome,) = drafts.connector().finish(list(found.values()))
    assert isinstance(outcome, Unknown)


def test_those_of_a_batch_that_are_there_already_do_not_hold_up_the_rest(at_once: Rig) -> None:
    journals = [at_once.journal() for _ in range(6)]
    settle(at_once.connector(), journals[1], journals[4])
    outcomes = at_once.connector().post(journals)
    assert all(isinstance(outcome, Posted) for outcome in outcomes)
    at_once.assert_books(*journals)


def test_a_cancelled_entry_keeps_its_reference(at_once: Rig) -> None:
    journal = at_once.journal()
    (first,) = settle(at_once.connector(), journal)
    assert isinstance(first, Posted)
    made = simulator(at_once).entries
    made[first.number] = {**made[first.number], "docstatus": 2}
    assert at_once.connector().find([journal.reference]) == {}
    (outcome,) = at_once.connector().post([journal])
    assert isinstance(outcome, Rejected)
    assert "look for a cancelled entry" in outcome.reason


# ---- refusals


def test_a_frozen_date_is_refused_at_submission_and_leaves_no_draft(erp: Rig) -> None:
    simulator(erp).frozen_until = date(2026, 2, 28)
    good, bad = erp.journal(business_date=date(2026, 3, 1)), erp.journal()
    outcomes = settle(erp.connector(), good, bad)
    assert isinstance(outcomes[0], Posted)
    assert isinstance(outcomes[1], Rejected)
    assert outcomes[1].kind == "closed_period"
    assert "You are not authorized to add or update entries before 28-02-2026" in outcomes[1].reason
    assert len(simulator(erp).entries) == 1


def test_words_come_without_markup(erp: Rig) -> None:
    erp.simulator.close_period(date(2026, 2, 1), date(2026, 2, 28))
    (outcome,) = settle(erp.connector(), erp.journal())
    assert isinstance(outcome, Rejected)
    assert outcome.reason.endswith(
        "You cannot create a Journal Entry within the closed Accounting Period Period 1 - SIM"
    )


def test_an_unknown_cost_center_is_rejected_in_erpnexts_words(erp: Rig) -> None:
    whole = erp.journal()
    lines = tuple(msgspec.structs.replace(line, dimensions={"store": "9"}) for line in whole.lines)
    (outcome,) = settle(erp.connector(), msgspec.structs.replace(whole, lines=lines))
    assert isinstance(outcome, Rejected)
    assert outcome.kind == "other"
    assert "Could not find Row #1: Cost Center: Store 9 - SIM" in outcome.reason


def test_kinds_of_refusals() -> None:
    assert rejection_kind("Could not find Row #1: Account: 9 - X - SIM") == "unknown_account"
    assert rejection_kind("Account 9 is disabled") == "unknown_account"
    assert rejection_kind("2026-02-10 is not in any active Fiscal Year") == "closed_period"
    assert rejection_kind("Total Debit must be equal to Total Credit. The difference is 1") == "unbalanced"
    assert rejection_kind("Mandatory fields required in Journal Entry") == "other"


class Failing(ErpNextSimulator):
    """A site that answers every call with one exception."""

    fault: FrappeFault

    def _serve(self, request: Request) -> dict[str, Any]:
        raise self.fault


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("PermissionError", 403, AuthenticationError),
        ("AuthenticationError", 401, AuthenticationError),
    ],
)
def test_missing_rights_are_no_refusal_of_a_journal(kind: str, status: int, error: type[Exception]) -> None:
    site = Failing()
    site.fault = FrappeFault(kind, "No permission for Journal Entry", status)
    with site:
        made = Rig(SPEC, site)
        for act in (lambda: made.connector().find(["x"]), lambda: made.connector().post([made.journal()])):
            with pytest.raises(error):
                act()
        assert set(made.watch.failures) == {"authentication"}


def test_another_server_is_a_changed_contract(erp: Rig) -> None:
    with pytest.raises(ContractChangedError):
        Rig(SPEC, erp.simulator).connector(url=f"{erp.simulator.url}/nosite").find(["x"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "http://erp.example.com"}, "https"),
        ({"dimension_values": {"store": "Store"}}, "has no {value}"),
        ({"reference_field": "Tillwire Reference"}, "reference_field"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_settings_that_make_no_sense_are_told(erp: Rig, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        erp.connector(**settings)
    assert words in str(raised.value)


def test_nothing_is_sent_with_a_field_that_the_site_lacks(erp: Rig) -> None:
    """Frappe would drop the reference, and nobody could find the entry again."""
    with pytest.raises(ContractChangedError, match="custom_nosuch"):
        erp.connector(reference_field="custom_nosuch").post([erp.journal()])
    assert erp.simulator.writing_calls == 0


def test_a_company_that_is_not_there_is_told(erp: Rig) -> None:
    with pytest.raises(ConfigurationError, match="no company 'OTHER'"):
        erp.connector(company="OTHER").post([erp.journal()])


# ---- other currencies


def euros(erp: Rig, *amounts: str) -> Any:
    simulator(erp).account_currencies = {"1010": "EUR", "4000": "EUR"}
    lines = tuple(
        JournalLine(
            account="1010" if Decimal(text) > 0 else "4000",
            debit=max(Decimal(text), Decimal(0)),
            credit=max(-Decimal(text), Decimal(0)),
        )
        for text in amounts
    )
    return erp.journal(currency="EUR", lines=lines)


def test_a_foreign_journal_goes_to_accounts_of_its_currency(erp: Rig) -> None:
    journal = euros(erp, "100.00", "-60.00", "-40.00")
    settle(erp.connector(), journal)
    (made,) = simulator(erp).entries.values()
    assert made["multi_currency"] == 1
    assert [row["exchange_rate"] for row in made["accounts"]] == [Decimal("1.25")] * 3
    assert sorted(erp.simulator.books.trial_balance().values()) == [Decimal("-125.00"), Decimal("125.00")]
    erp.assert_read_back([journal])


def test_cents_left_over_by_the_rate_need_an_account(erp: Rig) -> None:
    journal = euros(erp, "0.06", "-0.02", "-0.02", "-0.02")  # at 1.25: 0.08 against 3 times 0.03
    (outcome,) = settle(erp.connector(), journal)
    assert isinstance(outcome, Rejected)
    assert "set exchange_account" in outcome.reason
    settle(erp.connector(exchange_account="2200"), journal)
    assert sum(erp.simulator.books.trial_balance().values()) == 0
    assert erp.simulator.books.trial_balance()[("SIM", "USD", "2200")] == Decimal("0.01")
    back = erp.connector(exchange_account="2200").read_back([journal.reference])[journal.reference]
    assert [line.debit - line.credit for line in back.lines] == [
        Decimal(text) for text in ("0.06", "-0.02", "-0.02", "-0.02")
    ]


def test_an_account_of_another_currency_and_a_currency_without_rate_are_rejected(erp: Rig) -> None:
    other = erp.journal(currency="EUR")
    simulator(erp).rates.clear()
    outcomes = settle(erp.connector(), other, euros(erp, "1.00", "-1.00"))
    assert isinstance(outcomes[0], Rejected)
    assert "ERPNext keeps account 2200 - Account 2200 - SIM in USD" in outcomes[0].reason
    assert isinstance(outcomes[1], Rejected)
    assert "no exchange rate of EUR" in outcomes[1].reason


# ---- the simulator is strict


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"company": None}, "MandatoryError", "company"),
        ({"company": "X"}, "LinkValidationError", "Could not find Company: X"),
        ({"posting_date": "10.02.2026"}, "ValidationError", "not a valid date"),
        ({"voucher_type": "Sale"}, "ValidationError", "Entry Type cannot be"),
        ({"docstatus": 2}, "DocstatusTransitionError", "2"),
        ({"colour": "red"}, "ValidationError", "no field colour"),
        ({"accounts": []}, "ValidationError", "Accounts table cannot be blank"),
        ({"accounts": [{"account": "1010"}]}, "LinkValidationError", "Could not find Row #1: Account: 1010"),
        ({"accounts": [{"account": "1010 - Account 1010 - SIM"}]}, "ValidationError", "cannot be zero"),
        ({"accounts": [{"account": "x", "colour": 1}]}, "ValidationError", "no such fields"),
        (
            {"accounts": [{"account": "1010 - Account 1010 - SIM", "debit_in_account_currency": 5}]},
            "ValidationError",
            "Total Debit must be equal to Total Credit. The difference is 5",
        ),
        (
            {"accounts": [{"account": "1010 - Account 1010 - SIM", "debit_in_account_currency": "five"}]},
            "ValidationError",
            "is no number",
        ),
        (
            {"accounts": [{"account": "1010 - Account 1010 - SIM", "debit_in_account_currency": -5}]},
            "NonNegativeError",
            "cannot be negative",
        ),
        ({"cheque_no": "x" * 141, "cheque_date": "2026-02-10"}, "CharacterLengthExceededError", "140"),
        ({"cheque_no": "x"}, "MandatoryError", "Reference date"),
    ],
)
def test_entries_that_erpnext_refuses(erp: Rig, changes: dict[str, Any], kind: str, words: str) -> None:
    answer = call(erp, "POST", "/api/resource/Journal Entry", entry(**changes))
    assert answer.status_code == 417
    content = answer.json()
    assert content["exc_type"] == kind
    assert words in json.loads(json.loads(content["_server_messages"])[0])["message"]
    assert not simulator(erp).entries


def test_calls_that_erpnext_refuses(at_once: Rig) -> None:
    def refusal(*given: Any, **params: str) -> tuple[int, str]:
        answer = call(at_once, *given, **params)
        return answer.status_code, answer.json().get("exc_type", "")

    assert call(at_once, "POST", "/api/resource/Journal Entry", entry()).status_code == 200
    name = next(iter(simulator(at_once).entries))
    path = f"/api/resource/Journal Entry/{name}"
    assert refusal("PUT", path, {"title": "x"}) == (417, "ValidationError")
    assert refusal("PUT", path, {"docstatus": 1}) == (200, "")
    assert refusal("DELETE", path) == (417, "ValidationError")
    assert refusal("GET", "/api/resource/Journal Entry/nosuch") == (404, "DoesNotExistError")
    assert refusal("GET", "/api/resource/No Such") == (404, "DoesNotExistError")
    assert refusal("POST", "/api/resource/Account", {}) == (403, "PermissionError")
    assert refusal("GET", "/api/resource/Account", filters='[["colour","=",1]]') == (417, "DataError")
    assert refusal("GET", "/api/resource/Account", fields='["colour"]') == (417, "DataError")
    assert refusal("GET", "/api/resource/Account", filters="nonsense") == (417, "DataError")
    assert refusal("POST", "/api/method/frappe.client.insert_many", {"docs": []}) == (417, "ValidationError")
    many = {"docs": [entry()] * 201}
    assert refusal("POST", "/api/method/frappe.client.insert_many", many) == (417, "ValidationError")
    twice = {"docs": [entry(**{UNIQUE: "x"}), entry(**{UNIQUE: "x"})]}
    assert refusal("POST", "/api/method/frappe.client.insert_many", twice) == (409, "UniqueValidationError")
    assert len(simulator(at_once).entries) == 1
    url = f"{at_once.simulator.url}/api/resource/Account"
    assert httpx2.get(url).status_code == 401
    assert httpx2.get(url, headers={"Authorization": "Bearer x"}).status_code == 401


def test_pages_of_a_list_are_twenty_long(erp: Rig) -> None:
    erp.simulator.open_accounts([str(number) for number in range(1000, 1050)])
    assert len(call(erp, "GET", "/api/resource/Account").json()["data"]) == 20
    assert len(list(erp.connector().pull("account"))) == 50  # type: ignore[attr-defined]
