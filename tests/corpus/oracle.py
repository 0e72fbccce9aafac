"""What a row must become, reckoned in plain Python: json.loads with Decimal, and no short cut anywhere."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

from assets.core.catalogue.models import Expr, Field, Number, Product, Source, Sum, Weight
from assets.core.instants import parse_instant

_REASONS = ("malformed", "missing_field", "bad_timestamp", "bad_number", "precision")
_WIDE = Context(prec=5_000)
_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)[ \t\n\v\f\r]*")
_EPOCH_US = {"s": 6, "ms": 3, "us": 0}


@dataclass(frozen=True)
class Usage:
    """A row of the batch, but for where it stands."""

    meter: str | None
    key: int | None
    occurred_at: datetime | None
    account: str | None
    actor: str | None
    quantity: Decimal | None
    cost: Decimal | None
    context: str | None
    reason: str | None


class Written(str):
    """A JSON number, as it was written."""


class _Trouble(Exception):
    pass


def usages(line: str, source: Source, weights: Mapping[str, Mapping[str, Decimal]]) -> list[Usage]:
    """The row's usages; none if it is ignored."""
    try:
        row = json.loads(line, parse_float=Written, parse_int=Written, parse_constant=_no_constant)
        line.encode()
        json.dumps(row, ensure_ascii=False).encode()
    except ValueError:
        row = None
    if not isinstance(row, dict) or any(
        isinstance(_at(row, path), (dict, list)) for path in (*source.identity, source.account, source.actor) if path
    ):
        return [Usage(None, None, None, None, None, None, None, None, "malformed")]
    if not _holds(row, source.where):
        return []
    emits = [emit for emit in source.emits if _holds(row, emit.when)]
    if not emits:
        return []
    problems: set[str] = set()
    identity = [_text(_at(row, path)) for path in source.identity]
    if None in identity:
        problems.add("missing_field")
    occurred_at = _tried(problems, lambda: _instant(row, source))
    found = []
    for emit in emits:
        quantity = _tried(problems, lambda: _fit(_value(row, emit.quantity, weights), 9))  # noqa: B023
        cost = _tried(problems, lambda: _fit(_number(row, emit.cost), 15)) if emit.cost else None  # noqa: B023
        key = None
        if None not in identity:
            text = "\x1f".join([source.name, emit.meter, *(part or "" for part in identity)])
            key = int(hashlib.sha256(text.encode()).hexdigest(), 16)
        found.append((emit.meter, key, quantity, cost))
    reason = min(problems, key=_REASONS.index) if problems else None
    account, actor = (_text(_at(row, path)) if path else None for path in (source.account, source.actor))
    context = _context(row, source)
    return [Usage(m, key, occurred_at, account, actor, q, c, context, reason) for m, key, q, c in found]


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _at(row: Any, path: str) -> Any:
    for name in path.split("."):
        row = row.get(name) if isinstance(row, dict) else None
    return None if row == "" else row


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str) else None


def _holds(row: Any, condition: Mapping[str, tuple[str, ...]]) -> bool:
    return all(_text(_at(row, path)) in values for path, values in condition.items())


def _tried(problems: set[str], value: Any) -> Any:
    try:
        return value()
    except _Trouble as trouble:
        problems.add(str(trouble))
        return None


def _number(row: Any, path: str) -> Decimal:
    value = _at(row, path)
    if value is None:
        raise _Trouble("missing_field")
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _Trouble("bad_number")
    mantissa, _, power = match[1].lower().partition("e")
    if not mantissa.strip("+-0."):
        return Decimal(0)
    if abs(int(power or 0)) > 4_000:
        raise _Trouble("precision")
    number = Decimal(match[1])
    if number.copy_abs() >= 10**18:
        raise _Trouble("precision")
    return number


def _value(row: Any, expr: Expr | None, weights: Mapping[str, Mapping[str, Decimal]]) -> Decimal:
    match expr:
        case None:
            return Decimal(1)
        case Field(path):
            return _number(row, path)
        case Number(value):
            return value
        case Weight(path, table):
            value = _at(row, path)
            if value is None:
                raise _Trouble("missing_field")
            weight = weights[table].get(_text(value) or "", weights[table].get("default"))
            if weight is None:
                raise _Trouble("bad_number")
            return weight
        case Product(parts) | Sum(parts):
            problems: set[str] = set()
            values = [_tried(problems, lambda: _value(row, part, weights)) for part in parts]  # noqa: B023
            if problems:
                raise _Trouble(min(problems, key=_REASONS.index))
            total = Decimal(1 if isinstance(expr, Product) else 0)
            for value in values:
                total = _WIDE.multiply(total, value) if isinstance(expr, Product) else _WIDE.add(total, value)
            return total


def _fit(value: Decimal, places: int) -> Decimal:
    if value.copy_abs() >= 10**18 or value != value.quantize(Decimal(1).scaleb(-places), context=_WIDE):
        raise _Trouble("precision")
    return value


def _instant(row: Any, source: Source) -> datetime:
    value = _at(row, source.occurred_at.field)
    if value is None:
        raise _Trouble("missing_field")
    try:
        if source.occurred_at.unit is None:
            return parse_instant(value if isinstance(value, str) else "").replace(tzinfo=None)
        number = _number(row, source.occurred_at.field)
        microseconds = int(number.scaleb(_EPOCH_US[source.occurred_at.unit], _WIDE))
        seconds, rest = divmod(microseconds, 1_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest, tzinfo=None)
    except (_Trouble, ValueError, OverflowError, OSError):
        raise _Trouble("bad_timestamp") from None


def _context(row: Any, source: Source) -> str | None:
    found = {key: _plain(_at(row, path)) for key, path in source.context.items()}
    kept = {key: value for key, value in found.items() if value is not None}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")) if kept else None


def _plain(value: Any) -> Any:
    """Whole numbers of up to 18 characters stay numbers; others become text as written."""
    if isinstance(value, Written):
        return (
            int(value) if re.fullmatch(r"-?[0-9]{1,18}", value) and len(value) <= 18 and value != "-0" else str(value)
        )
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value
