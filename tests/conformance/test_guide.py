"""The guide's connector: taken from the page as it stands, registered, tried, and run through a whole intake."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tillwire.connectors.spec import Spec

ROOT = Path(__file__).parents[2]
_FILE = re.compile(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```\n", re.DOTALL)


@pytest.fixture(scope="module")
def van(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Spec]]:
    """The folder of the guide's connector, importable, and its registration."""
    folder = tmp_path_factory.mktemp("guide")
    text = (ROOT / "docs" / "howto" / "write-a-connector.md").read_text("utf-8")
    for name, content in _FILE.findall(text):
        path = folder / "ice_cream_van" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    sys.path.insert(0, str(folder))
    try:
        import ice_cream_van  # type: ignore[import-not-found]

        yield folder / "ice_cream_van", ice_cream_van.SPEC
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.startswith("ice_cream_van")]:
            del sys.modules[name]


def test_the_guide_has_a_whole_connector(van: tuple[Path, Spec]) -> None:
    folder, spec = van
    assert spec.name == folder.name
    assert {example.file for example in spec.examples} == {path.name for path in (folder / "examples").iterdir()}


def test_its_examples_come_to_what_it_says(van: tuple[Path, Spec]) -> None:
    from tillwire.intake.trial import try_file

    folder, spec = van
    for example in spec.examples:
        made = spec.configure(example.settings, of="guide")
        outcome = try_file(made, folder / "examples" / example.file, topic="", today=date(2026, 6, 2))
        assert {one.code for one in outcome.exceptions} == set(example.codes)


def test_the_conformance_suite_passes_it(van: tuple[Path, Spec], tmp_path: Path) -> None:
    """As an author would run it: the suite finds a connector by the registry, here one that the page has made."""
    folder, _ = van
    shim = tmp_path / "conftest.py"
    shim.write_text(
        f"import sys; sys.path.insert(0, {str(folder.parent)!r})\n"
        f"from tillwire import connectors; connectors.__path__.append({str(folder.parent)!r})\n"
    )
    suite = tmp_path / "test_inbound.py"
    suite.write_text((Path(__file__).parent / "test_inbound.py").read_text("utf-8"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(suite)]
        + ["-k", "ice_cream_van"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ice_cream_van-day.txt") >= 8
