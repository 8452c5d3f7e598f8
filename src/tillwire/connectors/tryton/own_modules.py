"""Modules of our own for a Tryton that we run: found by it as if they were installed, without installing them.

Tryton finds modules by the entry points of installed packages. A folder on its path with the package and the metadata
that an installer would write is enough.
"""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tillwire.errors import EngineError

_GROUP = "trytond.modules"


def lay_out(projects: Sequence[Path], folder: Path) -> None:
    """Fill ``folder`` with the packages of ``projects``, each a folder with a ``pyproject.toml`` that has entry points
    of Tryton's. Raises ``EngineError`` if one has none.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for project in projects:
        told, modules = _read(project)
        for package in modules.values():
            shutil.copytree(project / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        metadata = folder / f"{told['name'].replace('-', '_')}-{told['version']}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {told['name']}\nVersion: {told['version']}\n")
        points = "".join(f"{name} = {package}\n" for name, package in modules.items())
        (metadata / "entry_points.txt").write_text(f"[{_GROUP}]\n{points}")


def names(projects: Sequence[Path]) -> tuple[str, ...]:
    """What Tryton calls the modules of ``projects``. Raises as ``lay_out`` does."""
    return tuple(name for project in projects for name in _read(project)[1])


def fingerprint(projects: Sequence[Path]) -> str:
    """A digest of all they consist of: another one, another database."""
    digest = hashlib.sha256()
    for project in projects:
        for package in sorted(_read(project)[1].values()):
            for file in sorted((project / package).glob("*.*")):
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _read(project: Path) -> tuple[dict[str, str], dict[str, str]]:
    try:
        told = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
        return told, told["entry-points"][_GROUP]
    except (OSError, ValueError, LookupError) as cause:
        raise EngineError(f"{project} is no project of a module of Tryton's: {cause}") from cause
