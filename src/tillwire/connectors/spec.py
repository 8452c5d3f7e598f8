"""What a connector says of itself: its one registration, from which come lint, reference page and conformance tests.

A connector is one folder below ``connectors`` whose package has ``SPEC``. Nothing else needs to know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from tillwire.errors import ConfigurationError

Secret = Annotated[str, Meta(extra={"secret": True})]
"""The type of a setting that is never shown, and that belongs into the environment rather than into a file."""

Role = Literal["file", "message", "webhook", "pull", "erp"]
"""``file``: reads files of any size, record by record. ``message``: reads bodies sent by HTTP with an API key.
``webhook``: proves by a signature who sent a body. ``pull``: fetches from the other system. ``erp``: posts journals."""


class Example(Struct, frozen=True, kw_only=True):
    """A payload of the connector's own folder, for the conformance suite and for who reads the reference."""

    file: str
    """Its name below the folder ``examples`` of the connector."""
    about: str
    settings: Mapping[str, Any] = {}
    topic: str = ""
    codes: tuple[str, ...] = ()
    """The exceptions that it must raise; none: it is mapped whole."""


class Spec(Struct, frozen=True, kw_only=True):
    """One connector."""

    name: str
    title: str
    about: str
    contract: str
    """The public contract it is written from, with version or date."""
    roles: tuple[Role, ...]
    settings: type[Struct]
    """Frozen, keyword only, unknown fields forbidden; defaults wherever there is a sane one."""
    make: Callable[[Any], Any]
    """Makes the connector from its settings; touches nothing outside."""
    media_types: tuple[str, ...] = ()
    """Of bodies and files, the usual one first."""
    examples: tuple[Example, ...] = ()

    def configure(self, given: Mapping[str, Any], *, of: str) -> Any:
        """The connector with these settings. Raises ``ConfigurationError`` that names ``of`` and the setting."""
        try:
            settings = msgspec.convert(dict(given), self.settings, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{of}: {error}") from error
        try:
            return self.make(settings)
        except ConfigurationError as error:
            raise ConfigurationError(f"{of}: {error}") from error


def secrets_of(settings: type[Struct]) -> frozenset[str]:
    """The names of a settings struct's secrets."""
    named = msgspec.inspect.type_info(settings)
    assert isinstance(named, msgspec.inspect.StructType)
    return frozenset(
        field.name
        for field in named.fields
        if isinstance(field.type, msgspec.inspect.Metadata) and (field.type.extra or {}).get("secret")
    )
