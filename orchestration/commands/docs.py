"""The command of whoever wants to read about the tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from assets.core.refusal import Refusal
from orchestration.voice import Json, speaking


def docs(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page to write.")] = Path(
        "tallyhouse-docs.html"
    ),
    as_json: Json = False,
) -> None:
    """Write dbt's pages about every table, column, test and what comes from what, as one HTML file to open offline."""
    from orchestration.docs import page

    with speaking(as_json) as voice:
        if not out.parent.is_dir():
            raise Refusal(f"There is no directory {out.parent} to write {out.name} into.")
        part = out.with_name(f".{out.name}.tmp")
        part.write_text(page(), encoding="utf-8")
        os.replace(part, out)
        voice.say("docs", f"{out}, to open in any browser", {"file": str(out)})
