"""Flat files: CSV, fixed width and JSON Lines, by a mapping in configuration."""

from __future__ import annotations

from tillwire.connectors.flatfile.connector import FlatfileConnector
from tillwire.connectors.flatfile.example_list import EXAMPLES
from tillwire.connectors.flatfile.settings import Flatfile
from tillwire.connectors.spec import Spec

SPEC = Spec(
    name="flatfile",
    title="Flat files: CSV, fixed width, JSON Lines",
    about="Rows of a file become canonical events by a mapping in configuration: which column is which field, in which"
    " format, with which constants and lookups; one transaction over many rows; counts and totals of header and"
    " trailer records held.",
    contract="RFC 4180 (CSV) as it is really written; JSON Lines (jsonlines.org); the mapping is the contract",
    roles=("file", "message"),
    settings=Flatfile,
    make=FlatfileConnector,
    media_types=("text/csv", "application/jsonl", "text/plain"),
    examples=EXAMPLES,
)
