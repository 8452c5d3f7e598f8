"""The connector ``file``: form of its files, hand-over, acknowledgements, and a crash at every step."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tillwire.connectors.erp import Accepted, ErpConnector, Pending, Posted, Rejected, Unknown
from tillwire.connectors.file import SPEC
from tillwire.errors import ConfigurationError, TransientError
from tillwire.model.ledger import Journal, JournalLine
from tillwire.model.money import Money


def journal(reference: str = "ACME/101/2026-02-10/0/USD", amount: str = "100.00", **changes: Any) -> Journal:
    net, tax = Decimal(amount), Decimal("8.25")
    told: dict[str, Any] = {
        "reference": reference,
        "company": "ACME",
        "store": "101",
        "business_date": date(2026, 2, 10),
        "currency": "USD",
        "description": "Store 101",
        "lines": (
            JournalLine(
                account="01-110-1010", debit=net + tax, description="cash", foreign=Money(Decimal("9.00"), "EUR")
            ),
            JournalLine(account="01-110-4000", credit=net, description='milk, "cheap"', dimensions={"store": "101"}),
            JournalLine(account="01-110-2200", credit=tax, description="tax\nSTD"),
        ),
    }
    return Journal(**told | changes)


def connector(folder: Path, **settings: Any) -> ErpConnector:
    made: ErpConnector = SPEC.configure({"folder": str(folder), **settings}, of="file")
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def rows(folder: Path) -> list[list[str]]:
    (data,) = [path for path in folder.iterdir() if path.suffix == ".csv"]
    with data.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def only_posted(outcomes: Sequence[Any]) -> Posted:
    (outcome,) = outcomes
    assert isinstance(outcome, Posted), outcome
    return outcome


# ---- form


def test_a_csv_file_and_its_control_file(tmp_path: Path) -> None:
    only_posted(connector(tmp_path, acknowledge="none").post([journal()]))
    header, *lines = rows(tmp_path)
    assert header[:4] == ["reference", "line", "company", "store"]
    assert [dict(zip(header, line, strict=True))["account"] for line in lines] == [
        "01-110-1010",
        "01-110-4000",
        "01-110-2200",
    ]
    first, second, third = (dict(zip(header, line, strict=True)) for line in lines)
    assert (first["debit"], first["credit"]) == ("108.25", "")
    assert (second["debit"], second["credit"], second["description"]) == ("", "100.00", 'milk, "cheap"')
    assert third["description"] == "tax STD"
    (control,) = [path for path in tmp_path.iterdir() if path.suffix == ".ctl"]
    said = json.loads(control.read_text())
    data = control.with_suffix(".csv").read_bytes()
    assert said == {
        "reference": "ACME/101/2026-02-10/0/USD",
        "file": control.with_suffix(".csv").name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "lines": 3,
        "debit": "108.25",
        "credit": "108.25",
        "currency": "USD",
        "company": "ACME",
        "posting_date": "2026-02-10",
    }
    assert names(tmp_path) == [control.with_suffix(".csv").name, control.name]


def test_fbdi_has_the_columns_of_the_gl_interface(tmp_path: Path) -> None:
    made = connector(tmp_path, acknowledge="none", format="fbdi", ledger="300000046975971", source="Retail")
    only_posted(made.post([journal(posting_date=date(2026, 3, 1))]))
    first, second, _ = rows(tmp_path)
    assert first[:11] == [
        "NEW",
        "300000046975971",
        "2026/03/01",
        "Retail",
        "Sales",
        "USD",
        "2026/03/01",
        "A",
        "01",
        "110",
        "1010",
    ]
    assert first[11:38] == [""] * 27
    assert (first[38], first[39]) == ("108.25", "")
    assert (second[38], second[39]) == ("", "100.00")
    assert first[45] == "ACME/101/2026-02-10/0/USD"
    assert first[51] == "cash"
    assert (len(first), first[-1]) == (95, "END")


def test_fbdi_is_as_wide_as_oracles_own_example() -> None:
    name = Path("shared", "fixtures", "erp", "oracle_fbdi__GlInterface_small.csv")
    example = next((up / name for up in Path(__file__).resolve().parents if (up / name).is_file()), None)
    if example is None:
        pytest.skip("Oracle's example of a GlInterface file is not here")
    from tillwire.connectors.file.layout import default_columns

    ours = [column.name for column in default_columns("fbdi")]
    with example.open(newline="", encoding="utf-8") as file:
        row = next(csv.reader(file))
    assert row[0] == "NEW"
    assert row[7] == "A"
    assert len(ours) == len(row)
    assert row[-1] == "END"
    assert row[ours.index("REFERENCE10")].startswith("Line Description")
    assert row[ours.index("CURRENCY_CODE")].isalpha()
    Decimal(row[ours.index("ENTERED_DR")] or row[ours.index("ENTERED_CR")])


def test_columns_of_ones_own(tmp_path: Path) -> None:
    columns = [
        {"name": "Konto", "value": "{account}"},
        {"name": "Betrag", "value": "{amount}"},
        {"name": "Beleg", "value": "{reference}/{line}"},
        {"name": "Filiale", "value": "F{dimension:store}"},
        {"name": "Datum", "value": "{posting_date:%d.%m.%Y}"},
        {"name": "Fremd", "value": "{foreign_amount} {foreign_currency}"},
        {"name": "Art", "value": "S"},
    ]
    only_posted(connector(tmp_path, acknowledge="none", columns=columns, delimiter=";").post([journal()]))
    text = next(tmp_path.glob("*.csv")).read_bytes().decode()
    assert text.splitlines()[:3] == [
        "Konto;Betrag;Beleg;Filiale;Datum;Fremd;Art",
        "01-110-1010;108.25;ACME/101/2026-02-10/0/USD/1;F;10.02.2026;9.00 EUR;S",
        "01-110-4000;-100.00;ACME/101/2026-02-10/0/USD/2;F101;10.02.2026;;S",
    ]
    assert text.endswith("\r\n")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"columns": [{"name": "a", "value": "{nosuch}"}]}, "columns.a: {nosuch} is no place"),
        ({"columns": [{"name": "a", "value": "{account}{amount}"}]}, "must hold {reference}"),
        ({"columns": [{"name": "a", "value": "{account}{reference}{debit}"}]}, "must hold {credit}"),
        ({"columns": [{"name": "a", "value": "{account"}]}, "has a brace of no place"),
        ({"columns": [{"name": "a", "value": "{dimension}"}]}, "must name one"),
        ({"columns": [{"name": "a", "value": "{segment:x}"}]}, "numbered from 1"),
        ({"accepted_suffix": ".rej"}, "suffixes of their own"),
        ({"prefix": "../"}, "prefix"),
    ],
)
def test_settings_that_make_no_sense_are_told(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        connector(tmp_path, **settings)
    assert words in str(raised.value)


def test_names_are_safe_and_of_each_reference_another_one(tmp_path: Path) -> None:
    strange = [journal(reference=f"../x/{'y' * 90}/{end}") for end in ("a", "b", "A", "ä", "a/")]
    made = connector(tmp_path, acknowledge="none")
    assert len({only_posted(made.post([one])).document_id for one in strange}) == 5
    assert len(names(tmp_path)) == 10
    assert all(len(name) < 120 and "/" not in name for name in names(tmp_path))


# ---- exactly once


def test_the_same_reference_twice_is_one_file(tmp_path: Path) -> None:
    first = only_posted(connector(tmp_path, acknowledge="none").post([journal()]))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.is_file()}
    again = only_posted(connector(tmp_path, acknowledge="none").post([journal()]))
    assert again == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.is_file()} == before


def test_what_the_erp_has_taken_away_is_not_written_again(tmp_path: Path) -> None:
    made = connector(tmp_path, acknowledge="none")
    only_posted(made.post([journal()]))
    for name in names(tmp_path):
        (tmp_path / name).unlink()
    assert made.find([journal().reference])[journal().reference].posted
    only_posted(made.post([journal()]))
    assert names(tmp_path) == []


def test_other_content_under_the_same_reference_is_rejected(tmp_path: Path) -> None:
    made = connector(tmp_path)
    assert isinstance(made.post([journal()])[0], Accepted)
    (outcome,) = made.post([journal(amount="99.00")])
    assert isinstance(outcome, Rejected)
    assert "with other content" in outcome.reason


def test_what_does_not_balance_and_what_comes_twice_is_rejected_alone(tmp_path: Path) -> None:
    good, other = journal(), journal(reference="other")
    bad = msgspec.structs.replace(other, lines=other.lines[:2])
    outcomes = connector(tmp_path, acknowledge="none").post([good, bad, good])
    assert isinstance(outcomes[0], Posted)
    assert isinstance(outcomes[1], Rejected)
    assert outcomes[1].kind == "unbalanced"
    assert isinstance(outcomes[2], Rejected)
    assert len(names(tmp_path)) == 2


# ---- acknowledgements


def test_accepted_is_posted_when_the_erp_says_so(tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    outbox = tmp_path / "out"
    answers.mkdir()
    outbox.mkdir()
    made = connector(outbox, acknowledgements=str(answers))
    (accepted,) = made.post([journal()])
    assert isinstance(accepted, Accepted)
    pending = [Pending(accepted.reference, accepted.handle)]
    assert made.poll(pending) == [accepted]
    assert not made.find([accepted.reference])[accepted.reference].posted
    assert made.finish(list(made.find([accepted.reference]).values())) == [accepted]
    (answers / f"{accepted.handle}.ack").write_text("GL-4711\nthank you\n")
    assert only_posted(made.poll(pending)).number == "GL-4711"
    back = made.read_back([accepted.reference])[accepted.reference]
    assert back.number == "GL-4711"
    assert back.posting_date == date(2026, 2, 10)
    assert [(line.account, line.debit, line.credit) for line in back.lines] == [
        (line.account, line.debit, line.credit) for line in journal().lines
    ]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("EF04: invalid account 01-110-4000", "unknown_account"),
        ("Period FEB-26 is closed", "closed_period"),
        ("WU01 out of balance", "unbalanced"),
        ("", "other"),
    ],
)
def test_a_rejection_comes_in_the_erps_words_and_the_mended_journal_under_a_new_name(
    tmp_path: Path, reason: str, kind: str
) -> None:
    made = connector(tmp_path)
    (accepted,) = made.post([journal()])
    assert isinstance(accepted, Accepted)
    (tmp_path / f"{accepted.handle}.rej").write_text(reason)
    (outcome,) = made.poll([Pending(accepted.reference, accepted.handle)])
    assert isinstance(outcome, Rejected)
    assert outcome.kind == kind
    assert reason in outcome.reason
    assert made.find([accepted.reference]) == {}
    for attempt in (2, 3):
        (again,) = made.post([journal(amount="50.00")])
        assert isinstance(again, Accepted)
        assert again.handle == f"{accepted.handle}-{attempt}"
        (tmp_path / f"{again.handle}.rej").write_text("still wrong")
    (last,) = made.post([journal(amount="40.00")])
    assert isinstance(last, Accepted)
    (tmp_path / f"{last.handle}.ack").write_text("")
    assert only_posted(made.poll([Pending(last.reference, last.handle)])).number == last.handle


def test_what_was_never_handed_over_is_unknown_to_poll(tmp_path: Path) -> None:
    (outcome,) = connector(tmp_path).poll([Pending("never", "TW_never")])
    assert isinstance(outcome, Unknown)


# ---- folders that cannot be used


def test_a_missing_folder_is_told_and_nothing_has_happened(tmp_path: Path) -> None:
    outbox = tmp_path / "mount"
    made = connector(outbox)
    for call in (lambda: made.post([journal()]), lambda: made.find(["x"])):
        with pytest.raises(TransientError, match="cannot be used"):
            call()
    outbox.mkdir()
    assert isinstance(made.post([journal()])[0], Accepted)
    shutil.rmtree(outbox)
    with pytest.raises(TransientError):
        made.find([journal().reference])


def test_a_missing_folder_of_answers_is_no_answer(tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    answers.mkdir()
    made = connector(tmp_path, acknowledgements=str(answers))
    (accepted,) = made.post([journal()])
    answers.rmdir()
    with pytest.raises(TransientError, match="answers"):
        made.poll([Pending(accepted.reference, "x")])


# ---- killed


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
steps = int({step})
def counted(function):
    def call(*given, **named):
        global steps
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        steps -= 1
        return function(*given, **named)
    return call
os.replace, os.fsync = counted(os.replace), counted(os.fsync)
from test_file import connector, journal
from pathlib import Path
connector(Path({folder!r})).post([journal()])
print("whole")
"""


def test_killed_before_any_step_it_is_handed_over_once_in_the_end(tmp_path: Path) -> None:
    """SIGKILL before each rename and each sync in turn; then another process looks up, and finishes or sends again."""
    states = []
    for step in range(40):
        folder = tmp_path / str(step)
        folder.mkdir()
        script = KILLED.format(step=step, tests=str(Path(__file__).parent), folder=str(folder))
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        made = connector(folder)
        found = made.find([journal().reference])
        handed_over = any(name.endswith(".ctl") for name in names(folder))
        if handed_over:
            (control,) = folder.glob("*.ctl")
            data = control.with_suffix(".csv").read_bytes()
            assert json.loads(control.read_text())["sha256"] == hashlib.sha256(data).hexdigest()
            before = control.stat().st_ino
            outcomes = made.finish(list(found.values()))
            assert control.stat().st_ino == before, "it was handed over a second time"
        elif found:
            outcomes = made.finish(list(found.values()))
        else:
            outcomes = made.post([journal()])
        assert isinstance(outcomes[0], Accepted), outcomes
        states.append("handed over" if handed_over else "draft" if found else "nothing")
        assert [name for name in names(folder) if not name.startswith(".")] == [
            f"{outcomes[0].handle}.csv",
            f"{outcomes[0].handle}.ctl",
        ]
        (folder / f"{outcomes[0].handle}.ack").write_text("1")
        only_posted(made.poll([Pending(outcomes[0].reference, outcomes[0].handle)]))
        if "whole" in done.stdout:
            break
    else:
        pytest.fail("it never came to an end")
    assert states == sorted(states, key=["nothing", "draft", "handed over"].index)
    assert set(states) == {"nothing", "draft", "handed over"}
