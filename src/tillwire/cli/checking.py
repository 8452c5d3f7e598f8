"""How ``tillwire check`` shows what is wrong with the rule book, by itself and against a hub's master data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psycopg

from tillwire import bootstrap, clock
from tillwire.cli.common import console, settings_of, styled
from tillwire.config import Settings
from tillwire.errors import ConfigurationError
from tillwire.posting.accounts import AccountBook, unmapped
from tillwire.posting.coverage import Coverage, Gap, coverage
from tillwire.posting.reach import name_of, never_reached

_MOST_STORES = 5


def warn(message: str) -> None:
    """One line of what is no error."""
    console.print(styled(("warning", "yellow"), f" {message}"), soft_wrap=True)


def warn_of_rules(book: AccountBook) -> None:
    """What is odd in a rule book, whatever there is to map."""
    for component in unmapped(book.rules):
        warn(f"posting.accounts: component {component!r} has no rule for every code: the rest goes to suspense")
    for number, reason in never_reached(book.rules).items():
        rule = book.rules[number - 1]
        warn(f"posting.accounts[{number - 1}]: rule {name_of(rule, number)} is never reached: {reason}")


def prove(book: AccountBook, settings: Settings, data: Path) -> int:
    """Go through the master data and the sales of the hub that runs, if one does; 1 if an account is missing."""
    try:
        url = settings_of(data).database_url
    except ConfigurationError:
        console.print(
            "configuration is sound; no hub runs here, so nothing was looked up in master data", soft_wrap=True
        )
        return 0
    modes = {
        settings.posting.mode,
        *(one.mode for one in settings.posting.stores),
        *(one.mode for one in settings.erps),
    }
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            found = coverage(
                connection,
                book,
                clock.now().date(),
                invoices="invoice" in modes,
                policy=bootstrap.posting_policy(settings),
                takers=bootstrap.takers(settings),
            )
    except psycopg.errors.UndefinedTable:
        warn("configuration is sound, but the database is empty: run `tillwire migrate`, send master data, check again")
        return 0
    except psycopg.OperationalError as error:
        warn(f"configuration is sound, but the database is away, so nothing was looked up in master data: {error}")
        return 0
    _print(found, book)
    return 0 if found.complete else 1


def _print(found: Coverage, book: AccountBook) -> None:
    if not found.stores:
        warn("there is no store in master data yet: send master data first, then check again")
    for gap in found.gaps:
        console.print(styled(("no account", "red"), f" {_told(gap, book)}"), soft_wrap=True)
    for account in found.missing_accounts:
        rules = ", ".join(account.rules)
        told = f" {account.account} in {account.company} (rule {rules}): correct the rule, or send the account"
        console.print(styled(("no such account", "red"), told), soft_wrap=True)
    for one in found.never_sent:
        what = "invoices" if one.document == "invoice" else "stock movements"
        told = f" {what} of {one.company} (stores {_some(one.stores)}): ERP {one.erp} ({one.connector}) takes none"
        console.print(styled(("never sent", "red"), told), soft_wrap=True)
    for company in found.unserved:
        told = f" no ERP serves {company.company} (stores {_some(company.stores)}): add it to an ERP's companies"
        console.print(styled(("never sent", "red"), told), soft_wrap=True)
    charts = ", ".join(found.companies_with_charts) or "no company: no accounts are in master data"
    console.print(
        f"{found.items} components and codes in {found.stores} stores; charts looked up: {charts}", soft_wrap=True
    )
    if found.complete:
        console.print("configuration is sound, and everything has an account")


def _told(gap: Gap, book: AccountBook) -> str:
    kinds = f" of {', '.join(gap.kinds)}" if any(rule.kind != "*" for rule in book.rules) else ""
    later = f" from {gap.since} on" if gap.since > clock.now().date() else ""
    where = f"{gap.company} (stores {_some(gap.stores)})"
    return f"{gap.component} {gap.code}{kinds} in {where}{later}: it would go to suspense"


def _some(stores: Sequence[str]) -> str:
    more = len(stores) - _MOST_STORES
    return ", ".join(stores[:_MOST_STORES]) + (f" and {more} more" if more > 0 else "")
