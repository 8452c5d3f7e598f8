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


class CompanySetup(NamedTuple):
    """A further company in the same database, with years, chart and accounts like the first one's."""

    company: str
    currency: str
    currency_digits: int = 2


class ExchangeRate(NamedTuple):
    """``rate`` units of ``currency`` are worth as much as one of the currency whose rate is 1, from ``day`` on."""

    currency: str
    day: date
    rate: Decimal
    currency_digits: int = 2


class ErpSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What the books should hold when they are handed over. Part of the key under which a database is cached."""

    company: str = "Tillwire Retail"
    currency: str = "USD"
    """The currency of the company's books, an ISO 4217 code."""
    currency_digits: int = 2
    more_companies: tuple[CompanySetup, ...] = ()
    """Companies beside the first. The hub's user may enter all of them."""
    rates: tuple[ExchangeRate, ...] = ()
    """Exchange rates, as finance keeps them in the ERP."""
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
    currencies = _currencies(admin, setup)
    companies = []
    for wanted in (CompanySetup(setup.company, setup.currency), *setup.more_companies):
        company = _company(admin, wanted.company, currencies[wanted.currency])
        client.context = {"company": company}
        _chart(admin, company)
        for year in setup.years:
            _fiscal_year(admin, company, year, invoices="account_invoice" in setup.modules)
        _accounts(admin, company, setup.accounts)
        companies.append(company)
    client.context = {"company": companies[0]}
    admin.create(
        "account.journal",
        {"name": setup.journal_name, "code": setup.journal_code, "type": "general"},
    )
    _hub_user(admin, companies, setup, password)


def _currencies(admin: _Admin, setup: ErpSetup) -> dict[str, int]:
    """Every currency that is spoken of, by its code, with its rates."""
    digits = {rate.currency: rate.currency_digits for rate in setup.rates}
    digits |= {company.currency: company.currency_digits for company in setup.more_companies}
    digits[setup.currency] = setup.currency_digits
    values = [
        {"name": code, "code": code, "digits": places, "rounding": Decimal(1).scaleb(-places)}
        for code, places in digits.items()
    ]
    made = dict(zip(digits, admin.create("currency.currency", *values), strict=True))
    if setup.rates:
        rates = [{"currency": made[rate.currency], "date": rate.day, "rate": rate.rate} for rate in setup.rates]
        admin.create("currency.currency.rate", *rates)
    return made


def _company(admin: _Admin, name: str, currency: int) -> int:
    (party,) = admin.create("party.party", {"name": name})
    (company,) = admin.create("company.company", {"party": party, "currency": currency})
    groups = [
        admin.of_module("account", "group_account"),
        admin.of_module("account", "group_account_admin"),
    ]
    admin.call(
        "model.res.user.write",
        [admin.client.user_id],
        {"companies": [["add", [company]]], "company": company, "company_filter": "all", "groups": [["add", groups]]},
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


def _fiscal_year(admin: _Admin, company: int, year: int, *, invoices: bool) -> None:
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
    values: dict[str, Any] = {
        "name": str(year),
        "company": company,
        "start_date": date(year, 1, 1),
        "end_date": date(year, 12, 31),
        "move_sequence": sequence,
    }
    if invoices:
        values["invoice_sequences"] = [["create", [_invoice_sequences(admin, company, year)]]]
    (fiscal_year,) = admin.create("account.fiscalyear", values)
    admin.call("model.account.fiscalyear.create_period", [fiscal_year])


def _invoice_sequences(admin: _Admin, company: int, year: int) -> dict[str, int]:
    kind = admin.of_module("account_invoice", "sequence_type_account_invoice")
    fields = {"in_invoice": "SI", "in_credit_note": "SC", "out_invoice": "I", "out_credit_note": "C"}
    sequences = admin.create(
        "ir.sequence.strict",
        *(
            {"name": f"{field} {year}", "sequence_type": kind, "company": company, "prefix": f"{letters}{year}-"}
            for field, letters in fields.items()
        ),
    )
    named = {f"{field}_sequence": number for field, number in zip(fields, sequences, strict=True)}
    return {"company": company, **named}


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


def _hub_user(admin: _Admin, companies: list[int], setup: ErpSetup, password: str) -> None:
    groups = [admin.of_module("account", "group_account")]
    if "stock" in setup.modules:
        groups.append(admin.of_module("stock", "group_stock"))
    admin.create(
        "res.user",
        {
            "name": "Tillwire",
            "login": setup.username,
            "password": password,
            "companies": [["add", companies]],
            "company_filter": "all",
            "company": companies[0],
            "groups": [["add", groups]],
        },
    )
