"""Calls to one Oracle Fusion pod: who we are, the resource erpintegrations with its jobs, and collections in pages."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

import jwt
import msgspec

from tillwire import clock
from tillwire.connectors.erp import CallWatch
from tillwire.connectors.erp_http import ErpHttp, Reply
from tillwire.connectors.erp_token import TokenKeeper, ask_for_token, basic
from tillwire.connectors.oracle_fusion.settings import OracleFusionSettings
from tillwire.errors import AuthenticationError, ConfigurationError, ContractChangedError, RejectedError

BASE = "/fscmRestApi/resources/11.13.18.05"
ERP = f"{BASE}/erpintegrations"
BATCHES = f"{BASE}/journalBatches"
MEDIA = "application/vnd.oracle.adf.resourceitem+json"
FRAMEWORK = "4"
"""The version of Oracle's REST framework whose queries (``or`` in ``q``) are used."""

Row = dict[str, Any]

_JWT_S = 300


class OracleFusionClient:
    """One pod. Blocking; for one thread at a time."""

    def __init__(self, settings: OracleFusionSettings) -> None:
        self.settings = settings
        self._tokens = TokenKeeper(self._new_token)
        self._http = ErpHttp(
            settings.url,
            authorize=self._authorize,
            renew=self._tokens.forget,
            timeout_s=settings.timeout_s,
            connect_timeout_s=settings.connect_timeout_s,
            headers={"REST-Framework-Version": FRAMEWORK},
        )

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        self._http.watch = watch

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    # ---- who we are

    def _authorize(self) -> Mapping[str, str]:
        if not (self.settings.token_url or self.settings.jwt_issuer):
            return {"Authorization": basic(self.settings.username, self.settings.password)}
        return self._tokens.headers()

    def _new_token(self) -> tuple[str, float]:
        if not self.settings.token_url:
            return self._signed()
        client = (self.settings.client_id, self.settings.client_secret)
        return ask_for_token(self._http, self.settings.token_url, {"scope": self.settings.scope}, client=client)

    def _signed(self) -> tuple[str, float]:
        """A token of our own, for the user of the settings."""
        now = clock.now()
        claims = {
            "iss": self.settings.jwt_issuer,
            "sub": self.settings.username,
            "prn": self.settings.username,
            "iat": now,
            "exp": now + timedelta(seconds=_JWT_S),
        }
        try:
            token = jwt.encode(
                claims, self.settings.jwt_private_key, "RS256", headers={"x5t": self.settings.jwt_thumbprint}
            )
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            raise ConfigurationError(f"jwt_private_key: it cannot sign a token: {error}") from error
        return token, _JWT_S

    # ---- jobs

    def import_file(self, archive: bytes, file_name: str, parameters: str) -> str:
        """Load a zip and import it; the number of the job.

        Raises ``ContractChangedError`` with Oracle's words where it refuses the operation, which is never about one
        journal, ``AuthenticationError``, and what ``ErpHttp`` raises.
        """
        return self._submit(
            {
                "OperationName": "importBulkData",
                "DocumentContent": base64.b64encode(archive).decode(),
                "ContentType": "zip",
                "FileName": file_name,
                "DocumentAccount": self.settings.document_account,
                "JobName": self.settings.job_name,
                "ParameterList": parameters,
                "CallbackURL": "#NULL",
                "NotificationCode": "10",
                "JobOptions": self.settings.job_options,
            }
        )

    def run_autopost(self) -> str:
        """Have AutoPost run with the criteria set of the settings; the number of the job."""
        return self._submit(
            {
                "OperationName": "submitESSJobRequest",
                "JobPackageName": "/oracle/apps/ess/financials/generalLedger/programs/common/",
                "JobDefName": "AutomaticPosting",
                "ESSParameters": self.settings.autopost_criteria_set_id,
            }
        )

    def _submit(self, operation: Mapping[str, str]) -> str:
        reply = self._http.request(
            "POST",
            ERP,
            writes=True,
            content=msgspec.json.encode(operation),
            headers={"Content-Type": MEDIA, "Accept": "application/json"},
        )
        _check(reply)
        told = reply.json()
        number = str(told.get("ReqstId")) if isinstance(told, dict) else ""
        if number == "-1":
            raise ContractChangedError(
                f"{operation['OperationName']} started no job (ReqstId -1): see to the user's rights, to job_name and "
                "to document_account"
            )
        if not number.isdigit():
            raise reply.unreadable("no ReqstId")
        return number

    def job_status(self, number: str) -> str:
        """Of a job, in capitals, such as RUNNING or SUCCEEDED."""
        return str(self._finder(f"ESSJobStatusRF;requestId={number}").get("RequestStatus") or "").upper()

    def job_tree(self, number: str) -> Any:
        """A job with what it started: ``{"JOBS": {"REQUESTID", "JOBNAME", "STATUS", "CHILD": [...]}}``."""
        told = self._finder(f"ESSExecutionDetailsRF;requestId={number}").get("RequestStatus")
        try:
            return msgspec.json.decode(str(told))
        except msgspec.DecodeError as error:
            raise ContractChangedError(f"ESSExecutionDetailsRF of job {number} is no JSON: {error}") from error

    def job_files(self, number: str) -> bytes:
        """The zip of a job's logs and outputs; empty if there is none."""
        told = self._finder(f"ESSJobExecutionDetailsRF;requestId={number},fileType=ALL").get("DocumentContent")
        try:
            return base64.b64decode(str(told or ""), validate=True)
        except ValueError as error:
            raise ContractChangedError(f"the files of job {number} are not in base64: {error}") from error

    def _finder(self, finder: str) -> Row:
        url = f"{ERP}?{urlencode({'finder': finder, 'onlyData': 'true'}, safe=';=,', quote_via=quote)}"
        items = self._items(self._get(url))[0]
        if not items:
            raise ContractChangedError(f"{finder} finds nothing")
        return items[0]

    # ---- collections

    def rows(self, path: str, **options: str) -> Iterator[Row]:
        """The items of a collection, in pages. Raises ``ContractChangedError`` with Oracle's words,
        ``AuthenticationError``, and what ``ErpHttp`` raises."""
        offset = 0
        while True:
            asked = {**options, "limit": str(self.settings.page_rows), "offset": str(offset)}
            items, more = self._items(self._get(f"{path}?{urlencode(asked, safe=',', quote_via=quote)}"))
            yield from items
            offset += len(items)
            if not (more and items):
                return

    def delete(self, path: str) -> None:
        """Delete one item; one that is gone is deleted. Raises ``RejectedError`` in Oracle's words."""
        reply = self._http.request("DELETE", path, writes=True)
        if reply.status >= 400 and reply.status != 404:
            raise RejectedError(f"{reply.where} answered {reply.status}: {reply.text()[:500]}")

    def _get(self, url: str) -> Reply:
        reply = self._http.request("GET", url, writes=False, headers={"Accept": "application/json"})
        _check(reply)
        return reply

    def _items(self, reply: Reply) -> tuple[list[Row], bool]:
        told = reply.json()
        items = told.get("items") if isinstance(told, dict) else None
        if not isinstance(items, list):
            raise reply.unreadable("no items")
        return items, told.get("hasMore") is True


def _check(reply: Reply) -> None:
    """Raises for a 4xx with what Oracle says, in JSON or in plain text: a right is missing, or a setting is wrong."""
    if reply.status < 400:
        return
    words = f"{reply.where} answered {reply.status}: {reply.text()[:500]}"
    if reply.status == 403:
        raise AuthenticationError(f"{words}. The user lacks a right for it")
    raise ContractChangedError(f"{words}. See to the settings")
