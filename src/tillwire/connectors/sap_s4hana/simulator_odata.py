"""OData V2 as SAP Gateway answers it, for the entity sets that the connector reads: strict about what a query names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from tillwire.connectors.sap_s4hana.client import ODATA
from tillwire.connectors.simulated_books import BookedDocument
from tillwire.connectors.simulation import Request

if TYPE_CHECKING:
    from tillwire.connectors.sap_s4hana.simulator import SapSimulator

CUBE = (
    *("CompanyCode", "FiscalYear", "AccountingDocument", "AccountingDocumentItem", "DocumentReferenceID"),
    *("PostingDate", "DocumentDate", "AccountingDocumentType", "AccountingDocumentHeaderText"),
    *("Reference1InDocumentHeader", "Reference2InDocumentHeader", "IsReversal", "IsReversed", "IsNegativePosting"),
    *("GLAccount", "DebitCreditCode", "AmountInTransactionCurrency", "TransactionCurrency", "DocumentItemText"),
    *("CostCenter", "ProfitCenter", "Segment", "FunctionalArea", "OrderID"),
)
_ACCOUNT = ("ChartOfAccounts", "GLAccount", "AccountIsMarkedForDeletion", "AccountIsBlockedForPosting")
_PRODUCT = ("Product", "ProductGroup", "BaseUnit", "ProductStandardID", "IsMarkedForDeletion", "LastChangeDateTime")
SETS: dict[str, tuple[str, ...]] = {
    "API_OPLACCTGDOCITEMCUBE_SRV/A_OperationalAcctgDocItemCube": CUBE,
    "API_JOURNALENTRYITEMBASIC_SRV/A_GLAccountInChartOfAccounts": (*_ACCOUNT, "LastChangeDateTime"),
    "API_GLACCOUNTINCHARTOFACCOUNTS_SRV/A_GLAccountText": ("ChartOfAccounts", "GLAccount", "Language", "GLAccountName"),
    "API_PRODUCT_SRV/A_Product": _PRODUCT,
    "API_PRODUCT_SRV/A_ProductDescription": ("Product", "Language", "ProductDescription"),
}
"""By service and entity set, its properties."""
_OPTIONS = {"$filter", "$select", "$orderby", "$top", "$skip", "$format", "sap-client"}
MOST_URL = 8_000


class WrongQueryError(ValueError):
    """The query cannot be answered; becomes an OData error."""

    def __init__(self, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.status = status


Row = dict[str, Any]


def answer_query(simulator: SapSimulator, request: Request) -> list[Row]:
    """The rows. Raises ``WrongQueryError``."""
    name = request.path.removeprefix(ODATA + "/")
    if name not in SETS:
        raise WrongQueryError(f"Resource not found for segment '{name}'", 404)
    query = request.query
    if sum(len(key) + len(value) for key, value in query.items()) > MOST_URL:
        raise WrongQueryError("URI too long", 414)
    unknown = set(query) - _OPTIONS
    if unknown or query.get("$format") != "json":
        raise WrongQueryError(f"Invalid query options {sorted(unknown)}, $format {query.get('$format')}")
    known = SETS[name]
    selected = query.get("$select", ",".join(known)).split(",")
    ordered = [part for part in query.get("$orderby", "").split(",") if part]
    for named in (*selected, *ordered):
        if named not in known:
            raise WrongQueryError(f"Property {named} not found in type {name}Type")
    keep = _Filter(query.get("$filter", ""), known).condition()
    rows = [row for row in _ROWS[name](simulator, query.get("$filter", "")) if keep(row)]
    rows.sort(key=lambda row: [str(row[named]) for named in ordered])
    skip, top = int(query.get("$skip", "0")), int(query.get("$top", "1000000"))
    return [_told(row, selected) for row in rows[skip : skip + top]]


def _told(row: Row, selected: list[str]) -> Row:
    return {named: _json(row[named]) for named in selected}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"/Date({int(value.timestamp() * 1000)}+0000)/"
    if isinstance(value, date):
        return f"/Date({int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp() * 1000)})/"
    return value


class _Filter:
    """``and``, ``or``, ``eq``, ``ge``, parentheses, strings and instants; ``and`` binds closer."""

    TOKEN = re.compile(r"\s*(\(|\)|datetimeoffset'[^']*'|'(?:[^']|'')*'|[A-Za-z_][A-Za-z0-9_]*|true|false)")

    def __init__(self, told: str, known: tuple[str, ...]) -> None:
        self._known = known
        self._tokens: list[str] = []
        place = 0
        while place < len(told.rstrip()):
            found = self.TOKEN.match(told, place)
            if found is None:
                raise WrongQueryError(f"Invalid token at position {place} of $filter")
            self._tokens.append(found[1])
            place = found.end()

    def condition(self) -> Callable[[Row], bool]:
        """What the whole says."""
        if not self._tokens:
            return lambda _: True
        whole = self._any()
        if self._tokens:
            raise WrongQueryError(f"Unexpected {self._tokens[0]} in $filter")
        return whole

    def _next(self, *expected: str) -> str:
        if not self._tokens or (expected and self._tokens[0] not in expected):
            raise WrongQueryError(f"{expected} expected in $filter")
        return self._tokens.pop(0)

    def _any(self) -> Callable[[Row], bool]:
        parts = [self._all()]
        while self._tokens[:1] == ["or"]:
            self._next("or")
            parts.append(self._all())
        return lambda row: any(part(row) for part in parts)

    def _all(self) -> Callable[[Row], bool]:
        parts = [self._one()]
        while self._tokens[:1] == ["and"]:
            self._next("and")
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self) -> Callable[[Row], bool]:
        if self._tokens[:1] == ["("]:
            self._next("(")
            inner = self._any()
            self._next(")")
            return inner
        name = self._next()
        if name not in self._known:
            raise WrongQueryError(f"Property {name} not found")
        operator = self._next("eq", "ge")
        value = _literal(self._next())
        if operator == "eq":
            return lambda row: bool(row[name] == value)
        return lambda row: bool(row[name] >= value)


def _literal(token: str) -> Any:
    if token.startswith("datetimeoffset'"):
        try:
            return datetime.fromisoformat(token[15:-1])
        except ValueError as error:
            raise WrongQueryError(f"Invalid literal {token}") from error
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    raise WrongQueryError(f"Invalid literal {token}")


_ALWAYS = datetime(2020, 1, 1, tzinfo=UTC)


_REFERENCED = re.compile(r"DocumentReferenceID eq '((?:[^']|'')*)'")


def _asked_for(simulator: SapSimulator, told: str) -> Iterable[BookedDocument]:
    """The documents that can match: where the references are one of the conditions that all must hold, only theirs."""
    if " and (DocumentReferenceID eq " not in told:
        return simulator.books.documents.values()
    references = dict.fromkeys(found.replace("''", "'") for found in _REFERENCED.findall(told))
    return [document for reference in references for document in simulator.books.under(reference)]


def _cube(simulator: SapSimulator, told: str) -> Iterator[Row]:
    reversals = set()
    for document in _asked_for(simulator, told):
        reversed_ = document.number in simulator.reversed
        header: Row = {
            "CompanyCode": document.company,
            "FiscalYear": str(document.on.year),
            "AccountingDocument": document.number,
            "DocumentReferenceID": document.reference,
            "PostingDate": document.on,
            "DocumentDate": date.fromisoformat(document.extra["DocumentDate"]),
            "AccountingDocumentType": document.extra["AccountingDocumentType"],
            "AccountingDocumentHeaderText": document.extra.get("DocumentHeaderText", ""),
            "Reference1InDocumentHeader": document.extra.get("Reference1InDocumentHeader", ""),
            "Reference2InDocumentHeader": document.extra.get("Reference2InDocumentHeader", ""),
            "IsReversal": reversed_ and document.reference in reversals,
            "IsReversed": reversed_ and document.reference not in reversals,
            "TransactionCurrency": document.currency,
            "IsNegativePosting": False,
        }
        if reversed_:
            reversals.add(document.reference)
        for number, line in enumerate(document.lines, start=1):
            yield {
                **header,
                "AccountingDocumentItem": f"{number:03d}",
                "GLAccount": line.account,
                "DebitCreditCode": "S" if line.amount > 0 else "H",
                "AmountInTransactionCurrency": f"{line.amount:f}",
                "DocumentItemText": line.description,
                **{
                    field: line.dimensions.get(field, "")
                    for field in ("CostCenter", "ProfitCenter", "Segment", "FunctionalArea", "OrderID")
                },
            }


def _accounts(simulator: SapSimulator, _: str) -> Iterator[Row]:
    for account in sorted(simulator.books.accounts or ()):
        yield {
            "ChartOfAccounts": simulator.chart,
            "GLAccount": account,
            "AccountIsMarkedForDeletion": False,
            "AccountIsBlockedForPosting": False,
            "LastChangeDateTime": _ALWAYS,
        }


def _account_texts(simulator: SapSimulator, _: str) -> Iterator[Row]:
    for account in sorted(simulator.books.accounts or ()):
        yield {
            "ChartOfAccounts": simulator.chart,
            "GLAccount": account,
            "Language": "EN",
            "GLAccountName": f"Account {account}",
        }


def _products(simulator: SapSimulator, _: str) -> Iterator[Row]:
    for number, product in simulator.products.items():
        yield {
            "Product": number,
            "ProductGroup": product.get("ProductGroup", ""),
            "BaseUnit": product.get("BaseUnit", "EA"),
            "ProductStandardID": product.get("ProductStandardID", ""),
            "IsMarkedForDeletion": product.get("IsMarkedForDeletion") == "X",
            "LastChangeDateTime": _ALWAYS,
        }


def _product_texts(simulator: SapSimulator, _: str) -> Iterator[Row]:
    for number, product in simulator.products.items():
        yield {"Product": number, "Language": "EN", "ProductDescription": product.get("ProductDescription", "")}


_ROWS: dict[str, Callable[[SapSimulator, str], Iterator[Row]]] = dict(
    zip(SETS, (_cube, _accounts, _account_texts, _products, _product_texts), strict=True)
)
