"""SAP S/4HANA: what is sent, what is read, and how strictly the simulated system judges both."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx2
import msgspec
import pytest
from erp_journals import DAY, booked, sale, unbalanced
from hypothesis import given
from hypothesis import strategies as st
from knowing import fixtures

from tillwire import clock
from tillwire.connectors.erp import Accepted, DuplicatePostingError, Pending, Posted, Rejected, Unknown
from tillwire.connectors.sap_s4hana import SPEC, SapConnector
from tillwire.connectors.sap_s4hana.client import ASYNCHRONOUS, SYNCHRONOUS, basic
from tillwire.connectors.sap_s4hana.journal import amount_text, bulk_request, content_digest
from tillwire.connectors.sap_s4hana.references import document_reference, message_id, of_message_id
from tillwire.connectors.sap_s4hana.settings import SapSettings
from tillwire.connectors.sap_s4hana.simulator import SapSimulator
from tillwire.connectors.sap_s4hana.simulator_messages import WrongMessageError, bulk_of
from tillwire.connectors.sap_s4hana.simulator_odata import SETS
from tillwire.connectors.sap_s4hana.soap import NotReadableError, parse
from tillwire.connectors.sap_s4hana.unanswered import Unanswered
from tillwire.connectors.simulation import Answer, json_answer
from tillwire.errors import (
    AuthenticationError,
    ConfigurationError,
    ContractChangedError,
    RateLimitedError,
    RejectedError,
)
from tillwire.model.ledger import Journal, JournalLine
from tillwire.model.money import Money

NOW = datetime(2026, 2, 15, 3, 0, tzinfo=UTC)


@pytest.fixture(params=["asynchronous", "synchronous"])
def simulator(request: pytest.FixtureRequest) -> Iterator[SapSimulator]:
    with SapSimulator(service=request.param) as running:
        yield running


@pytest.fixture
def asynchronous() -> Iterator[SapSimulator]:
    with SapSimulator() as running:
        yield running


@pytest.fixture
def synchronous() -> Iterator[SapSimulator]:
    with SapSimulator(service="synchronous") as running:
        yield running


def connect(simulator: SapSimulator, **changes: Any) -> SapConnector:
    made = SPEC.configure({**simulator.settings(), **changes}, of="test")
    assert isinstance(made, SapConnector)
    return made


def journal(**changes: Any) -> Journal:
    return sale(SapSimulator.company, SapSimulator.account_codes, **changes)


def settled(simulator: SapSimulator, connector: SapConnector, journals: list[Journal]) -> list[Any]:
    """Outcomes once SAP has worked off what it took in and confirmed it."""
    outcomes = {outcome.reference: outcome for outcome in connector.post(journals)}
    for headers, body in simulator.calls_back():
        outcomes |= {outcome.reference: outcome for outcome in connector.called_back(headers, body)}
    return [outcomes[one.reference] for one in journals]


# ---- references


def test_short_references_stand_as_they_are_and_long_ones_as_a_hash_of_sixteen_characters() -> None:
    assert document_reference("TW/101/7") == "TW/101/7"
    hashed = document_reference("SIM/101/2026-02-14/1/USD")
    assert len(hashed) == 16
    assert hashed == document_reference("SIM/101/2026-02-14/1/USD") != document_reference("SIM/101/2026-02-14/2/USD")


@given(st.text(max_size=40), st.text(max_size=40))
def test_two_references_never_look_alike(one: str, other: str) -> None:
    assert len(document_reference(one)) <= 16
    assert len(message_id(one)) <= 35
    if one != other:
        assert document_reference(one) != document_reference(other)
        assert message_id(one) != message_id(other)


def test_a_message_id_names_the_reference_again_where_it_holds_it() -> None:
    assert of_message_id(message_id("SIM/101/2026-02-14/1/USD")) == "SIM/101/2026-02-14/1/USD"
    assert of_message_id(message_id("x" * 36)) is None
    assert of_message_id(message_id("#strange")) is None


# ---- what is sent


def settings(**changes: Any) -> SapSettings:
    told = {
        "url": "https://sap.example.com",
        "username": "TILLWIRE",
        "password": "x",
        "company_codes": {"SIM": "1010"},
        "dimensions": {"store": "ProfitCenter"},
        **changes,
    }
    return msgspec.convert(told, SapSettings)


def test_the_message_says_all_of_the_journal() -> None:
    sent = journal(
        posting_date=date(2026, 3, 1),
        reverses="SIM/101/2026-02-14/0/USD",
        lines=(
            JournalLine(
                account="11001000",
                debit=Decimal("12.5"),
                description="tender cash & <notes>" + "x" * 60,
                dimensions={"store": "101", "till": "3"},
                foreign=Money(Decimal("11.30"), "EUR"),
            ),
            JournalLine(account="41000000", credit=Decimal("12.50"), description="bell \x07"),
            JournalLine(account="41000001"),
        ),
    )
    (entry,) = bulk_of(bulk_request([sent], settings(sender_system="TILL"), bulk_id="b1", now=NOW), most=None)
    assert entry.message_id == sent.reference
    assert entry.currency == "USD"
    assert dict(entry.fields) == {
        "OriginalReferenceDocumentType": "BKPFF",
        "BusinessTransactionType": "RFBU",
        "AccountingDocumentType": "SA",
        "DocumentReferenceID": document_reference(sent.reference),
        "DocumentHeaderText": "Reverses " + document_reference("SIM/101/2026-02-14/0/USD"),
        "CreatedByUser": "TILLWIRE",
        "CompanyCode": "1010",
        "DocumentDate": "2026-02-14",
        "PostingDate": "2026-03-01",
        "Reference1InDocumentHeader": sent.reference[:20],
        "Reference2InDocumentHeader": sent.reference[20:],
    }
    debit, credit = entry.items
    assert (debit.amount, credit.amount) == (Decimal("12.50"), Decimal("-12.50"))
    assert debit.text == ("11.30 EUR tender cash & <notes>" + "x" * 60)[:50]
    assert debit.assignment == {"ProfitCenter": "101"}
    assert credit.text == "bell"


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [("12.5", "USD", "12.50"), ("-1200", "JPY", "-1200"), ("1.5", "KWD", "1.500"), ("1E+3", "USD", "1000.00")],
)
def test_amounts_have_the_decimals_of_their_currency(amount: str, currency: str, text: str) -> None:
    assert amount_text(Decimal(amount), currency) == text


def test_a_message_without_an_answer_is_the_same_when_it_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one = journal()
    other = msgspec.structs.replace(one, description="something else")
    content = content_digest([one], settings())
    assert content == content_digest([one], settings()) != content_digest([other], settings())
    unanswered = Unanswered(kept_s=900)
    monkeypatch.setattr(clock, "monotonic_s", lambda: 1_000.0)
    first = unanswered.uuid_for(content)
    assert unanswered.uuid_for(content) != first
    unanswered.lost(content, first)
    assert unanswered.uuid_for(content) == first
    assert unanswered.uuid_for(content_digest([other], settings())) != first
    monkeypatch.setattr(clock, "monotonic_s", lambda: 1_900.0)
    assert unanswered.uuid_for(content) != first
    unanswered.lost(content, first)
    unanswered.answered(content)
    assert unanswered.uuid_for(content) != first


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"company": "OTHER"}, "has no company code"),
        ({"lines": ()}, "no line with an amount"),
        ({"lines": (JournalLine(account="1" * 11, debit=Decimal(1)),)}, "10 characters"),
        ({"lines": (JournalLine(account="1", debit=Decimal(1)),) * 1000}, "takes 999"),
        ({"lines": (JournalLine(account="1", debit=Decimal(1), dimensions={"store": "x" * 11}),)}, "ProfitCenter"),
    ],
)
def test_what_cannot_be_sent_is_refused_without_a_message(
    synchronous: SapSimulator, changes: dict[str, Any], words: str
) -> None:
    good, bad = journal(), journal(**changes)
    outcomes = connect(synchronous).post([bad, good])
    assert isinstance(outcomes[0], Rejected)
    assert words in outcomes[0].reason
    assert isinstance(outcomes[1], Posted)


# ---- settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "http://sap.example.com"}, "https"),
        ({"password": ""}, "username"),
        ({"token_url": "https://sap.example.com/token"}, "client_id"),
        ({"company_codes": {}}, "company_codes"),
        ({"company_codes": {"SIM": "10100"}}, "company_codes"),
        ({"callback_username": "sap"}, "callback_password"),
        ({"dimensions": {"store": "Shop"}}, "dimensions"),
        ({"dimensions": {"store": "Segment", "region": "Segment"}}, "dimensions"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_wrong_settings_are_told(changes: dict[str, Any], words: str) -> None:
    told = {"url": "https://sap.example.com", "username": "U", "password": "p", "company_codes": {"SIM": "1010"}}
    with pytest.raises(ConfigurationError, match=words):
        SPEC.configure({**told, **changes}, of="erp sap")


def test_no_secret_shows() -> None:
    assert "geheim" not in repr(settings(password="geheim"))


# ---- posting


def test_journals_are_posted_and_read_back(simulator: SapSimulator) -> None:
    connector = connect(simulator)
    sent = [journal(), journal(posting_date=date(2026, 3, 1))]
    outcomes = settled(simulator, connector, sent)
    assert [type(outcome) for outcome in outcomes] == [Posted, Posted]
    found = connector.read_back([one.reference for one in sent])
    for one, outcome in zip(sent, outcomes, strict=True):
        document = found[one.reference]
        assert (document.document_id, document.number) == (outcome.document_id, outcome.number)
        assert document.posted
        assert document.posting_date == one.books_date
        assert document.lines == one.lines
    assert booked(simulator) == 2


def test_a_refusal_is_in_saps_own_words_and_takes_no_neighbour_with_it(simulator: SapSimulator) -> None:
    connector = connect(simulator)
    simulator.books.closed.append((date(2026, 1, 1), date(2026, 1, 31)))
    closed = journal(posting_date=date(2026, 1, 31))
    strange = journal(lines=(JournalLine(account="99999999", debit=Decimal(1)), *journal().lines))
    off = journal(lines=unbalanced(journal()))
    good = journal()
    outcomes = settled(simulator, connector, [closed, strange, good, off])
    assert [outcome.kind for outcome in outcomes if isinstance(outcome, Rejected)] == [
        "closed_period",
        "unknown_account",
        "unbalanced",
    ]
    assert "Posting period 001 2026 is not open [201(F5)]" in outcomes[0].reason
    assert "99999999 does not exist in chart of accounts YCOA" in outcomes[1].reason
    assert "Balance in transaction currency: 0.01" in outcomes[3].reason
    assert isinstance(outcomes[2], Posted)
    assert booked(simulator) == 1


def test_accepted_is_not_posted(asynchronous: SapSimulator) -> None:
    asynchronous.lag_s = 3_600
    connector = connect(asynchronous)
    sent = journal()
    (accepted,) = connector.post([sent])
    assert isinstance(accepted, Accepted)
    assert connector.find([sent.reference]) == {}
    pending = Pending(sent.reference, accepted.handle)
    assert connector.poll([pending]) == [accepted]
    asynchronous.work()
    (posted,) = connector.poll([pending])
    assert isinstance(posted, Posted)


def test_sent_again_before_sap_worked_it_off_it_is_booked_once(asynchronous: SapSimulator) -> None:
    """The look-up cannot see what waits in SAP; the message's UUID can."""
    asynchronous.lag_s = 3_600
    connector = connect(asynchronous)
    sent = journal()
    asynchronous.fail_next("lost_reply", ASYNCHRONOUS)
    (unknown,) = connector.post([sent])
    assert isinstance(unknown, Unknown)
    assert connector.find([sent.reference]) == {}
    assert isinstance(connector.post([sent])[0], Accepted)
    asynchronous.work()
    assert booked(asynchronous) == 1
    assert connector.find([sent.reference])[sent.reference].posted


def test_a_message_delivered_twice_is_booked_once(asynchronous: SapSimulator) -> None:
    asynchronous.fail_next("duplicated", ASYNCHRONOUS)
    (outcome,) = settled(asynchronous, connect(asynchronous), [journal()])
    assert isinstance(outcome, Posted)
    assert booked(asynchronous) == 1


def test_what_sap_has_is_not_sent_again(simulator: SapSimulator) -> None:
    connector = connect(simulator)
    sent = journal()
    (first,) = settled(simulator, connector, [sent])
    assert connector.post([sent]) == [first]
    assert booked(simulator) == 1


def test_overdue_is_told_as_rejected_with_where_to_look(
    asynchronous: SapSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asynchronous.lag_s = 7_200
    connector = connect(asynchronous, overdue_s=600)
    sent = journal()
    monkeypatch.setattr(clock, "now", lambda: NOW)
    (accepted,) = connector.post([sent])
    assert isinstance(accepted, Accepted)
    pending = Pending(sent.reference, accepted.handle)
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 2, 15, 3, 10, tzinfo=UTC))
    assert connector.poll([pending]) == [accepted]
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 2, 15, 3, 10, 1, tzinfo=UTC))
    (overdue,) = connector.poll([pending])
    assert isinstance(overdue, Rejected)
    assert accepted.handle.partition("@")[0] in overdue.reason


def test_what_was_refused_is_restarted_in_sap_or_sent_again(asynchronous: SapSimulator) -> None:
    connector = connect(asynchronous)
    asynchronous.books.closed.append((DAY, DAY))
    restarted, again = journal(), journal()
    refused = settled(asynchronous, connector, [restarted, again])
    assert [type(outcome) for outcome in refused] == [Rejected, Rejected]
    asynchronous.books.closed.clear()
    asynchronous.restart(restarted.reference)
    assert isinstance(connector.post([restarted])[0], Posted), "it is there, and not sent again"
    assert isinstance(settled(asynchronous, connector, [again])[0], Posted)
    assert booked(asynchronous) == 2


def test_the_synchronous_service_takes_ten_in_a_call(synchronous: SapSimulator) -> None:
    outcomes = connect(synchronous, batch_journals=500).post([journal() for _ in range(23)])
    assert all(isinstance(outcome, Posted) for outcome in outcomes)
    assert synchronous.calls[f"POST {SYNCHRONOUS}"] == 3


def test_a_lost_answer_of_the_synchronous_service_is_found(synchronous: SapSimulator) -> None:
    connector = connect(synchronous)
    sent = [journal(), journal()]
    synchronous.fail_next("cut_reply", SYNCHRONOUS)
    assert {type(outcome) for outcome in connector.post(sent)} == {Unknown}
    assert set(connector.find([one.reference for one in sent])) == {one.reference for one in sent}


def test_a_document_that_is_there_twice_is_told_and_reversing_one_mends_it(simulator: SapSimulator) -> None:
    connector = connect(simulator)
    sent, other = journal(), journal()
    settled(simulator, connector, [sent, other])
    simulator.copy(sent.reference)
    with pytest.raises(DuplicatePostingError) as raised:
        connector.find([sent.reference, other.reference])
    assert set(raised.value.duplicates) == {sent.reference}
    assert set(raised.value.found) == {other.reference}
    assert isinstance(connector.post([sent])[0], Unknown), "what is there twice is not sent a third time"
    simulator.reverse(raised.value.duplicates[sent.reference][1].number or "")
    assert connector.find([sent.reference])[sent.reference].posted


def test_a_token_is_renewed_once_and_wrong_credentials_are_told(synchronous: SapSimulator) -> None:
    connector = connect(synchronous)
    assert isinstance(connector.post([journal()])[0], Posted)
    synchronous.expire()
    assert isinstance(connector.post([journal()])[0], Posted)
    with pytest.raises(AuthenticationError):
        SPEC.configure(synchronous.wrong_credentials(), of="test").post([journal()])
    by_password = connect(
        synchronous, token_url="", client_id="", client_secret="", username="TILLWIRE", password="simulated"
    )
    assert isinstance(by_password.post([journal()])[0], Posted)


def test_too_many_calls_are_told_with_when_to_come_again(synchronous: SapSimulator) -> None:
    synchronous.fail_next("throttled", SYNCHRONOUS)
    with pytest.raises(RateLimitedError) as raised:
        connect(synchronous).post([journal()])
    assert raised.value.retry_after_s == 1


@pytest.mark.parametrize(("status", "error"), [(403, AuthenticationError), (404, ContractChangedError)])
def test_what_is_no_matter_of_a_journal_is_no_rejection(
    synchronous: SapSimulator, monkeypatch: pytest.MonkeyPatch, status: int, error: type[Exception]
) -> None:
    connector = connect(synchronous)
    monkeypatch.setattr(synchronous, "_message", lambda _: Answer(status, b"service is not active"))
    with pytest.raises(error, match="service is not active"):
        connector.post([journal()])
    monkeypatch.setattr(synchronous, "_query", lambda _: Answer(status, b"service is not active"))
    with pytest.raises(error, match="service is not active"):
        connector.find(["R1"])


@pytest.mark.parametrize(
    ("amount", "code", "negative", "debit"),
    [("5.000", "S", False, "5"), ("-5.000", "H", False, "-5"), ("-5.000", "S", True, "-5"), ("-5.000", "S", False, "")],
)
def test_sign_and_code_of_an_item_must_agree_unless_it_is_a_negative_posting(
    synchronous: SapSimulator, monkeypatch: pytest.MonkeyPatch, amount: str, code: str, negative: bool, debit: str
) -> None:
    sent = journal()
    row = {
        "CompanyCode": "1010",
        "FiscalYear": "2026",
        "AccountingDocument": "0110000000",
        "AccountingDocumentItem": "001",
        "DocumentReferenceID": document_reference(sent.reference),
        "PostingDate": "/Date(1771027200000)/",
        "IsReversal": False,
        "IsReversed": False,
        "GLAccount": "0011001000",
        "DebitCreditCode": code,
        "AmountInTransactionCurrency": amount,
        "DocumentItemText": None,
        "IsNegativePosting": negative,
        "ProfitCenter": "",
    }
    monkeypatch.setattr(synchronous, "_query", lambda _: json_answer({"d": {"results": [row]}}))
    connector = connect(synchronous)
    if not debit:
        with pytest.raises(ContractChangedError, match="sign and code differ"):
            connector.read_back([sent.reference])
        return
    document = connector.read_back([sent.reference])[sent.reference]
    (line,) = document.lines
    assert line.debit - line.credit == Decimal(debit)
    assert line.account == "11001000"
    assert document.posting_date == DAY


# ---- confirmations


def test_a_confirmation_must_prove_that_it_is_saps(asynchronous: SapSimulator) -> None:
    connector = connect(asynchronous)
    connector.post([journal()])
    ((headers, body),) = asynchronous.calls_back()
    for wrong in ({}, {"Authorization": basic("sap", "guessed")}):
        with pytest.raises(AuthenticationError):
            connector.called_back(wrong, body)
    open_to_all = connect(asynchronous, callback_username="", callback_password="")
    with pytest.raises(AuthenticationError):
        open_to_all.called_back({"Authorization": basic("", "")}, body)
    with pytest.raises(RejectedError, match="cannot be read"):
        connector.called_back(headers, b"<a/>")


def test_references_too_long_for_a_message_id_are_left_to_polling(asynchronous: SapSimulator) -> None:
    connector = connect(asynchronous)
    sent = journal(reference="SIM/" + "9" * 40)
    (accepted,) = connector.post([sent])
    ((headers, body),) = asynchronous.calls_back()
    assert connector.called_back(headers, body) == []
    assert isinstance(accepted, Accepted)
    assert isinstance(connector.poll([Pending(sent.reference, accepted.handle)])[0], Posted)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a",
        b"\xff\xfe<\x00a\x00",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a><a/>'.encode("utf-16"),
    ],
)
def test_dangerous_or_broken_xml_is_not_read(body: bytes) -> None:
    with pytest.raises(NotReadableError):
        parse(body)


# ---- the simulator is as strict as the contract


GOOD = bulk_request([journal(reference="R1")], settings(), bulk_id="b1", now=NOW).decode()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<ID>b1</ID>", "", "ID is missing"),
        ("<ID>b1</ID>", f"<ID>{'x' * 36}</ID>", "not a valid value"),
        ("2026-02-15T03:00:00Z", "2026-02-15 03:00", "not a valid value"),
        (">BKPFF<", ">MKPF<", "not a valid value"),
        (">RFBU<", ">XXXX<", "not a valid value"),
        ("<CreatedByUser>TILLWIRE</CreatedByUser>", "", "CreatedByUser is missing"),
        (">2026-02-14</PostingDate>", ">14.02.2026</PostingDate>", "not a valid value"),
        (">108.25<", ">-108.25<", "does not go with DebitCreditCode"),
        (">108.25<", ">108,25<", "not a valid value"),
        (' currencyCode="USD">108.25', ">108.25", "not a valid value"),
        (' currencyCode="USD">108.25', ' currencyCode="EUR">108.25', "one ISO code"),
        (">tender cash<", f">{'x' * 51}<", "not a valid value"),
        ("<DocumentReferenceID>R1<", f"<DocumentReferenceID>{'x' * 17}<", "not a valid value"),
        ("<CompanyCode>", "<Colour>blue</Colour><CompanyCode>", "Colour is not expected"),
        ("<DebitCreditCode>S</DebitCreditCode>", "<DebitCreditCode>D</DebitCreditCode>", "not a valid value"),
        ("sfin:JournalEntryBulkCreateRequest>", "sfin:JournalEntryRequest>", "not known"),
        ("http://sap.com/xi/SAPSCORE/SFIN", "http://sap.com/xi/other", "not known"),
    ],
)
def test_wrong_messages_are_refused(old: str, new: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(WrongMessageError, match=words):
        bulk_of(GOOD.replace(old, new).encode(), most=None)


def test_elements_in_another_order_are_refused() -> None:
    company, day = "<CompanyCode>1010</CompanyCode>", "<DocumentDate>2026-02-14</DocumentDate>"
    with pytest.raises(WrongMessageError, match="wrong place"):
        bulk_of(GOOD.replace(company + day, day + company).encode(), most=None)


def test_wrong_calls_are_refused(asynchronous: SapSimulator) -> None:
    def send(path: str, **headers: str) -> httpx2.Response:
        told = {"Authorization": basic("TILLWIRE", "simulated"), **headers}
        return httpx2.post(asynchronous.url + path, content=GOOD.encode(), headers=told, trust_env=False)

    assert send(SYNCHRONOUS, Authorization="Basic wrong").status_code == 401
    assert "text/xml" in send(SYNCHRONOUS, **{"Content-Type": "application/json"}).text
    assert "SOAPAction" in send(SYNCHRONOUS, **{"Content-Type": "text/xml"}).text
    action = (
        '"http://sap.com/xi/SAPSCORE/SFIN/JournalEntryBulkCreationRequest_In/JournalEntryBulkCreationRequest_InRequest"'
    )
    assert "MessageId" in send(ASYNCHRONOUS, **{"Content-Type": "text/xml", "SOAPAction": action}).text
    assert booked(asynchronous) == 0


def test_a_message_that_sap_cannot_read_is_halved_until_the_culprit_stands_alone(synchronous: SapSimulator) -> None:
    """A currency that is no ISO code breaks the whole message, not only its own entry."""
    good, bad = [journal() for _ in range(3)], journal(currency="points")
    outcomes = connect(synchronous).post([*good, bad])
    assert [type(outcome) for outcome in outcomes] == [Posted, Posted, Posted, Rejected]
    assert "currencyCode" in outcomes[3].reason  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("$format=json&$select=Colour", "Colour not found"),
        ("$format=json&$filter=Colour eq 'x'", "Colour not found"),
        ("$format=json&$filter=Product like 'x'", "expected"),
        ("$format=json&$filter=Product eq x;", "Invalid token"),
        ("$format=xml", "Invalid query options"),
        ("$format=json&$colour=x", "Invalid query options"),
    ],
)
def test_wrong_queries_are_refused(synchronous: SapSimulator, query: str, words: str) -> None:
    reply = httpx2.get(
        f"{synchronous.url}/sap/opu/odata/sap/API_PRODUCT_SRV/A_Product?{query}",
        headers={"Authorization": basic("TILLWIRE", "simulated")},
        trust_env=False,
    )
    assert reply.status_code == 400
    assert words in reply.json()["error"]["message"]["value"]


# ---- master data


def test_accounts_and_products_are_pulled_page_by_page(synchronous: SapSimulator) -> None:
    synchronous.products = {
        "SKU-1": {"ProductGroup": "L001", "BaseUnit": "EA", "ProductStandardID": "4006381333931"},
        "SKU-2": {"ProductDescription": "Milk 'fresh'", "IsMarkedForDeletion": "X"},
    }
    connector = connect(synchronous, page_rows=2)
    assert connector.kinds == ("account", "product")
    accounts = [msgspec.to_builtins(record) for record in connector.pull("account")]
    assert sorted(account["account"] for account in accounts) == sorted(SapSimulator.account_codes)
    assert accounts[0]["name"] == f"Account {accounts[0]['account']}"
    one, two = (msgspec.to_builtins(record) for record in connector.pull("product"))
    assert (one["sku"], one["name"], one["product_class"], one["gtins"]) == (
        "SKU-1",
        "SKU-1",
        "L001",
        ("4006381333931",),
    )
    assert (two["name"], two["active"]) == ("Milk 'fresh'", False)
    assert list(connector.pull("product", datetime(2030, 1, 1, tzinfo=UTC))) == []


@pytest.mark.parametrize(
    ("file", "service", "entity_set"),
    [
        ("sap__API_JOURNALENTRYITEMBASIC_SRV.edmx", "API_JOURNALENTRYITEMBASIC_SRV", "A_GLAccountInChartOfAccounts"),
        ("sap__API_PRODUCT_SRV.edmx", "API_PRODUCT_SRV", "A_Product"),
        ("sap__API_PRODUCT_SRV.edmx", "API_PRODUCT_SRV", "A_ProductDescription"),
    ],
)
def test_what_is_asked_and_answered_is_in_saps_own_metadata(file: str, service: str, entity_set: str) -> None:
    """The simulator answers only what it knows, so its properties are those that the connector names."""
    root = ET.parse(fixtures("erp") / file).getroot()
    sets = {one.get("Name"): one.get("EntityType") for one in root.iter() if one.tag.endswith("}EntitySet")}
    named = (sets[entity_set] or "").rpartition(".")[2]
    kinds = {one.get("Name"): one for one in root.iter() if one.tag.endswith("}EntityType")}
    properties = {one.get("Name"): one for one in kinds[named] if one.tag.endswith("}Property")}
    for name in SETS[f"{service}/{entity_set}"]:
        assert name in properties, f"{entity_set} has no {name}"
        filterable = [value for key, value in properties[name].attrib.items() if key.endswith("filterable")]
        assert "false" not in filterable


def test_the_items_of_the_basic_service_cannot_say_which_journal_they_are_of() -> None:
    """Why journals are looked up by another service than the one whose metadata lies at hand."""
    path = fixtures("erp") / "sap__API_JOURNALENTRYITEMBASIC_SRV.edmx"
    names = {one.get("Name") for one in ET.parse(path).getroot().iter() if one.tag.endswith("}Property")}
    assert not names & {"AccountingDocument", "DocumentReferenceID"}
