"""The checks that come with Tallyhouse, read from their YAML once (assets/gate/checks.yaml)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import cast

from assets.core.catalogue.models import Check, CheckKind, Suite
from assets.core.catalogue.nodes import Node, read_yaml
from assets.core.catalogue.problems import Problems
from assets.core.numbers import exact

_HERE = Path(__file__).resolve().parents[2] / "gate"
# How many nights it takes to know what is usual: two of each weekday.
AFTER_NIGHTS = 14


@cache
def shipped() -> dict[str, Check]:
    """By name, in the order of the file, as they are where nobody tunes them."""
    problems = Problems()
    root = read_yaml(_HERE, "checks.yaml", problems)
    assert root is not None, problems.mistakes
    return {name: _check(name, node) for name, node in root.entries["checks"].entries.items()}


def _check(name: str, node: Node) -> Check:
    it = node.entries
    kind = cast(CheckKind, it["kind"].text)

    def text(key: str) -> str | None:
        return it[key].text.strip() if key in it else None

    return Check(
        name=name,
        suite=cast(Suite, it["suite"].text),
        kind=kind,
        severity="block" if kind == "structure" else "warn",
        about=it["about"].text,
        table=it["table"].text,
        finds=text("finds"),
        expect=text("expect"),
        arguments=tuple((key, argument(child)) for key, child in it["with"].entries.items()) if "with" in it else (),
        settings=tuple((key, exact(child.text)) for key, child in it["settings"].entries.items())
        if "settings" in it
        else (),
        shows=tuple(item.text for item in it["shows"].items),
        money=text("money") or "at_stake",
        after_nights=0 if kind == "structure" else AFTER_NIGHTS,
    )


def argument(node: Node) -> object:
    """An argument of an expectation, as YAML means it."""
    match node.kind:
        case "map":
            return {key: argument(child) for key, child in node.entries.items()}
        case "list":
            return [argument(child) for child in node.items]
        case "number":
            number = exact(node.text)
            return int(number) if number == number.to_integral_value() else float(number)
        case "bool":
            return node.text.lower() == "true"
        case "null":
            return None
        case _:
            return node.text
