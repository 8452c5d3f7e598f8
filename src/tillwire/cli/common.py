"""What commands share: how they find the hub they speak to, and how they print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psycopg
from cyclopts import Parameter, validators
from rich.console import Console
from rich.text import Text

from tillwire import config
from tillwire.errors import ConfigurationError

console = Console(markup=False, emoji=False)
"""Prints words as they are: data may hold ``[…]`` and ``:…:``, which are no commands. Style by ``styled``."""
DATA = Path("data")

Most = Annotated[int, Parameter(help="Rows at the most.", validator=validators.Number(gte=1, lte=100_000))]
DataFolder = Annotated[Path, Parameter(help="Where a hub started by `tillwire up` keeps its data.")]


def styled(*parts: str | tuple[str, str]) -> Text:
    """A text of parts, each as it is or with its style; nothing in it is read as markup."""
    return Text.assemble(*parts)


def print_error(message: str) -> None:
    """One line to standard error, word for word."""
    errors = Console(stderr=True, markup=False, emoji=False)
    errors.print(styled(("error:", "red"), " ", message), highlight=False, soft_wrap=True)


def print_note(message: str) -> None:
    """One line to standard error, word for word: what was done, where standard output is for what it gave."""
    Console(stderr=True, markup=False, emoji=False).print(message, highlight=False, soft_wrap=True)


def settings_of(data: Path | None = None) -> config.Settings:
    """Settings for a command that speaks to a running hub: its own, if it was started on ``data``."""
    settings = config.load()
    if settings.database_url:
        return settings
    from tillwire.engines.supervisor import read_runtime

    runtime = read_runtime(data or DATA)
    if runtime is None:
        raise ConfigurationError(
            f"no hub runs on {data or DATA}: start one with `tillwire up --data {data or DATA}`, or set database_url"
        )
    written = (data or DATA) / "settings.json"
    return msgspec.json.decode(written.read_bytes(), type=config.Settings)


def connect(data: Path | None = None) -> psycopg.Connection:
    """A connection to the hub's database, in autocommit."""
    return psycopg.connect(settings_of(data).database_url, autocommit=True)


def print_json_line(content: Any) -> None:
    """Print anything as JSON on one line."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(content), indent=-1) + b"\n")


def print_json(content: Any) -> None:
    """Print anything as JSON, as it is and indented."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
