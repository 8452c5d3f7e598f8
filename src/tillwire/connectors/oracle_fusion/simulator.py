"""A simulated Oracle Fusion pod: erpintegrations with its jobs, journal batches, and OAuth tokens.

Written from Oracle's public REST documentation (11.13.18.05) and the JournalImportTemplate of FBDI, as of 25C; how
Journal Import treats groups and refused rows is told from what others saw of a real pod.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tillwire import clock
from tillwire.connectors.erp_token import basic
from tillwire.connectors.oracle_fusion.client import BASE, BATCHES, ERP, MEDIA
from tillwire.connectors.oracle_fusion.simulator_batches import SimulatedBatch, WrongQueryError, answer_batches
from tillwire.connectors.oracle_fusion.simulator_files import InterfaceRow, WrongFileError, rows_of
from tillwire.connectors.oracle_fusion.simulator_import import Job, imported, zipped
from tillwire.connectors.simulated_books import BookLine, SimulatedBooks
from tillwire.connectors.simulation import Answer, ErpSimulator, Faults, Request, json_answer

TOKEN = "/oauth2/v1/token"
IMPORT_JOB = "/oracle/apps/ess/financials/generalLedger/programs/common,JournalImportLauncher"
AUTOPOST = ("/oracle/apps/ess/financials/generalLedger/programs/common/", "AutomaticPosting")


class OracleFusionSimulator(ErpSimulator):
    """One ledger. A job is worked off at the first call that comes ``lag_s`` after it, or when told to (``work``)."""

    name = "oracle_fusion"
    contract = "Oracle Fusion Cloud Financials REST 11.13.18.05, FBDI 25C"
    company = "SIM"
    account_codes = ("11010", "41000", "22600")
    unknown_account = "99999"
    dimensions: Mapping[str, str] = {"store": "101"}
    ledger_id = "300000046975971"
    source = "Tillwire"
    criteria_set = "300000099999999"
    segment_values: Mapping[int, tuple[str, ...]] = {}
    """The values that there are, by the segment's place from 0; those of other segments are any."""

    def __init__(
        self,
        *,
        port: int = 0,
        faults: Faults | None = None,
        limit_per_min: int | None = None,
        limit_at_once: int | None = None,
        lag_s: float = 0.0,
    ) -> None:
        super().__init__(port=port, faults=faults, limit_per_min=limit_per_min, limit_at_once=limit_at_once)
        self.lag_s = lag_s
        self.books = SimulatedBooks(self.account_codes, unique_references=False, prefix="JE", first_number=1)
        """What is posted; batches that are not are in ``batches``."""
        self.batches: dict[int, SimulatedBatch] = {}
        self.interface: list[InterfaceRow] = []
        """Rows that wait in GL_INTERFACE."""
        self.refuse_posting: dict[str, str] = {}
        """By the first word of a batch's name: what AutoPost says of it instead of posting it."""
        self.locked: set[int] = set()
        """Batches that cannot be deleted."""
        self.jobs: dict[str, Job] = {}
        self._waiting: deque[tuple[float, str]] = deque()
        self._tokens: set[str] = set()
        self._numbers = 10_000_000
        self._token_number = 0
        self._batch_number = 0

    # ---- what each ERP says for itself

    def settings(self) -> dict[str, Any]:
        """The settings with which the connector reaches it: OAuth, one ledger, segments company, store and account."""
        return {
            "url": self.url,
            "token_url": self.url + TOKEN,
            "client_id": "tillwire",
            "client_secret": "simulated-secret",
            "ledgers": {
                self.company: {"ledger_id": self.ledger_id, "currency": self.currency, "values": {"company": "01"}}
            },
            "segments": ["company", "store", "account"],
            "segment_defaults": {"store": "000"},
            "autopost_criteria_set_id": self.criteria_set,
        }

    def wrong_credentials(self) -> dict[str, Any]:
        """Settings with another secret."""
        return {**self.settings(), "client_secret": "wrong"}

    def expire(self) -> None:
        """All tokens run out."""
        self._tokens.clear()

    def writes(self, request: Request) -> bool:
        """Operations of erpintegrations, and deletions."""
        return request.method in ("POST", "DELETE") and request.path.startswith(BASE)

    def copy(self, reference: str) -> None:
        """As an accountant does who copies a posted batch with its name, and posts the copy."""
        from_ = next(batch for batch in self.batches.values() if batch.reference == reference and batch.status == "P")
        self.post_batch(self.add_batch(from_.rows, "copied"))

    # ---- one call

    def handle(self, request: Request) -> Answer:
        """Oracle's answer."""
        self._work_off(clock.monotonic_s() - self.lag_s)
        if request.path == TOKEN:
            return self._give_token(request)
        if not self._known(request.headers.get("authorization", "")):
            return Answer(401, b"Unauthorized", {"WWW-Authenticate": 'Bearer realm="Fusion"'})
        if request.path == ERP:
            return self._operation(request) if request.method == "POST" else self._finder(request)
        if request.path.startswith(BATCHES):
            try:
                return answer_batches(self.batches, self.locked, request)
            except WrongQueryError as error:
                return _refusal(error.status, str(error))
        return _refusal(404, "Not Found")

    def _give_token(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if form.get("grant_type") != "client_credentials" or "scope" not in form:
            return json_answer({"error": "invalid_request"}, 400)
        if request.headers.get("authorization") != basic("tillwire", "simulated-secret"):
            return json_answer({"error": "invalid_client"}, 401)
        self._token_number += 1
        token = f"token-{self._token_number}"
        self._tokens.add(token)
        return json_answer({"access_token": token, "token_type": "Bearer", "expires_in": 3_600})

    def _known(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        return (scheme == "Bearer" and token in self._tokens) or authorization == basic("tillwire", "simulated")

    def _operation(self, request: Request) -> Answer:
        if request.headers.get("content-type", "").split(";")[0] not in (MEDIA, "application/json"):
            return _refusal(415, f"Unsupported Media Type: {request.headers.get('content-type')}")
        try:
            told = msgspec.json.decode(request.body, type=dict[str, str])
        except msgspec.DecodeError as error:
            return _refusal(400, f"Malformed payload: {error}")
        match told.pop("OperationName", ""):
            case "importBulkData":
                return self._import(told)
            case "submitESSJobRequest":
                return self._submit(told)
            case other:
                return _refusal(400, f"The value {other} of attribute OperationName isn't valid")

    def _import(self, told: dict[str, str]) -> Answer:
        known = {"DocumentContent", "ContentType", "FileName", "DocumentAccount", "JobName", "ParameterList"}
        optional = {"CallbackURL", "NotificationCode", "JobOptions", "DocumentId"}
        if set(told) - known - optional or known - set(told):
            return _refusal(400, f"Attributes missing or unknown: {sorted((set(told) - optional) ^ known)}")
        if told["JobName"] != IMPORT_JOB or told["DocumentAccount"] != "fin$/journal$/import$":
            return json_answer({"ReqstId": "-1", **told}, 201)
        if told["ContentType"] != "zip" or not told["FileName"].endswith(".zip"):
            return _refusal(400, "ContentType must be zip")
        parameters = told["ParameterList"].split(",")
        if len(parameters) != 7 or parameters[1] != self.source or parameters[2] != self.ledger_id:
            return _refusal(400, f"ParameterList {told['ParameterList']} isn't valid for JournalImportLauncher")
        try:
            archive = base64.b64decode(told["DocumentContent"], validate=True)
        except ValueError as error:
            return _refusal(400, f"DocumentContent isn't in base64: {error}")
        return self._started(Job("import", parameters[3], archive, told.get("JobOptions", "")), told)

    def _submit(self, told: dict[str, str]) -> Answer:
        if (told.get("JobPackageName"), told.get("JobDefName")) != AUTOPOST:
            return json_answer({"ReqstId": "-1", **told}, 201)
        if told.get("ESSParameters") != self.criteria_set:
            return _refusal(400, f"AutoPost criteria set {told.get('ESSParameters')} doesn't exist")
        return self._started(Job("autopost"), told)

    def _started(self, job: Job, told: dict[str, str]) -> Answer:
        self._numbers += 10
        number = str(self._numbers)
        self.jobs[number] = job
        self._waiting.append((clock.monotonic_s(), number))
        return json_answer({**told, "DocumentContent": None, "ReqstId": number}, 201)

    def _finder(self, request: Request) -> Answer:
        name, _, rest = request.query.get("finder", "").partition(";")
        told = dict(part.split("=", 1) for part in rest.split(",") if "=" in part)
        number = told.get("requestId", "")
        job = self.jobs.get(number[:-1] + "0" if number else "")
        if job is None or set(request.query) - {"finder", "onlyData"}:
            return _refusal(404, f"Request {number} doesn't exist")
        match name:
            case "ESSJobStatusRF":
                item: dict[str, Any] = {"ReqstId": number, "RequestStatus": job.status_of(number)}
            case "ESSExecutionDetailsRF":
                item = {"ReqstId": number, "RequestStatus": msgspec.json.encode(job.tree(number)).decode()}
            case "ESSJobExecutionDetailsRF" if told.get("fileType") == "ALL":
                item = {"ReqstId": number, "DocumentContent": base64.b64encode(zipped(job.files)).decode()}
            case _:
                return _refusal(400, f"Finder {name} isn't valid")
        return json_answer({"items": [item], "count": 1, "hasMore": False, "limit": 25, "offset": 0})

    # ---- working off

    def work(self) -> None:
        """Work off every job that waits."""
        with self._lock:
            self._work_off(clock.monotonic_s())

    def _work_off(self, taken_before: float) -> None:
        while self._waiting and self._waiting[0][0] <= taken_before:
            _, number = self._waiting.popleft()
            job = self.jobs[number]
            if job.kind == "autopost":
                for batch_id in [key for key, batch in self.batches.items() if batch.status == "U"]:
                    self.post_batch(batch_id)
                job.finish("SUCCEEDED")
            else:
                self._run_import(number, job)

    def _run_import(self, number: str, job: Job) -> None:
        try:
            self.interface += rows_of(job.archive, self.ledger_id, self.source, len(self.settings()["segments"]))
        except WrongFileError as error:
            job.files["load.log"] = f"Load Interface File for Import: {error}\n"
            job.finish("ERROR", failed="1")
            return
        taken = [row for row in self.interface if job.group in ("ALL", row.group)]
        self.interface = [row for row in self.interface if job.group not in ("ALL", row.group)]
        good, bad = imported(taken, self.books, self.segment_values)
        for rows in good:
            self.add_batch(rows, number)
        if bad:
            job.files["GlInterface_Error.csv"] = bad
            if "PurgeOption=Y" not in job.options:
                refused = {line.split(",")[2] for line in bad.splitlines()[1:] if line.count(",") >= 6}
                self.interface += [row for row in taken if row.group in refused]
        job.finish("SUCCEEDED", failed="2" if bad else "", failed_as="WARNING")

    def add_batch(self, rows: list[InterfaceRow], number: str) -> int:
        """A batch of these rows that is not posted; its number."""
        self._batch_number += 1
        batch_id = 2_000_000 + self._batch_number
        name = f"{rows[0].name} {self.source} A {rows[0].group} {number}2 N"
        self.batches[batch_id] = SimulatedBatch(batch_id, name, rows)
        return batch_id

    def post_batch(self, batch_id: int) -> None:
        """Post a batch, or leave it with an error."""
        batch = self.batches[batch_id]
        trouble = self.refuse_posting.get(rows_name := batch.rows[0].name)
        if trouble:
            batch.status, batch.trouble = "A", trouble
            return
        lines = [
            BookLine(row.account, row.debit - row.credit, row.text, {"combination": "-".join(row.segments)})
            for row in batch.rows
        ]
        total = sum((line.amount for line in lines), Decimal(0))
        assert not total, f"{rows_name} is out of balance by {total}: Journal Import lets nothing like that pass"
        first = batch.rows[0]
        self.books.book(batch.reference, first.on, first.currency, lines, company=self.ledger_id)
        batch.status = "P"


def _refusal(status: int, words: str) -> Answer:
    return json_answer({"title": "Bad Request", "status": str(status), "detail": words, "o:errorDetails": []}, status)
