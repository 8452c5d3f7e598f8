"""Oracle Fusion: the file that is sent, what is read of jobs and batches, and how strictly the simulated pod judges."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx2
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from erp_journals import booked, sale, unbalanced
from hypothesis import given
from hypothesis import strategies as st
from knowing import fixtures

from tillwire import clock
from tillwire.connectors.erp import Accepted, DuplicatePostingError, Pending, Posted, PostingOutcome, Rejected, Unknown
from tillwire.connectors.oracle_fusion import SPEC, OracleFusionConnector
from tillwire.connectors.oracle_fusion.client import BATCHES, ERP, MEDIA, basic
from tillwire.connectors.oracle_fusion.fbdi import (
    COLUMNS,
    FILE,
    PLACES,
    batch_description,
    batch_name,
    packed,
    rows,
    told_total,
)
from tillwire.connectors.oracle_fusion.outcome import failed_jobs, refusals, texts
from tillwire.connectors.oracle_fusion.settings import OracleFusionSettings
from tillwire.connectors.oracle_fusion.simulator import OracleFusionSimulator
from tillwire.connectors.oracle_fusion.simulator_files import WrongFileError, rows_of
from tillwire.errors import (
    AuthenticationError,
    ConfigurationError,
    ContractChangedError,
    RateLimitedError,
    TransientError,
)
from tillwire.model.ledger import Journal, JournalLine
from tillwire.model.money import Money

NOW = datetime(2026, 2, 15, 3, 0, tzinfo=UTC)
LEDGER = OracleFusionSimulator.ledger_id


@pytest.fixture
def simulator() -> Iterator[OracleFusionSimulator]:
    with OracleFusionSimulator() as running:
        yield running


def connect(simulator: OracleFusionSimulator, **changes: Any) -> OracleFusionConnector:
    made = SPEC.configure({**simulator.settings(), **changes}, of="test")
    assert isinstance(made, OracleFusionConnector)
    return made


def journal(**changes: Any) -> Journal:
    return sale(OracleFusionSimulator.company, OracleFusionSimulator.account_codes, **changes)


def settled(connector: OracleFusionConnector, journals: list[Journal], *, polls: int = 5) -> list[PostingOutcome]:
    """Outcomes once Oracle has imported and posted what it took in; polls as the dispatcher does, without waiting."""
    outcomes = {outcome.reference: outcome for outcome in connector.post(journals)}
    for _ in range(polls):
        pending = [Pending(one.reference, one.handle) for one in outcomes.values() if isinstance(one, Accepted)]
        outcomes |= {outcome.reference: outcome for outcome in connector.poll(pending)}
    return [outcomes[one.reference] for one in journals]


def settings(**changes: Any) -> OracleFusionSettings:
    told = {
        "url": "https://pod.example.com",
        "username": "tillwire",
        "password": "x",
        "ledgers": {"SIM": {"ledger_id": LEDGER, "currency": "USD", "values": {"company": "01"}}},
        "segments": ["company", "store", "account"],
        "segment_defaults": {"store": "000"},
        **changes,
    }
    return msgspec.convert(told, OracleFusionSettings)


# ---- names


def test_plain_references_begin_the_batch_name_and_others_are_hashed() -> None:
    assert batch_name("SIM/101/2026-02-14/1/USD") == "SIM/101/2026-02-14/1/USD"
    for strange in ("with blank", "it's", "50%", "under_score", "x" * 49, ""):
        assert batch_name(strange).startswith("~")
        assert len(batch_name(strange)) == 25


@given(st.text(max_size=60), st.text(max_size=60))
def test_two_references_never_share_a_batch_name(one: str, other: str) -> None:
    assert len(batch_name(one)) <= 48
    assert not set(batch_name(one)) & set(" %'_")
    if one != other:
        assert batch_name(one) != batch_name(other)


def test_the_description_tells_what_the_batch_must_come_to() -> None:
    assert told_total(batch_description(journal())) == Decimal("108.25")
    assert told_total("entered by hand") is None


# ---- the file


def test_the_row_says_all_of_the_line() -> None:
    sent = journal(
        posting_date=date(2026, 3, 1),
        reverses="SIM/101/2026-02-14/0/USD",
        currency="EUR",
        lines=(
            JournalLine(
                account="11010",
                debit=Decimal("12.5"),
                description='tender "cash",\nnotes',
                dimensions={"store": "101", "till": "3"},
                foreign=Money(Decimal("11.30"), "CHF"),
            ),
            JournalLine(account="41000", credit=Decimal("12.50"), description="y" * 300),
            JournalLine(account="41000"),
        ),
    )
    debit, credit = rows([sent], settings())
    assert len(debit) == len(credit) == COLUMNS
    told = {name: debit[place] for name, place in PLACES.items()}
    group = told.pop("GROUP_ID")
    assert group.isdigit()
    assert len(group) == 15
    assert told == {
        "STATUS": "NEW",
        "LEDGER_ID": LEDGER,
        "ACCOUNTING_DATE": "2026/03/01",
        "USER_JE_SOURCE_NAME": "Tillwire",
        "USER_JE_CATEGORY_NAME": "Tillwire",
        "CURRENCY_CODE": "EUR",
        "DATE_CREATED": "2026/02/14",
        "ACTUAL_FLAG": "A",
        "SEGMENT1": "01",
        "ENTERED_DR": "12.50",
        "ENTERED_CR": "",
        "ACCOUNTED_DR": "",
        "ACCOUNTED_CR": "",
        "REFERENCE1": sent.reference,
        "REFERENCE2": f"{sent.reference} | debits 12.5 EUR | {sent.description}",
        "REFERENCE4": sent.reference,
        "REFERENCE5": f"Reverses SIM/101/2026-02-14/0/USD. {sent.description}",
        "REFERENCE10": '11.30 CHF tender "cash", notes',
        "USER_CURRENCY_CONVERSION_TYPE": "Corporate",
        "CURRENCY_CONVERSION_DATE": "2026/03/01",
    }
    assert debit[8:38] == ["01", "101", "11010"] + [""] * 27
    assert credit[8:11] == ["01", "000", "41000"]
    assert (credit[38], credit[39]) == ("", "12.50")
    assert len(credit[51]) == 240


def test_each_journal_has_a_group_of_its_own_in_every_import() -> None:
    sent = [journal(), journal()]
    groups = [{row[PLACES["GROUP_ID"]] for row in rows([one], settings())} for one in (*sent, *sent)]
    assert all(len(group) == 1 for group in groups)
    assert len(set.union(*groups)) == 4


def test_the_columns_are_those_of_a_file_that_oracle_imported() -> None:
    """Wherever the real file has a value, ours has the same thing."""
    with (fixtures("erp") / "oracle_fbdi__GlInterface_small.csv").open(newline="") as file:
        real = list(csv.reader(file))
    ours = rows(
        [journal()], settings(segments=["company", "store", "account", "a", "b"], segment_defaults={"a": "0", "b": "0"})
    )
    for row in real:
        assert len(row) == COLUMNS
        filled = {place for place, value in enumerate(row) if value} - {COLUMNS - 1}
        amounts = {PLACES["ENTERED_DR"], PLACES["ENTERED_CR"]}
        assert filled - amounts <= {place for place, value in enumerate(ours[0]) if value}
        assert filled & amounts <= {place for line in ours for place, value in enumerate(line) if value}
        assert row[0] == "NEW"
        assert row[PLACES["ACTUAL_FLAG"]] == "A"
        assert date.fromisoformat(row[PLACES["ACCOUNTING_DATE"]].replace("/", "-"))
        assert row[PLACES["GROUP_ID"]].isdigit()
    debits, credits = (sum(Decimal(row[place] or 0) for row in real) for place in (38, 39))
    assert debits == credits


def test_the_zip_has_the_one_file_without_a_header_and_with_the_same_bytes_again() -> None:
    made = rows([journal()], settings())
    assert packed(made) == packed(made)
    with zipfile.ZipFile(io.BytesIO(packed(made))) as archive:
        assert archive.namelist() == [FILE]
        text = archive.read(FILE).decode()
    assert text.startswith("NEW,")
    assert text.count("\r\n") == 3


# ---- settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "http://pod.example.com"}, "https"),
        ({"password": ""}, "username"),
        ({"token_url": "https://idcs.example.com/token"}, "client_id"),
        ({"jwt_issuer": "tillwire"}, "jwt_private_key"),
        ({"ledgers": {}}, "ledgers"),
        ({"ledgers": {"SIM": {"ledger_id": "abc", "currency": "USD"}}}, "ledger_id"),
        ({"segments": ["company"]}, "account"),
        ({"segments": ["account", "store", "store"]}, "twice"),
        ({"segments": [str(number) for number in range(31)]}, "segments"),
        ({"source": "50%"}, "source"),
        ({"job_options": "PurgeOption=N"}, "PurgeOption"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_wrong_settings_are_told(changes: dict[str, Any], words: str) -> None:
    told = {
        "url": "https://pod.example.com",
        "username": "tillwire",
        "password": "x",
        "ledgers": {"SIM": {"ledger_id": "1", "currency": "USD"}},
        "segments": ["account"],
    }
    with pytest.raises(ConfigurationError, match=words):
        SPEC.configure({**told, **changes}, of="erp oracle")


def test_no_secret_shows() -> None:
    assert "geheim" not in repr(settings(password="geheim"))


# ---- posting


def test_journals_are_imported_posted_and_read_back(simulator: OracleFusionSimulator) -> None:
    connector = connect(simulator)
    sent = [journal(), journal(posting_date=date(2026, 3, 1)), journal(reference="a reference, with 'strange' letters")]
    outcomes = settled(connector, sent)
    assert [type(outcome) for outcome in outcomes] == [Posted] * 3
    found = connector.read_back([one.reference for one in sent])
    for one, outcome in zip(sent, outcomes, strict=True):
        assert isinstance(outcome, Posted)
        document = found[one.reference]
        assert (document.document_id, document.number, document.posted) == (outcome.document_id, outcome.number, True)
        assert document.posting_date == one.books_date
        assert document.lines == one.lines
    assert booked(simulator) == 3
    assert simulator.calls[f"POST {ERP}"] == 2, "one import and one run of AutoPost"


def test_lines_are_read_back_in_pages(simulator: OracleFusionSimulator) -> None:
    connector = connect(simulator, page_rows=2)
    sent = journal()
    settled(connector, [sent])
    assert connector.read_back([sent.reference])[sent.reference].lines == sent.lines


def test_a_refusal_is_in_oracles_own_words_and_takes_no_neighbour_with_it(simulator: OracleFusionSimulator) -> None:
    connector = connect(simulator)
    simulator.books.closed.append((date(2026, 1, 1), date(2026, 1, 31)))
    closed = journal(posting_date=date(2026, 1, 31))
    strange = journal(
        lines=(*journal().lines[:2], JournalLine(account="99999", credit=Decimal("8.25"), dimensions={"store": "101"}))
    )
    off = journal(lines=unbalanced(journal()))
    good = journal()
    outcomes = settled(connector, [closed, strange, off, good])
    assert [outcome.kind for outcome in outcomes if isinstance(outcome, Rejected)] == [
        "closed_period",
        "unknown_account",
        "unbalanced",
    ]
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)]
    assert "EP01 The date 2026-01-31 is not in any open or future enterable period" in reasons[0]
    assert "EF04 FLEX-VALUE DOES NOT EXIST (SEGMENT=Account)" in reasons[1]
    assert isinstance(outcomes[3], Posted)
    assert booked(simulator) == 1
    assert not simulator.interface, "refused rows are purged, or the next import would take them in"


def test_a_refused_journal_is_sent_again_and_posted_once_when_it_is_mended(simulator: OracleFusionSimulator) -> None:
    connector = connect(simulator)
    simulator.books.closed.append((date(2026, 2, 1), date(2026, 2, 28)))
    sent = journal()
    assert isinstance(settled(connector, [sent])[0], Rejected)
    simulator.books.closed.clear()
    assert isinstance(settled(connector, [sent])[0], Posted)
    assert booked(simulator) == 1


@pytest.mark.parametrize(
    ("changes", "words", "kind"),
    [
        ({"company": "OTHER"}, "has no ledger", "other"),
        ({"lines": ()}, "no line with an amount", "other"),
        ({"lines": unbalanced(journal())}, "differ", "unbalanced"),
        (
            {"lines": (JournalLine(account="1,1", debit=Decimal(1)), JournalLine(account="2", credit=Decimal(1)))},
            "segment account",
            "other",
        ),
    ],
)
def test_what_cannot_be_sent_is_refused_without_a_call(
    simulator: OracleFusionSimulator, changes: dict[str, Any], words: str, kind: str
) -> None:
    (outcome,) = connect(simulator).post([journal(**changes)])
    assert isinstance(outcome, Rejected)
    assert words in outcome.reason
    assert outcome.kind == kind
    assert simulator.calls[f"POST {ERP}"] == 0


def test_imported_is_not_posted(simulator: OracleFusionSimulator) -> None:
    """Without a criteria set somebody posts in Oracle; until then it stays accepted, and is found as a draft."""
    connector = connect(simulator, autopost_criteria_set_id="")
    sent = journal()
    (accepted,) = settled(connector, [sent])
    assert isinstance(accepted, Accepted)
    draft = connector.find([sent.reference])[sent.reference]
    assert (draft.posted, draft.number) == (False, None)
    assert isinstance(connector.post([sent])[0], Accepted), "it is not sent again"
    assert len(simulator.batches) == 1
    simulator.post_batch(int(draft.document_id))
    assert isinstance(connector.poll([Pending(sent.reference, accepted.handle)])[0], Posted)


def test_a_job_that_runs_is_waited_for(simulator: OracleFusionSimulator) -> None:
    simulator.lag_s = 3_600
    connector = connect(simulator)
    sent = journal()
    (accepted,) = settled(connector, [sent])
    assert isinstance(accepted, Accepted)
    assert simulator.calls[f"POST {ERP}"] == 1
    simulator.work()
    connector.poll([Pending(sent.reference, accepted.handle)])
    connector.poll([Pending(sent.reference, accepted.handle)])
    assert simulator.calls[f"POST {ERP}"] == 2, "AutoPost is not started again while it runs"
    simulator.work()
    assert isinstance(connector.poll([Pending(sent.reference, accepted.handle)])[0], Posted)


def test_finish_has_drafts_posted(simulator: OracleFusionSimulator) -> None:
    idle, connector = connect(simulator, autopost_criteria_set_id=""), connect(simulator)
    sent, gone = journal(), journal()
    settled(idle, [sent, gone])
    found = connector.find([sent.reference, gone.reference])
    del simulator.batches[int(found[gone.reference].document_id)]
    accepted, unknown = connector.finish([found[sent.reference], found[gone.reference]])
    assert isinstance(accepted, Accepted)
    assert isinstance(unknown, Unknown)
    assert isinstance(connector.poll([Pending(sent.reference, accepted.handle)])[0], Posted)
    assert isinstance(connector.poll([Pending(gone.reference, accepted.handle)])[0], Unknown)


# ---- exactly once


@pytest.mark.parametrize("fault", ["lost_reply", "cut_reply", "broken", "lost_request"])
def test_an_import_without_an_answer_is_found_or_sent_again(simulator: OracleFusionSimulator, fault: Any) -> None:
    connector = connect(simulator)
    sent = [journal(), journal()]
    simulator.fail_next(fault, ERP)
    assert {type(outcome) for outcome in connector.post(sent)} == {Unknown}
    assert {type(outcome) for outcome in settled(connector, sent)} == {Posted}
    assert booked(simulator) == 2


def test_an_import_that_comes_twice_is_posted_once(simulator: OracleFusionSimulator) -> None:
    connector = connect(simulator)
    simulator.fail_next("duplicated", ERP)
    sent = [journal(), journal()]
    assert {type(outcome) for outcome in settled(connector, sent)} == {Posted}
    assert booked(simulator) == 2
    assert len(simulator.batches) == 2


def test_an_import_that_comes_late_is_not_posted_with_the_next_journals(simulator: OracleFusionSimulator) -> None:
    connector = connect(simulator)
    late, next_ = journal(), journal()
    settled(connector, [late])
    simulator.add_batch(next(iter(simulator.batches.values())).rows, "later")
    settled(connector, [next_])
    assert booked(simulator) == 2
    assert len(simulator.batches) == 2


def test_two_loads_that_met_in_the_interface_are_thrown_away_and_sent_again(simulator: OracleFusionSimulator) -> None:
    """One journal with every line twice balances; its description tells that it is wrong."""
    idle, connector = connect(simulator, autopost_criteria_set_id=""), connect(simulator)
    sent = journal()
    settled(idle, [sent])
    (batch,) = simulator.batches.values()
    batch.rows = batch.rows * 2
    assert connector.find([sent.reference]) == {}
    assert not simulator.batches
    assert isinstance(settled(connector, [sent])[0], Posted)
    assert booked(simulator) == 1


def test_a_superfluous_batch_that_cannot_be_deleted_stops_posting(simulator: OracleFusionSimulator) -> None:
    idle = connect(simulator, autopost_criteria_set_id="")
    sent = journal()
    (accepted,) = settled(idle, [sent])
    assert isinstance(accepted, Accepted)
    twin = simulator.add_batch(next(iter(simulator.batches.values())).rows, "again")
    simulator.locked.add(twin)
    with pytest.raises(TransientError, match="superfluous and not posted"):
        connect(simulator).poll([Pending(sent.reference, accepted.handle)])
    assert booked(simulator) == 0


def test_a_batch_that_is_posted_twice_is_told(simulator: OracleFusionSimulator) -> None:
    connector = connect(simulator)
    sent, other = journal(), journal()
    settled(connector, [sent, other])
    simulator.copy(sent.reference)
    with pytest.raises(DuplicatePostingError) as raised:
        connector.find([sent.reference, other.reference])
    assert set(raised.value.duplicates) == {sent.reference}
    assert set(raised.value.found) == {other.reference}
    assert isinstance(connector.post([sent])[0], Unknown), "it is not sent a third time"


def test_what_autopost_will_not_post_is_deleted_and_told(simulator: OracleFusionSimulator) -> None:
    connector = connect(simulator)
    sent, good = journal(), journal()
    simulator.refuse_posting[sent.reference] = "Invalid or closed period"
    refused, posted = settled(connector, [sent, good])
    assert isinstance(refused, Rejected)
    assert "Invalid or closed period" in refused.reason
    assert isinstance(posted, Posted)
    assert connector.find([sent.reference]) == {}


def test_a_lost_start_of_autopost_is_made_up_for(simulator: OracleFusionSimulator) -> None:
    connector = connect(simulator)
    sent = journal()
    (accepted,) = connector.post([sent])
    assert isinstance(accepted, Accepted)
    simulator.fail_next("lost_request", writing=True)
    pending = [Pending(sent.reference, accepted.handle)]
    assert connector.poll(pending) == [accepted]
    assert connector.poll(pending) == [accepted], "imported, and AutoPost is run now"
    assert simulator.injected == {"lost_request": 1}
    assert isinstance(connector.poll(pending)[0], Posted)


# ---- jobs that fail


def test_a_file_that_cannot_be_loaded_is_told_by_the_jobs_status(simulator: OracleFusionSimulator) -> None:
    connector = connect(simulator, segments=["company", "store", "account", "extra"], segment_defaults={"extra": "0"})
    (outcome,) = settled(connector, [journal()])
    assert isinstance(outcome, Rejected)
    assert "ended as ERROR" in outcome.reason


def test_a_job_that_is_not_started_stops_the_run(simulator: OracleFusionSimulator) -> None:
    with pytest.raises(ContractChangedError, match="started no job"):
        connect(simulator, job_name="/oracle/apps/ess/other,Job").post([journal()])


def test_an_operation_that_oracle_refuses_is_no_matter_of_a_journal(simulator: OracleFusionSimulator) -> None:
    with pytest.raises(ContractChangedError, match="isn't valid for JournalImportLauncher"):
        connect(simulator, source="Another").post([journal()])


def test_a_job_that_succeeded_without_a_batch_is_overdue_in_the_end(
    simulator: OracleFusionSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = connect(simulator, overdue_s=600)
    sent = journal()
    monkeypatch.setattr(clock, "now", lambda: NOW)
    (accepted,) = connector.post([sent])
    assert isinstance(accepted, Accepted)
    pending = [Pending(sent.reference, accepted.handle)]
    simulator.work()
    simulator.batches.clear()
    assert connector.poll(pending) == [accepted]
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 2, 15, 3, 10, 1, tzinfo=UTC))
    (overdue,) = connector.poll(pending)
    assert isinstance(overdue, Rejected)
    assert accepted.handle.partition("@")[0] in overdue.reason


def test_failed_jobs_are_found_wherever_they_are_in_the_tree() -> None:
    tree = {
        "JOBS": {
            "REQUESTID": "10",
            "STATUS": "SUCCEEDED",
            "CHILD": [
                {"REQUESTID": "11", "STATUS": "SUCCEEDED"},
                {"REQUESTID": "12", "STATUS": "warning", "CHILD": [{"REQUESTID": "13", "STATUS": "ERROR"}]},
            ],
        }
    }
    assert failed_jobs(tree) == ["13", "12"]


@pytest.mark.parametrize(
    ("content", "words", "kind"),
    [
        ("STATUS,STATUS_DESCRIPTION,REFERENCE1\nEP01,closed,R1\nP,,R2\n", "EP01 closed", "closed_period"),
        ("Journal R1 has errors: EU02 unbalanced\n", "Journal R1 has errors: EU02 unbalanced", "unbalanced"),
        (",".join(["EF04,EC03".replace(",", " "), *[""] * 41, "R1", *[""] * 52]) + "\n", "EF04", "unknown_account"),
        ("STATUS,REFERENCE1\nEZ99,R1\n", "EZ99", "other"),
    ],
)
def test_reasons_are_read_from_interface_rows_and_reports(content: str, words: str, kind: str) -> None:
    found = refusals(content, frozenset({"R1", "R2"}))
    assert set(found) == {"R1"}
    assert words in found["R1"].words
    assert found["R1"].kind == kind


def test_a_description_that_looks_like_a_code_is_none() -> None:
    content = "STATUS,STATUS_DESCRIPTION,REFERENCE1,REFERENCE2\nP,,R1,EP01 is a product\n"
    assert refusals(content, frozenset({"R1"})) == {}


def test_what_is_no_zip_has_no_texts() -> None:
    assert list(texts(b"no zip")) == []


# ---- credentials and limits


def test_a_token_is_renewed_once_and_wrong_credentials_are_told(simulator: OracleFusionSimulator) -> None:
    connector = connect(simulator)
    connector.find(["R1"])
    simulator.expire()
    assert isinstance(connector.post([journal()])[0], Accepted)
    with pytest.raises(AuthenticationError):
        SPEC.configure(simulator.wrong_credentials(), of="test").post([journal()])
    by_password = connect(simulator, token_url="", username="tillwire", password="simulated")
    assert isinstance(by_password.post([journal()])[0], Accepted)


def test_a_token_of_our_own_is_signed_for_the_user() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    connector = OracleFusionConnector(
        settings(password="", jwt_issuer="tillwire.example", jwt_private_key=pem, jwt_thumbprint="abc")
    )
    token = connector.client._authorize()["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, key.public_key(), algorithms=["RS256"])
    assert (claims["iss"], claims["sub"], claims["prn"]) == ("tillwire.example", "tillwire", "tillwire")
    assert jwt.get_unverified_header(token)["x5t"] == "abc"
    broken = OracleFusionConnector(
        settings(password="", jwt_issuer="tillwire.example", jwt_private_key="no key", jwt_thumbprint="abc")
    )
    with pytest.raises(ConfigurationError, match="jwt_private_key"):
        broken.find(["R1"])


def test_too_many_calls_are_told_with_when_to_come_again(simulator: OracleFusionSimulator) -> None:
    simulator.fail_next("throttled", ERP)
    with pytest.raises(RateLimitedError) as raised:
        connect(simulator).post([journal()])
    assert raised.value.retry_after_s == 1


# ---- the simulator is as strict as the contract


def archive(**changes: str) -> bytes:
    made = rows([journal()], settings())
    for name, value in changes.items():
        made[0][PLACES[name]] = value
    return packed(made)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (archive(STATUS="OLD"), "STATUS"),
        (archive(LEDGER_ID="1"), "LEDGER_ID"),
        (archive(USER_JE_SOURCE_NAME="Manual"), "SOURCE"),
        (archive(ACCOUNTING_DATE="2026-02-14"), "YYYY/MM/DD"),
        (archive(ACCOUNTING_DATE="2026/02/30"), "YYYY/MM/DD"),
        (archive(ACTUAL_FLAG="B"), "ACTUAL_FLAG"),
        (archive(CURRENCY_CODE="usd"), "CURRENCY"),
        (archive(ENTERED_DR="108,25"), "amount"),
        (archive(ENTERED_DR="-1"), "amount"),
        (archive(ENTERED_CR="1"), "one of ENTERED_DR and ENTERED_CR"),
        (archive(GROUP_ID="G1"), "GROUP_ID"),
        (archive(GROUP_ID=""), "missing"),
        (archive(REFERENCE1="x" * 101), "REFERENCE1"),
        (archive(REFERENCE10="x" * 241), "REFERENCE10"),
        (archive(SEGMENT1=""), "segments"),
        (packed([["NEW"] * 10]), "columns"),
        (packed([]), "no rows"),
        (b"no zip", "cannot be read"),
    ],
)
def test_wrong_files_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(WrongFileError, match=words):
        rows_of(content, LEDGER, "Tillwire", 3)


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"OperationName": "importEverything"}, 400),
        ({"OperationName": "importBulkData", "DocumentContent": "x"}, 400),
        ({"OperationName": "submitESSJobRequest", "JobPackageName": "/oracle/", "JobDefName": "Job"}, 201),
    ],
)
def test_wrong_operations_are_refused(simulator: OracleFusionSimulator, operation: dict[str, str], status: int) -> None:
    def send(media: str) -> httpx2.Response:
        return httpx2.post(
            simulator.url + ERP,
            content=msgspec.json.encode(operation),
            headers={"Content-Type": media, "Authorization": basic("tillwire", "simulated")},
            trust_env=False,
        )

    assert send("text/plain").status_code == 415
    reply = send(MEDIA)
    assert reply.status_code == status
    assert status == 400 or reply.json()["ReqstId"] == "-1"


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ("q=BatchName LIKE 'x%25'", "1"),
        ("q=BatchName = 'x'", "4"),
        ("q=BatchName LIKE 'x%25'&fields=Colour", "4"),
        ("q=BatchName LIKE 'x%25'&colour=blue", "4"),
    ],
)
def test_wrong_queries_are_refused(simulator: OracleFusionSimulator, query: str, version: str) -> None:
    headers = {"Authorization": basic("tillwire", "simulated"), "REST-Framework-Version": version}
    reply = httpx2.get(f"{simulator.url}{BATCHES}?{query}", headers=headers, trust_env=False)
    assert reply.status_code == 400
