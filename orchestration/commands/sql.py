"""The command of whoever asks in SQL: one query, an example, or a shell, on the published file and nothing else."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from assets.core.page import Text
from orchestration.voice import Voice, Workspace, speaking

if TYPE_CHECKING:
    from assets.reader import Answer


def sql(
    workspace: Workspace,
    query: Annotated[
        str | None, typer.Argument(metavar="QUERY", help="One query or several. Without one: a shell.")
    ] = None,
    example: Annotated[
        str | None, typer.Option("--example", metavar="NAME", help="Run one of the examples; `list` names them.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every row as CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every row as a JSON object, one a line.")] = False,
) -> None:
    """Ask the published tables (schema billing) in DuckDB's SQL. Nothing can be changed, and no night is disturbed."""
    from assets import reader
    from orchestration import examples

    if as_csv and as_json:
        raise typer.BadParameter("say --csv or --json, not both")
    if query is not None and example is not None:
        raise typer.BadParameter("give a QUERY or --example, not both")
    with speaking(as_json) as voice:
        if example == "list":
            examples.listed(voice)
            return
        asked = examples.find(example).sql if example else query
        if asked is None and sys.stdin.isatty():
            from orchestration.shell import Shell

            Shell(workspace.resolve(), voice).run()
            return
        with reader.opened(workspace.resolve()) as con:
            for answer in reader.answers(con, sys.stdin.read() if asked is None else asked):
                tell(voice, answer, as_csv)


def tell(voice: Voice, answer: Answer, as_csv: bool = False) -> None:
    """An answer as a table with its first rows, or whole to a program."""
    from assets import reader

    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows([reader.text(value) for value in row] for row in answer.rows())
    elif voice.is_json:
        for row in answer.rows():
            values = map(reader.jsonable, row)
            print(json.dumps(dict(zip(answer.columns, values, strict=True)), ensure_ascii=False))
    else:
        table, has_more = answer.table()
        foot = f"the first {reader.MOST_ROWS} rows; add a LIMIT, or take them all with --csv" if has_more else ""
        voice.show([table, *([Text(foot)] if foot else [])])
