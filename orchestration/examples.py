"""The examples that ship with Tallyhouse (data/examples): each a question, how to read its answer, and the query."""

from __future__ import annotations

from dataclasses import dataclass

from assets.core.catalogue.problems import suggestion
from assets.core.page import Table, words
from assets.core.refusal import Refusal
from data import EXAMPLES
from orchestration.voice import Voice


@dataclass(frozen=True, slots=True)
class Example:
    name: str
    question: str
    reading: str  # how to read the answer
    sql: str


def examples() -> dict[str, Example]:
    return {file.stem: _read(file.stem, file.read_text()) for file in sorted(EXAMPLES.glob("*.sql"))}


def find(name: str) -> Example:
    known = examples()
    if name not in known:
        advice = suggestion(name, list(known), "`tallyhouse sql --example list` names them")
        raise Refusal(f"There is no example {name!r}; {advice}")
    return known[name]


def listed(voice: Voice) -> None:
    if voice.is_json:
        for it in examples().values():
            voice.say("example", it.question, {"name": it.name, "reading": it.reading, "sql": it.sql})
    else:
        rows = [(it.name, it.question) for it in examples().values()]
        voice.show([Table("", (words("example"), words("question")), rows)])


def _read(name: str, text: str) -> Example:
    lines = text.splitlines()
    comments = [line.removeprefix("--").strip() for line in lines[: _first_without_comment(lines)]]
    return Example(name, comments[0], " ".join(comments[1:]), text)


def _first_without_comment(lines: list[str]) -> int:
    return next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
