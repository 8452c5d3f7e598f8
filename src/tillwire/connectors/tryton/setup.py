"""Books from nothing: turns an empty Tryton database into a company that can be posted to, by JSON-RPC alone."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec

from tillwire.connectors.tryton.client import TrytonClient
from tillwire.errors import EngineError, RejectedError

AccountKind = Literal["asset", "liability", "revenue", "expense"]


class ChartAccount(NamedTuple):
    """An account to add to the chart; a plain ``(code, name, kind)`` will do as well."""

    code: str
    name: str
    kind: AccountKind


class ErpSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What the books should hold when they are handed over. Part of the key under which a database is cached."""

    company: str = "Tillwire Retail"
    currency: str = "USD"
    """The currency of the company's books, an ISO 4217 code."""
    currency_digits: int = 2
    years: tuple[int, ...]
    """Calendar years to open, each a fiscal year of twelve monthly periods."""
    accounts: tuple[ChartAccount, ...] = ()
    """Accounts beside those of Tryton's universal chart."""
    journal_code: str = "POS"
    journal_name: str = "Retail sales"
    username: str = "tillwire"
    """The user the hub posts as; the administrator's name is ``admin``."""
    modules: tuple[str, ...] = ("account",)
    """Tryton modules to activate, beside what they depend on."""


_TYPES: dict[str, str] = {
    "asset": "account_type_template_cash_en",
    "liability": "account_type_template_current_liabilities_en",
    "revenue": "account_type_template_revenue_en",
    "expense": "account_type_template_sga_en",
}
"""The account types of the universal chart that our accounts are shown under, by kind."""


class _Admin:
    """Short forms of the calls that the set-up makes again and again."""

    def __init__(self, client: TrytonClient) -> None:
        self.call = client.call
        self.client = client

    def create(self, model: str, *values: dict[str, Any]) -> list[int]:
        ids: list[int] = self.call(f"model.{model}.create", list(values))
        return ids

    def one(self, model: str, domain: list[Any]) -> int:
        ids: list[int] = self.call(f"model.{model}.search", domain, 0, 2, None)
        if len(ids) != 1:
            raise EngineError(f"setting up the ERP: {len(ids)} records of {model} match {domain}, not one")
        return ids[0]

    def first(self, model: str, domain: list[Any], order: str) -> int:
        ids: list[int] = self.call(f"model.{model}.search", domain, 0, 1, [[order, "ASC"]])
        if not ids:
            raise EngineError(f"setting up the ERP: no record of {model} matches {domain}")
        return ids[0]

    def of_module(self, module: str, name: str) -> int:
        """The number of the record that ``module`` ships under ``name``."""
        try:
            record: int = self.call("model.ir.model.data.get_id", module, name)
        except RejectedError as missing:
            raise EngineError(
                f"setting up the ERP: module {module} does not bring {name!r}; is its version supported? {missing}"
            ) from missing
        return record


def set_up(client: TrytonClient, setup: ErpSetup, password: str) -> None:
    """Make company, chart, years, journal, accounts and the hub's user. ``client`` is the administrator's.

    Raises ``RejectedError`` if Tryton does not take an input, ``EngineError`` if its modules lack what is needed.
    """
    admin = _Admin(client)
    company = _company(admin, setup)
    client.context = {"company": company}
    _chart(admin, company)
    for year in setup.years:
        _fiscal_year(admin, company, year)
    _accounts(admin, company, setup.accounts)
    admin.create(
        "account.journal",
        {"name": setup.journal_name, "code": setup.journal_code, "type": "general"},
    )
    _hub_user(admin, company, setup, password)


def _company(admin: _Admin, setup: ErpSetup) -> int:
    (currency,) = admin.create(
        "currency.currency",
        {
            "name": setup.currency,
            "code": setup.currency,
            "digits": setup.currency_digits,
            "rounding": Decimal(1).scaleb(-setup.currency_digits),
        },
    )
    (party,) = admin.create("party.party", {"name": setup.company})
    (company,) = admin.create("company.company", {"party": party, "currency": currency})
    groups = [
        admin.of_module("account", "group_account"),
        admin.of_module("account", "group_account_admin"),
    ]
    admin.call(
        "model.res.user.write",
        [admin.client.user_id],
        {"companies": [["add", [company]]], "company": company, "groups": [["add", groups]]},
    )
    return company


def _chart(admin: _Admin, company: int) -> None:
    template = admin.of_module("account", "account_template_root_en")
    session, *_ = admin.call("wizard.account.create_chart.create")
    chart = {"account": {"company": company, "account_template": template}}
    admin.call("wizard.account.create_chart.execute", session, chart, "create_account")
    defaults = {"company": company}
    for role in ("receivable", "payable"):
        usable = [["party_required", "=", True], ["closed", "!=", True], ["company", "=", company]]
        defaults[f"account_{role}"] = admin.first("account.account", [[f"type.{role}", "=", True], *usable], "code")
    admin.call("wizard.account.create_chart.execute", session, {"properties": defaults}, "create_properties")
    admin.call("wizard.account.create_chart.delete", session)


def _fiscal_year(admin: _Admin, company: int, year: int) -> None:
    (sequence,) = admin.create(
        "ir.sequence.strict",
        {
            "name": f"Moves {year}",
            "sequence_type": admin.of_module("account", "sequence_type_account_move"),
            "company": company,
            "prefix": f"{year}-",
            "padding": 7,
        },
    )
    (fiscal_year,) = admin.create(
        "account.fiscalyear",
        {
            "name": str(year),
            "company": company,
            "start_date": date(year, 1, 1),
            "end_date": date(year, 12, 31),
            "move_sequence": sequence,
        },
    )
    admin.call("model.account.fiscalyear.create_period", [fiscal_year])


def _accounts(admin: _Admin, company: int, accounts: tuple[ChartAccount, ...]) -> None:
    if not accounts:
        return
    root = admin.one("account.account", [["parent", "=", None], ["company", "=", company]])
    types = {
        kind: admin.one(
            "account.account.type",
            [["template", "=", admin.of_module("account", name)], ["company", "=", company]],
        )
        for kind, name in _TYPES.items()
    }
    admin.create(
        "account.account",
        *(
            {"code": code, "name": name, "company": company, "parent": root, "type": types[kind]}
            for code, name, kind in accounts
        ),
    )


def _hub_user(admin: _Admin, company: int, setup: ErpSetup, password: str) -> None:
    admin.create(
        "res.user",
        {
            "name": "Tillwire",
            "login": setup.username,
            "password": password,
            "companies": [["add", [company]]],
            "company": company,
            "groups": [["add", [admin.of_module("account", "group_account")]]],
        },
    )
