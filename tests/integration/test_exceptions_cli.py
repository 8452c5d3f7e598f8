"""`tillwire exceptions`: from the list by money at risk to the fix, at the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from builders import batch, line, masters, product, raw, sale, tender
from driving import load, record, rows

from tillwire.cli.common import console
from tillwire.cli.exceptions import app

RIGHT = sale(1, line("milk", "1", "5000.00"))
WRONG = sale(1, line("milk", "1", "5000.00"), total="7000.00", tenders=[tender("7000.00")])


@pytest.fixture
def command(database_url: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    """Runs a command on the database; its exit code and what it printed."""
    monkeypatch.setenv("TILLWIRE_DATABASE_URL", database_url)
    monkeypatch.setenv("TILLWIRE_RULES_PAST_DAYS", "36600")
    monkeypatch.setattr(console, "_width", 200)

    def run(*words: str) -> tuple[int, str]:
        code = app(list(words), exit_on_error=False, result_action="return_value")
        return int(code or 0), capfdbinary.readouterr().out.decode()

    return run


def test_a_queue_is_worked_at_the_command_line(
    command: Any, database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    load(database_url, *masters(), WRONG, sale(2, line("pear")), sale(3, line("pear")), sale(4, line("plum")))
    _, shown = command("causes")
    assert shown.index("total_mismatch:urn:pos:test") < shown.index("unknown_product:pear")
    assert "7000.00 USD" in shown
    _, shown = command("list", "--cause", "unknown_product:pear")
    assert shown.count("101/1/2026-03-02/") == 2
    wrong, _, _, plum = (number for (number,) in rows(connection, "SELECT exception_id FROM exception ORDER BY key"))
    edited = tmp_path / "edited.json"
    edited.write_bytes(raw(RIGHT))
    how = [str(wrong), str(edited), "--reason", "the till's old software", "--by", "anna"]
    code, shown = command("edit", *how, "--dry-run")
    told = msgspec.json.decode(shown)
    assert (code, told["needs_second_person"], told["results"][0]["clears"]) == (0, True, True)
    assert rows(connection, "SELECT count(*) FROM exception_proposal") == [(0,)]
    assert msgspec.json.decode(command("edit", *how)[1])["state"] == "approval"
    assert msgspec.json.decode(command("approve", str(wrong), "--by", "berta")[1])["state"] == "retrying"
    proposed = tmp_path / "records.json"
    proposed.write_bytes(batch([product("pear")]))
    told = msgspec.json.decode(command("dry-run", "--records", str(proposed))[1])
    assert [one["clears"] for one in told["results"]] == [True, True]
    assert command("dismiss", str(plum), "--reason", "a test of the till", "--by", "anna") == (0, "dismissed\n")
    assert command("assign", str(wrong), "--to", "cleo", "--by", "anna")[0] == 0
    load(database_url, product("pear"))
    record(database_url)
    assert rows(connection, "SELECT DISTINCT sequence FROM sale ORDER BY 1") == [(1,), (2,), (3,)]
    shown = msgspec.json.decode(command("show", str(wrong))[1])
    actions = [(one["action"], one["actor"]) for one in shown["actions"] if one["actor"] != "hub"]
    assert actions == [
        ("propose", "anna"),
        ("approve", "berta"),
        ("retry", "anna"),
        ("assign", "anna"),
    ]
    assert command("retry")[0] == command("dry-run")[0] == command("dismiss", "--reason", "x")[0] == 2
    assert command("retry", "--code", "unknown_store")[0] == command("show", "999")[0] == 1
