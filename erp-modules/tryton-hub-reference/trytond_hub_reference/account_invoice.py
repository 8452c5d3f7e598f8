# Copyright (C) the Tillwire authors. Licence: GPL-3.0-or-later, see the file LICENSE.
"""Invoices and credit notes."""

from trytond.model import Unique, fields
from trytond.pool import PoolMeta
from trytond.pyson import Eval


class Invoice(metaclass=PoolMeta):
    """An invoice with the reference of the hub's."""

    __name__ = "account.invoice"

    hub_reference = fields.Char(
        "Hub Reference",
        states={"readonly": Eval("state") != "draft"},
        help="The reference under which a retail hub entered the invoice.",
    )

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append(
            (
                "hub_reference_unique",
                Unique(table, table.company, table.hub_reference),
                "hub_reference.msg_hub_reference_unique",
            )
        )

    @classmethod
    def copy(cls, invoices, default=None):
        """A copy, such as a credit note of its original, is not the hub's."""
        default = {} if default is None else default.copy()
        default.setdefault("hub_reference", None)
        return super().copy(invoices, default=default)
