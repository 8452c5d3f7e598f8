# Copyright (C) the Tillwire authors. Licence: GPL-3.0-or-later, see the file LICENSE.
"""Moves of the general ledger."""

from trytond.model import Unique, fields
from trytond.pool import PoolMeta
from trytond.pyson import Eval


class Move(metaclass=PoolMeta):
    """A move with the reference of the hub's journal."""

    __name__ = "account.move"

    hub_reference = fields.Char(
        "Hub Reference",
        states={"readonly": Eval("state") == "posted"},
        help="The reference under which a retail hub entered the move.",
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
    def copy(cls, moves, default=None):
        """A copy, such as one that cancels its original, is not the hub's."""
        default = {} if default is None else default.copy()
        default.setdefault("hub_reference", None)
        return super().copy(moves, default=default)
