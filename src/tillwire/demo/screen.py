"""What the demo shows: phases with their time, progress bars while it works, and the proof as tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tillwire import clock
from tillwire.demo.erp import DemoErp
from tillwire.demo.mending import Mended
from tillwire.demo.proof import Proof
from tillwire.demo.simulation import Simulation
from tillwire.hub import Hub
from tillwire.reconciliation.days import Figure

_YES, _NO = "[green]✓[/]", "[bold red]✗[/]"


class Phase:
    """A phase under way: what is said of it when it is done."""

    def __init__(self) -> None:
        self.result = ""


class _BarOfKnownLength(BarColumn):
    """No bar for what has no end to measure against."""

    def render(self, task: Task) -> ProgressBar:
        # rich shows any renderable; only its annotation is narrower.
        return super().render(task) if task.total is not None else Text()  # type: ignore[return-value]


class _CountOfKnownLength(MofNCompleteColumn):
    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


class Bar:
    """One progress bar; may be moved from any thread, also after its end."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars = bars
        self._task: TaskID | None = task

    def advance(self, by: int) -> None:
        """So much more is done."""
        if self._task is not None:
            self._bars.advance(self._task, by)

    def move(self, completed: int, total: int | None = None) -> None:
        """So much is done, of ``total`` if that has changed."""
        if self._task is not None:
            self._bars.update(self._task, completed=completed, total=total)

    def end(self) -> None:
        """Take it away."""
        task, self._task = self._task, None
        if task is not None:
            self._bars.remove_task(task)


class Screen:
    """Where the demo is shown. A context manager: bars live inside it; without a terminal there are none."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}
        """How long each phase took."""
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            _BarOfKnownLength(bar_width=32),
            _CountOfKnownLength(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    @contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """A part of the demo, with a line about it when it is done."""
        phase = Phase()
        spinner = self._bars.add_task(f"[dim]{name} …[/]", total=None)
        started_s = clock.monotonic_s()
        try:
            yield phase
        finally:
            self._bars.remove_task(spinner)
        self.seconds[name] = seconds = clock.monotonic_s() - started_s
        self.say(f"{_YES} {name:<16} [dim]{seconds:5.1f} s[/]  {phase.result}")

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Bar]:
        """A progress bar, for as long as its work lasts."""
        bar = Bar(self._bars, self._bars.add_task(name, total=total))
        try:
            yield bar
        finally:
            bar.end()

    def say(self, text: str) -> None:
        """A line of text, with markup."""
        self.console.print(text, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()


def show_proof(console: Console, proof: Proof, mended: Mended, seconds: float) -> None:
    """The tables at the end, and the verdict."""
    console.print()
    console.print(_amounts(proof))
    console.print(_checks(proof))
    console.print(_faults(proof))
    console.print(_ranking(mended))
    verdict = "[bold green]proven[/]" if proof.ok else "[bold red]NOT PROVEN[/]"
    console.print(Panel.fit(f"{verdict} in {seconds:.0f} s", border_style="green" if proof.ok else "red"))


def _amounts(proof: Proof) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="The way of the money", title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("transactions", justify="right")
    table.add_column("USD", justify="right")
    table.add_column("", style="dim")
    rows: tuple[tuple[str, Figure, str], ...] = (
        ("captured", proof.captured, "by the stores' own books"),
        ("= recorded", proof.recorded, "with stock and subledger"),
        ("+ in exceptions", proof.in_exceptions, "open, raw bytes kept"),
        ("recorded", proof.recorded, ""),
        ("= posted", proof.posted, "by the ERP's answers"),
        ("= acknowledged", proof.acknowledged, "as read back from Tryton"),
    )
    for name, figure, remark in rows:
        if name == "recorded":
            table.add_section()
        table.add_row(name, f"{figure.count:,}", f"{figure.amount:,.2f}", remark)
    return table


def _checks(proof: Proof) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="What must hold", title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("statement")
    table.add_column("evidence", style="dim")
    for check in proof.checks:
        table.add_row(_YES if check.holds else _NO, check.statement, escape(check.evidence))
    return table


def _faults(proof: Proof) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="What went wrong on purpose", title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("fault", no_wrap=True)
    table.add_column("injected", justify="right")
    table.add_column("found", justify="right")
    table.add_column("what became of it", style="dim")
    for fault in proof.faults:
        mark = _YES if fault.holds else _NO
        table.add_row(mark, fault.kind.replace("_", " "), f"{fault.injected:,}", f"{fault.found:,}", fault.where)
    return table


_MOST_CAUSES = 8


def _ranking(mended: Mended) -> Table:
    title = "Exceptions, most money at risk first"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("root cause", no_wrap=True)
    table.add_column("owner", no_wrap=True)
    table.add_column("sales", justify="right")
    table.add_column("at risk, USD", justify="right", no_wrap=True)
    shown = mended.ranking[:_MOST_CAUSES]
    shown += [one for one in mended.ranking[_MOST_CAUSES:] if one.mended]
    for one in shown:
        mark = _YES if one.mended else " "
        table.add_row(mark, escape(one.cause), one.owner, f"{one.exceptions:,}", f"{one.at_risk:,.2f}")
    others = len(mended.ranking) - len(shown)
    if others > 0:
        table.add_row("", f"{others} more causes", "", "", "")
    if mended.record:
        table.caption = f"{_YES} mended by one record: {mended.record}; its {mended.transactions} sales are recorded"
        table.caption_justify = "left"
    return table


def show_around(console: Console, folder: Path, hub: Hub, erp: DemoErp, simulation: Simulation) -> None:
    """Where everything is and what to try, while the demo stays up."""
    settings = erp.server.settings()
    faulty = next(iter(simulation.books.faulty_keys), "")
    rows = (
        ("API", f"{hub.url}  (documentation: {hub.url}/docs)"),
        ("follow a sale", f"tillwire trace {simulation.example} --data {folder}"),
        ("a faulty one", f"tillwire trace {faulty} --data {folder}"),
        ("exceptions", f"tillwire exceptions list --data {folder}"),
        ("prove it again", f"tillwire reconcile --read-back --data {folder}"),
        ("rebuild from events", f"tillwire replay --data {folder}"),
        ("Tryton", f"{settings.url}, database {settings.database}, user {settings.username} (or admin)"),
        ("its passwords", f"{erp.credentials_file}"),
        ("logs", f"{folder / 'logs'}"),
    )
    table = Table.grid(padding=(0, 2))
    for name, text in rows:
        table.add_row(f"[bold]{name}[/]", escape(text))
    console.print(Panel(table, title="everything stays up until Ctrl-C", border_style="cyan"))
