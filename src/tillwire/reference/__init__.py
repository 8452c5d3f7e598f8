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
from tillwire.intake.rules import NOTES, RULES, Policy
from tillwire.model.event import HUB_MADE, MESSAGES
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
    for event_type in (*MESSAGES, *HUB_MADE):
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


def _section(name: str, struct: type, *, many: bool = False) -> str:
    texts = field_texts(struct)
    hints = get_type_hints(struct)
    rows = []
    for field in msgspec.structs.fields(struct):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            continue
        default = "required" if field.required else f"`{default_text(field)}`"
        variable = "`TILLWIRE_" + (f"{name}_" if name else "").replace(".", "_").upper() + field.name.upper() + "`"
        if name.startswith("rules.") or _is_of_many(field):
            variable = ""  # in the file only
        kind = type_text(hints[field.name]).replace("|", "\\|")
        rows.append(f"| `{field.name}` | {kind} | {default} | {variable} | {texts.get(field.name, '')} |")
    title = f"[[{name}]]" if many else f"[{name}]" if name else "Top level"
    head = "| name | type | default | environment | meaning |\n| --- | --- | --- | --- | --- |"
    return f"## {title}\n\n{inspect.getdoc(struct)}\n\n{head}\n" + "\n".join(rows) + "\n\n"


def _is_of_many(field: Any) -> bool:
    return field.name in ("accounts", "codes", "sources", "stores", "gift_cards", "erps", "connections", "groups")


def _configuration() -> str:
    text = MARK + "# Configuration\n\n" + (inspect.getdoc(config) or "") + "\n\n"
    text += _section("", config.Settings)
    for field in msgspec.structs.fields(config.Settings):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            text += _section(field.name, field.type)
            if field.type is config.Access:
                text += _section("access.oidc", config.Oidc) + _many("[[access.oidc.groups]]", config.OidcGroup)
    text += _section("rules.codes.CODE", config.CodeRule) + _section("rules.sources", config.SourceRules, many=True)
    text += _many("[[posting.accounts]]", config.AccountRule) + "Defaults:\n\n"
    text += "| component | code | account |\n| --- | --- | --- |\n"
    for rule in config.DEFAULT_ACCOUNTS:
        text += f"| {rule.component} | {rule.code} | {rule.account} |\n"
    text += "\nComponents:\n\n| component | meaning |\n| --- | --- |\n"
    for component, meaning in COMPONENTS.items():
        text += f"| {component} | {meaning} |\n"
    for title, struct in (
        ("[[posting.stores]]", config.StorePosting),
        ("[[posting.gift_cards]]", config.GiftCards),
        ("[[erps]]", config.ErpInstance),
        ("[[connections]]", config.Connection),
        ("[connections.drop]", config.Drop),
    ):
        text += "\n" + _many(title, struct).rstrip("\n") + "\n"
    return text + "\nSettings of connectors, of ERPs too: [connectors.md](connectors.md).\n"


def _many(title: str, struct: type) -> str:
    texts = field_texts(struct)
    text = f"## {title}\n\n{inspect.getdoc(struct)}\n\n| name | default | meaning |\n| --- | --- | --- |\n"
    for field in msgspec.structs.fields(struct):
        default = "required" if field.required else f"`{_plain_default(field)}`"
        text += f"| `{field.name}` | {default} | {texts.get(field.name, '')} |\n"
    return text + "\n"


def _plain_default(field: Any) -> str:
    value = field.default
    if isinstance(value, msgspec.Struct):
        return "see below"
    return " ".join(value) if isinstance(value, tuple) else default_text(field)


_JUDGED = {
    "message": "Judged from the message and master data, before it is recorded",
    "history": "Judged with what was recorded before",
    "intake": "Raised when events are accepted and processed",
    "connector": "Raised by connectors",
    "posting": "Raised by posting",
    "reconciliation": "Raised by reconciliation",
}


def _rules() -> str:
    text = MARK + "# Codes of business exceptions\n\n"
    text += "How rules work, and how they are set: [rules](../concepts/rules.md). Tolerances\n"
    text += "are in minor units of the transaction's currency, that of `item_count_mismatch` in pieces.\n"
    policy = Policy()
    for judged, title in _JUDGED.items():
        text += f"\n## {title}\n\n| code | meaning | why | severity | owner | tolerance |\n"
        text += "| --- | --- | --- | --- | --- | --- |\n"
        for code in (one for one in CODES.values() if one.judged == judged):
            tolerance = policy.tolerance(code.code)
            severity = code.severity + (", always" if code.fixed else "")
            text += f"| `{code.code}` | {code.meaning} | {code.reason} | {severity} | {code.owner} |"
            text += f" {'' if tolerance is None else tolerance} |\n"
    text += "\n# The rules behind them\n\n| code | looks at | what must hold |\n| --- | --- | --- |\n"
    for rule in RULES:
        holds = " ".join((inspect.getdoc(rule.check) or "").split())
        text += f"| `{rule.code}` | {rule.scope.value} | {holds} |\n"
    text += "\n# Let through, counted\n\n| note | meaning |\n| --- | --- |\n"
    for name, meaning in NOTES.items():
        text += f"| `{name}` | {meaning} |\n"
    text += "\n# Fault points\n\nNames for `TILLWIRE_FAULT`, in tests:\n\n"
    return text + "".join(f"- `{point}`\n" for point in sorted(FAULT_POINTS))


def _events() -> str:
    text = MARK + "# Event types\n\nThe envelope is CloudEvents 1.0. The key is what an event is deduplicated by.\n\n"
    text += "| type | message | key | schema |\n| --- | --- | --- | --- |\n"
    for event_type, message in {**MESSAGES, **HUB_MADE}.items():
        about = " ".join((inspect.getdoc(message) or "").split("\n\n")[0].split())
        key = (
            " ".join((inspect.getdoc(message.key) or "").split()).rstrip(".").removeprefix("The business key as text: ")
        )
        text += f"| `{event_type}` | {about} | {key} | [schema](schemas/{event_type}.json) |\n"
    return text
