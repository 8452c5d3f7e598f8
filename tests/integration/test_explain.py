"""``tillwire rules posting``: the rule book, and why each entry of a transaction is on its account."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from builders import DAY, changed, day_close, line, masters, sale, store, tender, till_close, transaction
from driving import accept, load, record, scalar
from posting_kit import BOOK, BY_TRANSACTION, INVOICES, SUMMARY, book_of, build, policy_of

from tillwire.cli import main
from tillwire.cli.common import console
from tillwire.config import DEFAULT_ACCOUNTS, AccountRule
from tillwire.errors import TillwireError
from tillwire.intake.rules import Policy
from tillwire.posting.build import build_journals
from tillwire.posting.explain import Explained, explain

KEY = f"101/1/{DAY}/1"
ONE = sale(
    1,
    line("milk", "2", "2.20", taxes=[{"code": "STD", "amount": "0.40", "rate": "0.10", "jurisdiction": "NY"}]),
    line("bread", "1", "1.00", discount=("0.20", "promo")),
    tax_included=True,
    tenders=[tender("5.00", "card", acquirer="adyen"), tender("1.00"), tender("-0.80", change=True)],
)
BY_ACQUIRER = book_of(
    AccountRule(component="tender", acquirer="adyen", account="1021", name="cards by adyen"),
    AccountRule(component="tax", code="STD", rate=Decimal("0.10"), account="2201", dimensions={"tax": "{code} {rate} {jurisdiction}"}),
    *DEFAULT_ACCOUNTS,
    dimensions={"store": "{store}"},
)  # fmt: skip


def rules_of(one: Explained) -> dict[str, tuple[str, str]]:
    """Component and code -> rule and account in force."""
    return {f"{entry.component} {entry.code}": (entry.rule, entry.account) for entry in one.entries}


@pytest.mark.parametrize("mode", [SUMMARY, BY_TRANSACTION, INVOICES])
def test_every_entry_has_its_rule_and_its_journal(database_url: str, connection: psycopg.Connection, mode: str) -> None:
    load(database_url, *masters(), ONE, sale(2), day_close([ONE, sale(2)]))
    (before,) = explain(connection, KEY, BY_ACQUIRER, policy_of())
    assert [entry.journaled for entry in before.entries] == [[]] * len(before.entries)
    build(connection, mode, BY_ACQUIRER)
    (one,) = explain(connection, KEY, BY_ACQUIRER, policy_of())
    assert rules_of(one) == {
        "revenue dairy": ("3", "4000"),
        "revenue bakery": ("3", "4000"),
        "discount promo": ("4", "4900"),
        "tax STD;0.1;NY": ("2", "2201"),
        "tender card;;adyen": ("cards by adyen", "1021"),
        "tender cash": ("6", "1010"),
        "change cash": ("6", "1010"),
    }
    assert sum(entry.amount for entry in one.entries) == 0
    taxed = next(entry for entry in one.entries if entry.component == "tax")
    assert taxed.dimensions == {"store": "101", "tax": "STD 0.1 NY"}
    for entry in one.entries:
        (there,) = entry.journaled
        assert (there.rule, there.account, there.dimensions) == (entry.rule, entry.account, entry.dimensions)
        kind = scalar(connection, "SELECT kind FROM journal WHERE reference = %s", there.reference)
        paid = entry.component in ("tender", "change")
        assert kind == ("sales" if mode != INVOICES else "payments" if paid else "invoice")


def test_a_correction_after_the_book_has_changed(database_url: str, connection: psycopg.Connection) -> None:
    """What takes back goes where it went; the new version goes by the new book."""
    load(database_url, *masters(), ONE, day_close([ONE]))
    build(connection, SUMMARY, BOOK)
    load(database_url, changed(ONE, version=2))
    build(connection, SUMMARY, BY_ACQUIRER)
    first, back, second = explain(connection, KEY, BY_ACQUIRER, policy_of())
    assert [one.reversal for one in (first, back, second)] == [False, True, False]
    cards = [next(e for e in one.entries if e.code.startswith("card")) for one in (first, back, second)]
    assert [card.amount for card in cards] == [5, -5, 5]
    assert {(card.rule, card.account) for card in cards} == {("cards by adyen", "1021")}
    assert [(there.rule, there.account) for card in cards for there in card.journaled] == [
        ("6", "1020"), ("6", "1020"), ("cards by adyen", "1021"),
    ]  # fmt: skip
    versions = [there.rule_book for card in cards for there in card.journaled]
    assert versions[0] == versions[1] != versions[2]
    references = [there.reference for card in cards for there in card.journaled]
    assert len(set(references)) == 3
    assert "/reversal-" in references[1]


def test_what_journals_have_otherwise_than_the_ledger(database_url: str, connection: psycopg.Connection) -> None:
    """A rounding difference above its bound, and a gift card of another company."""
    foreign = sale(1, line("gc", "1", "50.00", kind="gift_card", reference="A"), store="102")
    off = sale(1, line("milk"), total="2.01", tenders=[tender("2.01", "gift_card", reference="A")])
    load(database_url, *masters(store("101"), store("102", company="OTHER")), foreign)
    accept(database_url, [off, day_close([off])])
    record(database_url, policy=Policy(total_tolerance_units=Decimal(1)))
    bounded = policy_of(rounding_most_units=Decimal(0))
    assert build_journals(connection, BOOK, bounded) == 2
    (one,) = explain(connection, KEY, BOOK, bounded)
    assert [(e.component, e.code, str(e.amount), e.account, [j.account for j in e.journaled]) for e in one.entries] == [
        ("revenue", "dairy", "-2.00", "4000", ["4000"]),
        ("tender", "gift_card", "2.01", "2300", []),  # the journal's entry of it comes to nothing
        ("suspense", "rounding", "-0.01", "1999", ["1999"]),
        ("tender", "gift_card", "-2.01", "2300", []),
        ("intercompany", "OTHER", "2.01", "1300", ["1300"]),
    ]


def test_till_closes_and_late_arrivals(database_url: str, connection: psycopg.Connection) -> None:
    closed = till_close([], "1", counts=[("cash", "10.00", "9.00")])
    load(database_url, *masters(), closed, day_close([]))
    build(connection)
    load(database_url, ONE)
    (till,) = explain(connection, f"101/1/{DAY}/till-close/1", BOOK, policy_of())
    assert (till.kind, rules_of(till)) == ("till", {"tender cash": ("4", "1010"), "over_short cash": ("11", "6910")})
    assert all(len(entry.journaled) == 1 for entry in till.entries)
    (late,) = explain(connection, KEY, BOOK, policy_of())
    assert late.business_date >= DAY
    assert len(late.entries) == 7


def test_keys_that_are_none_and_what_is_not_recorded(database_url: str, connection: psycopg.Connection) -> None:
    load(database_url, *masters(), transaction(3, "training", [line("milk")]))
    assert explain(connection, f"101/1/{DAY}/99", BOOK, policy_of()) == []
    (training,) = explain(connection, f"101/1/{DAY}/3", BOOK, policy_of())
    assert training.entries == []
    for key in ("101/1", f"101/1/{DAY}/x", "101/1/yesterday/1", f"101/1/{DAY}/1/2", ""):
        with pytest.raises(TillwireError, match="no key of a transaction"):
            explain(connection, key, BOOK, policy_of())


@pytest.fixture
def command(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs the whole command in a folder of its own, with this tillwire.toml; its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TILLWIRE_DATABASE_URL", database_url)
    monkeypatch.setattr(console, "_width", 400)

    def run(*words: str, toml: str = "") -> tuple[int, str]:
        (tmp_path / "tillwire.toml").write_text(toml)
        monkeypatch.setattr(sys, "argv", ["tillwire", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out + told.err

    return run


TOML = """
[posting]
dimensions = { store = "{store}" }
[[posting.accounts]]
component = "tender"
account = "1000"
name = "all tenders"
[[posting.accounts]]
component = "change"
code = "cash"
account = "1001"
effective_from = 2026-04-01
"""


def test_the_book_is_listed(command: Callable[..., tuple[int, str]]) -> None:
    ended, told = command("rules", "posting", toml=TOML)
    assert ended == 0
    for text in ("all tenders", "1000", "code = cash", "never reached: rule all tenders takes all that it would",
                 "2026-04-01", "suspense", "1999", "dimensions of every line: store {store}"):  # fmt: skip
        assert text in told
    ended, told = command("rules", "posting", "--json", toml=TOML)
    book = json.loads(told)
    assert [one["rule"] for one in book["rules"]] == ["all tenders", "2"]
    assert book["rules"][1]["conditions"] == {"code": "cash"}
    ended, told = command("rules", "--code", "tax_mismatch")
    assert ended == 0
    assert "tax_mismatch" in told
    ended, told = command("rules", "posting", "--version", "7")
    assert ended == 2
    assert "there is no version 7 of the rule book" in told


def test_a_transaction_is_explained(
    command: Callable[..., tuple[int, str]], database_url: str, connection: psycopg.Connection
) -> None:
    load(database_url, *masters(), ONE, day_close([ONE]))
    build(connection)
    connection.execute("UPDATE journal SET state = 'posted'")
    reference = scalar(connection, "SELECT reference FROM journal")
    version = scalar(connection, "SELECT rule_book FROM journal")
    ended, told = command("rules", "posting", "--explain", KEY)
    assert ended == 0
    assert told.count(f"{reference} (posted)") == 7
    assert "of version" not in told
    ended, told = command("rules", "posting", "--explain", KEY, toml=TOML)
    assert f"{reference} (posted) on 1010 by rule 4 of version {version}" in told
    assert "all tenders" in told
    assert "store 101" in told
    ended, told = command("rules", "posting", "--explain", KEY, "--version", str(version), toml=TOML)
    assert "all tenders" not in told
    ended, told = command("rules", "posting", "--version", str(version), toml=TOML)
    assert f"version {version} of the rule book" in told
    ended, told = command("rules", "posting", "--explain", KEY, "--json")
    found = json.loads(told)
    assert found["rule_book"] == version
    assert [entry["journaled"][0]["reference"] for entry in found["recorded"][0]["entries"]] == [reference] * 7
    ended, told = command("rules", "posting", "--explain", f"101/1/{DAY}/99")
    assert ended == 1
    assert "nothing is recorded" in told
