"""Charts as SVG, made with the page: they work without a script, print, and follow light and dark by classes."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup, escape

Value = int | float | Decimal


class Bar(NamedTuple):
    """One bar of a chart: what it is called, how long it is, and that in words."""

    label: str
    value: Value
    words: str
    tone: str = "plain"
    link: str = ""


def bars(rows: Sequence[Bar], *, title: str) -> Markup:
    """Horizontal bars below one another, with their words."""
    most = max([float(row.value) for row in rows], default=0.0) or 1.0
    parts = []
    for place, row in enumerate(rows):
        top = place * 34
        width = 2 + 398 * max(0.0, float(row.value)) / most
        label = f'<text x="0" y="{top + 11}" class="bar-label">{escape(row.label)}</text>'
        words = f'<text x="400" y="{top + 11}" class="bar-words">{escape(row.words)}</text>'
        back = f'<rect x="0" y="{top + 17}" width="400" height="9" rx="4.5" class="bar-back"/>'
        front = f'<rect x="0" y="{top + 17}" width="{width:.1f}" height="9" rx="4.5" class="tone-{escape(row.tone)}"/>'
        parts.append(label + words + back + front)
    told = "; ".join(f"{row.label}: {row.words}" for row in rows)
    return _svg(400, max(34, len(rows) * 34), "".join(parts), title, told, "chart bars")


def columns(
    values: Sequence[Value], labels: Sequence[str], *, title: str, words: Sequence[str], most_labels: int = 12
) -> Markup:
    """Upright columns, one for each label."""
    most = max([float(value) for value in values], default=0.0) or 1.0
    count = max(1, len(values))
    step = 600 / count
    every = max(1, -(-count // most_labels))
    parts = ['<line x1="0" y1="140.5" x2="600" y2="140.5" class="axis"/>']
    for place, value in enumerate(values):
        height = 132 * max(0.0, float(value)) / most
        left = place * step
        parts.append(
            f"<g><title>{escape(labels[place])}: {escape(words[place])}</title>"
            f'<rect x="{left:.1f}" y="0" width="{step:.1f}" height="140" class="hit"/>'
            f'<rect x="{left + step * 0.14:.1f}" y="{140 - height:.1f}" width="{step * 0.72:.1f}" height="{height:.1f}"'
            f' rx="2" class="tone-accent"/></g>'
        )
        if place % every == 0:
            parts.append(f'<text x="{left + step / 2:.1f}" y="156" class="tick">{escape(labels[place])}</text>')
    told = "; ".join(f"{label}: {word}" for label, word in zip(labels, words, strict=True))
    return _svg(600, 160, "".join(parts), title, told, "chart columns")


def spark(values: Sequence[Value], *, title: str) -> Markup:
    """A line without axes, as small as a word."""
    if len(values) < 2:
        return Markup("")
    low, high = min(map(float, values)), max(map(float, values))
    span = (high - low) or 1.0
    step = 96 / (len(values) - 1)
    points = " ".join(f"{i * step + 2:.1f},{24 - 20 * (float(v) - low) / span:.1f}" for i, v in enumerate(values))
    return _svg(100, 28, f'<polyline points="{points}" class="spark-line"/>', title, "", "spark")


class Stop(NamedTuple):
    """A station on the way of a sale."""

    title: str
    figure: str
    detail: str
    tone: str
    link: str


class Link(NamedTuple):
    """What goes from one station to the next: how much, how late, and whether it flows."""

    figure: str
    detail: str
    tone: str


def way(stops: Sequence[Stop], links: Sequence[Link]) -> Markup:
    """Stations in a row, joined by what flows between them."""
    parts = []
    width, gap = 208, 116
    for place, stop in enumerate(stops):
        left = place * (width + gap) + 1
        box = (
            f'<rect x="{left}" y="12" width="{width}" height="96" rx="12" class="stop tone-edge-{escape(stop.tone)}"/>'
            f'<text x="{left + 16}" y="38" class="stop-title">{escape(stop.title)}</text>'
            f'<text x="{left + 16}" y="68" class="stop-figure">{escape(stop.figure)}</text>'
            f'<text x="{left + 16}" y="92" class="stop-detail">{escape(stop.detail)}</text>'
        )
        parts.append(f'<a href="{escape(stop.link)}">{box}</a>' if stop.link else box)
        if place < len(links):
            link, start = links[place], left + width + 6
            line = f"tone-line-{escape(link.tone)}"
            parts.append(
                f'<line x1="{start}" y1="60" x2="{start + gap - 14}" y2="60" class="flow {line}"/>'
                f'<path d="M{start + gap - 20} 55l6 5-6 5" class="arrow {line}"/>'
                f'<text x="{start + (gap - 14) / 2}" y="48" class="flow-figure">{escape(link.figure)}</text>'
                f'<text x="{start + (gap - 14) / 2}" y="80" class="flow-detail">{escape(link.detail)}</text>'
            )
    told = "; ".join(f"{stop.title}: {stop.figure}, {stop.detail}" for stop in stops)
    total = len(stops) * width + (len(stops) - 1) * gap + 2
    return _svg(total, 120, "".join(parts), "The way of a sale", told, "chart way")


def _svg(width: float, height: float, content: str, title: str, told: str, kind: str) -> Markup:
    role = "group" if "<a " in content else "img"  # what leads somewhere is no picture to who cannot see it
    described = f"<desc>{escape(told)}</desc>" if told else ""
    return Markup(
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" class="{kind}" role="{role}" aria-label="{escape(title)}"'
        f' preserveAspectRatio="xMidYMid meet">{described}{content}</svg>'
    )
