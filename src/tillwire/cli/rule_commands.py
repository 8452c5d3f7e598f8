"""``tillwire rules``: the validation rules, and (``rules posting``) the rule book of accounts."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from tillwire import config
from tillwire.cli.common import DATA, DataFolder, connect, settings_of

app = cyclopts.App(name="rules", help="The rules in force: of validation, and (posting) of accounts.")

Json = Annotated[bool, Parameter(help="Print JSON.")]


@app.default
def rules(
    *,
    source: Annotated[str, Parameter(help="As they weigh for events of this source, such as urn:pos:store-7.")] = "",
    code: Annotated[str | None, Parameter(help="Only this code.")] = None,
    json: Json = False,
) -> int:
    """List the validation rules as they are in force: severity, owner, tolerance, meaning and reason."""
    from tillwire import bootstrap
    from tillwire.cli import rules as listing

    return listing.show(bootstrap.policy(config.load().rules), source=source, code=code, json=json)


@app.command(name="posting")
def posting(
    *,
    explain: Annotated[
        str | None, Parameter(help="Of one recorded transaction: store/register/business date/sequence.")
    ] = None,
    version: Annotated[int | None, Parameter(help="The book that journals were built by as this version.")] = None,
    data: DataFolder = DATA,
    json: Json = False,
) -> int:
    """List the rule book in force, from entries to accounts and dimensions; or explain one transaction by it.

    A journal says by which version of the book it was built (`tillwire ledger show`).
    """
    from tillwire import bootstrap
    from tillwire.cli import posting_rules as listing
    from tillwire.posting import rule_books
    from tillwire.posting.explain import explain as explained

    if explain is None and version is None:
        return listing.show_book(bootstrap.account_book(config.load()), None, json=json)
    settings = settings_of(data)
    with connect(data) as connection:
        book = bootstrap.account_book(settings) if version is None else rule_books.load(connection, version)
        if explain is None:
            return listing.show_book(book, version, json=json)
        known = rule_books.known_version(connection, book)
        found = explained(connection, explain, book, bootstrap.posting_policy(settings))
    return listing.show_explained(explain, found, known, json=json)
