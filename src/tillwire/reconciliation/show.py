"""The reconciliation report as a table for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tillwire.reconciliation.days import Figure, Report

MOST_ROWS = 40
_COLUMNS = ("captured", "recorded", "in_exceptions", "posted", "acknowledged")


def _text(figure: Figure | None) -> str:
    return "-" if figure is None else f"{figure.count:,}  {figure.amount:,}"


def print_report(console: Console, report: Report) -> None:
    """Totals first, then the days that differ (at most ``MOST_ROWS``), each difference in words."""
    totals = Table("currency", *(name.replace("_", " ") for name in _COLUMNS), title="count and amount")
    for currency, sums in sorted(report.totals.items()):
        totals.add_row(Text(currency), *(_text(sums.get(name)) for name in _COLUMNS))
    console.print(totals)
    differing = [day for day in report.days if day.differences]
    table = Table("store", "business date", "difference", title=f"{len(differing)} of {len(report.days)} days differ")
    for day in differing[:MOST_ROWS]:
        words = "\n".join(f"{difference.code}: {difference.message}" for difference in day.differences)
        table.add_row(Text(day.store), str(day.business_date), Text(words))
    if differing:
        console.print(table)
    if len(differing) > MOST_ROWS:
        console.print(f"… and {len(differing) - MOST_ROWS} more days; --json has them all")
    if report.late:
        print_late(console, report)
    console.print(Text("proven", "green") if report.ok else Text("not proven", "red"))


def print_late(console: Console, report: Report) -> None:
    """What arrived after its day was closed, and where it is posted."""
    table = Table("store", "business date", "posted to", "late arrivals", title="after the day was closed")
    for late in report.late[:MOST_ROWS]:
        where = "the day, reopened" if late.posted_date == late.business_date else str(late.posted_date)
        table.add_row(Text(late.store), str(late.business_date), where, Text(f"{_text(late.figure)} {late.currency}"))
    console.print(table)
    if len(report.late) > MOST_ROWS:
        console.print(f"… and {len(report.late) - MOST_ROWS} more; --json has them all")
