"""Parquet at the edge, and its rows as text: the value that a path reads, a row as JSON with exact numbers.

Columns travel under names of ours (x1…), so that no name of theirs can collide, in whatever case. An instant has a
zone; a naive timestamp is text without an offset, and refused as such later. Binary floats are their shortest text.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assets.core.refusal import Refusal
from assets.landing.edge import LINES, Reading, chunks, unreadable
from assets.landing.mapping import Mapping
from assets.landing.readers import CAREFUL, column_of, in_text
from assets.landing.sql import literal

_ROWS = 1 << 16
_OWN = ("raw_file", "raw_line", "landed_at")
# A map travels as a list of these: DuckDB's own has no room for a key that is there twice, of which the last counts.
_KEY, _VALUE = "key of a map", "value of a map"
_ABSENT = "CAST(NULL AS VARCHAR)", pa.string()


def parquet_schema(reading: Reading, spool: Path) -> pa.Schema:
    """The columns of a file that is only looked into."""
    with _opened(reading, spool) as file:
        schema = file.schema_arrow
    repeated = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if repeated:
        raise Refusal(
            f"raw/{reading.raw_file}: two columns are named {', '.join(map(repr, repeated))}: "
            "rename one in a new file, and take this one away"
        )
    return pa.schema([pa.field(field.name, _taken(field.type)) for field in schema])


def _taken(kind: Any) -> Any:
    """The type as DuckDB takes it: of decimals wider than its own the text, half floats with room to spare, maps as
    their entries."""
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal256(kind):
        return pa.string()
    if pa.types.is_map(kind):
        return pa.list_(pa.struct({_KEY: _taken(kind.key_type), _VALUE: _taken(kind.item_type)}))
    inner = [kind.field(number).type for number in range(kind.num_fields)]
    if inner == [_taken(each) for each in inner]:
        return kind
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_taken(field.type)) for field in kind])
    return pa.list_(_taken(kind.value_type))


def parquet_lines(schema: pa.Schema) -> pa.Schema:
    """The schema of this file's batches."""
    columns = [(f"x{number}", field.type) for number, field in enumerate(schema, 1)]
    return pa.schema([*(LINES.field(name) for name in _OWN), *columns])


def parquet_batches(reading: Reading, schema: pa.Schema, spool: Path) -> Iterator[pa.RecordBatch]:
    lines = parquet_lines(schema)
    landed_at = pa.scalar(reading.landed_at, pa.timestamp("us"))
    with _opened(reading, spool) as file:
        for rows in file.iter_batches(batch_size=_ROWS):
            count = rows.num_rows
            name = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([reading.raw_file]))
            numbers = pa.array(np.arange(reading.rows + 1, reading.rows + count + 1))
            reading.rows += count
            own = [name, numbers, pa.repeat(landed_at, count)]
            columns = [
                column if column.type == field.type else column.cast(field.type)
                for column, field in zip(rows.columns, schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays([*own, *columns], schema=lines)


@contextmanager
def _opened(reading: Reading, spool: Path) -> Iterator[pq.ParquetFile]:
    """The file, decompressed into `spool` first where its name says so; its bytes are hashed on the way."""
    is_packed = Path(reading.raw_file).suffix.lower() in (".gz", ".zst")
    with tempfile.TemporaryDirectory(dir=spool, prefix="parquet-") as directory:
        path = Path(directory) / "unpacked.parquet" if is_packed else reading.path
        if is_packed:
            with path.open("wb") as unpacked:
                unpacked.writelines(chunks(reading))
        else:
            for _ in chunks(reading):
                pass
        try:
            with pq.ParquetFile(path, pre_buffer=False) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            raise unreadable(reading.raw_file, error) from error


def parquet_cells(mapping: Mapping, lines: str, schema: pa.Schema) -> str:
    """The SELECT that gives `cells` from batches of this schema."""
    texts = [_text_at(path, schema) for path in mapping.paths]
    contexts = [_context_at(path, schema) for path in mapping.contexts]
    named = [_found(path, schema) for path in mapping.names]
    nested = [column for column, kind, _ in named if pa.types.is_nested(kind)]
    is_nameless = " OR ".join(f"{column} IS NOT NULL" for column in nested) or "false"
    columns = [f"nullif({text}, '') AS v{number}" for number, text in enumerate(texts, 1)]
    columns += [f"CAST({context} AS VARCHAR) AS c{number}" for number, context in enumerate(contexts, 1)]
    return f"""
        cells AS (
            SELECT {", ".join(_OWN)}, {row_json(schema)} AS text,
                CAST(NULL AS VARCHAR) AS trouble, {is_nameless} AS is_nameless,
                {", ".join(columns)}
            FROM {lines}
        )"""


def row_json(schema: pa.Schema) -> str:
    """A row as a JSON object, its numbers with all their digits."""
    return _object([(field.name, f"x{number}", field.type) for number, field in enumerate(schema, 1)])


def _text_at(path: str, schema: pa.Schema) -> str:
    column, kind, rest = _found(path, schema)
    text = _text(column, kind)
    return in_text("json_extract_string", text, rest) if rest else text


def _context_at(path: str, schema: pa.Schema) -> str:
    """As it is read again of a row that was held: within an object or a list a fraction is text."""
    column, kind, rest = _found(path, schema)
    if rest:
        return in_text("json_extract", _text(column, kind), rest)
    json = _json(column, kind)
    return f"json_extract({CAREFUL}('{{\"x\":' || {json} || '}}'), '$.x')" if pa.types.is_nested(kind) else json


def _found(path: str, schema: pa.Schema) -> tuple[str, Any, list[str]]:
    """Where a path leads: to a column, then into structs and maps; what is left of it lies in the JSON of a text."""
    number, rest = column_of(path, schema.names)
    return _inside(f"x{number}", schema.field(number - 1).type, rest) if number else (*_ABSENT, [])


def _inside(column: str, kind: Any, names: list[str]) -> tuple[str, Any, list[str]]:
    while names and not _is_text(kind):
        name, *names = names
        if _is_map(kind):
            key, value = kind.value_type
            is_it = f"{_text(f'struct_extract(entry, {literal(_KEY)})', key.type)} = {literal(name)}"
            column = f"struct_extract(list_filter({column}, lambda entry: {is_it})[-1], {literal(_VALUE)})"
            kind = value.type
        elif pa.types.is_struct(kind) and kind.get_field_index(name) >= 0:
            column, kind = f"struct_extract({column}, {literal(name)})", kind.field(name).type
        else:
            return *_ABSENT, []
    return column, kind, names


def _is_map(kind: Any) -> bool:
    return (
        bool(pa.types.is_list(kind)) and pa.types.is_struct(kind.value_type) and kind.value_type.names == [_KEY, _VALUE]
    )


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    is_string = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(is_string) or _is_bytes(kind)


def _is_instant(kind: Any) -> bool:
    return bool(pa.types.is_timestamp(kind)) and kind.tz is not None


def _instant(column: str, kind: Any) -> str:
    """RFC 3339 in UTC, to the nanosecond where there is one: a row's time is cut later, its identity is not."""
    shown = "strftime(make_timestamp({0}), '%Y-%m-%dT%H:%M:%S.%f') || {1}'Z'".format
    if kind.unit != "ns":
        return shown(f"epoch_us(CAST({column} AS TIMESTAMPTZ))", "")
    past = f"(epoch_ns({column}) % 1000 + 1000) % 1000"
    return shown(f"((epoch_ns({column}) - {past}) // 1000)", f"if({past} = 0, '', printf('%03d', {past})) || ")


def _is_bytes(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind)) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _text(column: str, kind: Any) -> str:
    if _is_instant(kind):
        return _instant(column, kind)
    if _is_bytes(kind):  # text that its writer did not call text
        return f"coalesce(try(decode({column})), CAST({column} AS VARCHAR))"
    if pa.types.is_nested(kind):
        return f"CASE WHEN {column} IS NOT NULL THEN {_json(column, kind)} END"
    return f"CAST({column} AS VARCHAR)"


def _json(column: str, kind: Any, depth: int = 0) -> str:
    """The value's JSON, 'null' where it is absent."""
    if pa.types.is_struct(kind):
        children = [(field.name, f"struct_extract({column}, {literal(field.name)})", field.type) for field in kind]
        return f"CASE WHEN {column} IS NULL THEN 'null' ELSE {_object(children, depth)} END"
    if pa.types.is_nested(kind):
        each = f"each{depth}"
        if _is_map(kind):
            key, value = (f"struct_extract({each}, {literal(name)})" for name in (_KEY, _VALUE))
            key_kind, value_kind = (field.type for field in kind.value_type)
            inner = f"CAST(to_json({_text(key, key_kind)}) AS VARCHAR) || ':' || {_json(value, value_kind, depth + 1)}"
        else:
            inner = _json(each, kind.value_type, depth + 1)
        begin, end = "{}" if _is_map(kind) else "[]"
        parts = f"coalesce(array_to_string(list_transform({column}, lambda {each}: {inner}), ','), '')"
        return f"CASE WHEN {column} IS NULL THEN 'null' ELSE '{begin}' || {parts} || '{end}' END"
    if pa.types.is_floating(kind):
        text = f"CAST({column} AS VARCHAR)"
        value = f"CASE WHEN isfinite({column}) THEN {text} ELSE '\"' || {text} || '\"' END"
    elif pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_boolean(kind):
        value = f"CAST({column} AS VARCHAR)"
    else:
        value = f"CAST(to_json({_text(column, kind)}) AS VARCHAR)"
    return f"coalesce({value}, 'null')"


def _object(children: list[tuple[str, str, Any]], depth: int = 0) -> str:
    pairs = [
        f"{literal(json.dumps(name, ensure_ascii=False) + ':')} || {_json(column, kind, depth)}"
        for name, column, kind in children
    ]
    return "'{' || " + (" || ',' || ".join(pairs) or "''") + " || '}'"
