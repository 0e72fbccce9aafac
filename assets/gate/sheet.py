"""The gate's account of a night as a page beside Data Docs: what stopped it or warned, on which rows, for what money.

Data Docs know what Great Expectations was asked. A night that a rule of the models stops never comes so far, so this
page stands in their place then; else their first page says how the night went, and leads here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import duckdb

from assets.core.catalogue.shipped_checks import shipped
from assets.core.instants import format_instant
from assets.core.page import Code, Text
from assets.gate import docs, words
from assets.gate.judge import Judged, rows_of
from assets.report import forms
from assets.report.grid import Cell, Column, Group, Row, of_table, simple
from assets.report.grid import Grid as Table
from assets.report.page import Item, Link, Note, Report, Section, Tile, write

NAME = "night.html"
SAMPLE = 20
_COLOURS = {"stops": "danger", "warns": "warning", "passes": "success"}
_TITLES = {"stops": "It stops the night", "warns": "It warns", "accepted": "Accepted for this night"}


def put(con: duckdb.DuckDBPyConnection, judged: Judged, workspace: Path) -> None:
    """Write the page, and lead to it from where people look first."""
    folder = workspace / docs.DOCS
    index = workspace / docs.REPORT
    has_suites = index.exists()
    write(folder / NAME, _report(con, judged, workspace, has_suites))
    if not has_suites:
        write(index, _report(con, judged, workspace, has_suites))
        return
    said = escape(words.opening(judged) + ".")
    names = forms.listed([check["check_name"] for check in judged.of("stops", "warns", "accepted")])
    lead = escape(f"See {names}, the rows and the money") if names else "See every check"
    banner = (
        f'<div class="alert alert-{_COLOURS[judged.verdict]} m-3" role="note">{said[:1].upper()}{said[1:]} '
        f'<a class="alert-link" href="{NAME}">{lead}</a></div>'
    )
    head, body, rest = index.read_text(encoding="utf-8").partition("<body>")
    part = index.with_name(".index.html.tmp")
    part.write_text(f"{head}{body}{banner}{rest}", encoding="utf-8")
    os.replace(part, index)


def _report(con: duckdb.DuckDBPyConnection, judged: Judged, workspace: Path, has_suites: bool) -> Report:
    said = words.opening(judged)
    return Report(
        kind="gate",
        title=f"The gate on {forms.long_day(judged.as_of)}",
        eyebrow=forms.instant(judged.as_of),
        headline=f"{said[:1].upper()}{said[1:]}.",
        warning=words.consequence(judged) if judged.is_stopped else "",
        tiles=list(_tiles(judged)),
        sections=[section for section in _sections(con, judged, workspace) if section.shown],
        links=[Link("index.html", "Data Docs, suite by suite")] if has_suites else [],
        closing=(
            "Every row that a check found is in gate.check_rows of the warehouse, and in billing.check_rows once it is "
            f"published; tallyhouse gate --as-of {format_instant(judged.as_of)} --rows CHECK lists them."
        ),
    )


def _tiles(judged: Judged) -> Iterator[Tile]:
    for verdict, label, tone in (("stops", "Stopped it", "bad"), ("warns", "Warned", "warn")):
        found = len(judged.of(verdict))
        yield Tile(verdict, label, forms.count(found), "checks" if found != 1 else "check", tone if found else "")  # type: ignore[arg-type]
    held = "held back" if judged.is_stopped else "to be billed"
    yield Tile("lines", "Lines", forms.count(judged.lines), held)
    for currency, amount in sorted(judged.money.items()):
        yield Tile(f"money-{currency}", f"In {currency}", words.amounts({currency: amount}).partition(" ")[0], held)


def _sections(con: duckdb.DuckDBPyConnection, judged: Judged, workspace: Path) -> Iterator[Section]:
    for check in judged.of("stops", "accepted", "warns"):
        name = check["check_name"]
        because = f", because {check['because']}" if check["because"] else ""
        items: list[Item] = [Note(f"{_TITLES[check['verdict']]}{because}: it {words.what(check)}")]
        rows = rows_of(con, judged.as_of, name, SAMPLE)
        if rows:
            items.append(_sample(check, rows))
        yield Section(name, name, check["about"], items)
    if judged.is_stopped:
        yield Section("what-to-do", "What to do", "", list(_steps(judged, workspace)))
    yield Section("checks", "Every check", "", [_every_check(judged)])


def _sample(check: dict[str, Any], rows: list[dict[str, Any]]) -> Table:
    """The first rows, their money before what may be too wide for the page."""
    known = shipped().get(check["check_name"])
    money = (known.money if known else "at_stake", "currency")
    sample = words.sample(check, rows)
    titles = [column.title for column in sample.columns]
    order = sorted(range(len(titles)), key=lambda at: money.index(titles[at]) if titles[at] in money else len(money))
    shown = replace(
        sample,
        title=sample.title.rstrip(":"),
        columns=tuple(replace(sample.columns[at], title=titles[at].replace("_", " ")) for at in order),
        rows=[[row[at] for at in order] for row in sample.rows],
    )
    return of_table(check["check_name"], shown)


def _steps(judged: Judged, workspace: Path) -> Iterator[Item]:
    for number, block in enumerate(words.what_to_do(judged, workspace)):
        if isinstance(block, Code):
            lines = [Row(str(at), [Cell(line.strip())]) for at, line in enumerate(block.text.splitlines())]
            yield simple(f"commands-{number}", [Column("command", "", "mono")], lines)
        elif isinstance(block, Text):
            yield Note(block.text)


def _every_check(judged: Judged) -> Table:
    """By suite, those that found something first."""
    names = ("check", "severity", "outcome", "rows", "at_stake")
    kinds: dict[str, Any] = {"check": "long", "rows": "number", "at_stake": "number"}
    titles = {"at_stake": "At stake"}
    columns = [Column(name, titles.get(name, name.capitalize()), kinds.get(name, "text")) for name in names]
    groups = []
    for suite in dict.fromkeys(check["suite"] for check in judged.checks):
        found = sorted(
            (check for check in judged.checks if check["suite"] == suite),
            key=lambda check: ("stops", "warns", "accepted", "passes").index(check["verdict"]),
        )
        groups.append(Group(words.SUITES.get(suite, suite), [_check(check) for check in found]))
    return Table("every-check", columns, groups)


def _check(check: dict[str, Any]) -> Row:
    tone: Any = {"stops": "bad", "warns": "warn", "accepted": "warn"}.get(check["verdict"], "")
    outcome = "accepted" if check["verdict"] == "accepted" else check["outcome"]
    if check["outcome"] in ("waiting", "off"):
        tone = "dim"
    return Row(
        check["check_name"],
        [
            Cell(check["check_name"], note=check["about"]),
            check["severity"],
            Cell(outcome, tone=tone),
            forms.count(check["rows_found"]) if check["rows_found"] else Cell("–", tone="dim"),
            words.amounts(check["at_stake"]) or Cell("–", tone="dim"),
        ],
    )
