"""The connectors there are: every folder below ``connectors`` whose package has ``SPEC``."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from tillwire import connectors
from tillwire.connectors.spec import Spec
from tillwire.errors import ConfigurationError


@cache
def registered() -> dict[str, Spec]:
    """Every connector's spec by its name, in the order of names."""
    found: dict[str, Spec] = {}
    for module in pkgutil.iter_modules(connectors.__path__):
        if module.ispkg:
            package = importlib.import_module(f"{connectors.__name__}.{module.name}")
            spec = getattr(package, "SPEC", None)
            if isinstance(spec, Spec):
                found[spec.name] = spec
    return dict(sorted(found.items()))


def spec_of(name: str) -> Spec:
    """The spec of a connector. Raises ``ConfigurationError`` that names those there are."""
    found = registered().get(name)
    if found is None:
        raise ConfigurationError(f"there is no connector {name!r}; there are {', '.join(registered())}")
    return found


def examples_folder(spec: Spec) -> Path:
    """Where a connector's examples lie."""
    package = importlib.import_module(f"{connectors.__name__}.{spec.name}")
    assert package.__file__ is not None
    return Path(package.__file__).parent / "examples"
