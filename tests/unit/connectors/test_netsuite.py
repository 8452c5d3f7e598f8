"""NetSuite: settings, what is sent, what its simulator refuses, approvals, and pulls. The suite of ERPs has the rest."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import jwt
import msgspec
import pytest

from tillwire import clock
from tillwire.connectors.erp import Accepted, Pending, Posted, Rejected, Unknown
from tillwire.connectors.netsuite import SPEC, NetSuiteConnector, NetSuiteSettings
from tillwire.connectors.netsuite.access import ASSERTION_TYPE
from tillwire.connectors.netsuite.books import external_id, memo
from tillwire.connectors.netsuite.client import refusal_kind
from tillwire.connectors.netsuite.simulator import NetSuiteSimulator
from tillwire.errors import AuthenticationError, ConfigurationError, ContractChangedError, RateLimitedError
from tillwire.model.ledger import Journal, JournalLine, StockDocument, StockLine
from tillwire.model.master import AccountRecord
from tillwire.model.money import Money

FIXTURES = next(
    (found for up in Path(__file__).resolve().parents if (found := up / "shared" / "fixtures" / "erp").is_dir()), None
)
DAY = date(2026, 3, 5)


@pytest.fixture
def erp() -> Iterator[NetSuiteSimulator]:
    with NetSuiteSimulator(accounts=["1000", "4000"]) as simulator:
        yield simulator


def connect(erp: NetSuiteSimulator, **settings: Any) -> NetSuiteConnector:
    connector = SPEC.configure(erp.settings() | settings, of="test")
    assert isinstance(connector, NetSuiteConnector)
    return connector


def journal(reference: str = "SIM/101/7", **changes: Any) -> Journal:
    told: dict[str, Any] = {
        "reference": reference,
        "company": "SIM",
        "store": "101",
        "business_date": DAY,
        "currency": "USD",
        "description": "Store 101",
        "lines": (
            JournalLine(account="1000", debit=Decimal("10.50"), dimensions={"store": "101", "region": "east"}),
            JournalLine(account="4000", credit=Decimal("10.50"), description="sales"),
        ),
    }
    return Journal(**told | changes)


def token(erp: NetSuiteSimulator) -> str:
    """A token that the simulator takes, for requests by hand."""
    erp._tokens["by-hand"] = float("inf")
    return "by-hand"


def send(erp: NetSuiteSimulator, path: str, content: Any, **headers: str) -> httpx2.Response:
    given = {"Authorization": f"Bearer {token(erp)}", "Content-Type": "application/json", **headers}
    return httpx2.post(erp.url + path, content=msgspec.json.encode(content), headers=given)


def entry(**changes: Any) -> dict[str, Any]:
    """An entry that the simulator takes, if its accounts are 1 and 2."""
    made: dict[str, Any] = {
        "externalId": "by hand",
        "tranDate": "2026-03-05",
        "postingPeriod": {"id": march()},
        "subsidiary": {"id": "1"},
        "currency": {"id": "1"},
        "approved": True,
        "line": {"items": [{"account": {"id": "1"}, "debit": 5}, {"account": {"id": "2"}, "credit": 5}]},
    }
    return {name: value for name, value in (made | changes).items() if value is not ...}


def march() -> str:
    """The id of March 2026 in a new simulator: each year has itself and twelve months, from 2015."""
    return str((2026 - 2015) * 13 + 1 + 3)


def lines(*of: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(of)}


# ---- settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "http://erp.example.com"}, "url: .* must begin with https"),
        ({"subsidiaries": {}}, "subsidiaries"),
        ({"subsidiaries": {"SIM": "Parent Company"}}, r"subsidiaries\.SIM: 'Parent Company' is no internal id"),
        ({"dimensions": {"store": "warehouse"}}, r"dimensions\.store: 'warehouse' is none of location"),
        ({"dimensions": {"store": "location", "site": "location"}}, "two of them would go into one field"),
        ({"dimension_values": {"region": {"east": "4"}}}, "dimensions has no region"),
        ({"algorithm": "RS256"}, "algorithm"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_settings_that_cannot_work_are_told(erp: NetSuiteSimulator, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        connect(erp, **changes)


def test_the_account_gives_the_host() -> None:
    settings = NetSuiteSettings(
        account="1234567_SB1", client_id="c", certificate_id="k", private_key="p", subsidiaries={"A": "1"}
    )
    assert settings.base_url == "https://1234567-sb1.suitetalk.api.netsuite.com"


def test_a_key_that_cannot_sign_is_told_without_it(erp: NetSuiteSimulator) -> None:
    with pytest.raises(ConfigurationError, match="private_key cannot sign with PS256") as raised:
        connect(erp, algorithm="PS256").find(["x"])
    assert "PRIVATE KEY" not in str(raised.value)


# ---- credentials


def test_rsa_keys_sign_as_well() -> None:
    with NetSuiteSimulator(algorithm="PS256") as erp:
        assert isinstance(connect(erp).post([journal()])[0], Posted)


@pytest.mark.parametrize(
    ("claims", "head"),
    [
        ({"aud": "https://elsewhere.example.com"}, {}),
        ({"iss": "another"}, {}),
        ({"exp": 4_000_000_000}, {}),
        ({"scope": ["restlets"]}, {}),
        ({}, {"kid": "another"}),
        ({}, {}),
    ],
)
def test_the_simulator_refuses_wrong_assertions(
    erp: NetSuiteSimulator, claims: dict[str, Any], head: dict[str, str]
) -> None:
    path = "/services/rest/auth/oauth2/v1/token"
    now = int(clock.now().timestamp())
    right = {"iss": "simulated-client", "scope": ["rest_webservices"], "aud": erp.url + path, "iat": now,
             "exp": now + 300}  # fmt: skip
    settings = erp.settings()
    signed = jwt.encode(right | claims, settings["private_key"], algorithm="ES256",
                        headers={"kid": settings["certificate_id"]} | head)  # fmt: skip
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
    taken = httpx2.post(erp.url + path, data=form).status_code == 200
    assert taken is (not claims and not head)
    assert httpx2.post(erp.url + path, json=form).status_code == 400


def test_a_role_without_the_permission_is_told_and_nothing_is_rejected(erp: NetSuiteSimulator) -> None:
    erp.may_enter = False
    with pytest.raises(AuthenticationError, match="Make Journal Entry"):
        connect(erp).post([journal()])


# ---- what is sent


def test_an_entry_carries_what_the_journal_says(erp: NetSuiteSimulator) -> None:
    sent: list[bytes] = []
    erp_handle = erp.handle

    def listening(request: Any) -> Any:
        sent.append(request.body)
        return erp_handle(request)

    erp.handle = listening  # type: ignore[method-assign]
    foreign = JournalLine(account="1000", debit=Decimal("10.50"), foreign=Money(Decimal("9.10"), "EUR"))
    told = journal(lines=(foreign, journal().lines[1]), posting_date=date(2026, 4, 1), reverses="SIM/101/6")
    assert isinstance(connect(erp, custom_form="31").post([told])[0], Posted)
    made = msgspec.json.Decoder(float_hook=Decimal).decode(next(body for body in sent if b"tranDate" in body))
    assert made["externalId"] == told.reference
    assert made["tranDate"] == "2026-04-01"
    assert made["customForm"] == {"id": "31"}
    assert made["memo"] == "SIM/101/7; reverses SIM/101/6; business date 2026-03-05; Store 101"
    first, second = made["line"]["items"]
    assert (first["debit"], first["memo"]) == (Decimal("10.50"), "[9.10 EUR]")
    assert b'"debit":10.50' in next(body for body in sent if b"tranDate" in body)
    assert (second["credit"], second["memo"]) == (Decimal("10.50"), "sales")


def test_dimensions_go_by_internal_id_or_external_id_and_come_back(erp: NetSuiteSimulator) -> None:
    erp.tables.insert("department", id=77, name="Fresh")
    lines_ = (
        JournalLine(account="1000", debit=Decimal(3), dimensions={"store": "101", "product_class": "fresh"}),
        JournalLine(account="4000", credit=Decimal(3), dimensions={"store": "102"}),
    )
    connector = connect(
        erp,
        dimensions={"store": "location", "product_class": "department"},
        dimension_values={"product_class": {"fresh": "77"}},
    )
    connector.post([journal(lines=lines_)])
    document = connector.read_back(["SIM/101/7"])["SIM/101/7"]
    assert [line.dimensions for line in document.lines] == [line.dimensions for line in lines_]


def test_a_dimension_that_netsuite_does_not_know_is_rejected_in_its_words(erp: NetSuiteSimulator) -> None:
    erp.any_dimension = False
    (outcome,) = connect(erp).post([journal()])
    assert isinstance(outcome, Rejected)
    assert "Invalid Field Value 101 for the following field: location" in outcome.reason
    assert "line.items[0].location" in outcome.reason


def test_long_references_are_shortened_to_different_ones() -> None:
    long = "c/" + "x" * 200
    shortened = {external_id(long + end) for end in "abc"}
    assert len(shortened) == 3
    assert all(len(one) == 100 for one in shortened)
    assert external_id("short") == "short"
    assert memo(journal(long)).startswith(long)


def test_companies_and_currencies_that_are_not_there_are_rejected(erp: NetSuiteSimulator) -> None:
    outcomes = connect(erp).post([journal("a", company="OTHER"), journal("b", currency="XXX"), journal("c")])
    assert [type(outcome) for outcome in outcomes] == [Rejected, Rejected, Posted]
    assert "'OTHER' has no subsidiary" in str(outcomes[0])
    assert "no active currency XXX" in str(outcomes[1])


def test_accounts_are_asked_for_once(erp: NetSuiteSimulator) -> None:
    connector = connect(erp)
    connector.post([journal("a")])
    before = erp.calls["POST /services/rest/query/v1/suiteql"]
    connector.post([journal("b"), journal("c")])
    assert erp.calls["POST /services/rest/query/v1/suiteql"] == before + 2, "periods, and numbers"


def test_a_period_that_closes_meanwhile_is_netsuites_word(erp: NetSuiteSimulator) -> None:
    """It was open when it was asked for."""
    real = erp.handle

    def closing(request: Any) -> Any:
        if request.path.endswith("journalEntry"):
            erp.books.closed.append((date(2026, 3, 1), date(2026, 3, 31)))
        return real(request)

    erp.handle = closing  # type: ignore[method-assign]
    (outcome,) = connect(erp).post([journal()])
    assert isinstance(outcome, Rejected)
    assert outcome.kind == "closed_period"
    assert "Invalid postingperiod reference key" in outcome.reason


def test_an_account_that_goes_meanwhile_is_refused_and_asked_for_anew(erp: NetSuiteSimulator) -> None:
    connector = connect(erp)
    connector.post([journal("a")])
    erp.books.accounts = {"1000"}
    outcomes = [connector.post([journal("b")])[0], connector.post([journal("c")])[0]]
    assert all(isinstance(outcome, Rejected) and outcome.kind == "unknown_account" for outcome in outcomes)
    assert "for the following field: account" in str(outcomes[0])
    assert "no active account of number 4000" in str(outcomes[1])


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Invalid postingperiod reference key 130. (USER_ERROR)", "closed_period"),
        ("The transaction date is not within an open accounting period.", "closed_period"),
        ("The amounts in a journal entry must balance.", "unbalanced"),
        ("Invalid account reference key 12 for subsidiary 3. (INVALID_KEY_OR_REF)", "unknown_account"),
        ("You have entered an Invalid Field Value 9 for the following field: account", "unknown_account"),
        ("This record has been locked by a user defined workflow.", "other"),
    ],
)
def test_kinds_by_words(words: str, kind: str) -> None:
    assert refusal_kind(words) == kind


def test_too_many_calls_as_restlets_say_it(erp: NetSuiteSimulator) -> None:
    erp.throttles_by = 400
    erp.fail_next("throttled", "journalEntry")
    with pytest.raises(RateLimitedError, match="SSS_REQUEST_LIMIT_EXCEEDED"):
        connect(erp).post([journal()])


def test_a_number_that_cannot_be_asked_for_leaves_it_to_be_looked_up(erp: NetSuiteSimulator) -> None:
    connector = connect(erp)
    connector.post([journal("a")])
    real, entered = erp.handle, []

    def breaking(request: Any) -> Any:
        if request.path.endswith("journalEntry"):
            entered.append(request)
        return erp.throttled() if entered and request.path.endswith("suiteql") else real(request)

    erp.handle = breaking  # type: ignore[method-assign]
    (outcome,) = connector.post([journal("b")])
    assert isinstance(outcome, Unknown)
    erp.handle = real  # type: ignore[method-assign]
    assert connector.find(["b"])["b"].posted


# ---- approvals


def test_what_waits_for_an_approval_is_accepted_until_somebody_approves(erp: NetSuiteSimulator) -> None:
    connector = connect(erp, approved=False)
    approved, refused, deleted = journal("a"), journal("b"), journal("c")
    outcomes = connector.post([approved, refused, deleted])
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert erp.books.documents == {}
    assert not connector.find(["a"])["a"].posted
    assert connector.find(["a"])["a"].number is None
    pending = [Pending(o.reference, o.handle) for o in outcomes if isinstance(o, Accepted)]
    assert connector.poll(pending) == outcomes
    assert connector.finish(list(connector.find(["a"]).values())) == outcomes[:1], "the hub approves nothing"
    erp.approve("a")
    erp.disapprove("b")
    gone = [*pending[:2], Pending("c", "999999")]
    told = connector.poll(gone)
    assert isinstance(told[0], Posted)
    assert isinstance(told[1], Rejected)
    assert "was rejected in NetSuite" in told[1].reason
    assert isinstance(told[2], Rejected)
    assert "has been deleted" in told[2].reason
    assert connector.find(["a"])["a"].posted


# ---- stock


def stock(**changes: Any) -> StockDocument:
    moved = (
        StockLine(sku="milk-1l", quantity=Decimal("-2.5"), unit="EA", reason="sale"),
        StockLine(sku="milk-1l", quantity=Decimal(1), unit="EA", reason="return", bucket="unavailable"),
    )
    told: dict[str, Any] = {"reference": "SIM/101/7/stock", "company": "SIM", "store": "101", "business_date": DAY,
                            "description": "Store 101", "lines": moved}  # fmt: skip
    return StockDocument(**told | changes)


STOCK = {"adjustment_accounts": {"SIM": "4000"}}


def test_stock_is_adjusted_at_the_stores_location_and_read_back(erp: NetSuiteSimulator) -> None:
    connector = connect(erp, **STOCK)
    (outcome,) = connector.post([stock()])
    assert isinstance(outcome, Posted)
    assert connector.post([stock()]) == [outcome]
    assert erp.held("stock") == 1
    document = connector.read_back(["SIM/101/7/stock"], "stock")["SIM/101/7/stock"]
    assert document.goods == stock().lines
    assert connector.find(["SIM/101/7/stock"]) == {}, "it is no journal"
    (line, _) = erp.tables.rows("transactionline")
    assert erp.tables.rows("location", id=line["location"])[0]["externalid"] == "101"


def test_stock_is_taken_only_where_an_account_is_told(erp: NetSuiteSimulator) -> None:
    assert connect(erp, adjustment_accounts={}).takes == {"journal"}
    (outcome,) = connect(erp, adjustment_accounts={}).post([stock()])
    assert isinstance(outcome, Rejected)
    assert connect(erp, **STOCK).takes == {"journal", "stock"}
    with pytest.raises(ConfigurationError, match="all or none"):
        connect(erp, adjustment_accounts={"OTHER": "4000"})
    with pytest.raises(ConfigurationError, match="needs a dimension that is the location"):
        connect(erp, dimensions={}, **STOCK)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"lines": (StockLine(sku="nosuch", quantity=Decimal(1), unit="EA", reason="found"),)}, "other", "item nosuch"),
        ({"company": "OTHER"}, "other", "'OTHER' has no subsidiary"),
        ({"business_date": date(1999, 1, 1)}, "closed_period", "no accounting period"),
    ],
)
def test_stock_that_netsuite_cannot_take_is_rejected(
    erp: NetSuiteSimulator, changes: dict[str, Any], kind: str, words: str
) -> None:
    (outcome,) = connect(erp, **STOCK).post([stock(**changes)])
    assert isinstance(outcome, Rejected)
    assert outcome.kind == kind
    assert words in outcome.reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inventory": {"items": []}}, "at least one line item"),
        ({"account": {"id": "77"}}, "field: account"),
        ({"inventory": {"items": [{"item": {"id": "1"}, "location": {"externalId": "101"}, "adjustQtyBy": "2"}]}},
         "field: adjustQtyBy"),
        ({"inventory": {"items": [{"item": {"id": "1"}, "adjustQtyBy": 2}]}}, "field: location"),
        ({"inventory": {"items": [{"item": "milk-1l", "adjustQtyBy": 2}]}}, "field: item"),
        ({"line": {"items": []}}, "'line'"),
    ],
)  # fmt: skip
def test_adjustments_that_netsuite_would_refuse(erp: NetSuiteSimulator, changes: dict[str, Any], words: str) -> None:
    connect(erp).post([journal()])
    right = {"tranDate": "2026-03-05", "postingPeriod": {"id": march()}, "subsidiary": {"id": "1"},
             "account": {"id": "1"}, "inventory": {"items": [
                 {"item": {"id": "1"}, "location": {"externalId": "101"}, "adjustQtyBy": 2}]}}  # fmt: skip
    path, strict = "/services/rest/record/v1/inventoryAdjustment", {"X-NetSuite-PropertyNameValidation": "Error"}
    assert send(erp, path, right, **strict).status_code == 204
    answer = send(erp, path, right | changes, **strict)
    assert answer.status_code == 400
    assert words in answer.json()["o:errorDetails"][0]["detail"]


# ---- the simulator is strict


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subsidiary": ...}, "Please enter value(s) for: Subsidiary"),
        ({"subsidiary": {"id": "9"}}, "Invalid Field Value 9 for the following field: subsidiary"),
        ({"currency": "USD"}, "Invalid Field Value USD for the following field: currency"),
        ({"tranDate": "03/05/2026"}, "Invalid Field Value 03/05/2026"),
        ({"approved": "T"}, "for the following field: approved"),
        ({"memo": "x" * 1000}, "more than the maximum number ( 999 )"),
        ({"nonsense": 1}, "Unknown reference or field 'nonsense'"),
        ({"line": {"items": [{"account": {"id": "1"}, "debit": 5}]}}, "at least two lines"),
        ({"line": lines({"account": {"id": "1"}, "debit": "5"}, {"account": {"id": "2"}, "credit": 5})}, "field: debit"),
        ({"line": lines({"account": {"id": "1"}, "debit": 5.001}, {"account": {"id": "2"}, "credit": 5.001})}, "5.001"),
        ({"line": lines({"account": {"id": "1"}, "debit": -5}, {"account": {"id": "2"}, "credit": -5})}, "-5"),
        ({"line": lines({"account": {"id": "1"}, "debit": 5, "credit": 5}, {"account": {"id": "2"}, "credit": 5})},
         "either a debit or a credit"),
        ({"line": lines({"account": "1000", "debit": 5}, {"account": {"id": "2"}, "credit": 5})}, "field: account"),
        ({"line": lines({"account": {"id": "1"}, "debit": 5, "acct": 1}, {"account": {"id": "2"}, "credit": 5})},
         "'acct'"),
        ({"line": lines({"account": {"id": "1"}, "debit": 5}, {"account": {"id": "2"}, "credit": 6})}, "must balance"),
        ({"postingPeriod": {"id": "1"}}, "Invalid postingperiod reference key 1"),
    ],
)  # fmt: skip
def test_the_simulator_refuses_what_netsuite_would(erp: NetSuiteSimulator, changes: dict[str, Any], words: str) -> None:
    connect(erp).post([journal()])
    strict = {"X-NetSuite-PropertyNameValidation": "Error"}
    answer = send(erp, "/services/rest/record/v1/journalEntry", entry(**changes), **strict)
    assert answer.status_code == 400
    assert words in answer.json()["o:errorDetails"][0]["detail"]
    assert answer.json()["o:errorDetails"][0]["o:errorCode"]
    assert len(erp.books.documents) == 1


def test_the_simulator_takes_what_is_right_and_refuses_a_second(erp: NetSuiteSimulator) -> None:
    connect(erp).post([journal()])
    made = send(erp, "/services/rest/record/v1/journalEntry", entry())
    assert made.status_code == 204
    assert made.headers["location"].startswith(f"{erp.url}/services/rest/record/v1/journalEntry/")
    again = send(erp, "/services/rest/record/v1/journalEntry", entry())
    assert again.status_code == 400
    assert "already exists" in again.text


def test_the_simulator_refuses_wrong_calls(erp: NetSuiteSimulator) -> None:
    suiteql = "/services/rest/query/v1/suiteql"
    transient = {"Prefer": "transient"}
    assert "transient" in send(erp, suiteql, {"q": "SELECT id FROM account"}).text
    for query in (
        "DELETE FROM account",
        "SELECT nonsense FROM account",
        "SELECT id FROM accounts",
        "SELECT 1; SELECT 2",
    ):
        assert send(erp, suiteql, {"q": query}, **transient).status_code == 400
    many = ", ".join("1" for _ in range(1001))
    assert send(erp, suiteql, {"q": f"SELECT id FROM account WHERE id IN ({many})"}, **transient).status_code == 400
    assert send(erp, f"{suiteql}?limit=5000", {"q": "SELECT id FROM account"}, **transient).status_code == 400
    assert send(erp, "/services/rest/record/v1/journalentries", {}).status_code == 404
    plain = {"Content-Type": "text/plain"}
    assert send(erp, "/services/rest/record/v1/journalEntry", entry(), **plain).status_code == 415
    assert httpx2.post(erp.url + suiteql, json={"q": "SELECT 1"}).status_code == 401


def test_a_query_that_netsuite_does_not_take_is_a_changed_contract(erp: NetSuiteSimulator) -> None:
    with pytest.raises(ContractChangedError, match="does not take a query"):
        list(connect(erp)._client.query("SELECT nonsense FROM account"))


def test_pages_are_followed(erp: NetSuiteSimulator) -> None:
    erp.books.accounts = {str(number) for number in range(10_000, 12_500)}
    pulled = [record.account for record in connect(erp).pull("account") if isinstance(record, AccountRecord)]
    assert set(pulled) == erp.books.accounts
    assert len(pulled) == 2_500


# ---- master data


def test_accounts_are_those_of_a_companys_subsidiary(erp: NetSuiteSimulator) -> None:
    erp.books.accounts = None
    erp.tables.insert("subsidiary", id=2, name="Child", parent=1)
    erp.tables.insert("account", acctnumber="1", accttype="Income", subsidiary="1", includechildren="T")
    erp.tables.insert("account", acctnumber="2", accttype="OthCurrLiab", subsidiary="1", includechildren="F")
    erp.tables.insert("account", acctnumber="3", accttype="COGS", subsidiary="3, 2", isinactive="T")
    erp.tables.insert("account", acctnumber="4", accttype="NonPosting", subsidiary="1, 2")
    pulled = connect(erp, subsidiaries={"TOP": "1", "LOW": "2"}, adjustment_accounts={}).pull("account")
    told = {(r.company, r.account, r.kind, r.active) for r in pulled if isinstance(r, AccountRecord)}
    assert told == {
        ("TOP", "1", "revenue", True),
        ("LOW", "1", "revenue", True),
        ("TOP", "2", "liability", True),
        ("LOW", "3", "expense", False),
    }


@pytest.mark.parametrize(
    ("file", "table"),
    [
        ("fivetran__netsuite2_account_data.csv", "account"),
        ("fivetran__netsuite2_accounting_period_data.csv", "accountingperiod"),
        ("fivetran__netsuite2_currency_data.csv", "currency"),
        ("fivetran__netsuite2_tran_acct_line_data.csv", "transactionaccountingline"),
    ],
)
def test_the_tables_have_the_columns_of_real_extracts(erp: NetSuiteSimulator, file: str, table: str) -> None:
    """What the connector asks for is there by these names in data that was drawn from NetSuite by SuiteQL."""
    if FIXTURES is None:
        pytest.skip("the folder shared/fixtures/erp is not here")
    path = FIXTURES / file
    with path.open(encoding="utf-8") as opened:
        columns = set(next(csv.reader(opened)))
    ours = {row[1] for row in erp.tables._db.execute(f"PRAGMA table_info({table})")}
    assert ours <= columns | {"issummary", "isinactive", "externalid"}
