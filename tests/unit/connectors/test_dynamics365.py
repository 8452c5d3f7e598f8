"""Dynamics 365 Finance: settings, labels, packages, what its simulator refuses, imports that fail or are lost."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx2
import msgspec
import pytest

from tillwire import clock
from tillwire.connectors.dynamics365 import SPEC, Dynamics365Connector, labels
from tillwire.connectors.dynamics365.batch import change_set, responses
from tillwire.connectors.dynamics365.journals import Header
from tillwire.connectors.dynamics365.package import COLUMNS, FILE, Opened, package
from tillwire.connectors.dynamics365.settling import RowError, kind_of
from tillwire.connectors.dynamics365.simulator import Dynamics365Simulator
from tillwire.connectors.dynamics365.simulator_import import FIELDS, PackageError, read_package
from tillwire.connectors.dynamics365.simulator_odata import Filter, FilterError
from tillwire.connectors.erp import Accepted, NotSent, Pending, Posted, PostingOutcome, Rejected, Unknown
from tillwire.errors import AuthenticationError, ConfigurationError, ContractChangedError, RateLimitedError
from tillwire.model.ledger import Journal, JournalLine
from tillwire.model.master import AccountRecord
from tillwire.model.money import Money

DAY = date(2026, 3, 5)
CDM = next(
    (found for up in Path(__file__).resolve().parents if (found := up / "shared" / "fixtures" / "erp").is_dir()), None
)


@pytest.fixture
def erp() -> Iterator[Dynamics365Simulator]:
    with Dynamics365Simulator(accounts=["1000", "4000"]) as simulator:
        yield simulator


def connect(erp: Dynamics365Simulator, **settings: Any) -> Dynamics365Connector:
    connector = SPEC.configure(erp.settings() | settings, of="test")
    assert isinstance(connector, Dynamics365Connector)
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


def pending(outcomes: list[PostingOutcome]) -> list[Pending]:
    return [Pending(one.reference, one.handle) for one in outcomes if isinstance(one, Accepted)]


def polled(connector: Dynamics365Connector, outcomes: list[PostingOutcome], times: int = 6) -> list[PostingOutcome]:
    """What becomes of them after so many questions at most."""
    for _ in range(times):
        if not any(isinstance(one, Accepted) for one in outcomes):
            break
        outcomes = connector.poll(pending(outcomes))
    return outcomes


def send(erp: Dynamics365Simulator, method: str, path: str, content: Any = None, **headers: str) -> httpx2.Response:
    """A request by hand with a token that counts."""
    erp._tokens["by-hand"] = float("inf")
    given = {"Authorization": "Bearer by-hand", "Content-Type": "application/json", **headers}
    body = None if content is None else msgspec.json.encode(content)
    return httpx2.request(method, erp.url + path, content=body, headers=given)


# ---- settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "http://acme.operations.dynamics.com"}, "url: .* must begin with https"),
        ({"login_url": "ftp://x"}, "login_url"),
        ({"legal_entities": {}}, "legal_entities"),
        ({"legal_entities": {"A": "usmf", "B": "USMF"}}, "two companies have the same legal entity"),
        ({"legal_entities": {"A": "toolong"}}, "legal_entities"),
        ({"segments": ["store"]}, "'account' must be among them"),
        ({"segments": ["account", "store", "store"]}, "each only once"),
        ({"dimension_values": {"region": {"east": "4"}}}, "segments has no region"),
        ({"journal_name": "MuchTooLongName"}, "journal_name"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_settings_that_cannot_work_are_told(erp: Dynamics365Simulator, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        connect(erp, **changes)


# ---- labels


def test_a_label_says_reference_job_and_lines() -> None:
    label = labels.Label("SIM/101/7", labels.new_job(), 12)
    assert labels.read(labels.describe(label)) == label
    for other in ("Opening balance", "a|b|c", "a|0123456789ab|x", ""):
        assert labels.read(other) is None


@pytest.mark.parametrize("reference", ["x" * 42, "a|b", "a*", "a~b", " a"])
def test_references_that_cannot_stand_in_a_label_are_hashed(reference: str) -> None:
    keys = {labels.key_of(reference + end) for end in ("", "1", "2")}
    assert len(keys) == 3
    label = labels.Label(labels.key_of(reference), labels.new_job(), 99_999)
    assert labels.read(labels.describe(label)) == label
    assert not set(label.key) & set("|*")


def test_jobs_know_their_age(monkeypatch: pytest.MonkeyPatch) -> None:
    began = datetime(2026, 3, 5, 12, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: began)
    job = labels.new_job()
    monkeypatch.setattr(clock, "now", lambda: began + timedelta(minutes=31))
    assert labels.age_s(job) == 31 * 60
    assert labels.age_s("!" * 12) == 0


# ---- packages


def rows_of(content: bytes) -> list[dict[str, str]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        text = archive.read(FILE).decode("utf-16")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def packed(told: Journal, erp: Dynamics365Simulator, **settings: Any) -> bytes:
    label = labels.Label(labels.key_of(told.reference), labels.new_job(), len(told.lines))
    return package([Opened(told, "00000042", label)], connect(erp, **settings).settings)


def test_a_package_carries_what_the_journal_says(erp: Dynamics365Simulator) -> None:
    foreign = JournalLine(
        account="1000", debit=Decimal("10.50"), dimensions={"store": "101", "class": "fresh"},
        foreign=Money(Decimal("9.10"), "EUR"), description='5" pipe,\nround',
    )  # fmt: skip
    told = journal(lines=(foreign, journal().lines[1]), posting_date=date(2026, 4, 1), reverses="SIM/101/6")
    content = packed(told, erp, segments=["account", "class", "store"], dimension_values={"class": {"fresh": "F01"}})
    first, second = rows_of(content)
    assert first["JOURNALBATCHNUMBER"] == "00000042"
    assert (first["LINENUMBER"], second["LINENUMBER"]) == ("1", "2")
    assert first["ACCOUNTDISPLAYVALUE"] == "1000-F01-101"
    assert second["ACCOUNTDISPLAYVALUE"] == "4000--"
    assert (first["DEBITAMOUNT"], first["CREDITAMOUNT"]) == ("10.50", "0")
    assert first["TRANSDATE"] == "2026-04-01"
    assert first["TEXT"] == "reverses SIM/101/6; [9.10 EUR] 5' pipe, round"
    assert first["DOCUMENT"] == labels.document_of("SIM/101/7")
    assert first["PAYMENTREFERENCE"] == labels.document_of("SIM/101/6"), "the document of what it reverses"
    assert first["VOUCHER"] == second["VOUCHER"]
    assert len(first["VOUCHER"]) == 20


def test_the_manifest_maps_every_column(erp: Dynamics365Simulator) -> None:
    with zipfile.ZipFile(io.BytesIO(packed(journal(), erp, data_project="A & B"))) as archive:
        assert archive.read(FILE).startswith(b"\xff\xfe")
        manifest = ElementTree.fromstring(archive.read("Manifest.xml"))
        header = ElementTree.fromstring(archive.read("PackageHeader.xml"))
    space = "{http://schemas.microsoft.com/dynamics/2015/01/DataManagement}"
    assert [one.text for one in manifest.iter(f"{space}EntityField")] == list(COLUMNS)
    assert [one.text for one in manifest.iter(f"{space}XMLField")] == list(COLUMNS)
    assert manifest.findtext(f"{space}DefinitionGroupName") == header.findtext(f"{space}Description") == "A & B"


def entity_fields(name: str) -> set[str]:
    """The attributes of an entity as the common data model has them."""
    if CDM is None:
        pytest.skip("the folder shared/fixtures/erp is not here")
    told = json.loads((CDM / f"d365fo__{name}.cdm.json").read_text("utf-8"))
    return {one["name"] for one in told["definitions"][0]["hasAttributes"] if "name" in one}


def test_columns_are_fields_of_the_entity() -> None:
    fields = {name.upper() for name in entity_fields("LedgerJournalEntity")}
    assert set(COLUMNS) <= fields
    assert fields >= FIELDS


def test_what_is_asked_and_answered_are_fields_of_the_entities(erp: Dynamics365Simulator) -> None:
    headers, lines = entity_fields("LedgerJournalHeaderEntity"), entity_fields("LedgerJournalLineCDSEntity")
    polled(connector := connect(erp), connector.post([journal()]))
    for path, fields in (("LedgerJournalHeaders", headers), ("LedgerJournalLines", lines)):
        answered = send(erp, "GET", f"/data/{path}?cross-company=true").json()["value"][0]
        assert set(answered) <= fields | {"dataAreaId"}


# ---- the way of a journal


def test_accepted_imported_posted(erp: Dynamics365Simulator) -> None:
    connector = connect(erp)
    erp.journals.importing = erp.journals.posting = False
    outcomes = connector.post([journal("a"), journal("b")])
    assert all(isinstance(one, Accepted) for one in outcomes)
    assert erp.calls["POST /data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities.ImportFromPackage"] == 1
    assert connector.poll(pending(outcomes)) == outcomes, "on its way"
    erp.journals.importing = True
    assert polled(connector, outcomes) == outcomes, "imported, and nobody posts it"
    assert not connector.find(["a"])["a"].posted
    assert connector.finish(list(connector.find(["a"]).values())) == outcomes[:1]
    erp.journals.posting = True
    posted = polled(connector, outcomes)
    assert [type(one) for one in posted] == [Posted, Posted]
    assert connector.find(["a"])["a"].number == "00000001"


def test_read_back_has_dimensions_by_our_names(erp: Dynamics365Simulator) -> None:
    told = journal(lines=(
        JournalLine(account="1000", debit=Decimal(3), dimensions={"store": "hq"}),
        JournalLine(account="4000", credit=Decimal(3)),
    ))  # fmt: skip
    connector = connect(erp, dimension_values={"store": {"hq": "900"}})
    polled(connector, connector.post([told]))
    assert next(iter(erp.books.documents.values())).lines[0].dimensions == {"store": "900"}
    document = connector.read_back([told.reference])[told.reference]
    assert [line.dimensions for line in document.lines] == [{"store": "hq"}, {}]
    assert document.posting_date == DAY


def test_what_finance_would_find_too_late_is_rejected_at_once(erp: Dynamics365Simulator) -> None:
    odd = JournalLine(account="10-00", debit=Decimal("10.50"))
    outcomes = connect(erp).post([
        journal("a", lines=journal().lines[:1]),
        journal("b", company="OTHER"),
        journal("c", lines=(odd, journal().lines[1])),
        journal("d", lines=()),
    ])  # fmt: skip
    assert all(isinstance(one, Rejected) for one in outcomes)
    assert isinstance(outcomes[0], Rejected)
    assert outcomes[0].kind == "unbalanced"
    assert "no legal entity" in str(outcomes[1])
    assert "delimiter" in str(outcomes[2])
    assert not erp.journals.by_number


def test_a_part_of_a_journal_is_never_left_to_be_posted(erp: Dynamics365Simulator) -> None:
    """Of four lines Finance imports the two that balance by themselves: they are deleted, and the rest is told."""
    lines = (
        *journal().lines,
        JournalLine(account="9998", debit=Decimal(5)),
        JournalLine(account="9999", credit=Decimal(5)),
    )
    connector = connect(erp)
    erp.journals.posting = False
    (outcome,) = polled(connector, connector.post([journal(lines=lines)]))
    assert isinstance(outcome, Rejected)
    assert outcome.kind == "unknown_account"
    assert "'9998'" in outcome.reason
    assert "'9999'" in outcome.reason
    assert not erp.journals.by_number
    erp.journals.posting = True
    assert connector.find(["SIM/101/7"]) == {}


def test_a_journal_that_was_deleted_in_finance_is_told(erp: Dynamics365Simulator) -> None:
    connector = connect(erp)
    outcomes = connector.post([journal()])
    erp.journals.delete(next(iter(erp.journals.by_number.values())))
    (outcome,) = connector.poll(pending(outcomes))
    assert isinstance(outcome, Rejected)
    assert "has been deleted in Finance" in outcome.reason


def test_a_header_whose_lines_were_never_sent_is_taken_away_and_sent_anew(erp: Dynamics365Simulator) -> None:
    """The process died between the header and the import."""
    erp.fail_next("lost_request", "ImportFromPackage")
    first = connect(erp, import_patience_s=600)
    (outcome,) = first.post([journal()])
    assert isinstance(outcome, Unknown)
    drafts = list(first.find(["SIM/101/7"]).values())
    waiting = first.finish(drafts)
    assert [type(one) for one in waiting] == [Accepted], "it may still be on its way"
    assert first.poll(pending(waiting)) == waiting
    second = connect(erp, import_patience_s=0)
    assert [type(one) for one in second.finish(drafts)] == [NotSent]
    assert second.find(["SIM/101/7"]) == {}
    assert isinstance(polled(second, second.post([journal()]))[0], Posted)
    assert len(erp.books.documents) == 1


def test_what_is_polled_and_has_never_arrived_is_to_be_looked_up(erp: Dynamics365Simulator) -> None:
    erp.fail_next("lost_request", "ImportFromPackage")
    patient, hasty = connect(erp, import_patience_s=600), connect(erp, import_patience_s=0)
    patient.post([journal()])
    waiting = patient.finish(list(patient.find(["SIM/101/7"]).values()))
    (outcome,) = hasty.poll(pending(waiting))
    assert isinstance(outcome, Unknown)
    assert hasty.find(["SIM/101/7"]) == {}


def test_an_import_that_was_refused_for_now_is_sent_anew_at_once(erp: Dynamics365Simulator) -> None:
    connector = connect(erp, import_patience_s=600)
    erp.fail_next("throttled", "ImportFromPackage")
    with pytest.raises(RateLimitedError) as raised:
        connector.post([journal()])
    assert raised.value.retry_after_s == 1
    assert isinstance(polled(connector, connector.post([journal()]))[0], Posted)
    assert len(erp.books.documents) == len(erp.journals.by_number) == 1, "the header that was left is gone"


def test_what_is_there_already_is_not_sent_again(erp: Dynamics365Simulator) -> None:
    connector = connect(erp)
    erp.journals.posting = False
    accepted = connector.post([journal()])
    assert connector.post([journal()]) == accepted
    erp.journals.posting = True
    (posted,) = polled(connector, accepted)
    assert connector.post([journal()]) == [posted]
    assert len(erp.journals.by_number) == 1


def test_a_data_project_that_is_not_there_is_no_journals_fault(erp: Dynamics365Simulator) -> None:
    with pytest.raises(ContractChangedError, match="does not import packages of Another"):
        connect(erp, data_project="Another").post([journal()])


def test_rights_that_are_missing_are_told_and_nothing_is_rejected(erp: Dynamics365Simulator) -> None:
    erp.may = False
    with pytest.raises(AuthenticationError, match="LedgerJournalTable"):
        connect(erp).post([journal()])


def test_a_status_that_is_not_in_the_contract_is_told(erp: Dynamics365Simulator) -> None:
    connector = connect(erp)
    outcomes = connector.post([journal()])
    erp.journals.importing = False
    next(iter(erp.journals.imports.values())).status = "Exploded"
    with pytest.raises(ContractChangedError, match="Exploded"):
        connector.poll(pending(outcomes))


def test_an_import_that_failed_without_words_is_rejected(erp: Dynamics365Simulator) -> None:
    connector = connect(erp)
    outcomes = connector.post([journal()])
    erp.journals.importing = False
    next(iter(erp.journals.imports.values())).status = "Canceled"
    (outcome,) = connector.poll(pending(outcomes))
    assert isinstance(outcome, Rejected)
    assert "only 0 of 2 lines" in outcome.reason


def test_pages_are_followed() -> None:
    with Dynamics365Simulator(accounts=[str(number) for number in range(1000, 1025)], page=10) as erp:
        pulled = list(connect(erp).pull("account"))
    assert [record.account for record in pulled if isinstance(record, AccountRecord)] == [
        str(number) for number in range(1000, 1025)
    ]


@pytest.mark.parametrize(
    ("record", "words", "concerned"),
    [
        ("00000042,1", "x", True),
        ("00000043,1", "x", False),
        ("100000042,1", "x", False),
        ("", "x", True),
        ("00000043,1", "journal 00000042 is wrong", True),
    ],
)
def test_row_errors_are_their_journals(record: str, words: str, concerned: bool) -> None:
    assert RowError(record, words).concerns("00000042") is concerned


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("The fiscal period of 02/10/2026 is not open.", "closed_period"),
        ("Period 2/10/2026 is on hold", "closed_period"),
        ("The transactions on voucher T1 do not balance as per 2/10/2026.", "unbalanced"),
        ("The value '9' in field 'Main account' is not found in related table 'Main accounts'.", "unknown_account"),
        ("Journal name is blocked", "other"),
    ],
)
def test_kinds_by_words(words: str, kind: str) -> None:
    assert kind_of(words) == kind


def test_a_headers_document_has_no_number_before_it_is_posted() -> None:
    header = Header("sim", "00000042", labels.Label("r", "0" * 12, 1), posted=False)
    assert header.document("r").number is None
    assert msgspec.structs.replace(header, posted=True).document("r").number == "00000042"


# ---- the simulator is strict


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"dataAreaId": "sim", "JournalName": "GenJrn", "Nonsense": "x"}, "'Nonsense' does not exist on type"),
        ({"dataAreaId": "usmf", "JournalName": "GenJrn"}, "Company usmf does not exist"),
        ({"dataAreaId": "sim", "JournalName": "Other"}, "is not found in 'Journal names'"),
        ({"dataAreaId": "sim", "JournalName": "GenJrn", "Description": "x" * 61}, "longer than 60"),
        ({"dataAreaId": "sim", "JournalName": "GenJrn", "JournalBatchNumber": "1"}, "number sequence"),
        ({"dataAreaId": "sim", "JournalName": 7}, "Edm.String"),
    ],
)
def test_headers_that_finance_would_refuse(erp: Dynamics365Simulator, content: dict[str, Any], words: str) -> None:
    answer = send(erp, "POST", "/data/LedgerJournalHeaders", content)
    assert answer.status_code == 400
    assert words in answer.text
    assert not erp.journals.by_number


def test_wrong_calls_are_refused(erp: Dynamics365Simulator) -> None:
    action = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."
    assert send(erp, "GET", "/data/LedgerJournalHeaders?$filter=Nonsense eq 'x'").status_code == 400
    assert send(erp, "GET", "/data/LedgerJournalHeaders?$select=Nonsense").status_code == 400
    assert send(erp, "GET", "/data/LedgerJournalHeaders?$search=x").status_code == 400
    assert send(erp, "GET", "/data/Nonsense").status_code == 404
    assert send(erp, "DELETE", "/data/LedgerJournalHeaders").status_code == 400
    gone = "/data/LedgerJournalHeaders(dataAreaId='sim',JournalBatchNumber='9')"
    assert send(erp, "DELETE", gone).status_code == 404
    assert send(erp, "POST", f"{action}ImportFromPackage", {"packageUrl": "x"}).status_code == 400
    assert send(erp, "POST", f"{action}GetExecutionSummaryStatus", {"executionId": "x"}).status_code == 400
    assert (
        send(
            erp, "POST", f"{action}GetAzureWriteUrl", {"uniqueFileName": "x"}, **{"Content-Type": "text/plain"}
        ).status_code
        == 400
    )
    assert httpx2.get(f"{erp.url}/data/LedgerJournalHeaders").status_code == 401
    assert httpx2.put(f"{erp.url}/blob/dmf/x.zip?sig=forged", content=b"x").status_code == 403
    blob = json.loads(send(erp, "POST", f"{action}GetAzureWriteUrl", {"uniqueFileName": "x.zip"}).json()["value"])
    assert httpx2.put(blob["BlobUrl"], content=b"x").status_code == 400, "without x-ms-blob-type"


def test_without_cross_company_nothing_of_another_company_is_seen(erp: Dynamics365Simulator) -> None:
    connect(erp).post([journal()])
    assert send(erp, "GET", "/data/LedgerJournalHeaders").json()["value"] == []
    assert len(send(erp, "GET", "/data/LedgerJournalHeaders?cross-company=true").json()["value"]) == 1


def test_posted_journals_are_not_deleted(erp: Dynamics365Simulator) -> None:
    polled(connector := connect(erp), connector.post([journal()]))
    path = "/data/LedgerJournalHeaders(dataAreaId='sim',JournalBatchNumber='00000001')"
    assert "is posted and cannot be deleted" in send(erp, "DELETE", path).text


def repacked(content: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            changed = change(name, old.read(name))
            if changed is not None:
                new.writestr(name, changed)
    return made.getvalue()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda name, data: None if name == "Manifest.xml" else data, "no Manifest.xml"),
        (lambda name, data: None if name == FILE else data, "is not in the package"),
        (lambda name, data: data.replace(b"General journal</EntityName>", b"GeneralJournalEntity</EntityName>"), "does not exist"),
        (lambda name, data: data.replace(b"DataManagementPackageHeader", b"Header"), "PackageHeader.xml is not valid"),
        (lambda name, data: data.replace(b"<EntityField>TEXT<", b"<EntityField>MEMO<"), "field MEMO"),
        (lambda name, data: data.replace(b"<XMLField>TEXT<", b"<XMLField>MEMO<"), "mapping is incorrect"),
        (lambda name, data: data.decode("utf-16").encode() if name == FILE else data, "not Unicode"),
        (lambda name, data: data.replace(b"\r\0\n\0", b"\n\0") if name == FILE else data, "mapping is incorrect"),
        (lambda name, data: data.replace(b"Tillwire", b"Another"), "another data project"),
    ],
)  # fmt: skip
def test_packages_that_finance_would_refuse(
    erp: Dynamics365Simulator, change: Callable[[str, bytes], bytes | None], words: str
) -> None:
    content = packed(journal(), erp)
    assert len(read_package(content, "Tillwire")) == 2
    with pytest.raises(PackageError, match=words):
        read_package(repacked(content, change), "Tillwire")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"LINENUMBER": ""}, "Field 'LINENUMBER' must be filled in"),
        ({"VOUCHER": ""}, "Field 'VOUCHER' must be filled in"),
        ({"TEXT": "x" * 61}, "'TEXT' is longer than 60"),
        ({"ACCOUNTTYPE": "Vendor"}, "Account type Vendor"),
        ({"ACCOUNTDISPLAYVALUE": "1000-101-7"}, "more segments than the dimension format"),
        ({"TRANSDATE": "05.03.2026"}, "Invalid isoformat"),
        ({"DEBITAMOUNT": "1,5"}, "is no number"),
        ({"DEBITAMOUNT": "1.005"}, "is not rounded"),
        ({"DEBITAMOUNT": "5", "CREDITAMOUNT": "5"}, "either a debit or a credit"),
        ({"JOURNALNAME": "Other"}, "another than that of the journal"),
    ],
)
def test_rows_that_finance_would_refuse(erp: Dynamics365Simulator, changes: dict[str, str], words: str) -> None:
    """As errors of the import, row by row."""
    connector = connect(erp)
    erp.journals.importing = False
    connector.post([journal()])
    (made,) = erp.journals.imports.values()

    def change(name: str, data: bytes) -> bytes:
        if name != FILE:
            return data
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-16"), newline="")))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows([rows[0] | changes, rows[1]])
        return b"\xff\xfe" + text.getvalue().encode("utf-16-le")

    made.package = repacked(made.package, change)
    erp.journals.importing = True
    for _ in range(3):
        erp.journals.pass_time()
    assert made.status == "PartiallySucceeded"
    assert words in made.errors[0]["ErrorMessage"]


def test_filters_are_read_as_odata_has_them() -> None:
    fields = frozenset({"Description", "dataAreaId", "IsPosted"})
    row = {"Description": "it's|x", "dataAreaId": "sim", "IsPosted": "Yes"}
    yes = Filter("Description eq 'it''s|*' and (dataAreaId eq 'usmf' or dataAreaId eq 'SIM')", fields)
    assert yes.matches(row)
    assert yes.texts == {"Description": ["it's|*"], "dataAreaId": ["usmf", "SIM"]}
    assert Filter("IsPosted eq Microsoft.Dynamics.DataEntities.NoYes'Yes'", fields).matches(row)
    assert not Filter("Description ne '*s|x'", fields).matches(row)
    assert not Filter("Description eq 'it[s|x'", fields).matches(row)
    for wrong in ("Description in ('a')", "Description eq 'a", "Nonsense eq 'a'", "(Description eq 'a'", "a eq", ""):
        with pytest.raises(FilterError):
            Filter(wrong, fields)


# ---- headers by one call


def several(count: int) -> list[Journal]:
    return [journal(f"SIM/101/{number}") for number in range(count)]


def test_headers_are_made_by_one_call_for_a_hundred(erp: Dynamics365Simulator) -> None:
    connector = connect(erp)
    outcomes = connector.post(several(130))
    assert len({one.handle for one in outcomes if isinstance(one, Accepted)}) == 130
    assert all(isinstance(one, Posted) for one in polled(connector, outcomes))
    assert all(len(erp.books.under(one.reference)) == 1 for one in outcomes)
    assert (erp.calls["POST /data/$batch"], erp.calls["POST /data/LedgerJournalHeaders"]) == (2, 0)


def test_one_header_that_is_refused_harms_no_other(erp: Dynamics365Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    connector = connect(erp)
    wanted = labels.describe
    monkeypatch.setattr(
        labels, "describe", lambda label: wanted(label) + "x" * 60 * (label.key == labels.key_of("SIM/101/2"))
    )
    outcomes = connector.post(several(5))
    assert [type(one) for one in outcomes] == [Accepted, Accepted, Rejected, Accepted, Accepted]
    assert isinstance(outcomes[2], Rejected)
    assert "longer than 60 characters" in outcomes[2].reason
    posted = polled(connector, [one for one in outcomes if isinstance(one, Accepted)])
    assert all(isinstance(one, Posted) for one in posted)
    assert len(erp.journals.by_number) == 4, "the change set that was refused has left nothing"


def test_headers_whose_reply_is_lost_are_looked_up_and_made_once(erp: Dynamics365Simulator) -> None:
    connector = connect(erp, import_patience_s=0)
    erp.fail_next("lost_reply", path="/data/$batch")
    outcomes = connector.post(several(3))
    assert [type(one) for one in outcomes] == [Unknown] * 3
    found = connector.find([one.reference for one in outcomes])
    assert len(found) == 3
    assert [type(one) for one in connector.finish(list(found.values()))] == [NotSent] * 3
    assert all(isinstance(one, Posted) for one in polled(connector, connector.post(several(3))))
    assert [len(erp.books.under(f"SIM/101/{number}")) for number in range(3)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/mixed; boundary=b", b"nothing"),
        (
            "multipart/mixed; boundary=b",
            b"--b\r\nContent-Type: text/plain\r\n\r\nHTTP/1.1 201 Created\r\n\r\n{}\r\n--b--",
        ),
        ("multipart/mixed; boundary=b", b"--b\r\nContent-Type: application/http\r\n\r\nwhat\r\n\r\n{}\r\n--b--"),
    ],
)
def test_an_answer_that_is_no_batch_is_told(content_type: str, body: bytes) -> None:
    with pytest.raises(ValueError, match="part"):
        responses(content_type, body)


def test_the_simulator_takes_batches_as_the_standard_has_them_and_no_others(erp: Dynamics365Simulator) -> None:
    content_type, body = change_set("LedgerJournalHeaders", [{"dataAreaId": "sim", "JournalName": "GenJrn"}] * 2)
    erp._tokens["by-hand"] = float("inf")

    def sent(body: bytes, content_type: str = content_type) -> httpx2.Response:
        headers = {"Authorization": "Bearer by-hand", "Content-Type": content_type}
        return httpx2.post(f"{erp.url}/data/$batch", content=body, headers=headers)

    good = sent(body)
    assert [part.status for part in responses(good.headers["content-type"], good.content)] == [201, 201]
    assert sent(body, "application/json").status_code == 400
    for wrong in (
        body.replace(b"Content-ID: 2", b"Content-ID: 1"),
        body.replace(b"Content-Transfer-Encoding: binary\r\n", b""),
        body.replace(b"application/http", b"application/json"),
        body.replace(b"HTTP/1.1", b"HTTP/0.9"),
        body.replace(b"POST /", b"GET /"),
        body.replace(b"--\r\n", b"\r\n"),
        body.replace(b"\r\n", b"\n"),
        b"",
    ):
        assert sent(wrong).status_code == 400, wrong
    assert sent(body.replace(b"LedgerJournalHeaders", b"Customers")).status_code == 404
    refused = sent(body.replace(b'"JournalName":"GenJrn"', b'"JournalName":"Other"', 1))
    assert [part.status for part in responses(refused.headers["content-type"], refused.content)] == [400]
    assert len(erp.journals.by_number) == 2


def test_a_header_that_was_taken_away_by_one_who_died_then_is_sent_anew(erp: Dynamics365Simulator) -> None:
    connector = connect(erp, import_patience_s=600)
    erp.fail_next("lost_request", path="ImportFromPackage")
    outcomes = connector.post(several(3))
    assert [type(one) for one in outcomes] == [Unknown] * 3
    found = connector.find([one.reference for one in outcomes])
    accepted = connector.finish(list(found.values()))
    assert [type(one) for one in accepted] == [Accepted] * 3, "it may still be on its way"
    hasty = connect(erp, import_patience_s=0)
    assert [type(one) for one in hasty.poll(pending(accepted))] == [Unknown] * 3
    assert erp.journals.by_number == {}
    assert [type(one) for one in hasty.poll(pending(accepted))] == [Unknown] * 3, (
        "nobody has noted that, and it is asked again"
    )
    assert hasty.find([one.reference for one in outcomes]) == {}
    assert all(isinstance(one, Posted) for one in polled(hasty, hasty.post(several(3))))
