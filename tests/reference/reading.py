"""From files below raw/ to rows and the usages they hold (SPEC §1 sources.yaml, §2 the first five reasons)."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.reference.catalogue import Catalogue, Source
from tests.reference.exact import (
    COST_PLACES,
    QUANTITY_PLACES,
    BadNumber,
    BadTimestamp,
    Refusal,
    TooPrecise,
    instant,
    instant_of_epoch,
    micros,
    number,
    within,
)

UNIT_SEPARATOR = "\x1f"
csv.field_size_limit(1 << 30)  # a field is as long as it is


class Written(str):
    """A JSON number, kept as the text it was written as."""


class NoInstant(str):
    """A Parquet timestamp without a zone: it names no instant."""


@dataclass(frozen=True)
class RawRow:
    """A row of a file, read but not yet judged; `fields` is None where it could not be read."""

    source: str
    raw_file: str
    raw_line: int
    raw_text: str
    fields: Mapping[str, Any] | None
    landed_at: datetime


@dataclass(frozen=True)
class Usage:
    """One usage that a row emits."""

    meter: str
    event_key: str
    content: str
    quantity: Fraction
    cost: Fraction | None


@dataclass(frozen=True)
class Reading:
    """What a row turned out to be: ignored, held for a reason, or usages."""

    ignored: bool = False
    reason: str | None = None
    occurred_at: datetime | None = None
    account: str | None = None
    actor: str | None = None
    context: Mapping[str, str] | None = None
    usages: tuple[Usage, ...] = ()
    quantity: Fraction | None = None  # what could be read of a held row
    cost: Fraction | None = None


# --- files ---------------------------------------------------------------------------------------------------------


def files_below(raw: Path) -> list[str]:
    """SPEC §1: names that begin with `.` or `_`, or end in `.tmp` or `.part`, are left alone."""
    names = (path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file())
    return sorted(name for name in names if not _left_alone(name.rsplit("/", 1)[-1]))


def _left_alone(name: str) -> bool:
    return name.startswith((".", "_")) or name.endswith((".tmp", ".part"))


def matches(pattern: str, name: str) -> bool:
    """SPEC §1 `files`: `**/` is any number of folders, `*` and `?` stay inside a name."""
    expression = ""
    for piece in re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\])", pattern):
        if piece == "**/":
            expression += "(?:[^/]+/)*"
        elif piece == "**":
            expression += ".*"
        elif piece == "*":
            expression += "[^/]*"
        elif piece == "?":
            expression += "[^/]"
        elif piece.startswith("[") and piece.endswith("]"):
            expression += piece.replace("[!", "[^", 1)
        else:
            expression += re.escape(piece)
    return re.fullmatch(expression, name) is not None


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows_of(path: Path, raw_file: str, source: Source, landed_at: datetime) -> Iterator[RawRow]:
    """SPEC §1: a row is a JSON object on a line, a CSV record or a Parquet row; blank lines are none."""
    try:
        content = _opened(path)
        reader = {"ndjson": _ndjson, "csv": _csv, "parquet": _parquet}[source.format]
        found = list(reader(content))
    except (OSError, EOFError, zlib.error, pa.ArrowInvalid) as broken:
        raise Refusal(f"{raw_file} can't be read to its end: {broken}") from broken
    for line, text, fields in found:
        yield RawRow(source.name, raw_file, line, text, fields, landed_at)


def _opened(path: Path) -> bytes:
    if path.name.endswith(".gz"):
        return gzip.decompress(path.read_bytes())
    if path.name.endswith(".zst"):
        with pa.input_stream(str(path), compression="zstd") as stream:
            return bytes(stream.read())
    return path.read_bytes()


Found = Iterator[tuple[int, str, Mapping[str, Any] | None]]


def _ndjson(content: bytes) -> Found:
    """SPEC §1: the object of every line that is not blank; numbers stay text; of a repeated key the last counts."""
    for line, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not raw.strip(b" \t\r\n"):
            continue
        text = raw.decode("utf-8", errors="replace").rstrip("\r")
        try:
            value = json.loads(raw.decode("utf-8"), parse_int=Written, parse_float=Written, parse_constant=_no_constant)
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate is no text
        except (ValueError, RecursionError):
            yield line, text, None
            continue
        yield line, text, value if isinstance(value, dict) else None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _csv(content: bytes) -> Found:
    """SPEC §1: a record begins where its first line does; one that does not fit the header is malformed."""
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="surrogateescape")
    lines = io.StringIO(text, newline="").readlines()
    reader = csv.reader(iter(lines), strict=True)
    header: list[str] | None = None
    while True:
        begins = reader.line_num + 1
        try:
            record: list[str] | None = next(reader)
        except StopIteration:
            return
        except csv.Error:
            record = None
        written = "".join(lines[begins - 1 : reader.line_num]).rstrip("\r\n")
        if not written.strip():
            continue
        if header is None:
            header = record or []
            continue
        fits = record is not None and len(record) == len(header) and not re.search("[\udc80-\udcff]", written)
        shown = written.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")
        yield begins, shown, dict(zip(header, record, strict=True)) if fits and record is not None else None


def _parquet(content: bytes) -> Found:
    """SPEC §1: raw_line is the row number, from 1."""
    table = pq.read_table(io.BytesIO(content))
    columns = []
    for column in table.columns:
        # Nanoseconds are cut to what is kept; everything else comes out as it is.
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
        columns.append(column.to_pylist())
    for index in range(table.num_rows):
        fields = {name: _plain(column[index]) for name, column in zip(table.column_names, columns, strict=True)}
        yield index + 1, json.dumps(fields, ensure_ascii=False), fields


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return Written(repr(value))
    if isinstance(value, Decimal):
        return Written(f"{value:f}")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return NoInstant(value.isoformat())
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return str(value)


# --- fields --------------------------------------------------------------------------------------------------------


def at_path(fields: Mapping[str, Any], path: str, literal_first: bool) -> Any:
    """SPEC §1: dotted paths reach into objects; a CSV column with dots is taken literally first; empty is absent."""
    value: Any = None
    if literal_first and path in fields:
        value = fields[path]
    else:
        value = fields
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
    return None if value == "" else value


def as_text(value: Any) -> str | None:
    """What comparisons and identities look at; an object or a list has no text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


class _MissingField(Exception):
    pass


class _Row:
    """A row's fields, seen through its source."""

    def __init__(self, fields: Mapping[str, Any], source: Source) -> None:
        self.fields = fields
        self.literal_first = source.format == "csv"

    def value(self, path: str) -> Any:
        return at_path(self.fields, path, self.literal_first)

    def holds(self, conditions: Mapping[str, tuple[str, ...]]) -> bool:
        """SPEC §1: `where` and `when` compare as text, a list means any of, a missing field matches nothing."""
        return all(as_text(self.value(path)) in wanted for path, wanted in conditions.items())

    def number(self, path: str) -> Fraction:
        value = self.value(path)
        if value is None:
            raise _MissingField(path)
        if isinstance(value, bool) or not isinstance(value, str):
            raise BadNumber(path)
        return number(value)

    def quantity(self, expression: Any, weights: Mapping[str, Mapping[str, Fraction]]) -> Fraction:
        """SPEC §1: a field path, a number, a product, a sum or a weight, nested as needed."""
        if isinstance(expression, str):
            try:
                return number(expression)
            except BadNumber:
                return self.number(expression)
        if "weight" in expression:
            value = self.value(expression["weight"])
            if value is None:
                raise _MissingField(expression["weight"])
            table = weights[expression["table"]]
            listed = table.get(as_text(value) or "", table.get("default"))
            if listed is None:
                raise BadNumber(expression["weight"])
            return listed
        if "product" in expression:
            parts = self._all(expression["product"], weights)
            result = Fraction(1)
            for part in parts:
                result *= part
            return result
        return sum(self._all(expression["sum"], weights), Fraction(0))

    def _all(self, parts: list[Any], weights: Mapping[str, Mapping[str, Fraction]]) -> list[Fraction]:
        # Every part is looked at, so that the first reason in SPEC's order wins and not the first part.
        values, troubles = [], []
        for part in parts:
            try:
                values.append(self.quantity(part, weights))
            except (_MissingField, BadNumber, TooPrecise) as trouble:
                troubles.append(trouble)
        if troubles:
            raise min(troubles, key=lambda trouble: _ORDER.index(type(trouble)))
        return values


_ORDER: list[type[Exception]] = [_MissingField, BadTimestamp, BadNumber, TooPrecise]
_REASONS = ["missing_field", "bad_timestamp", "bad_number", "precision"]


# --- usages --------------------------------------------------------------------------------------------------------


def read_row(row: RawRow, source: Source, catalogue: Catalogue) -> Reading:
    """SPEC §1, §2: what the row emits, or the first reason in order that keeps it from being read."""
    if row.fields is None:
        return Reading(reason="malformed")
    fields = _Row(row.fields, source)
    emits = [emit for emit in source.emits if fields.holds(emit["when"])] if fields.holds(source.where) else []
    if not emits:
        return Reading(ignored=True)

    troubles: list[Exception] = []
    named = [fields.value(path) for path in source.identity]
    if any(value is None for value in named):
        troubles.append(_MissingField("identity"))
    identity = [as_text(value) for value in named]
    account_value = fields.value(source.account) if source.account else None
    actor_value = fields.value(source.actor) if source.actor else None
    account, actor = as_text(account_value), as_text(actor_value)
    unspeakable = [
        value for value in (*named, account_value, actor_value) if value is not None and as_text(value) is None
    ]
    if unspeakable:
        return Reading(reason="malformed")

    occurred_at: datetime | None = None
    try:
        occurred_at = _occurred_at(fields, source)
    except (_MissingField, BadTimestamp) as trouble:
        troubles.append(trouble)

    measured: list[tuple[str, Fraction | None, Fraction | None]] = []
    for emit in emits:
        quantity, cost = None, None
        try:
            # SPEC §1: a quantity is 1 when absent.
            quantity = within(fields.quantity(emit.get("quantity", "1"), catalogue.weights), QUANTITY_PLACES)
        except (_MissingField, BadNumber, TooPrecise) as trouble:
            troubles.append(trouble)
        try:
            cost = within(fields.number(emit["cost"]), COST_PLACES) if "cost" in emit else None
        except (_MissingField, BadNumber, TooPrecise) as trouble:
            troubles.append(trouble)
        measured.append((emit["meter"], quantity, cost))

    context = {key: text for key, path in source.context.items() if (text := _shown(fields.value(path))) is not None}
    reading = Reading(
        reason=_REASONS[min(_ORDER.index(type(trouble)) for trouble in troubles)] if troubles else None,
        occurred_at=occurred_at,
        account=account,
        actor=actor,
        context=context or None,
        quantity=next((quantity for _, quantity, _ in measured if quantity is not None), None),
        cost=next((cost for _, _, cost in measured if cost is not None), None),
    )
    if troubles or occurred_at is None:
        return reading
    usages = tuple(
        Usage(
            meter,
            event_key(source.name, meter, identity),
            content_hash(occurred_at, account, actor, quantity, cost),
            quantity,
            cost,
        )
        for meter, quantity, cost in measured
        if quantity is not None
    )
    return Reading(**{**reading.__dict__, "usages": usages})


def _occurred_at(fields: _Row, source: Source) -> datetime:
    value = fields.value(source.occurred_at)
    if value is None:
        raise _MissingField(source.occurred_at)
    if isinstance(value, bool | NoInstant) or not isinstance(value, str):
        raise BadTimestamp(source.occurred_at)
    if source.unit is not None:
        return instant_of_epoch(value, source.unit)
    if isinstance(value, Written):
        raise BadTimestamp(value)
    return instant(value)


def _shown(value: Any) -> str | None:
    text = as_text(value)
    return text if text is not None or value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def event_key(source: str, meter: str, identity: list[str | None]) -> str:
    """SPEC §2: SHA-256 of source, meter and the identity values as written, joined by U+001F."""
    return _hash([source, meter, *identity])


def content_hash(
    occurred_at: datetime, account: str | None, actor: str | None, quantity: Fraction | None, cost: Fraction | None
) -> str:
    """SPEC §2: SHA-256 of time in µs, account, actor, quantity × 10⁹ and cost × 10¹⁵, absent ones empty."""
    return _hash(
        [
            str(micros(occurred_at)),
            account,
            actor,
            None if quantity is None else str(quantity * 10**QUANTITY_PLACES),
            None if cost is None else str(cost * 10**COST_PLACES),
        ]
    )


def _hash(parts: list[str | None]) -> str:
    return hashlib.sha256(UNIT_SEPARATOR.join(part or "" for part in parts).encode("utf-8")).hexdigest()
