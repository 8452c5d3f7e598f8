"""What commands print is data, word for word: brackets in it are neither styles nor errors."""

from __future__ import annotations

import io
import sys
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from builders import line, masters, sale
from driving import load
from rich.console import Console

from tillwire.cli import main
from tillwire.cli.common import console
from tillwire.reconciliation.days import Difference, Figure, Report, StoreDay
from tillwire.reconciliation.show import print_report

HOSTILE = ("[/red]9", "[bold]x[/bold]", "[red]", ":smile:")


@pytest.fixture
def command(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Any:
    """Runs the whole command; its exit code and what it printed, errors after the rest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TILLWIRE_DATABASE_URL", database_url)
    monkeypatch.setenv("TILLWIRE_RULES_PAST_DAYS", "36600")
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(console, "_width", 400)

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tillwire", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out + told.err

    return run


@pytest.mark.parametrize("code", HOSTILE)
def test_hostile_product_codes_are_shown_as_they_are(command: Any, database_url: str, code: str) -> None:
    load(database_url, *masters(), sale(1, line(code)))
    for words in (("list",), ("causes",), ("show", "1")):
        ended, said = command("exceptions", *words)
        assert (ended, code in said) == (0, True), said


@pytest.mark.parametrize("name", ["[bold]day.csv", "[red].csv", ":smile:.csv"])
def test_hostile_file_names_and_errors_are_shown_as_they_are(
    command: Any, connection: psycopg.Connection, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("[/red] is no POSLog")
    ended, said = command("try", "poslog", name)
    assert (ended, name in said) == (1, True), said
    connection.execute(
        "INSERT INTO connection_state (connection, state, last_error) VALUES ('shop', '{}', %s)",
        (f"[/bold] inbox {name}",),
    )
    (tmp_path / "tillwire.toml").write_text('[[connections]]\nname = "shop"\nconnector = "poslog"\n')
    ended, said = command("connections", "list")
    assert (ended, f"[/bold] inbox {name}" in said) == (0, True), said
    connection.execute(
        "INSERT INTO foreign_file (connection, name, claim, state, report)"
        """ VALUES ('shop', %s, 'c', 'failed', '{"place": "line 1", "reason": "[/red] no"}')""",
        (name,),
    )
    ended, said = command("inbox", "list")
    assert (ended, name in said, "[/red] no" in said) == (0, True, True), said


def test_errors_of_ours_keep_their_brackets(command: Any, tmp_path: Path) -> None:
    (tmp_path / "tillwire.toml").write_text('[[connections]]\nname = "books"\nconnector = "tryton"\n')
    ended, said = command("check")
    assert (ended, "it belongs in [erp]" in said) == (2, True), said
    (tmp_path / "tillwire.toml").write_text('[[connections]]\nname = "-no"\nconnector = "poslog"\n')
    ended, said = command("check")
    assert (ended, "^[a-z][a-z0-9-]{0,39}$" in said) == (2, True), said


def test_a_reconciliation_names_stores_as_they_are() -> None:
    shown = Console(file=io.StringIO(), width=200, record=True)
    none = Figure()
    day = StoreDay(
        store="[/red]9",
        business_date=date(2026, 3, 2),
        currency="[bold]",
        captured=none,
        recorded=none,
        in_exceptions=none,
        posted=none,
        acknowledged=none,
        differences=(Difference("in_exceptions", "[/bold] is away"),),
    )
    print_report(shown, Report(ok=False, totals={"[bold]": {"captured": none}}, days=(day,)))
    text = shown.export_text()
    assert "[/red]9" in text
    assert "[bold]" in text
    assert "[/bold] is away" in text


def test_a_trial_goes_on_after_a_file_that_cannot_be_read(command: Any, tmp_path: Path) -> None:
    for name in ("first.xml", "last.xml"):
        (tmp_path / name).write_text("<POSLog/>")
    (tmp_path / "folder").mkdir()
    files = ("first.xml", "away.xml", "folder", "last.xml")
    ended, said = command("try", "poslog", *files)
    assert (ended, all(name in said for name in files)) == (1, True), said
    assert said.count("it cannot be read: ") == 2
    ended, said = command("try", "poslog", *files, "--json")
    told = [msgspec.json.decode(one) for one in said.splitlines()]
    assert (ended, [one["file"] for one in told]) == (1, list(files))
    assert [len(one["exceptions"]) for one in told] == [0, 1, 1, 0]


def test_a_trial_of_nothing_is_an_error(command: Any) -> None:
    ended, said = command("try", "poslog")
    assert (ended, "at least one file" in said) == (2, True), said
