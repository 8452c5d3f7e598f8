"""``tillwire simulate``: every simulated ERP runs by itself, says how it is reached, and in the end what it saw."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from erp_driving import SIMULATED, Case, Rig, post

from tillwire import config

SPECS = [case for case in SIMULATED if not case.given]
_TOML = re.compile(r"^\[\[erps\]\]\n.*?\n\n", re.MULTILINE | re.DOTALL)


class Running:
    """The command in a process of its own, whose words are read as they come."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tillwire", "simulate", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
        )
        self.said = ""

    def until_ready(self) -> str:
        """What it said until it was ready."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(30, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                self.said += line
                if line.startswith("ready"):
                    return self.said
        finally:
            watchdog.cancel()
        raise AssertionError(f"it ended with {self.process.wait()}: {self.said}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """What it said in the end; it must end well."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, rest
        return rest


@contextmanager
def running(*arguments: str) -> Iterator[Running]:
    made = Running(*arguments)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        if made.process.stdout is not None:
            made.process.stdout.close()


@pytest.mark.parametrize("case", SPECS, ids=repr)
def test_a_hub_with_the_printed_settings_posts_to_it(case: Case, tmp_path: Path) -> None:
    with running(case.spec.name, "--port", "0") as command:
        said = command.until_ready()
        assert case.simulated().contract in said
        found = _TOML.search(said)
        assert found is not None, said
        (tmp_path / "tillwire.toml").write_text(found.group())
        given = {}
        for export in re.findall(r"^export (.*?)(?=^export |^\s*ready)", said, re.MULTILINE | re.DOTALL):
            (word,) = shlex.split(export)
            name, _, given[name] = word.partition("=")
        settings = config.load(tmp_path / "tillwire.toml", given)
        (erp,) = settings.erps
        connector = case.spec.configure(erp.settings, of=erp.name)
        journals = [Rig(case.spec, case.simulated()).journal() for _ in range(3)]
        post(connector, *journals)
        connector.close()
        told = command.stop()
    assert re.search(r"journals posted\W+3\b", told)
    assert re.search(r"balance of .*\D324\.75 ", told)


def test_faults_and_limits_come_as_asked_for() -> None:
    with running("odoo", "--port", "0", "--lost-reply", "0.5", "--seed", "3", "--limit-at-once", "9") as command:
        found = _TOML.search(command.until_ready())
        assert found is not None
        (erp,) = tomllib.loads(found.group())["erps"]
        case = next(one for one in SPECS if one.spec.name == "odoo")
        simulator = case.simulated()
        connector = case.spec.configure({**simulator.settings(), "url": erp["settings"]["url"]}, of="odoo")
        for _ in range(5):
            post(connector, Rig(case.spec, simulator).journal())
        connector.close()
        told = command.stop(signal.SIGINT)
    assert re.search(r"fault: lost_reply\W+[1-9]", told)
    assert re.search(r"journals posted\W+5\b", told)


def test_accounts_are_those_that_were_named() -> None:
    with running("odoo", "--port", "0", "--accounts", "1,2") as command:
        found = _TOML.search(command.until_ready())
        assert found is not None
        (erp,) = tomllib.loads(found.group())["erps"]
        case = next(one for one in SPECS if one.spec.name == "odoo")
        connector = case.spec.configure({**case.simulated().settings(), "url": erp["settings"]["url"]}, of="odoo")
        assert {record.account for record in connector.pull("account")} == {"1", "2"}
        connector.close()
        command.stop()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shopify",), "shopify has no simulator; there are those of"),
        (("nosuch",), "there is no connector 'nosuch'"),
        (("odoo", "--lost-reply", "0.8", "--broken", "0.8"), "rates that are not probabilities"),
        (("odoo", "--lost-reply", "7"), "Must be <= 1"),
    ],
)
def test_what_cannot_be_simulated_is_told(arguments: tuple[str, ...], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tillwire", "simulate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode != 0
    assert words in done.stdout + done.stderr
