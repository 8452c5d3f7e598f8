"""The console in a real browser: every page as every role, light and dark, wide and narrow; and the two stories."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from builders import line, sale, tender
from console_kit import aside
from driving import accept, record, scalar
from playwright.sync_api import Page, expect
from serving import Api

from tillwire.governance.access import ROLES

Open = Callable[..., Page]

DAY = "2026-03-02"
DEEPER = [
    "/stores/7101", f"/stores/7108/{DAY}", f"/transactions?date={DAY}", f"/transactions/of/7101/1/{DAY}/2",
    "/exceptions?view=list", "/exceptions?view=approval", "/posting/journals", "/posting/suspense", "/posting/balance",
    "/proof?from=2026-02-28", "/account", "/stock/7101/milk", "/master-data/store/7101", "/master-data?kind=tax-code",
]  # fmt: skip


def looked_at(page: Page, name: str, screenshots: Path, *, axe: bool) -> None:
    """A page as a person sees it: nothing sticks out, and whoever cannot see it is told as well."""
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    page.screenshot(path=screenshots / f"{name}.png", full_page=True)
    assert wide <= 0, f"{page.url}: {wide} pixels stick out"
    if axe:
        found = Axe().run(page).response["violations"]
        serious = [
            (one["id"], [node["html"][:200] for node in one["nodes"][:3]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == [], page.url


def paths_of(page: Page) -> list[str]:
    """The menu's addresses."""
    return [str(link.get_attribute("href")) for link in page.locator(".menu a").all()]


def slug(path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "overview"


@pytest.mark.parametrize("role", ROLES)
def test_each_role_opens_what_its_menu_has(open_as: Open, screenshots: Path, role: str) -> None:
    page = open_as(role)
    paths = paths_of(page)
    assert paths
    for path in paths:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        looked_at(page, f"{role}-{slug(path)}", screenshots, axe=False)
    assert ("/people" in paths) == (role == "administrator")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)])
def test_every_page_in_light_and_dark_wide_and_narrow(
    open_as: Open, screenshots: Path, scheme: str, width: int
) -> None:
    page = open_as("everybody", scheme=scheme, width=width)
    for path in [*paths_of(page), *DEEPER]:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        looked_at(page, f"{slug(path)}-{scheme}-{width}", screenshots, axe=width > 1000)


def test_keys_lead_from_page_to_page(open_as: Open) -> None:
    page = open_as("everybody")
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url("**/stores")
    page.keyboard.press("/")
    page.keyboard.type(f"7101/1/{DAY}/2")
    page.keyboard.press("Enter")
    page.wait_for_url("**/transactions/of/**")
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_page_follows_what_happens(open_as: Open, hub: Api) -> None:
    page = open_as("everybody")
    page.goto(f"/?date={DAY}")
    expect(page.locator(".live")).to_have_attribute("data-state", "on", timeout=20_000)
    before = page.locator("#way").inner_text()
    aside(accept, hub.database_url, [sale(900, store="7101")])
    aside(record, hub.database_url)
    expect(page.locator("#way")).not_to_have_text(before, timeout=20_000)


def test_an_unknown_product_is_mended_from_end_to_end(open_as: Open, hub: Api) -> None:
    page = open_as("integrator")
    page.get_by_role("link", name="unknown product:mystery").click()
    page.get_by_label("Name", exact=True).fill("A mystery")
    page.get_by_label("Product class").fill("other")
    page.get_by_role("button", name="Show what it would do").click()
    expect(page.get_by_text("1 of 1 would be recorded")).to_be_visible()
    page.get_by_role("button", name="Add a product").click()
    expect(page.get_by_role("status").filter(has_text="mends itself")).to_be_visible()
    aside(record, hub.database_url)
    page.goto(f"/transactions/of/7106/1/{DAY}/8")
    expect(page.locator(".timeline").get_by_text("Recorded", exact=True)).to_be_visible()


def test_a_second_person_approves_and_the_first_may_not(open_as: Open, hub: Api) -> None:
    aside(accept, hub.database_url, [sale(91, line("never", "3", "900.00"), store="7117", tenders=[tender("2700.00")])])
    aside(record, hub.database_url)
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        number = scalar(connection, "SELECT max(exception_id) FROM exception")
        first, second = open_as("everybody"), open_as("second")
        first.goto(f"/exceptions/{number}")
        payload = first.get_by_label("As it should have been").input_value()
        payload = payload.replace('"never"', '"milk"').replace('"3"', '"1"').replace("2700.00", "900.00")
        first.get_by_label("As it should have been").fill(payload)
        first.locator("form[action$='/edit']").get_by_label("Reason").fill("it was one")
        first.get_by_role("button", name="Show what it would do").click()
        expect(first.get_by_text("until a second person approves")).to_be_visible()
        first.get_by_role("button", name="Edit").click()
        first.get_by_role("button", name="Approve").click()
        expect(first.get_by_role("heading", name="Not done")).to_be_visible()
        assert scalar(connection, "SELECT state FROM exception WHERE exception_id = %s", number) == "approval"
        second.goto("/exceptions?view=approval")
        second.get_by_role("link", name=str(number), exact=True).click()
        second.get_by_role("button", name="Approve").click()
        expect(second.get_by_role("status").filter(has_text="Approved")).to_be_visible()
        aside(record, hub.database_url)
        assert scalar(connection, "SELECT state FROM exception WHERE exception_id = %s", number) == "resolved"
