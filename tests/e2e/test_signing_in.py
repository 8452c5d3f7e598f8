"""Signing in with a real browser: a given password, an authenticator, recovery codes, the company's own sign-in, and out."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pyotp
import pytest
import segno
from axe_playwright_python.sync_playwright import Axe
from fixture_types import NewDatabase
from oidc_provider import CLIENT, SECRET, Provider, simulated
from playwright.sync_api import Page, expect, sync_playwright
from serving import Api, serving

from tillwire import clock
from tillwire.console.sign_in import QUIET
from tillwire.governance import people
from tillwire.governance.people import RoleGrant

KEY = "k" * 40
PASSWORD = "correct horse battery"
OTHER = "another long password"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
GROUPS = '[[access.oidc.groups]]\ngroup = "shops"\nroles = ["viewer"]\n'
SHOWN = Path(os.environ["TILLWIRE_SCREENSHOTS"]) if "TILLWIRE_SCREENSHOTS" in os.environ else None

Story = Callable[[Page], None]


@pytest.fixture(scope="module")
def chromium() -> str:
    """Where the browser is; installed if it is missing and that may be done."""
    found = shutil.which("chromium")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        for words in (["update"], ["install", "-y", "chromium"]):
            subprocess.run(["apt-get", "-q", *words], check=False, capture_output=True)
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("there is no chromium here, and it cannot be installed: no page was looked at in a browser")
    return found


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with simulated() as one:
        one.user = {"sub": "1", "preferred_username": "selma", "name": "Selma", "groups": ["shops"]}
        yield one


@pytest.fixture(scope="module")
def hub(
    chromium: str, new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory, provider: Provider
) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("signing-in")
    (folder / "tillwire.toml").write_text(GROUPS)
    settings = {
        "HTTP_API_KEYS": "required",
        "CLIENTS_TOKEN_KEY": KEY,
        "ACCESS_OIDC_ISSUER": provider.url,
        "ACCESS_OIDC_CLIENT_ID": CLIENT,
        "ACCESS_OIDC_CLIENT_SECRET": SECRET,
        "ACCESS_OIDC_TITLE": "Acme",
    }
    with new_database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            people.add(connection, "fiona", PASSWORD, [RoleGrant(role="finance")], by="test")
            people.add(connection, "viola", PASSWORD, [RoleGrant(role="viewer")], by="test", must_change=False)
        with serving(url, folder, **settings) as one:
            yield one


@pytest.fixture
def told(chromium: str, hub: Api) -> Iterator[Callable[[Story], None]]:
    """Tells a story in a browser of its own, in a thread of its own; every error of a page's script or policy fails it."""

    def tell(story: Story) -> None:
        errors: list[str] = []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            context = browser.new_context(base_url=hub.url)
            page = context.new_page()
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: errors.append(str(error)))
            story(page)
            browser.close()
        assert [one for one in errors if "status of 4" not in one and "EventSource" not in one] == []

    def aside(story: Story) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(tell, story).result()

    return aside


def sound(page: Page, name: str) -> None:
    """Light and wide, dark and narrow: no serious fault that axe-core finds, nothing wider than the screen; kept as
    pictures where pictures are kept.
    """
    looks: list[tuple[Any, int]] = [("dark", 390), ("light", 1440)]
    for scheme, width in looks:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 900})
        found = Axe().run(page).response["violations"]
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == [], (name, scheme, found)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than {width}"
        if SHOWN is not None:
            SHOWN.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=SHOWN / f"signing-in-{name}-{scheme}-{width}.png", full_page=True)


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def modules_of(secret: str, name: str) -> list[list[bool]]:
    """The dark modules of the QR code that an authenticator is to see."""
    matrix = segno.make(people.address_of(secret, name, "Tillwire"), error="m").matrix
    return [[bool(module) for module in row] for row in matrix]


def picture_of(page: Page) -> list[list[bool]]:
    """The dark modules of the QR code as it is on the screen: its picture, looked at in the middle of each module."""
    picture = base64.b64encode(page.locator("svg.qr").screenshot()).decode()
    size = int((page.locator("svg.qr").get_attribute("viewBox") or "").split()[-1])
    looked: list[list[bool]] = page.evaluate(
        """async ([picture, size, quiet]) => {
            const image = new Image();
            image.src = "data:image/png;base64," + picture;
            await image.decode();
            const canvas = document.createElement("canvas");
            canvas.width = image.width; canvas.height = image.height;
            const pen = canvas.getContext("2d");
            pen.drawImage(image, 0, 0);
            const dark = (row, column) => pen.getImageData(
                Math.floor((column + .5) * image.width / size), Math.floor((row + .5) * image.height / size), 1, 1
            ).data[0] < 128;
            const inner = [...Array(size - 2 * quiet).keys()].map((at) => at + quiet);
            return inner.map((row) => inner.map((column) => dark(row, column)));
        }""",
        [picture, size, QUIET],
    )
    return looked


def code_of(secret: str) -> str:
    return pyotp.TOTP(secret).at(clock.now())


def test_from_a_given_password_to_an_authenticator_and_out(told: Callable[[Story], None], hub: Api) -> None:
    def next_step() -> None:
        with psycopg.connect(hub.database_url, autocommit=True) as connection:
            connection.execute("UPDATE person SET totp_step = 0")

    def story(page: Page) -> None:
        page.goto("/posting")
        expect(page).to_have_url(f"{hub.url}/sign-in?next=%2Fposting")
        expect(page.get_by_role("link", name="Go on with Acme")).to_be_visible()
        sound(page, "form")
        sign_in(page, "fiona", "not the password")
        expect(page.get_by_role("alert")).to_contain_text("do not go together")
        sign_in(page, "fiona", PASSWORD)
        expect(page.get_by_role("heading", name="A password of your own")).to_be_visible()
        sound(page, "password")
        page.get_by_label("New password").fill(OTHER)
        page.get_by_label("Once more").fill(OTHER)
        page.get_by_role("button", name="Change it").click()
        expect(page.get_by_role("heading", name="An authenticator")).to_be_visible()
        assert picture_of(page) == modules_of(page.locator("details .mono").text_content() or "", "fiona")
        sound(page, "enrol")
        page.get_by_text("I cannot scan it").click()
        secret = page.locator("details .mono").inner_text()
        page.get_by_label("Code").fill("000000")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("alert")).to_contain_text("not the code")
        page.get_by_label("Code").fill(code_of(secret))
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
        codes = page.locator("pre").inner_text().split()
        assert len(codes) == 10
        sound(page, "codes")
        page.get_by_role("link", name="I have kept them").click()
        expect(page).to_have_url(f"{hub.url}/posting")
        page.goto("/account")
        expect(page.get_by_text("10 recovery codes left")).to_be_visible()
        sound(page, "account")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()  # nothing of it was kept
        next_step()
        sign_in(page, "fiona", OTHER)
        expect(page.get_by_role("heading", name="Your code")).to_be_visible()
        sound(page, "code")
        page.get_by_label("Code").fill(code_of(secret))
        page.get_by_role("button", name="Go on").click()
        page.wait_for_selector(".menu")
        page.goto("/account")
        page.get_by_role("button", name="Sign out").click()
        sign_in(page, "fiona", OTHER)
        page.get_by_label("Code").fill(code_of(secret))
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("alert")).to_contain_text("used already")
        page.get_by_label("Code").fill(codes[0])
        page.get_by_role("button", name="Go on").click()
        page.wait_for_selector(".menu")

    told(story)


def test_by_the_companys_own_sign_in(told: Callable[[Story], None], hub: Api) -> None:
    def story(page: Page) -> None:
        page.goto("/stores")
        page.get_by_role("link", name="Go on with Acme").click()
        expect(page).to_have_url(f"{hub.url}/stores")
        expect(page.locator(".who")).to_contain_text("selma")
        assert {one["name"] for one in page.context.cookies()} == {"tillwire"}, "what was carried is gone"
        page.goto("/account")
        expect(page.get_by_text("You have none here")).to_be_visible()
        page.goto("/sign-in/oidc/callback?code=x&state=y")
        expect(page.get_by_role("alert")).to_contain_text("could not be verified")
        sound(page, "refused")

    told(story)


def test_a_page_that_is_open_goes_to_the_sign_in_as_the_session_ends(told: Callable[[Story], None], hub: Api) -> None:
    def story(page: Page) -> None:
        page.goto("/")
        sign_in(page, "viola", PASSWORD)
        page.wait_for_selector(".live[data-state=on]")
        with psycopg.connect(hub.database_url, autocommit=True) as connection:
            people.end_sessions(connection, "viola")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=20_000)
        expect(page).to_have_url(f"{hub.url}/sign-in?next=%2F")

    told(story)
