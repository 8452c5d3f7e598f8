"""Fixtures of the fault tests: hubs in folders of their own, one real ERP for all of them, and a table of figures."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import structlog

from tillwire.config import Settings
from tillwire.connectors.tryton.server import TrytonServer
from tillwire.engines.postgres import EmbeddedPostgres

# What is asserted beside the tests is told in as much detail as what is asserted in them.
pytest.register_assert_rewrite("sending", "rig", "holding", "erp_ledger")

from erp_ledger import SETUP, Ledger  # noqa: E402
from rig import NewRig, Rig, Tell  # noqa: E402

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "erp"

_numbers = count(1)


@pytest.fixture(scope="session")
def unlucky_erp(postgres: EmbeddedPostgres, engines_folder: Path) -> Iterator[Ledger]:
    """A running Tryton that no test kills, with the accounts of the default mapping."""
    server = TrytonServer(
        postgres.url("postgres"),
        setup=SETUP,
        work_dir=engines_folder / "unlucky-erp",
        cache_dir=CACHE,
        database="unlucky_erp",
    )
    with server:
        yield Ledger(server)


@pytest.fixture
def company() -> str:
    """A company name that no other test posts under."""
    return f"C{next(_numbers)}"


@pytest.fixture
def hub_folder(engines_folder: Path, company: str) -> Iterator[Path]:
    """An empty folder for a hub, gone after the test."""
    folder = engines_folder / f"hub-{company}"
    folder.mkdir()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def new_rig(hub_folder: Path, request: pytest.FixtureRequest) -> Iterator[NewRig]:
    """Makes and starts hubs (one a test); stops them, and shows their logs if the test failed."""
    rigs: list[Rig] = []
    failed_before = request.session.testsfailed

    def make(settings: Settings, **more: Any) -> Rig:
        rigs.append(Rig(hub_folder, settings, **more))
        rigs[-1].start()
        return rigs[-1]

    # Deaths are what these tests are about: the supervisor need not report each.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield make
    structlog.reset_defaults()
    for rig in rigs:
        rig.close()
        if request.session.testsfailed > failed_before:
            sys.stdout.write(f"{rig.logs()}\n")


@pytest.fixture
def tell(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Tell:
    """Prints a test's figures in one line, and keeps them for the table at the end."""
    started = time.monotonic()

    def say(**figures: object) -> None:
        told = {**figures, "seconds": round(time.monotonic() - started, 1)}
        text = ", ".join(f"{name} {value}" for name, value in told.items())
        sys.stdout.write(f"{text}\n")
        record_property("figures", f"{request.node.name.removeprefix('test_'):60} {text}")

    return say


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The figures of all fault tests, as a table."""
    reports = terminalreporter.getreports("passed")
    lines = [text for report in reports for name, text in report.user_properties if name == "figures"]
    if lines:
        terminalreporter.section("what was survived")
        for line in lines:
            terminalreporter.write_line(line)
