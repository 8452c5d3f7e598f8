"""A simulated Dynamics 365 Finance: tokens of Microsoft Entra, OData, data management packages and their blobs.

Written from Microsoft's public pages on OData (batches: OData 4.0, part 1, 11.7), the data management package REST API,
and the General journal entity (10.0, 2024). Time passes by calls: an import runs when its status or the journals have
been asked for once, and the posting job posts what was there when it came by before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode
from uuid import uuid4

import msgspec

from tillwire import clock
from tillwire.connectors.dynamics365.simulator_batch import BatchError, answer_of, requests_of
from tillwire.connectors.dynamics365.simulator_books import (
    PackageError,
    SimulatedImport,
    SimulatedJournal,
    SimulatedJournals,
    keys_of,
)
from tillwire.connectors.dynamics365.simulator_odata import Filter, FilterError
from tillwire.connectors.simulated_books import SimulatedBooks
from tillwire.connectors.simulation import Answer, ErpSimulator, Request, json_answer

_ACTION = "/data/DataManagementDefinitionGroups/Microsoft.Dynamics.DataEntities."
_BLOBS = "/blob/dmf/"
_HEADER_FIELDS = frozenset({
    "dataAreaId", "JournalBatchNumber", "JournalName", "Description", "IsPosted", "PostingLayer", "JournalTotalDebit",
    "JournalTotalCredit",
})  # fmt: skip
_LINE_FIELDS = frozenset({
    "dataAreaId", "JournalBatchNumber", "LineNumber", "AccountType", "AccountDisplayValue", "DebitAmount",
    "CreditAmount", "CurrencyCode", "TransDate", "Text", "Voucher", "Document",
})  # fmt: skip
_ACCOUNT_FIELDS = frozenset({"MainAccountId", "Name", "MainAccountType", "IsSuspended", "ChartOfAccounts"})
_IMPORT = {"packageUrl": str, "definitionGroupId": str, "executionId": str, "execute": bool, "overwrite": bool,
           "legalEntityId": str}  # fmt: skip
_TOKEN_S = 3_599
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Dynamics365Simulator(ErpSimulator):
    """One environment with the legal entity SIM, the journal name GenJrn, and accounts with the dimension store."""

    name = "dynamics365"
    contract = "Dynamics 365 Finance 10.0: OData v4, data management package REST API, General journal entity"
    tenant, client_id, client_secret = "simulated-tenant", "simulated-client", "simulated-secret"
    project, journal_name, entity = "Tillwire", "GenJrn", "sim"

    def __init__(self, *, accounts: list[str] | None = None, page: int = 10_000, **given: Any) -> None:
        """``page``: rows of one page of OData."""
        super().__init__(**given)
        self.books = SimulatedBooks(accounts, unique_references=False)
        self.journals = SimulatedJournals(self.books, self.company, self.journal_name, ("account", "store"))
        self.may = True
        """Whether the user may open journals."""
        self._page = page
        self._tokens: dict[str, float] = {}
        self._blobs: dict[str, bytes] = {}
        self._signatures: dict[str, str] = {}

    def settings(self) -> dict[str, Any]:
        """The settings with which the connector reaches it. A call takes it milliseconds: an import that it does
        not know after a second has never arrived."""
        return {
            "url": self.url,
            "login_url": f"{self.url}/login",
            "tenant": self.tenant,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "legal_entities": {self.company: self.entity},
            "journal_name": self.journal_name,
            "data_project": self.project,
            "segments": ["account", "store"],
            "import_patience_s": 1,
        }

    def writes(self, request: Request) -> bool:
        """What opens, fills or deletes journals."""
        opens = request.path.startswith("/data/LedgerJournalHeaders") and request.method != "GET"
        return opens or request.path in (f"{_ACTION}ImportFromPackage", "/data/$batch")

    def expire(self) -> None:
        """All tokens run out."""
        self._tokens.clear()

    def throttled(self) -> Answer:
        """As service protection says it."""
        return _error(429, "Number of requests exceeded the limit.", {"Retry-After": str(self.faults.retry_after_s)})

    def copy(self, reference: str) -> None:
        """As an accountant does who copies a posted journal with its description, and posts the copy."""
        first = next(journal for journal in self.journals.by_key[reference] if journal.posted)
        twin = self.journals.open(first.entity, first.description)
        twin.lines = dict(first.lines)
        self.journals.run_posting()
        self.journals.run_posting()

    # ---- one call

    def handle(self, request: Request) -> Answer:
        """One call."""
        path = unquote(request.path)
        if path == f"/login/{self.tenant}/oauth2/v2.0/token":
            return self._token(request)
        if path.startswith(_BLOBS):
            return self._blob(request, path)
        known = self._tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "), 0.0)
        if clock.monotonic_s() >= known:
            return Answer(401, b"", {"WWW-Authenticate": "Bearer"})
        if path.startswith(_ACTION):
            return self._action(request, path.removeprefix(_ACTION))
        match request.method, path.partition("(")[0]:
            case "GET", "/data/LedgerJournalHeaders":
                self.journals.pass_time()
                rows = self._journals(request, _HEADER_FIELDS)
                return self._query(request, "LedgerJournalHeaders", _HEADER_FIELDS, (one.row() for one in rows))
            case "GET", "/data/LedgerJournalLines":
                rows = self._journals(request, _LINE_FIELDS)
                lines = (line for one in rows for line in one.line_rows())
                return self._query(request, "LedgerJournalLines", _LINE_FIELDS, lines)
            case "GET", "/data/MainAccounts":
                return self._query(request, "MainAccounts", _ACCOUNT_FIELDS, self._main_accounts())
            case "POST", "/data/LedgerJournalHeaders":
                return self._open(request)
            case "POST", "/data/$batch":
                return self._batch(request)
            case "DELETE", "/data/LedgerJournalHeaders":
                return self._delete(path)
        return _error(404, f"No HTTP resource was found that matches {request.method} {path}.")

    def _token(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if request.method != "POST" or _media_type(request) != "application/x-www-form-urlencoded":
            return json_answer({"error": "invalid_request"}, 400)
        if form.get("grant_type") != "client_credentials":
            return json_answer({"error": "unsupported_grant_type"}, 400)
        if form.get("scope") != f"{self.url}/.default":
            return json_answer({"error": "invalid_scope", "error_description": "AADSTS70011"}, 400)
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            return json_answer({"error": "invalid_client", "error_description": "AADSTS7000215"}, 401)
        token = uuid4().hex
        self._tokens[token] = clock.monotonic_s() + _TOKEN_S
        return json_answer({"token_type": "Bearer", "expires_in": _TOKEN_S, "access_token": token})

    def _blob(self, request: Request, path: str) -> Answer:
        name = path.removeprefix(_BLOBS)
        if request.method != "PUT" or self._signatures.get(name) != request.query.get("sig"):
            return Answer(403, b"AuthenticationFailed")
        if request.headers.get("x-ms-blob-type") != "BlockBlob":
            return Answer(400, b"MissingRequiredHeader: x-ms-blob-type")
        self._blobs[name] = request.body
        return Answer(201)

    # ---- OData

    def _journals(self, request: Request, fields: frozenset[str]) -> list[SimulatedJournal]:
        """What may match, by what is indexed."""
        try:
            asked = request.query.get("$filter")
            texts = Filter(asked, fields).texts if asked is not None else {}
        except FilterError:
            return []  # told where the filter is used
        if names := texts.get("Description"):
            keys = {name.partition("|")[0] for name in names}
            return [one for key in sorted(keys) for one in self.journals.by_key.get(key, ())]
        if numbers := texts.get("JournalBatchNumber"):
            places = [(self.entity, number) for number in sorted(set(numbers))]
            return [self.journals.by_number[place] for place in places if place in self.journals.by_number]
        return list(self.journals.by_number.values())

    def _main_accounts(self) -> Iterable[dict[str, Any]]:
        for code in sorted(self.books.accounts or ()):
            yield {"MainAccountId": code, "Name": f"Account {code}", "MainAccountType": "Revenue", "IsSuspended": "No",
                   "ChartOfAccounts": "Shared"}  # fmt: skip

    def _query(
        self, request: Request, entity_set: str, fields: frozenset[str], rows: Iterable[Mapping[str, Any]]
    ) -> Answer:
        query = request.query
        unknown = set(query) - {"$filter", "$select", "$skip", "$top", "cross-company"}
        selected = query.get("$select", ",".join(sorted(fields))).split(",")
        if unknown or not set(selected) <= fields:
            return _error(400, f"The query is not valid: {sorted(unknown | (set(selected) - fields))}.")
        try:
            wanted = Filter(query["$filter"], fields).matches if "$filter" in query else None
        except FilterError as wrong:
            return _error(400, f"The query specified in the URI is not valid. {wrong}")
        found = [row for row in rows if wanted is None or wanted(row)]
        if query.get("cross-company") != "true" and entity_set != "MainAccounts":
            found = []  # the application's user has another default company
        skip = int(query.get("$skip", "0"))
        page = [{name: row[name] for name in selected} for row in found[skip : skip + self._page]]
        content: dict[str, Any] = {"@odata.context": f"{self.url}/data/$metadata#{entity_set}", "value": page}
        if skip + self._page < len(found):
            following = urlencode({**query, "$skip": str(skip + self._page)})
            content["@odata.nextLink"] = f"{self.url}/data/{entity_set}?{following}"
        return Answer(200, _encode(content), {"Content-Type": "application/json; odata.metadata=minimal"})

    def _open(self, request: Request) -> Answer:
        content = _content(request)
        if content is None:
            return _error(400, "The request body is not valid JSON, or its Content-Type is not application/json.")
        if unknown := sorted(set(content) - _HEADER_FIELDS):
            return _error(400, f"The property '{unknown[0]}' does not exist on type 'LedgerJournalHeader'.")
        if any(not isinstance(value, str) for value in content.values()):
            return _error(400, "Cannot convert a value to the expected type 'Edm.String'.")
        if not self.may:
            return _error(403, "Access denied to the table LedgerJournalTable.")
        if content.get("dataAreaId", "").lower() != self.entity:
            return _refused(f"Company {content.get('dataAreaId')} does not exist.")
        if content.get("JournalName") != self.journal_name:
            return _refused(
                f"The value '{content.get('JournalName')}' in field 'Name' is not found in 'Journal names'."
            )
        if len(content.get("Description", "")) > 60:
            return _refused("The value of field 'Description' is longer than 60 characters.")
        if "JournalBatchNumber" in content or "IsPosted" in content:
            return _refused("Field 'Journal batch number' is numbered by its number sequence.")
        made = self.journals.open(self.entity, content.get("Description", ""))
        return Answer(201, _encode(made.row()), {"Content-Type": "application/json; odata.metadata=minimal"})

    def _batch(self, request: Request) -> Answer:
        """A change set of headers: what one of them breaks is not done for any."""
        try:
            wanted = requests_of(request)
        except BatchError as wrong:
            return _error(400, f"The batch request is not valid: {wrong}.")
        if other := [one.path for one in wanted if one.path != "/data/LedgerJournalHeaders"]:
            return _error(404, f"No HTTP resource was found that matches POST {other[0]}.")
        answers = [self._open(one) for one in wanted]
        if any(answer.status != 201 for answer in answers):
            for made in (msgspec.json.decode(answer.body) for answer in answers if answer.status == 201):
                self.journals.delete(self.journals.by_number[(self.entity, made["JournalBatchNumber"])])
        return answer_of(answers)

    def _delete(self, path: str) -> Answer:
        try:
            keys = keys_of(path)
            journal = self.journals.by_number[(keys["dataAreaId"].lower(), keys["JournalBatchNumber"])]
        except ValueError:
            return _error(400, "All keys must be given.")
        except KeyError:
            return _error(404, "No resources were found when selecting for delete.")
        try:
            self.journals.delete(journal)
        except ValueError as wrong:
            return _refused(str(wrong))
        return Answer(204)

    # ---- data management

    def _action(self, request: Request, name: str) -> Answer:
        content = _content(request)
        if request.method != "POST" or content is None:
            return _error(400, "An action is called by POST with a JSON body.")
        match name:
            case "GetAzureWriteUrl" if set(content) == {"uniqueFileName"}:
                return self._write_url(content["uniqueFileName"])
            case "ImportFromPackage" if set(content) == set(_IMPORT):
                return self._import(content)
            case "GetExecutionSummaryStatus" | "GetExecutionErrors" if set(content) == {"executionId"}:
                execution = self.journals.imports.get(content["executionId"])
                if execution is None:
                    return _error(400, f"Execution {content['executionId']}: its records were not found.")
                if name == "GetExecutionErrors":
                    return _value(msgspec.json.encode(execution.errors).decode())
                self.journals.pass_time()
                return _value(execution.status)
        return _error(400, f"The action {name} is not there with the parameters {sorted(content)}.")

    def _write_url(self, file: str) -> Answer:
        self._signatures[file] = uuid4().hex
        blob = {"BlobId": f"{{{uuid4()}}}", "BlobUrl": f"{self.url}{_BLOBS}{file}?sig={self._signatures[file]}"}
        return _value(msgspec.json.encode(blob).decode())

    def _import(self, content: dict[str, Any]) -> Answer:
        for name, kind in _IMPORT.items():
            if not isinstance(content[name], kind):
                return _error(400, f"Cannot convert the value of '{name}' to the expected type.")
        file = content["packageUrl"].partition("?")[0].rpartition("/")[2]
        if content["legalEntityId"].lower() != self.entity:
            return _refused(f"Legal entity {content['legalEntityId']} does not exist.")
        if content["definitionGroupId"] != self.project:
            return _refused(f"Data project {content['definitionGroupId']} does not exist.")
        if content["executionId"] in self.journals.imports:
            return _refused(f"Execution {content['executionId']} exists already.")
        made = SimulatedImport(entity=self.entity, project=self.project, package=self._blobs.get(file, b""))
        try:
            self.journals.start(content["executionId"], made)
        except PackageError as wrong:
            return _refused(str(wrong))
        return _value(content["executionId"])


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _content(request: Request) -> dict[str, Any] | None:
    if _media_type(request) != "application/json":
        return None
    try:
        content = msgspec.json.Decoder(float_hook=Decimal).decode(request.body)
    except msgspec.DecodeError:
        return None
    return content if isinstance(content, dict) else None


def _value(value: str) -> Answer:
    return json_answer({"@odata.context": "$metadata#Edm.String", "value": value})


def _error(status: int, words: str, headers: Mapping[str, str] | None = None) -> Answer:
    return json_answer({"error": {"code": "", "message": words}}, status, headers)


def _refused(infolog: str) -> Answer:
    inner = {"message": f"Write failed. Infolog: Warning: {infolog}", "type": "ODataException", "stacktrace": ""}
    return json_answer({"error": {"code": "", "message": "An error has occurred.", "innererror": inner}}, 400)
