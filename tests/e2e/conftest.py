"""A real browser on a real hub, and people of every role who can sign in."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pyotp
import pytest
from console_kit import TOML, aside, fill
from fixture_types import NewDatabase
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from serving import Api, serving

from tillwire import clock
from tillwire.governance import people
from tillwire.governance.access import ROLES
from tillwire.governance.people import RoleGrant
from tillwire.governance.sealing import Sealer

KEY = "k" * 40
PASSWORD = "correct horse battery"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

Open = Callable[..., Page]


def chromium() -> str:
    """Where the browser is; installed, if it is missing and that may be done. Skips if there is none."""
    found = shutil.which("chromium")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}
        subprocess.run(["apt-get", "update", "-q"], **quiet)  # type: ignore[call-overload]
        subprocess.run(["apt-get", "install", "-y", "-q", "chromium"], **quiet)  # type: ignore[call-overload]
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium here, and it cannot be installed: pages were not looked at in a browser")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one module: its event loop must not be there for tests that have their own."""
    path = chromium()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def hub(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("e2e")
    (folder / "tillwire.toml").write_text(TOML)
    with new_database() as url:
        aside(fill, url)
        with serving(url, folder, HTTP_API_KEYS="required", CLIENTS_TOKEN_KEY=KEY) as one:
            yield one


@pytest.fixture(scope="module")
def secrets_of_people(hub: Api) -> dict[str, str]:
    """The authenticator's secret of a person of each role, of one with all of them, and of another such one."""
    sealer, made = Sealer(KEY, purpose="people"), {}
    everything = [RoleGrant(role=role) for role in ROLES]
    grants = {role: [RoleGrant(role=role)] for role in ROLES} | {"everybody": everything, "second": everything}
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        for name, given in grants.items():
            people.add(connection, name, PASSWORD, given, by="test", must_change=False)
            made[name] = people.new_secret()
            totp = sealer.seal(made[name], name)
            connection.execute("UPDATE person SET totp = %s WHERE name = %s", (totp, name))
    return made


@pytest.fixture
def open_as(browser: Browser, hub: Api, secrets_of_people: dict[str, str]) -> Iterator[Open]:
    """Opens a page as somebody who has signed in by the form; every error of a page's script fails the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def opened(name: str, *, scheme: str = "light", width: int = 1440) -> Page:
        context = browser.new_context(
            base_url=hub.url, color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
        )  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto("/")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        with psycopg.connect(hub.database_url, autocommit=True) as connection:
            connection.execute("UPDATE person SET totp_step = 0 WHERE name = %s", (name,))
        page.get_by_label("Code").fill(pyotp.TOTP(secrets_of_people[name]).at(clock.now()))
        page.get_by_role("button", name="Go on").click()
        page.wait_for_selector(".menu")
        return page

    yield opened
    for context in contexts:
        context.close()
    refused = "the server responded with a status of 409"  # what a page says that it did not do
    assert [error for error in errors if refused not in error] == []


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of pages are kept: the folder that TILLWIRE_SCREENSHOTS names, or pytest's own."""
    folder = Path(os.environ.get("TILLWIRE_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
