"""Small pieces of SQL text: literals, and the paths of DuckDB's JSON functions."""

from __future__ import annotations

from collections.abc import Iterable


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def json_path(names: Iterable[str]) -> str:
    """The literal of a JSON path through objects only: every name quoted, so that none is an index."""
    steps = tuple(names)
    # A wildcard even between quotes, and an empty name is none to a path; both are names to a pointer.
    if any("*" in name or not name for name in steps):
        return literal("".join("/" + name.replace("~", "~0").replace("/", "~1") for name in steps))
    return literal("$" + "".join('."' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in steps))


def listed(items: Iterable[str]) -> str:
    return "[" + ", ".join(items) + "]"
