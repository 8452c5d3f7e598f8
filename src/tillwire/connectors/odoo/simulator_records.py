"""The records of a simulated Odoo: models with their fields, domains, and what ``search_read`` makes of them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Record = dict[str, Any]

FIELDS: Mapping[str, frozenset[str]] = {
    "res.company": frozenset({"id", "name", "currency_id", "user_fiscalyear_lock_date", "user_hard_lock_date"}),
    "account.journal": frozenset({"id", "name", "code", "type", "company_id"}),
    "account.account": frozenset({"id", "name", "code", "account_type", "deprecated", "write_date"}),
    "account.analytic.account": frozenset({"id", "name", "code"}),
    "res.currency": frozenset({"id", "name"}),
    "res.currency.rate": frozenset({"id", "name", "rate", "currency_id", "company_id"}),
    "account.tax": frozenset(
        {"id", "name", "description", "amount", "amount_type", "type_tax_use", "active", "write_date"}
    ),
    "product.product": frozenset(
        {"id", "name", "default_code", "categ_id", "uom_id", "barcode", "active", "write_date"}
    ),
    "account.move": frozenset(
        {"id", "name", "ref", "date", "state", "move_type", "company_id", "journal_id", "narration", "line_ids"}
    ),
    "account.move.line": frozenset(
        {
            "id",
            "move_id",
            "account_id",
            "name",
            "debit",
            "credit",
            "currency_id",
            "amount_currency",
            "analytic_distribution",
        }
    ),
}
"""Of every model the fields that may be named; Odoo has more, and refuses what it does not have."""


class OdooFault(Exception):
    """An exception of Odoo's own: its class by ``name``, and its words."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(words)
        self.name = name
        self.words = words


def user_error(words: str) -> OdooFault:
    """What Odoo tells the user."""
    return OdooFault("odoo.exceptions.UserError", words)


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
    ">": lambda left, right: left is not False and left > right,
    ">=": lambda left, right: left is not False and left >= right,
    "<": lambda left, right: left is not False and left < right,
    "<=": lambda left, right: left is not False and left <= right,
}


def check_fields(model: str, names: Iterable[str]) -> None:
    """Raises as Odoo does for a field that the model lacks."""
    for name in names:
        if name not in FIELDS[model]:
            raise OdooFault("builtins.ValueError", f"Invalid field '{name}' on model '{model}'")


def matching(model: str, records: Iterable[Record], domain: Any) -> list[Record]:
    """The records for which every leaf of a domain holds."""
    if not isinstance(domain, list):
        raise OdooFault("builtins.ValueError", f"Domain is not a list: {domain!r}")
    leaves = []
    for leaf in domain:
        if not isinstance(leaf, list) or len(leaf) != 3 or leaf[1] not in _OPERATORS:
            raise OdooFault("builtins.ValueError", f"Invalid leaf {leaf!r}")
        check_fields(model, [leaf[0]])
        if leaf[1] in ("in", "not in") and not isinstance(leaf[2], list):
            raise OdooFault("builtins.ValueError", f"Invalid leaf {leaf!r}: a list is expected")
        leaves.append(leaf)
    named = {leaf[0] for leaf in leaves}
    found = [one for one in records if "active" in named or one.get("active", True)]
    return [one for one in found if all(_OPERATORS[op](_plain(one[name]), value) for name, op, value in leaves)]


def _plain(value: Any) -> Any:
    """A reference is compared by its number."""
    return value[0] if isinstance(value, tuple) else value


def shown(model: str, records: Iterable[Record], fields: Sequence[str]) -> list[Record]:
    """The records with these fields, and their numbers."""
    check_fields(model, fields)
    return [{name: one[name] for name in {"id", *fields}} for one in records]


def ordered(records: list[Record], order: str, offset: int, limit: int | None) -> list[Record]:
    """A page in an order such as ``id asc``."""
    name, _, direction = (order or "id asc").partition(" ")
    in_order = sorted(records, key=lambda one: one[name], reverse=direction.strip().lower() == "desc")
    return in_order[offset:][: limit if limit else None]
