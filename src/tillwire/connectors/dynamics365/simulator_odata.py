"""OData's ``$filter`` as the simulated Finance takes it: eq and ne on text and enumerations, and, or, parentheses.

The sign ``*`` in a text stands for anything, as Finance has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from typing import Any

Condition = Callable[[Mapping[str, Any]], bool]
_TOKEN = re.compile(r"\s*('(?:[^']|'')*'|[A-Za-z_][\w.]*(?:'(?:[^']|'')*')?|[()])")


class FilterError(ValueError):
    """The filter is none that Finance takes."""


class Filter:
    """A parsed filter; ``texts`` has what each field is compared with."""

    def __init__(self, text: str, fields: frozenset[str]) -> None:
        self.texts: dict[str, list[str]] = {}
        self._fields = fields
        self._tokens = _tokens(text)
        self._at = 0
        self.matches: Condition = self._alternatives()
        if self._at < len(self._tokens):
            raise FilterError(f"Syntax error at {self._tokens[self._at]!r} in {text!r}.")

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise FilterError("Expression expected.")
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == word:
            self._at += 1
            return True
        return False

    def _alternatives(self) -> Condition:
        found = [self._all()]
        while self._takes("or"):
            found.append(self._all())
        return lambda row: any(one(row) for one in found)

    def _all(self) -> Condition:
        found = [self._one()]
        while self._takes("and"):
            found.append(self._one())
        return lambda row: all(one(row) for one in found)

    def _one(self) -> Condition:
        if self._takes("("):
            inner = self._alternatives()
            if not self._takes(")"):
                raise FilterError("')' expected.")
            return inner
        field, operator, literal = self._next(), self._next(), self._next()
        if field not in self._fields:
            raise FilterError(f"Could not find a property named '{field}'.")
        if operator not in ("eq", "ne") or "'" not in literal:
            raise FilterError(f"The operator '{operator}' with {literal} is not supported.")
        text = literal[literal.index("'") + 1 : -1].replace("''", "'")
        equal = operator == "eq"
        if equal:
            self.texts.setdefault(field, []).append(text)
        wanted = re.compile(translate(text.replace("[", "[[]").replace("?", "[?]")), re.IGNORECASE)
        return lambda row: bool(wanted.match(str(row.get(field, "")))) is equal


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise FilterError(f"Syntax error at position {at} in '{text}'.")
        tokens.append(found.group(1))
        at = found.end()
    return tokens
