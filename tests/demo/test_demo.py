"""The demo itself, on a few stores and days: a hub, a real ERP, and the proof as JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.erp

PROJECT = Path(__file__).parents[2]
FAULTS = {
    "resent_batch",
    "resent_file",
    "duplicate_conflict",
    "late_store_day",
    "unknown_product",
    "total_mismatch",
    "erp_unavailable",
    "erp_lost_reply",
}


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command, with its temporary folder in ``folder``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tillwire", "demo", "--stores", "6", "--days", "2", *options],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def left_over(folder: Path) -> list[str]:
    """Processes that still have something to do with the folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or []), process.info["cwd"] or ""]
        if any(str(folder) in word for word in words):
            found.append(" ".join(words))
    return found


def test_everything_is_proven_and_told_as_json(engines_folder: Path) -> None:
    folder = engines_folder / "demo"
    folder.mkdir()
    report = folder / "report.json"
    with demo(folder, "--report", str(report)) as process:
        told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert "proven" in told
    assert "NOT PROVEN" not in told
    proof = json.loads(report.read_text())
    amounts = ("captured", "recorded", "in_exceptions", "posted", "acknowledged")
    assert list(proof) == ["ok", *amounts, "duplicates", "faults", "seconds"]
    assert proof["ok"] is True
    count = {name: proof[name]["count"] for name in amounts}
    amount = {name: Decimal(proof[name]["amount"]) for name in amounts}
    for of in (count, amount):
        assert of["captured"] == of["recorded"] + of["in_exceptions"]
        assert of["recorded"] == of["posted"] == of["acknowledged"] > 0
    assert count["in_exceptions"] > 0
    assert proof["duplicates"]["sent"] > 0
    assert proof["duplicates"]["effects"] == 0
    assert {fault["kind"] for fault in proof["faults"]} == FAULTS
    for fault in proof["faults"]:
        assert fault["injected"] == fault["found"] > 0, fault
    report.unlink()
    assert not list(folder.iterdir())
    assert not left_over(folder)


def test_a_signal_stops_everything(engines_folder: Path) -> None:
    folder = engines_folder / "stopped"
    folder.mkdir()
    with demo(folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "starting the hub" in line:
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 128 + signal.SIGTERM, rest
    assert "stopped by SIGTERM" in rest
    assert not list(folder.iterdir())
    assert not left_over(folder)


def test_a_used_data_folder_is_refused(engines_folder: Path) -> None:
    used = engines_folder / "used"
    used.mkdir()
    (used / "something").touch()
    with demo(engines_folder, "--data", str(used)) as process:
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "is not empty" in told
