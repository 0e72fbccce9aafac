"""Curves as inline SVG on logarithmic axes, beside the bars of assets/report/svg.py and drawn as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from assets.report import svg
from assets.report.grid import Column, Row, simple
from assets.report.usage import Chart

_BOTTOM, _TOP, _LEFT, _RIGHT, _TEXT = 46, 12, 52, 84, 4
_HEIGHT = 250
_TONES = ("use", "less", "give")


@dataclass(frozen=True, slots=True)
class Curve:
    label: str
    points: Sequence[tuple[float, float]]


def chart(title: str, x_title: str, unit: str, curves: Sequence[Curve], note: str = "") -> Chart:
    """One drawing of half the page's width, and its figures as a table."""
    columns = [Column("x", x_title, "number"), *(Column(it.label, it.label, "number") for it in curves)]
    at = sorted({x for it in curves for x, _ in it.points})
    known = [dict(it.points) for it in curves]
    rows = [Row(_short(x), [_short(x), *(f"{it[x]:,.1f}" if x in it else "" for it in known)]) for x in at]
    drawing = _drawn(f"{title}, {unit}, by {x_title}", x_title, curves)
    return Chart(f"{title} ({unit})", drawing, simple(title, columns, rows), has_lower=False, note=note)


def _drawn(label: str, x_title: str, curves: Sequence[Curve]) -> Markup:
    xs = [x for it in curves for x, _ in it.points]
    ys = [y for it in curves for _, y in it.points]
    least, most = 10 ** math.floor(math.log10(min(ys))), max(ys)
    roof = next(step * 10**power for power in range(-3, 12) for step in (1, 2, 5) if step * 10**power >= most)
    right, bottom = svg.NARROW - _RIGHT, _HEIGHT - _BOTTOM

    def place(value: float, low: float, high: float, start: float, end: float) -> float:
        share = (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low)) if high > low else 0.5
        return start + share * (end - start)

    def x_of(x: float) -> float:
        return place(x, min(xs), max(xs), _LEFT, right)

    def y_of(y: float) -> float:
        return place(y, least, roof, bottom, _TOP)

    parts = []
    ticks = [step * 10**power for power in range(-3, 12) for step in (1, 2, 5) if least <= step * 10**power <= roof]
    for tick in ticks if len(ticks) <= 7 else [it for it in ticks if f"{it:g}"[0] == "1"]:
        y = y_of(tick)
        parts.append(f'<line class="rule" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + _TEXT:.1f}" text-anchor="end">{_short(tick)}</text>')
    parts += [
        f'<text x="{x_of(x):.1f}" y="{bottom + 18}" text-anchor="middle">{_short(x)}</text>' for x in sorted(set(xs))
    ]
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_title)}</text>')
    ends = _apart([y_of(it.points[-1][1]) for it in curves])
    for curve, tone, end in zip(curves, _TONES, ends, strict=False):
        course = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in curve.points)
        parts.append(f'<polyline points="{course}" style="fill:none;stroke:var(--{tone});stroke-width:2"/>')
        for x, y in curve.points:
            told = f"<title>{_short(x)}: {y:,.1f}</title>"
            parts.append(f'<circle class="{tone}" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3.5">{told}</circle>')
        parts.append(f'<text x="{right + 8}" y="{end + _TEXT:.1f}">{escape(curve.label)}</text>')
    head = f'<svg class="chart half" viewBox="0 0 {svg.NARROW} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
    return Markup(f"{head}<title>{escape(label)}</title>{''.join(parts)}</svg>")  # noqa: S704 - numbers, and text that is escaped


def _apart(ends: Sequence[float]) -> list[float]:
    """Labels beside the ends of their curves, none upon another."""
    placed: dict[int, float] = {}
    last = -math.inf
    for number, y in sorted(enumerate(ends), key=lambda it: it[1]):
        last = placed[number] = max(y, last + 14)
    return [placed[number] for number in range(len(ends))]


def _short(number: float) -> str:
    for size, sign in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:g}{sign}"
    return f"{number:g}"
