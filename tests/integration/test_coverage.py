"""``tillwire check``: that everything has an account is proven by master data and by what was sold; gaps are named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from builders import DAY, event, line, masters, product, sale, store, tax_code, tender, tender_type
from driving import load
from posting_kit import BOOK, SUMMARY, book_of, policy_of

from tillwire.cli import main
from tillwire.cli.common import console
from tillwire.config import DEFAULT_ACCOUNTS, AccountRule, ErpInstance, Posting, StorePosting, erp_policies
from tillwire.config.posting import Erp
from tillwire.posting.accounts import AccountBook
from tillwire.posting.coverage import Coverage, Taker, coverage

RULES = {
    component: tuple(rule for rule in DEFAULT_ACCOUNTS if rule.component == component)
    for component in {rule.component for rule in DEFAULT_ACCOUNTS}
}


def without(*components: str) -> list[AccountRule]:
    """The usual rules of all other components."""
    return [rule for rule in DEFAULT_ACCOUNTS if rule.component not in components]


def gaps(found: Coverage) -> list[tuple[str, str, list[str]]]:
    return [(gap.component, gap.code, gap.stores) for gap in found.gaps]


def looked(connection: psycopg.Connection, book: AccountBook = BOOK, today: date = DAY, **more: Any) -> Coverage:
    return coverage(connection, book, today, **more)


def test_the_usual_book_has_an_account_for_everything(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(store("101"), store("102", company="OTHER")), sale(1))
    found = looked(connection, invoices=True)
    assert found.complete
    assert (found.stores, found.companies_with_charts) == (2, [])
    # 4 classes, service and charge; no reason; 2 taxes (one of them sold without a rate); 3 tenders with change and over
    # and short; 4 liabilities; 4 cash movements; 2 roundings; 2 companies; receivables.
    assert found.items == 6 + 1 + 3 + 9 + 4 + 4 + 2 + 2 + 1


def test_every_gap_is_named(database_url: str, connection: psycopg.Connection) -> None:
    load(
        database_url,
        *masters(store("101"), store("102", region="north"), store("9", company="OTHER", currency="EUR")),
        tender_type("voucher"),
        event("master.tender", {"type": "points", "name": "points", "revision": 1, "change_allowed": False}),
        product("old", "retired", active=False),
    )
    book = book_of(
        AccountRule(component="revenue", code="d*", account="4001"),
        AccountRule(component="revenue", store="9", account="4009"),
        AccountRule(component="revenue", code="bakery", region="north", account="4002"),
        AccountRule(component="revenue", code="[!bd]*", account="4003"),
        AccountRule(component="tender", code="c*", account="1010"),
        AccountRule(component="tender", code="gift_card", account="2300"),
        AccountRule(component="tender", code="*", currency="EUR", account="1030"),
        AccountRule(component="tax", rate=Decimal("0.10"), account="2200"),
        *without("revenue", "tender", "tax"),
    )
    assert gaps(looked(connection, book)) == [
        ("change", "voucher", ["101", "102"]),
        ("revenue", "bakery", ["101"]),
        ("tax", "RED;0.05", ["101", "102"]),
        ("tax", "RED;0.05", ["9"]),
        ("tender", "points", ["101", "102"]),
        ("tender", "voucher", ["101", "102"]),
    ]


def test_kinds_are_looked_at_where_rules_do(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters())
    book = book_of(
        AccountRule(component="revenue", kind="sale", account="4000"),
        AccountRule(component="revenue", kind="[er]*", account="4010"),
        *without("revenue"),
    )
    assert {tuple(gap.kinds) for gap in looked(connection, book).gaps} == {("post_void",)}


def test_what_was_seen_counts_as_it_was_seen(database_url: str, connection: psycopg.Connection) -> None:
    """An acquirer, a discount's reason and a tax without a rate stand in no master data."""
    taxed = line("milk", taxes=[{"code": "STD", "amount": "0.20"}], discount=("0.10", "staff"))
    load(database_url, *masters(), sale(1, taxed, tenders=[tender("2.10", "card", acquirer="adyen")]))
    book = book_of(
        AccountRule(component="discount", code="other", account="4900"),
        AccountRule(component="tender", code="card", acquirer="stripe", account="1021"),
        AccountRule(component="tender", code="card", acquirer="", account="1020"),
        AccountRule(component="tender", code="[!c]*", account="1020"),
        AccountRule(component="tender", code="cash", account="1010"),
        AccountRule(component="tax", rate=Decimal("0.10"), account="2200"),
        AccountRule(component="tax", rate=Decimal("0.05"), account="2201"),
        *without("discount", "tender", "tax"),
    )
    expected = [("discount", "staff", ["101"]), ("tax", "STD", ["101"]), ("tender", "card;;adyen", ["101"])]
    assert gaps(looked(connection, book)) == expected
    assert gaps(looked(connection, book, today=DAY + timedelta(days=400))) == expected


def test_later_turns_of_the_book_and_of_rates_are_looked_at(database_url: str, connection: psycopg.Connection) -> None:
    turn = date(2026, 7, 1)
    load(
        database_url,
        *masters(),
        tax_code("OLD", "0.19", revision=1),
        event("master.tax-code", {
            "code": "VAT", "name": "VAT", "rate": "0.10", "revision": 1,
            "rates": [{"effective_from": str(turn), "rate": "0.12"}],
        }),
    )  # fmt: skip
    book = book_of(
        AccountRule(component="tax", rate=Decimal("0.12"), account="2212", effective_from=turn),
        AccountRule(component="tax", account="2200", effective_to=turn),
        *without("tax"),
    )
    found = [(gap.code, gap.since) for gap in looked(connection, book).gaps]
    assert found == [("OLD;0.19", turn), ("RED;0.05", turn), ("STD;0.1", turn)]
    ending = book_of(AccountRule(component="tax", account="2200", effective_to=turn), *without("tax"))
    assert [(gap.code, gap.since) for gap in looked(connection, ending).gaps] == [*found, ("VAT;0.12", turn)]


def account(number: str, company: str = "ACME", **more: Any) -> dict[str, Any]:
    return event("master.account", {"company": company, "account": number, "name": number, "revision": 1, **more})


def test_accounts_that_a_chart_does_not_have(database_url: str, connection: psycopg.Connection) -> None:
    numbers = {rule.account for rule in DEFAULT_ACCOUNTS} - {"4000", "6900", "1100", "1300"}
    chart = [account(number) for number in sorted(numbers)]
    load(database_url, *masters(store("101"), store("9", company="OTHER")), *chart, account("4000", active=False))
    found = looked(connection)
    assert not found.complete
    assert found.companies_with_charts == ["ACME"]
    missing = [(one.company, one.account, one.rules) for one in found.missing_accounts]
    assert missing == [("ACME", "1300", ["13"]), ("ACME", "4000", ["1"]), ("ACME", "6900", ["10"])]


@pytest.fixture
def check(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, str]]:
    """Runs ``tillwire check`` with this tillwire.toml, on a database; its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "_width", 400)

    def run(toml: str, url: str = database_url) -> tuple[int, str]:
        (tmp_path / "tillwire.toml").write_text(toml)
        if url:
            monkeypatch.setenv("TILLWIRE_DATABASE_URL", url)
        else:
            monkeypatch.delenv("TILLWIRE_DATABASE_URL", raising=False)
        monkeypatch.setattr(sys, "argv", ["tillwire", "check"])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out + told.err

    return run


ONE_RULE = '[[posting.accounts]]\ncomponent = "revenue"\naccount = "4000"\n'


def test_the_command_says_what_is_missing(check: Callable[..., tuple[int, str]], database_url: str) -> None:
    ended, told = check("")
    assert (ended, "there is no store in master data yet" in told) == (0, True)
    load(database_url, *masters(*(store(str(number)) for number in range(101, 108))))
    ended, told = check("")
    assert (ended, "everything has an account" in told) == (0, True)
    ended, told = check(ONE_RULE)
    assert ended == 1
    assert "component 'tax' has no rule for every code" in told
    assert "no account tax STD;0.1 in ACME (stores 101, 102, 103, 104, 105 and 2 more): it would go to suspense" in told
    load(database_url, account("4000"), account("1999"))
    ended, told = check("")
    assert ended == 1
    assert "no such account 1010 in ACME (rule 4)" in told


def test_without_a_database_only_the_configuration_is_looked_at(check: Callable[..., tuple[int, str]]) -> None:
    ended, told = check(ONE_RULE, "")
    assert ended == 0
    assert "component 'tax' has no rule for every code" in told
    assert "no hub runs here" in told
    ended, told = check("", "postgresql://nobody@127.0.0.1:1/none")
    assert ended == 0
    assert "the database is away" in told


def test_an_empty_database_is_told_from_a_hub(check: Callable[..., tuple[int, str]], fresh_database: str) -> None:
    ended, told = check("", fresh_database)
    assert (ended, "run `tillwire migrate`" in told) == (0, True), told


def taker(name: str, *takes: str, companies: tuple[str, ...] = ("*",)) -> Taker:
    instance = ErpInstance(name=name, kind="file", companies=companies)
    (policy,) = erp_policies(Posting(), Erp(), [instance])
    return Taker(policy, frozenset(takes))


def test_what_a_store_posts_is_looked_up_in_what_its_own_erp_takes(
    database_url: str, connection: psycopg.Connection
) -> None:
    load(
        database_url, *masters(store("101"), store("901"), store("902", company="OTHER"), store("903", company="NONE"))
    )
    policy = policy_of(SUMMARY, stores=(StorePosting(stores="9*", mode="invoice", stock="each"),))
    takers = [
        taker("able", "journal", "invoice", companies=("OTHER",)),
        taker("books", "journal", companies=("ACME", "OTHER")),
    ]
    found = looked(connection, invoices=True, policy=policy, takers=takers)
    assert [(one.erp, one.document, one.company, one.stores) for one in found.never_sent] == [
        ("able", "stock", "OTHER", ["902"]),
        ("books", "invoice", "ACME", ["901"]),
        ("books", "stock", "ACME", ["901"]),
    ]
    assert not found.complete
    found = looked(connection, policy=policy_of(), takers=takers)
    assert (found.never_sent, [(one.company, one.stores) for one in found.unserved]) == ([], [("NONE", ["903"])])
    assert not found.complete
    assert looked(connection, policy=policy_of(), takers=[*takers, taker("rest", "journal")]).complete
    assert looked(connection, policy=policy_of()).complete, "a hub without an ERP"


def test_the_command_names_the_erp_and_its_stores(
    check: Callable[..., tuple[int, str]], database_url: str, tmp_path: Path
) -> None:
    load(database_url, *masters(*(store(str(number)) for number in range(901, 908)), store("101")))
    erp = f'[erp]\nkind = "file"\n[erp.settings]\nfolder = "{tmp_path}"\n'
    ended, told = check(erp)
    assert (ended, "everything has an account" in told) == (0, True), told
    ended, told = check(erp + '[[posting.stores]]\nstores = "9*"\nmode = "invoice"\n')
    assert ended == 1
    assert "never sent invoices of ACME (stores 901, 902, 903, 904, 905 and 2 more): ERP erp (file) takes none" in told


def test_the_command_names_a_company_that_no_erp_serves(
    check: Callable[..., tuple[int, str]], database_url: str, tmp_path: Path
) -> None:
    load(database_url, *masters(store("101"), store("102", company="OTHER")))
    erp = f'[[erps]]\nname = "west"\nkind = "file"\ncompanies = ["ACME"]\n[erps.settings]\nfolder = "{tmp_path}"\n'
    ended, told = check(erp)
    assert ended == 1
    assert "never sent no ERP serves OTHER (stores 102): add it to an ERP's companies" in told
    assert "everything has an account" not in told
