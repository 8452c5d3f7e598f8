"""The reference page of connectors, made from their registrations."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import msgspec

from tillwire.connectors.registry import registered
from tillwire.connectors.spec import Spec, secrets_of
from tillwire.reference.texts import MARK, default_text, field_texts, type_text


def connectors_page() -> str:
    """Every connector: what it is, the contract it is written from, its settings and examples."""
    specs = registered().values()
    text = MARK + "# Connectors\n\n| name | what it is | roles |\n| --- | --- | --- |\n"
    for spec in specs:
        text += f"| [`{spec.name}`](#{spec.name}) | {spec.title} | {', '.join(spec.roles)} |\n"
    return text + "".join(_one(spec) for spec in specs)


def _one(spec: Spec) -> str:
    text = f"\n## {spec.name}\n\n**{spec.title}.** {' '.join(spec.about.split())}\n\nWritten from: {spec.contract}.\n"
    if spec.media_types:
        text += f"\nMedia types: {', '.join(f'`{kind}`' for kind in spec.media_types)}.\n"
    for struct in _structs(spec.settings):
        text += _settings(struct, top=struct is spec.settings)
    if spec.examples:
        text += "\nExamples:\n\n| file | what it shows | exceptions |\n| --- | --- | --- |\n"
        for example in spec.examples:
            codes = ", ".join(f"`{code}`" for code in example.codes)
            text += f"| `{example.file}` | {example.about} | {codes} |\n"
    return text


def _structs(settings: type) -> Iterator[type]:
    """A settings struct, and those that its fields are made of, each once."""
    waiting, seen = [settings], set()
    while waiting:
        struct = waiting.pop(0)
        if struct not in seen:
            seen.add(struct)
            yield struct
            for hint in get_type_hints(struct).values():
                waiting += _inner(hint)


def _inner(hint: Any) -> list[type]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return [hint]
    return [struct for argument in get_args(hint) for struct in _inner(argument)]


def _settings(struct: type, *, top: bool) -> str:
    texts, hints, secrets = field_texts(struct), get_type_hints(struct), secrets_of(struct)
    about = " ".join((inspect.getdoc(struct) or "").split())
    text = f"\n{'Settings' if top else f'`{struct.__name__}`'}: {about}\n\n"
    text += "| name | type | default | meaning |\n| --- | --- | --- | --- |\n"
    for field in msgspec.structs.fields(struct):
        default = "required" if field.required else f"`{default_text(field)}`"
        kind = type_text(hints[field.name]).replace("|", "\\|") + (" (secret)" if field.name in secrets else "")
        text += f"| `{field.encode_name}` | {kind} | {default} | {texts.get(field.name, '')} |\n"
    return text
