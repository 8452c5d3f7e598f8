"""The house in order: who may import whom, sizes, names of queries, docstrings, and what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tillwire.faultpoints import FAULT_POINTS
from tillwire.reference import stale

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "tillwire"
MODULES = sorted(SOURCE.rglob("*.py"))
MOST_LINES = 400

ON_TOP = {"cli", "http", "console", "hub", "runners", "bootstrap", "replay", "reference", "demo", "__main__"}
"""What may import nearly everything and is imported by no capability."""

CAPABILITIES = {
    "intake",
    "events",
    "masterdata",
    "inventory",
    "sales",
    "posting",
    "exceptions",
    "reconciliation",
    "governance",
    "observability",
}
KIT = tuple(
    f"tillwire.connectors.{name}"
    for name in (
        "erp",
        "erp_http",
        "erp_run",
        "erp_token",
        "inbound",
        "payload",
        "registry",
        "simulated_books",
        "simulation",
        "spec",
    )
)
"""What connectors are made with, and known by."""

BELOW = {"model", "database", "engines", "connectors", "config", "clock", "errors", "faultpoints", "logs", "collector"}
"""What capabilities stand on; it knows none of them."""


def room(module: Path) -> str:
    """The folder, or the module, directly below the package."""
    return module.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(module: Path) -> Iterator[str]:
    """Every module that a module imports, wherever the import stands."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(name: str) -> str | None:
    """The room that an import of ours leads to."""
    parts = name.split(".")
    return parts[1] if parts[0] == "tillwire" and len(parts) > 1 else None


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_keep_the_rules(module: Path) -> None:
    here = room(module)
    for name in imports(module):
        there = ours(name)
        if name.split(".")[0] == "nats":
            speaks = module.relative_to(SOURCE).as_posix()
            assert speaks in {"events/relay.py", "events/master_stream.py"}, f"{module} speaks NATS"
        if there is None or there == here:
            continue
        if here == "model":
            pytest.fail(f"{module} imports {name}: the model imports nothing of ours")
        if here == "connectors":
            allowed = there in {"model", "errors", "clock", "engines"}
            assert allowed, f"{module} imports {name}: a connector knows the model and the kit"
        if here in BELOW:
            assert there in BELOW, f"{module} imports {name}, which stands on it"
        if here in CAPABILITIES:
            assert there not in ON_TOP, f"{module} imports {name}, which sits on top"
            if there == "connectors":
                assert of_the_kit(name), f"{module} imports {name}: a capability knows the kit only"


def of_the_kit(name: str) -> bool:
    """True for the kit's modules, and what is in them."""
    return name == "tillwire.connectors" or any(name == one or name.startswith(f"{one}.") for one in KIT)


def test_connectors_do_not_know_each_other() -> None:
    for module in (SOURCE / "connectors").glob("*/*.py"):
        own = f"tillwire.connectors.{module.parent.name}"
        for name in imports(module):
            if ours(name) == "connectors":
                assert of_the_kit(name) or name == own or name.startswith(f"{own}."), f"{module} imports {name}"


def test_what_is_under_another_licence_stays_apart() -> None:
    """Tryton and the module for it are GPL-3: they are programs that are spoken to, and nothing of ours imports them."""
    apart = ROOT / "erp-modules"
    for file in committed():
        if file.suffix == ".py" and not file.is_relative_to(apart):
            foreign = {name.split(".")[0] for name in imports(file)} & {"trytond", "trytond_hub_reference", "proteus"}
            assert not foreign, f"{file} imports {foreign}"
    for project in apart.iterdir():
        assert "GNU GENERAL PUBLIC LICENSE" in (project / "LICENSE").read_text("utf-8")
        for file in project.rglob("*.py"):
            assert "GPL-3" in file.read_text("utf-8") or "General Public" in file.read_text("utf-8")
            assert not [name for name in imports(file) if ours(name)], f"{file} imports ours"


def test_every_room_has_its_place() -> None:
    rooms = {room(module) for module in MODULES} - {"__init__"}
    assert rooms == ON_TOP | CAPABILITIES | BELOW


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_modules_are_of_one_size(module: Path) -> None:
    lines = len(module.read_text("utf-8").splitlines())
    assert lines <= MOST_LINES, f"{module} has {lines} lines: does it still have one subject?"


def test_capabilities_do_not_reach_into_each_others_tables() -> None:
    """Each .sql file is loaded by its own room alone."""
    pattern = re.compile(r"sql\.load\(\"tillwire\.([a-z]+)\"")
    for module in MODULES:
        for owner in pattern.findall(module.read_text("utf-8")):
            if room(module) not in ON_TOP:
                assert owner == room(module), f"{module} loads the SQL of {owner}"


def test_every_named_query_is_used() -> None:
    code = "\n".join(path.read_text("utf-8") for path in MODULES)
    for file in SOURCE.rglob("*.sql"):
        for name in re.findall(r"^-- name: *(\w+)", file.read_text("utf-8"), re.MULTILINE):
            assert re.search(rf"sql\.{name}\b|query=\"{name}\"", code), f"{file.name}: nobody uses {name}"


def test_every_query_that_is_used_is_there() -> None:
    loading = re.compile(r"^(\w+) = sql\.load\(\"tillwire\.([a-z]+)\", \"(\w+\.sql)\"\)", re.MULTILINE)
    seen = 0
    for module in MODULES:
        text = module.read_text("utf-8")
        for variable, owner, file in loading.findall(text):
            named = set(re.findall(r"^-- name: *(\w+)", (SOURCE / owner / file).read_text("utf-8"), re.MULTILINE))
            used = set(re.findall(rf"\b{variable}\.(\w+)", text))
            assert used <= named, f"{module} uses {used - named}, which {file} does not have"
            seen += len(used)
    assert seen > 50


def test_every_fault_point_is_passed() -> None:
    code = "\n".join(path.read_text("utf-8") for path in MODULES)
    passed = set(re.findall(r"passing\(\"([a-z_.]+)\"\)", code))
    assert passed == set(FAULT_POINTS)


def public(tree: ast.Module) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public classes and functions, and the public methods of public classes."""
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_"):
                    yield inner


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_public_things_are_documented(module: Path) -> None:
    tree = ast.parse(module.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{module} does not say what it is"
    for node in public(tree):
        assert ast.get_docstring(node), f"{module}: {node.name} does not say what it is"


def committed() -> list[Path]:
    """Every text file that is part of the project."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    # Put together here, so that this file does not hold them either.
    hosts = ["py" + "pi.org", "python" + "hosted.org", "registry.npm" + "js", "deb.deb" + "ian.org"]
    forbidden = re.compile("|".join([*map(re.escape, hosts), "/work" + "/(main|shared)"]))
    for file in committed():
        if file.suffix in {".parquet", ".png"}:
            continue
        found = forbidden.search(file.read_text("utf-8", errors="replace"))
        assert found is None, f"{file}: {found.group() if found else ''}"


def test_money_is_never_a_float() -> None:
    for module in MODULES:
        if room(module) in {"model", "sales", "posting", "inventory", "intake"}:
            tree = ast.parse(module.read_text("utf-8"))
            calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "float"]
            assert not calls, f"{module} makes a float"


def test_the_architecture_names_every_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    for entry in SOURCE.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            assert f"  {entry.name}/" in text, f"ARCHITECTURE.md does not name {entry.name}/"


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    main = (SOURCE / "cli" / "main.py").read_text("utf-8")
    for name in re.findall(r"^@app\.command\n(?:async )?def (\w+)\(", main, re.MULTILINE):
        assert re.search(rf"\b{name}\b", text), f"README.md does not name `tillwire {name}`"


def test_the_changelog_has_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    sections = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert sections
    assert sections[0] == "Unreleased"
    kinds = set(re.findall(r"^### (\w+)", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_generated_reference_is_what_the_code_says() -> None:
    assert stale(ROOT) == [], "run `tillwire docs`"
