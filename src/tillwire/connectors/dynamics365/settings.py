"""What the connector of Dynamics 365 Finance must be told: which environment, as whom, and what is what there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from tillwire.connectors.spec import Secret, checked_url
from tillwire.errors import ConfigurationError

ACCOUNT = "account"
"""The segment that the account itself takes."""


class Dynamics365Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One environment of Dynamics 365 Finance."""

    url: str
    """The environment, such as ``https://acme.operations.dynamics.com``."""
    tenant: Annotated[str, Meta(min_length=1)]
    """The directory (tenant) id in Microsoft Entra."""
    client_id: Annotated[str, Meta(min_length=1)]
    """Of the app registration, which is also entered in Finance at "Microsoft Entra applications"."""
    client_secret: Secret
    login_url: str = "https://login.microsoftonline.com"
    legal_entities: Annotated[Mapping[str, Annotated[str, Meta(min_length=1, max_length=4)]], Meta(min_length=1)]
    """Legal entity (``dataAreaId``) by the hub's company."""
    journal_name: Annotated[str, Meta(min_length=1, max_length=10)]
    """The journal name, of type Daily, that journals are made by. Vouchers are numbered when they are posted."""
    data_project: Annotated[str, Meta(min_length=1, max_length=60)] = "Tillwire"
    """The data project (definition group) that packages are imported by."""
    segments: Annotated[tuple[str, ...], Meta(min_length=1)] = (ACCOUNT,)
    """The parts of a ledger account in the order of Finance's dimension format for data entities: ``account`` and the
    hub's dimensions, such as ``["account", "store", "department"]``. A dimension that is not named is not sent."""
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = "-"
    """Between the parts, as Finance's format has it."""
    dimension_values: Mapping[str, Mapping[str, str]] = {}
    """Finance's value by the hub's, by dimension; a value that is not named goes as it is."""
    chart_of_accounts: str = ""
    """Pull the accounts of this chart only; empty: of all."""
    import_patience_s: Annotated[int, Meta(ge=0)] = 1_800
    """An import whose call got no reply, and which Finance does not know so long after, has never arrived."""
    timeout_s: Annotated[float, Meta(gt=0)] = 120.0
    connect_timeout_s: Annotated[float, Meta(gt=0)] = 5.0

    def __post_init__(self) -> None:
        checked_url(self.url, "url")
        checked_url(self.login_url, "login_url")
        if ACCOUNT not in self.segments or len(set(self.segments)) < len(self.segments):
            raise ConfigurationError(f"segments: {ACCOUNT!r} must be among them, and each only once")
        if unnamed := sorted(set(self.dimension_values) - set(self.segments)):
            raise ConfigurationError(f"dimension_values: segments has no {', '.join(unnamed)}")
        if len({entity.lower() for entity in self.legal_entities.values()}) < len(self.legal_entities):
            raise ConfigurationError("legal_entities: two companies have the same legal entity")

    def __repr__(self) -> str:
        # The generated one would carry the secret into logs and tracebacks.
        return f"Dynamics365Settings(url={self.url!r}, legal_entities={dict(self.legal_entities)!r})"
