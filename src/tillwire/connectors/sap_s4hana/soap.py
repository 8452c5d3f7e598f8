"""SOAP envelopes: how they are written, and how XML from outside is read without trusting it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError, XMLParser
from xml.sax.saxutils import escape, quoteattr

SFIN = "http://sap.com/xi/SAPSCORE/SFIN"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
ENVELOPE_12 = "http://www.w3.org/2003/05/soap-envelope"

MOST_BYTES = 32 * 1024 * 1024

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NotReadableError(ValueError):
    """The bytes are no XML that we read."""


def parse(body: bytes) -> Element:
    """The root element. Raises ``NotReadableError``.

    A document type declaration is refused whatever it declares: without one there are no entities to expand or fetch.
    Bytes are UTF-8 whatever their declaration says, so that no other encoding hides one.
    """
    if len(body) > MOST_BYTES:
        raise NotReadableError(f"more than {MOST_BYTES} bytes of XML")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotReadableError(f"it is not in UTF-8: {error}") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise NotReadableError("it declares a document type, which is not read")
    parser = XMLParser(encoding="utf-8")
    try:
        parser.feed(text)
        root: Element = parser.close()
    except ParseError as error:
        raise NotReadableError(f"it is no well-formed XML: {error}") from error
    return root


def bare(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """The children of that name, whatever their namespace: SAP qualifies the message's root alone."""
    return (child for child in element if bare(child) == name)


def child(element: Element, *path: str) -> Element | None:
    """The first child of that name, and of that in it."""
    found: Element | None = element
    for name in path:
        found = next(children(found, name), None) if found is not None else None
    return found


def text_of(element: Element, *path: str) -> str:
    """The text of a descendant by its path, without blanks around it; empty where there is none."""
    found = child(element, *path)
    return (found.text or "").strip() if found is not None else ""


def message_of(root: Element) -> Element:
    """The one element in an envelope's body. Raises ``NotReadableError`` if the root is no envelope with one."""
    body = child(root, "Body")
    if root.tag not in (f"{{{ENVELOPE}}}Envelope", f"{{{ENVELOPE_12}}}Envelope") or body is None or len(body) != 1:
        raise NotReadableError("it is no SOAP envelope with one message in its body")
    return body[0]


def fault_of(message: Element) -> tuple[str, str] | None:
    """Code and words of a SOAP fault; none for any other message."""
    if bare(message) != "Fault":
        return None
    code = text_of(message, "faultcode") or text_of(message, "Code", "Value")
    words = text_of(message, "faultstring") or text_of(message, "Reason", "Text")
    return code.rpartition(":")[2], words


def envelope(message: str) -> bytes:
    """A SOAP 1.1 envelope around a message of the namespace ``sfin``."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{ENVELOPE}" xmlns:sfin="{SFIN}">'
        f"<soapenv:Header/><soapenv:Body>{message}</soapenv:Body></soapenv:Envelope>"
    ).encode()


def tag(name: str, content: str, **attributes: str) -> str:
    """An element with text. Characters that XML has no place for become blanks."""
    told = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{name}{told}>{escape(_NOT_XML.sub(' ', content))}</{name}>"


def optional(name: str, content: str) -> str:
    """An element with text; nothing at all where there is none."""
    return tag(name, content) if content else ""
