"""Calls to one S/4HANA system: who we are, SOAP messages, and OData V2 read page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from tillwire.connectors.erp import CallWatch
from tillwire.connectors.erp_http import ErpHttp, Reply
from tillwire.connectors.erp_token import TokenKeeper, ask_for_token, basic
from tillwire.connectors.sap_s4hana.settings import SapSettings
from tillwire.connectors.sap_s4hana.soap import NotReadableError, fault_of, message_of, parse
from tillwire.errors import AuthenticationError, ContractChangedError, RejectedError

ODATA = "/sap/opu/odata/sap"
SYNCHRONOUS = "/sap/bc/srt/scs_ext/sap/journalentrycreaterequestconfi"
ASYNCHRONOUS = "/sap/bc/srt/scs_ext/sap/journalentrybulkcreationreques"
ACTIONS = {
    SYNCHRONOUS: "http://sap.com/xi/SAPSCORE/SFIN/JournalEntryCreateRequestConfirmation_In/"
    "JournalEntryCreateRequestConfirmation_InRequest",
    ASYNCHRONOUS: "http://sap.com/xi/SAPSCORE/SFIN/JournalEntryBulkCreationRequest_In/"
    "JournalEntryBulkCreationRequest_InRequest",
}

Row = dict[str, Any]


class SapClient:
    """One system. Blocking; for one thread at a time."""

    def __init__(self, settings: SapSettings) -> None:
        self.settings = settings
        self._tokens = TokenKeeper(self._new_token)
        self._http = ErpHttp(
            settings.url,
            authorize=self._authorize,
            renew=self._tokens.forget,
            timeout_s=settings.timeout_s,
            connect_timeout_s=settings.connect_timeout_s,
        )

    def watched_by(self, watch: CallWatch) -> None:
        """Tell ``watch`` of every call from now on."""
        self._http.watch = watch

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    # ---- who we are

    def _authorize(self) -> Mapping[str, str]:
        if not self.settings.token_url:
            return {"Authorization": basic(self.settings.username, self.settings.password)}
        return self._tokens.headers()

    def _new_token(self) -> tuple[str, float]:
        client = (self.settings.client_id, self.settings.client_secret)
        return ask_for_token(self._http, self.settings.token_url, {}, client=client)

    # ---- SOAP

    def send(self, path: str, body: bytes, *, message_uuid: str = "") -> Reply:
        """Post a SOAP message; the answer whatever it says, faults of the sender included.

        Raises ``RejectedError`` for a fault by which SAP says that the message itself is wrong,
        ``ContractChangedError`` where the service is not there, ``AuthenticationError``, and what ``ErpHttp`` raises.
        ``message_uuid`` makes SAP take the message once however often the network delivers it.
        """
        params = {**({"MessageId": message_uuid} if message_uuid else {}), **self._mandant()}
        reply = self._http.request(
            "POST",
            path,
            writes=True,
            content=body,
            params=params,
            headers={
                "Content-Type": "text/xml; charset=utf-8",
                "Accept": "text/xml",
                "SOAPAction": f'"{ACTIONS[path]}"',
            },
            read_by_caller=lambda reply: _sender_fault(reply) is not None,
        )
        fault = _sender_fault(reply)
        if fault is not None:
            raise RejectedError(fault)
        _check(reply, reply.text()[:300])
        return reply

    def _mandant(self) -> dict[str, str]:
        return {"sap-client": self.settings.sap_client} if self.settings.sap_client else {}

    # ---- OData

    def rows(self, service: str, entity_set: str, **options: str) -> Iterator[Row]:
        """The entities that match, in pages; ``options`` are OData's without their ``$``.

        Raises ``ContractChangedError`` with SAP's words, ``AuthenticationError``, and what ``ErpHttp`` raises.
        """
        skip = 0
        while True:
            asked = {f"${name}": value for name, value in options.items() if value}
            asked |= {"$format": "json", "$top": str(self.settings.page_rows), "$skip": str(skip), **self._mandant()}
            url = f"{ODATA}/{service}/{entity_set}?{urlencode(asked, safe='$,', quote_via=quote)}"
            page = self._page(url)
            yield from page
            skip += len(page)
            if len(page) < self.settings.page_rows:
                return

    def _page(self, url: str) -> list[Row]:
        reply = self._http.request("GET", url, writes=False, headers={"Accept": "application/json"})
        if reply.status >= 400:
            _check(reply, _odata_words(reply))
        told = reply.json()
        results = told.get("d", {}).get("results") if isinstance(told, dict) else None
        if not isinstance(results, list):
            raise reply.unreadable("no d.results")
        return results


def _sender_fault(reply: Reply) -> str | None:
    """The words of a SOAP fault that blames the message; none for anything else."""
    if reply.status < 400 or b"Fault" not in reply.body:
        return None
    try:
        fault = fault_of(message_of(parse(reply.body)))
    except NotReadableError:
        return None
    if fault is None or fault[0] not in ("Client", "Sender"):
        return None
    return fault[1] or "SAP refuses the message without saying why"


def _check(reply: Reply, words: str) -> None:
    """Raises for a 4xx, none of which is about one document: a right or a service is missing, or ours is not theirs."""
    told = f"{reply.where} answered {reply.status}: {words}"
    if reply.status == 403:
        raise AuthenticationError(f"{told}. The communication user lacks a right for it")
    if reply.status >= 400:
        raise ContractChangedError(f"{told}. See whether the service is active, and to the settings")


def _odata_words(reply: Reply) -> str:
    """SAP's message in an OData error, or the answer as it is where it has another form."""
    try:
        error = reply.json()["error"]
        return f"{error['message']['value']} [{error['code']}]"
    except (KeyError, TypeError, ContractChangedError):  # of a gateway before SAP's: no JSON, or another
        return reply.text()[:300]
