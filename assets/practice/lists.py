"""Pages of a list: newest first, one cursor, and whether there is more."""

from __future__ import annotations

from typing import Any

from assets.practice.errors import invalid
from assets.practice.store import Json


def page(rows: list[Json], params: dict[str, Any], url: str, noun: str, default: int = 10) -> Json:
    """`rows` in the order of the list. The cursor must be one of them."""
    limit = params.get("limit", default)
    if not 1 <= limit <= 100:
        raise invalid(f"A limit is between 1 and 100, not {limit}.", "limit")
    after, before = params.get("starting_after"), params.get("ending_before")
    if after and before:
        raise invalid("Tell one of ending_before and starting_after.", "starting_after")
    if after:
        rows = rows[_position(rows, after, "starting_after", noun) + 1 :]
        shown, rest = rows[:limit], rows[limit:]
    elif before:
        rows = rows[: _position(rows, before, "ending_before", noun)]
        shown, rest = rows[-limit:], rows[:-limit]
    else:
        shown, rest = rows[:limit], rows[limit:]
    return {"object": "list", "data": shown, "has_more": bool(rest), "url": url}


def _position(rows: list[Json], id: str, param: str, noun: str) -> int:
    for position, row in enumerate(rows):
        if row["id"] == id:
            return position
    raise invalid(f"No such {noun}: '{id}'", param, "resource_missing")


def is_within(instant: int, told: Any) -> bool:
    """`created=T` or `created[gte]=T`, with gt, gte, lt and lte."""
    if told is None:
        return True
    if isinstance(told, int):
        return instant == told
    return (
        ("gt" not in told or instant > told["gt"])
        and ("gte" not in told or instant >= told["gte"])
        and ("lt" not in told or instant < told["lt"])
        and ("lte" not in told or instant <= told["lte"])
    )
