"""The tables that SuiteQL sees in the simulated NetSuite: SQLite in memory, asked as NetSuite would be."""

from __future__ import annotations

import re
import sqlite3
from calendar import monthrange
from collections.abc import Iterable
from datetime import date
from typing import Any

_SCHEMA = """
CREATE TABLE account (id INTEGER PRIMARY KEY, acctnumber TEXT UNIQUE, accountsearchdisplaynamecopy TEXT,
    accttype TEXT DEFAULT 'Bank', isinactive TEXT DEFAULT 'F', issummary TEXT DEFAULT 'F',
    includechildren TEXT DEFAULT 'T', subsidiary TEXT DEFAULT '1', lastmodifieddate TEXT DEFAULT '2020-01-01');
CREATE TABLE accountingperiod (id INTEGER PRIMARY KEY, periodname TEXT, startdate TEXT, enddate TEXT,
    closed TEXT DEFAULT 'F', alllocked TEXT DEFAULT 'F', isyear TEXT DEFAULT 'F', isquarter TEXT DEFAULT 'F',
    isposting TEXT DEFAULT 'T', isadjust TEXT DEFAULT 'F', isinactive TEXT DEFAULT 'F',
    lastmodifieddate TEXT DEFAULT '2020-01-01');
CREATE TABLE currency (id INTEGER PRIMARY KEY, symbol TEXT, name TEXT, currencyprecision INTEGER,
    isinactive TEXT DEFAULT 'F');
CREATE TABLE subsidiary (id INTEGER PRIMARY KEY, name TEXT, parent INTEGER);
CREATE TABLE location (id INTEGER PRIMARY KEY, name TEXT, externalid TEXT UNIQUE, isinactive TEXT DEFAULT 'F');
CREATE TABLE department (id INTEGER PRIMARY KEY, name TEXT, externalid TEXT UNIQUE, isinactive TEXT DEFAULT 'F');
CREATE TABLE classification (id INTEGER PRIMARY KEY, name TEXT, externalid TEXT UNIQUE, isinactive TEXT DEFAULT 'F');
CREATE TABLE item (id INTEGER PRIMARY KEY, itemid TEXT, displayname TEXT, itemtype TEXT DEFAULT 'InvtPart',
    isinactive TEXT DEFAULT 'F', upccode TEXT, class TEXT, stockunit TEXT, lastmodifieddate TEXT DEFAULT '2020-01-01');
CREATE TABLE "transaction" (id INTEGER PRIMARY KEY, externalid TEXT UNIQUE, tranid TEXT, trandate TEXT, type TEXT,
    posting TEXT, approvalstatus TEXT, postingperiod INTEGER, currency INTEGER, memo TEXT);
CREATE TABLE transactionline ("transaction" INTEGER, id INTEGER, foreignamount TEXT, memo TEXT, location INTEGER,
    department INTEGER, class INTEGER, subsidiary INTEGER, item INTEGER, quantity TEXT,
    PRIMARY KEY ("transaction", id));
CREATE TABLE transactionaccountingline ("transaction" INTEGER, transactionline INTEGER, accountingbook INTEGER,
    account INTEGER, posting TEXT, PRIMARY KEY ("transaction", transactionline, accountingbook));
"""
_CURRENCIES = {"USD": 2, "EUR": 2, "GBP": 2, "CAD": 2, "CHF": 2, "MXN": 2, "SEK": 2, "CZK": 2, "JPY": 0, "KWD": 3}
_YEARS = range(2015, 2036)
_MOST_IN_A_LIST = 1_000

_TOKEN = re.compile(r"'(?:[^']|'')*'|[A-Za-z_][A-Za-z_0-9]*|\S|\s+")
_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_LIST = re.compile(r"\(([^()]*)\)")


class SuiteQlError(Exception):
    """The query is none that SuiteQL takes."""


class Tables:
    """What SuiteQL sees. Values come as NetSuite gives them: all text, without those that are null."""

    def __init__(self, subsidiaries: Iterable[tuple[int, str]]) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.create_function("TO_CHAR", 2, _to_char, deterministic=True)
        self._db.create_function("BUILTIN_DF", 1, lambda value: value, deterministic=True)
        self._db.executescript(_SCHEMA)
        for symbol, digits in _CURRENCIES.items():
            self.insert("currency", symbol=symbol, name=symbol, currencyprecision=digits)
        for number, name in subsidiaries:
            self.insert("subsidiary", id=number, name=name)
        for year in _YEARS:
            self.insert("accountingperiod", periodname=f"FY {year}", startdate=f"{year}-01-01",
                        enddate=f"{year}-12-31", isyear="T")  # fmt: skip
            for month in range(1, 13):
                last = date(year, month, monthrange(year, month)[1])
                self.insert("accountingperiod", periodname=last.strftime("%b %Y"), startdate=f"{last:%Y-%m}-01",
                            enddate=last.isoformat())  # fmt: skip

    def insert(self, table: str, **values: Any) -> int:
        """A row more; its id."""
        columns = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        done = self._db.execute(f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', tuple(values.values()))
        return int(done.lastrowid or 0)

    def update(self, table: str, row_id: int, **values: Any) -> None:
        """Change a row."""
        changes = ", ".join(f'"{name}" = ?' for name in values)
        self._db.execute(f'UPDATE "{table}" SET {changes} WHERE id = ?', (*values.values(), row_id))

    def rows(self, table: str, **wanted: Any) -> list[dict[str, Any]]:
        """The rows with these values."""
        conditions = " AND ".join(f'"{name}" = ?' for name in wanted) or "1 = 1"
        asked = self._db.execute(f'SELECT * FROM "{table}" WHERE {conditions}', tuple(wanted.values()))
        names = [column[0] for column in asked.description]
        return [dict(zip(names, row, strict=True)) for row in asked]

    def close_periods(self, closed: Iterable[tuple[date, date]]) -> None:
        """Mark as closed every month that one of these ranges covers wholly."""
        self._db.execute("UPDATE accountingperiod SET closed = 'F'")
        for first, last in closed:
            self._db.execute(
                "UPDATE accountingperiod SET closed = 'T' WHERE startdate >= ? AND enddate <= ?",
                (first.isoformat(), last.isoformat()),
            )

    def keep_accounts(self, numbers: Iterable[str] | None, query: str) -> None:
        """Have the accounts that the books have; with none told, whatever a query names is there."""
        if numbers is None:
            _, _, named = query.partition("acctnumber IN (")
            wanted = {text.replace("''", "'") for text in _LITERAL.findall(named)}
        else:
            wanted = set(numbers)
            marks = ", ".join("?" * len(wanted))
            self._db.execute(f"UPDATE account SET isinactive = 'T' WHERE acctnumber NOT IN ({marks})", tuple(wanted))
        for number in wanted:
            self._db.execute(
                "INSERT INTO account (acctnumber, accountsearchdisplaynamecopy) VALUES (?, ?) "
                "ON CONFLICT (acctnumber) DO UPDATE SET isinactive = 'F'",
                (number, f"Account {number}"),
            )

    def ask(self, query: str) -> list[dict[str, str]]:
        """The rows of a query. Raises ``SuiteQlError``."""
        if not re.match(r"\s*SELECT\b", query, re.IGNORECASE) or ";" in _LITERAL.sub("", query):
            raise SuiteQlError("Invalid search query. SuiteQL supports SELECT only.")
        for listed in _LIST.findall(_LITERAL.sub("x", query)):
            if listed.count(",") >= _MOST_IN_A_LIST:
                raise SuiteQlError("Invalid search query. An expression list has at most 1000 items.")
        try:
            asked = self._db.execute(_sqlite(query))
            names = [column[0].lower() for column in asked.description]
            return [_shown(dict(zip(names, row, strict=True))) for row in asked]
        except sqlite3.Error as cause:
            raise SuiteQlError(f"Invalid search query. Detailed unprocessed description follows. {cause}") from cause


def _to_char(value: str | None, form: str) -> str | None:
    if form != "YYYY-MM-DD":
        raise ValueError(f"TO_CHAR: no format {form}")
    return value


def _sqlite(query: str) -> str:
    """The query as SQLite takes it: ``transaction`` is a word of its own there."""
    made = "".join('"transaction"' if word.lower() == "transaction" else word for word in _TOKEN.findall(query))
    return made.replace("BUILTIN.DF(", "BUILTIN_DF(")


def _shown(row: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in row.items() if value is not None}
