"""Charts as inline SVG, drawn by pure functions: no script, no library, legible in the dark and on paper.

Geometry is reckoned from decimals and written with one digit, so that the same figures give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from markupsafe import Markup, escape

WIDE, NARROW, HEIGHT = 940, 460, 196
LEFT, RIGHT, TOP, BOTTOM = 58, 4, 12, 32
LABEL = 44  # what a day's label needs


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar within a table's row, from one amount to another on a scale up to `most`; amounts may be negative."""

    start: Decimal
    end: Decimal
    most: Decimal
    tone: str = "use"
    least: Decimal = Decimal()

    def __html__(self) -> str:
        span = self.most - self.least
        if not span:
            return ""
        low, high = sorted((self.start, self.end))
        x, width = (low - self.least) / span * 100, (high - low) / span * 100
        zero = -self.least / span * 100
        axis = f'<line x1="{_at(zero)}" x2="{_at(zero)}" y1="0" y2="10"/>' if self.least else ""
        place = f'x="{_at(x)}" y="1" width="{_at(max(width, Decimal("0.4")))}" height="8"'
        return (
            '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
            f'{axis}<rect class="{self.tone}" {place}/></svg>'
        )


@dataclass(frozen=True, slots=True)
class Spark:
    """A course over days, small enough for a table's row."""

    heights: Sequence[Decimal]

    def __html__(self) -> str:
        least, most = min(Decimal(), *self.heights), max(Decimal(), *self.heights)
        if least == most:
            return ""
        slot, scale = Decimal(100) / len(self.heights), Decimal(20) / (most - least)
        zero = most * scale
        drawn = []
        for number, height in enumerate(self.heights):
            top = zero - height * scale
            drawn.append(_column(slot * number, slot * Decimal("0.8"), zero, top, "use" if height >= 0 else "less"))
        return (
            '<svg class="spark" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">'
            f"{''.join(drawn)}</svg>"
        )


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a whole."""

    label: str
    amount: int
    tone: str


def stacked(parts: Sequence[Part]) -> Markup:
    """Parts of a whole side by side; the words and numbers stand in a legend beside it."""
    whole = sum(part.amount for part in parts)
    if not whole:
        return Markup()
    drawn, x = [], Decimal(0)
    for part in parts:
        width = Decimal(part.amount) / whole * 100
        if part.amount:
            drawn.append(f'<rect class="{part.tone}" x="{_at(x)}" y="0" width="{_at(width)}" height="10"/>')
        x += width
    return Markup(  # noqa: S704 - numbers and our own names
        f'<svg class="stack" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{"".join(drawn)}</svg>'
    )


@dataclass(frozen=True, slots=True)
class Day:
    on: date
    amount: Decimal
    lower: Decimal = Decimal()  # of the amount, what stands apart at the bottom of the bar


def daily(title: str, points: Sequence[Day], unit: str, shown: Sequence[str], width: int = WIDE) -> Markup:
    """A bar for every day, with an axis of round numbers; `shown` are the amounts as the page writes them."""
    if not points:
        return Markup()
    least = min(Decimal(), *(point.amount for point in points))
    most = max(Decimal(), *(point.amount for point in points))
    step = round_step((most - least) / 4)
    floor, roof = Decimal(), Decimal()
    while floor > least:
        floor -= step
    while roof < most or roof == floor:
        roof += step
    height = HEIGHT - TOP - BOTTOM
    slot = Decimal(width - LEFT - RIGHT) / len(points)

    def y(amount: Decimal) -> Decimal:
        return TOP + (roof - amount) / (roof - floor) * height

    lines, tick = [], floor
    while tick <= roof:
        tone = "zero" if tick == 0 else "rule"
        lines.append(
            f'<line class="{tone}" x1="{LEFT}" x2="{width - RIGHT}" y1="{_at(y(tick))}" y2="{_at(y(tick))}"/>'
            f'<text x="{LEFT - 8}" y="{_at(y(tick) + 4)}" text-anchor="end">{_number(tick)}</text>'
        )
        tick += step
    bars = []
    every = int(LABEL / slot) + 1  # labels of days never touch
    for number, (point, text) in enumerate(zip(points, shown, strict=True)):
        x = LEFT + slot * number
        thick = min(slot * Decimal("0.72"), Decimal(34))
        inset = (slot - thick) / 2
        where = f"{point.on.day} {point.on:%b}"
        bars.append(f"<g><title>{where}: {escape(text)} {escape(unit)}</title>")
        bars.append(_column(x + inset, thick, y(Decimal()), y(point.amount), "use" if point.amount >= 0 else "less"))
        if point.lower:
            bars.append(_column(x + inset, thick, y(Decimal()), y(point.lower), "give"))
        bars.append("</g>")
        if number % every == 0:
            is_first = number == 0 or points[number - every].on.month != point.on.month
            label = where if is_first else str(point.on.day)
            anchor = x + slot / 2
            bars.append(f'<text class="day" x="{_at(anchor)}" y="{HEIGHT - 8}" text-anchor="middle">{label}</text>')
    half = " half" if width == NARROW else ""
    drawn = [
        f'<svg class="chart{half}" viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        *lines,
        *bars,
        "</svg>",
    ]
    return Markup("".join(drawn))  # noqa: S704 - numbers, and text that is escaped


def round_step(wanted: Decimal) -> Decimal:
    """The round number at or above: 1, 2 or 5 with zeros."""
    if wanted <= 0:
        return Decimal(1)
    magnitude = Decimal(1).scaleb(wanted.adjusted())
    return next(step * magnitude for step in map(Decimal, (1, 2, 5, 10)) if step * magnitude >= wanted)


def _column(x: Decimal, width: Decimal, zero: Decimal, end: Decimal, tone: str) -> str:
    top, height = min(zero, end), abs(zero - end)
    if not height:
        return ""
    place = f'x="{_at(x)}" y="{_at(top)}" width="{_at(width)}" height="{_at(max(height, Decimal(1)))}"'
    return f'<rect class="{tone}" {place}/>'


def _number(tick: Decimal) -> str:
    return f"{tick.normalize():,f}".replace("-", "−") if tick else "0"


def _at(value: Decimal) -> str:
    return f"{value:.1f}"
