"""A report as one file: sections of words, tables and charts in one self-contained page of HTML.

Nothing is fetched when it is opened: no script, no font, no picture from elsewhere. It is written beside its place and
renamed into it, so that whoever opens it finds the old page or the new one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TypeAlias

import jinja2
from markupsafe import Markup

from assets.report.grid import Grid
from assets.report.usage import Chart


@dataclass(frozen=True, slots=True)
class Tile:
    """A number one looks for first."""

    name: str
    label: str
    value: str
    note: str = ""
    tone: Literal["", "good", "warn", "bad"] = ""


@dataclass(frozen=True, slots=True)
class Stack:
    """A bar of the parts of a whole, with its legend: tone, label, number."""

    drawing: Markup
    legend: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Note:
    text: str


@dataclass(frozen=True, slots=True)
class Folded:
    """A long table that is opened by whoever wants it; on paper it is left out."""

    title: str
    grid: Grid


Item: TypeAlias = Grid | Chart | Stack | Note | Folded


@dataclass(frozen=True, slots=True)
class Link:
    href: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    title: str
    lede: str = ""
    items: Sequence[Item] = ()
    level: int = 2

    @property
    def shown(self) -> list[Any]:
        """What there is to show: an empty table is not."""
        grids = [(it, it.grid if isinstance(it, Folded) else it) for it in self.items]
        return [it for it, grid in grids if not (isinstance(grid, Grid) and grid.is_empty)]

    @property
    def runs(self) -> list[list[Any]]:
        """The same in order; charts and bridges that follow each other stand side by side."""
        found: list[list[Any]] = []
        for narrow, group in groupby(self.shown, key=_is_narrow):
            run = list(group)
            found += [run] if narrow else [[it] for it in run]
        return found


def _is_narrow(it: Any) -> str:
    return "chart" if isinstance(it, Chart) else "bridge" if isinstance(it, Grid) and it.is_bridge else ""


@dataclass(frozen=True, slots=True)
class Report:
    kind: str
    title: str
    eyebrow: str
    headline: str
    tiles: Sequence[Tile] = ()
    sections: Sequence[Section] = ()
    links: Sequence[Link] = ()
    warning: str = ""
    facts: Sequence[tuple[str, str]] = field(default=())
    closing: str = ""


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["grid"] = lambda it: isinstance(it, Grid)
    environment.tests["chart"] = lambda it: isinstance(it, Chart)
    environment.tests["folded"] = lambda it: isinstance(it, Folded)
    environment.tests["stack"] = lambda it: isinstance(it, Stack)
    return environment


def rendered(report: Report) -> str:
    style = (Path(__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("report.html")
        .render(
            it=report,
            style=Markup(style),  # noqa: S704 - our own file
        )
    )


def write(file: Path, report: Report) -> Path:
    """Put the page in its place, whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.tmp")
    part.write_text(rendered(report), encoding="utf-8")
    os.replace(part, file)
    return file
