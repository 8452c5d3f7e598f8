"""The generated reference: settings, commands' subjects, rules, accounts' components, and JSON Schemas of event types.

``tillwire docs`` writes it, ``tillwire docs --check`` fails where it is not what the code says.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from tillwire import config
from tillwire.exceptions.codes import CODES
from tillwire.faultpoints import FAULT_POINTS
from tillwire.intake.rules import NOTES
from tillwire.model.event import MESSAGES
from tillwire.model.schema import envelope_schema, message_schema
from tillwire.reference.connectors import connectors_page
from tillwire.reference.texts import MARK, default_text, field_texts, type_text
from tillwire.sales.entries import COMPONENTS

FOLDER = Path("docs/reference")


def pages() -> dict[str, str]:
    """Every generated file by its path below ``docs/reference``."""
    found = {
        "configuration.md": _configuration(),
        "rules.md": _rules(),
        "events.md": _events(),
        "connectors.md": connectors_page(),
    }
    for event_type in MESSAGES:
        found[f"schemas/{event_type}.json"] = _json(_whole_schema(event_type))
    return found


def write(root: Path) -> list[str]:
    """Write what has changed; returns the paths."""
    changed = stale(root)
    for name in changed:
        path = root / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages()[name], "utf-8")
    return changed


def stale(root: Path) -> list[str]:
    """Files that are missing or not what the code says."""
    return [
        name
        for name, text in pages().items()
        if not (root / FOLDER / name).is_file() or (root / FOLDER / name).read_text("utf-8") != text
    ]


def _json(content: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def _whole_schema(event_type: str) -> dict[str, Any]:
    document = message_schema(event_type)
    head = {key: document.pop(key) for key in ("$schema", "$id")}
    return {**head, **envelope_schema(event_type, {"$ref": document["$ref"]}), "$defs": document["$defs"]}


def _section(name: str, struct: type) -> str:
    texts = field_texts(struct)
    hints = get_type_hints(struct)
    rows = []
    for field in msgspec.structs.fields(struct):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            continue
        default = "required" if field.required else f"`{default_text(field)}`"
        variable = "TILLWIRE_" + (f"{name}_" if name else "").upper() + field.name.upper()
        kind = type_text(hints[field.name]).replace("|", "\\|")
        rows.append(f"| `{field.name}` | {kind} | {default} | `{variable}` | {texts.get(field.name, '')} |")
    title = f"[{name}]" if name else "Top level"
    head = "| name | type | default | environment | meaning |\n| --- | --- | --- | --- | --- |"
    return f"## {title}\n\n{inspect.getdoc(struct)}\n\n{head}\n" + "\n".join(rows) + "\n\n"


def _configuration() -> str:
    text = MARK + "# Configuration\n\n" + (inspect.getdoc(config) or "") + "\n\n"
    text += _section("", config.Settings)
    for field in msgspec.structs.fields(config.Settings):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            text += _section(field.name, field.type)
    text += "## [[posting.accounts]]\n\n" + (inspect.getdoc(config.AccountRule) or "") + "\n\nDefaults:\n\n"
    text += "| component | code | account |\n| --- | --- | --- |\n"
    for rule in config.DEFAULT_ACCOUNTS:
        text += f"| {rule.component} | {rule.code} | {rule.account} |\n"
    text += "\nComponents:\n\n| component | meaning |\n| --- | --- |\n"
    for component, meaning in COMPONENTS.items():
        text += f"| {component} | {meaning} |\n"
    return text + _connections()


def _connections() -> str:
    texts = field_texts(config.Connection)
    text = f"\n## [[connections]]\n\n{inspect.getdoc(config.Connection)}\n\n"
    text += "| name | default | meaning |\n| --- | --- | --- |\n"
    for field in msgspec.structs.fields(config.Connection):
        default = "required" if field.required else f"`{default_text(field)}`"
        text += f"| `{field.name}` | {default} | {texts.get(field.name, '')} |\n"
    return text + "\nSettings of connectors, of `[erp]` too: [connectors.md](connectors.md).\n"


def _rules() -> str:
    text = MARK + "# Codes of business exceptions\n\n| code | meaning | default owner |\n| --- | --- | --- |\n"
    for code in CODES.values():
        text += f"| `{code.code}` | {code.meaning} | {code.owner} |\n"
    text += "\n# Let through, counted\n\n| note | meaning |\n| --- | --- |\n"
    for name, meaning in NOTES.items():
        text += f"| `{name}` | {meaning} |\n"
    text += "\n# Fault points\n\nNames for `TILLWIRE_FAULT`, in tests:\n\n"
    return text + "".join(f"- `{point}`\n" for point in sorted(FAULT_POINTS))


def _events() -> str:
    text = MARK + "# Event types\n\nThe envelope is CloudEvents 1.0. The key is what an event is deduplicated by.\n\n"
    text += "| type | message | key | schema |\n| --- | --- | --- | --- |\n"
    for event_type, message in MESSAGES.items():
        about = " ".join((inspect.getdoc(message) or "").split("\n\n")[0].split())
        key = (
            " ".join((inspect.getdoc(message.key) or "").split()).rstrip(".").removeprefix("The business key as text: ")
        )
        text += f"| `{event_type}` | {about} | {key} | [schema](schemas/{event_type}.json) |\n"
    return text
