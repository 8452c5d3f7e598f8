# Copyright (C) the Tillwire authors. Licence: GPL-3.0-or-later, see the file LICENSE.
"""Stock moves. A document of the hub is several moves, which share its reference and have a number each."""

from trytond.model import Unique, fields
from trytond.pool import PoolMeta
from trytond.pyson import Eval
from trytond.rpc import RPC
from trytond.transaction import without_check_access


class Move(metaclass=PoolMeta):
    """A stock move with the reference of the hub's document, the number of its line and the hub's reason for it."""

    __name__ = "stock.move"

    hub_reference = fields.Char(
        "Hub Reference",
        states={"readonly": Eval("state") != "draft"},
        help="The reference under which a retail hub entered the move.",
    )
    hub_line = fields.Integer(
        "Hub Line",
        states={"readonly": Eval("state") != "draft", "required": Eval("hub_reference", None) != None},  # noqa: E711
        help="The number of the line in the hub's document, from 1.",
    )
    hub_reason = fields.Char(
        "Hub Reason",
        states={"readonly": Eval("state") != "draft"},
        help="Why the hub moved the goods, such as sale, shrink or count.",
    )

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append(
            (
                "hub_reference_unique",
                Unique(table, table.company, table.hub_reference, table.hub_line),
                "hub_reference.msg_hub_reference_unique",
            )
        )

        cls.__rpc__["hub_do"] = RPC(readonly=False, instantiate=0, fresh_session=True)

    @classmethod
    def hub_do(cls, moves):
        """Assign moves and do them, in one transaction, whatever is on hand: the goods have moved already."""
        with without_check_access():
            # Only the system may assign. Who may not do moves is refused below, and nothing is assigned then.
            cls.assign([move for move in moves if move.state == "draft" and move.assignation_required])
        cls.do(moves)

    @classmethod
    def copy(cls, moves, default=None):
        """A copy is not the hub's."""
        default = {} if default is None else default.copy()
        for name in ("hub_reference", "hub_line", "hub_reason"):
            default.setdefault(name, None)
        return super().copy(moves, default=default)
