"""The gate's account of a night, for the person who is woken by it: what failed, on which rows, for how much money."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

from assets.core.catalogue.shipped_checks import shipped
from assets.core.instants import format_instant
from assets.core.page import Code, Page, Table, Text, counted, money, number, plain, words
from assets.gate.judge import Judged

Row: TypeAlias = dict[str, Any]
RowsOf: TypeAlias = Callable[[str, int], list[Row]]  # a check's first rows

SUITES = {
    "models": "Rules of the models",
    "landed": "What came in",
    "billed": "What would be billed",
    "own": "The workspace's own",
}
SAMPLE = 5
_WIDEST = 8  # columns of a sample


def opening(judged: Judged) -> str:
    night = f"the night of {format_instant(judged.as_of)}"
    stops, warns, accepted = (len(judged.of(verdict)) for verdict in ("stops", "warns", "accepted"))
    waiting, off = (sum(check["outcome"] == outcome for check in judged.checks) for outcome in ("waiting", "off"))
    parts = [counted(len(judged.of("passes")) - waiting - off, "check") + " passed"]
    parts += [f"{stops} stopped it"] * bool(stops) + [f"{warns} warned"] * bool(warns)
    parts += [f"{accepted} accepted"] * bool(accepted)
    parts += [f"{waiting} wait for more history"] * bool(waiting) + [f"{off} off"] * bool(off)
    said = {"stops": "was stopped", "warns": "passed, with warnings", "passes": "passed"}[judged.verdict]
    return f"{night} {said}: {', '.join(parts)}"


def consequence(judged: Judged) -> str:
    """What a stop holds back, and what it leaves alone."""
    held = f"{counted(judged.lines, 'line')}" + (f" of {amounts(judged.money)}" if judged.money else "")
    if not judged.lines and all(check["suite"] == "models" for check in judged.checks):
        held = "all that tonight would bill, which was not reckoned to the end"
    last = (
        f"the night of {format_instant(judged.last_posted)} is what readers see, untouched"
        if judged.last_posted
        else "there was none before it"
    )
    return f"Nothing was posted, published or pushed. Held back: {held}. Last published: {last}."


def sentence(check: Row) -> str:
    """A check that did not pass, as one sentence."""
    aim = "" if check["outcome"] == "raised" else f" It makes sure of this: {check['about']}"
    return f"{check['check_name']} {what(check)}{aim}"


def what(check: Row) -> str:
    """What it found, and the money of it."""
    if check["outcome"] == "raised":
        return f"{check['detail']}; it blocks, for nobody knows what it would have found."
    found = counted(check["rows_found"], "row") if check["rows_found"] else check["detail"] or "what must not be"
    stake = f", {amounts(check['at_stake'])} at stake" if check["at_stake"] else ""
    return f"found {found}{stake}."


def page(judged: Judged, rows_of: RowsOf, workspace: object) -> Page:
    """The whole account."""
    blocks: Page = [Text(_capital(opening(judged)) + ".")]
    for check in judged.of("stops", "accepted", "warns"):
        blocks += _check(check, rows_of)
    if judged.is_stopped:
        blocks.append(Text(consequence(judged)))
    if judged.report:
        blocks.append(Text(f"The report: {judged.report}, below the workspace."))
    if judged.is_stopped:
        blocks += what_to_do(judged, workspace)
    return blocks


def _check(check: Row, rows_of: RowsOf) -> Page:
    how = {
        "stops": f"{check['kind']}, blocks",
        "warns": f"{check['kind']}, warns",
        "accepted": f"{check['kind']}, accepted for this night because {check['because']}",
    }[check["verdict"]]
    blocks: Page = [Text(f"[{how}] {sentence(check)}")]
    rows = rows_of(check["check_name"], SAMPLE)
    if rows:
        blocks.append(sample(check, rows))
    return blocks


def sample(check: Row, rows: list[Row]) -> Table:
    known = shipped().get(check["check_name"])
    names = [name for name in known.shows if name in rows[0]] if known else list(rows[0])[:_WIDEST]
    stake = known.money if known else "at_stake"
    names += [name for name in (stake, "currency") if name in rows[0] and name not in names]
    more = check["rows_found"] - len(rows)
    return Table(
        f"{len(rows)} of {check['rows_found']} rows, the most money first:" if more else "",
        tuple(number(name) if _is_number(rows, name) else words(name) for name in names),
        [[_cell(row.get(name), row) for name in names] for row in rows],
    )


def what_to_do(judged: Judged, workspace: object) -> Page:
    where = f"--workspace {shlex.quote(str(workspace))}"
    again = f"tallyhouse nightly {where} --as-of {format_instant(judged.as_of)}"
    checks = judged.of("stops")
    acceptable = [check for check in checks if is_acceptable(check)]
    blocks: Page = [Text("Mend what is wrong and run the night again, or see all rows of a check:")]
    blocks.append(Code(f"    tallyhouse gate {where} --rows {checks[0]['check_name']}"))
    if len(acceptable) < len(checks):
        odd = "A check of structure, and one that could not be run, can't be accepted."
        blocks.append(Text(odd if acceptable else f"{odd} Nothing but mending helps."))
    if len(acceptable) == len(checks):
        accepts = [f'    tallyhouse gate {where} --accept {check["check_name"]} --because "…"' for check in acceptable]
        blocks.append(Text("If the rows are right, let this one night pass, and run it again:"))
        blocks.append(Code("\n".join([*accepts, f"    {again}"])))
    return blocks


def is_acceptable(check: Row) -> bool:
    return bool(check["kind"] != "structure" and check["outcome"] == "failed")


def overview(judged: Judged) -> Table:
    """Every check of the night."""
    return Table(
        "",
        (
            words("check"),
            words("suite"),
            words("kind"),
            words("severity"),
            words("outcome"),
            number("rows"),
            words("at stake"),
        ),
        [
            [
                check["check_name"],
                check["suite"],
                check["kind"],
                check["severity"],
                check["outcome"] if check["verdict"] != "accepted" else "accepted",
                str(check["rows_found"]),
                amounts(check["at_stake"]),
            ]
            for check in judged.checks
        ],
    )


def rows_page(check: Row, rows: list[Row]) -> Page:
    """All rows of a check, with all their columns."""
    if not rows:
        return [Text(f"{check['check_name']} found no rows.")]
    names = list(rows[0])
    return [
        Text(sentence(check) if check["verdict"] != "passes" else check["about"]),
        Table(
            "",
            tuple(number(name) if _is_number(rows, name) else words(name) for name in names),
            [[_cell(row.get(name), row) for name in names] for row in rows],
        ),
    ]


def facts(judged: Judged) -> dict[str, Any]:
    """For a program."""
    return {
        "as_of": format_instant(judged.as_of),
        "verdict": judged.verdict,
        "lines": judged.lines,
        "money": judged.money,
        "last_posted": judged.last_posted and format_instant(judged.last_posted),
        "report": judged.report,
        "failed": [
            {
                key: check[key]
                for key in ("check_name", "kind", "severity", "outcome", "verdict", "rows_found", "at_stake")
            }
            for check in judged.of("stops", "warns", "accepted")
        ],
    }


def amounts(of: Mapping[str, str]) -> str:
    """Money by currency; some rows do not say which."""
    return ", ".join(
        f"{money(Decimal(amount), currency)} {currency}" if currency else plain(Decimal(amount))
        for currency, amount in of.items()
    )


def _is_number(rows: list[Row], name: str) -> bool:
    return all(isinstance(row.get(name), int | Decimal | None) for row in rows) and not isinstance(rows[0][name], bool)


def _cell(value: Any, row: Row) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return plain(round(value, 4) if abs(value) >= 1 or not value else round(value, 6))
    if isinstance(value, str) and len(value) == 19 and value[10] == " ":
        return _instant(value)
    return str(value)


def _instant(text: str) -> str:
    """As DuckDB writes it into JSON."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
