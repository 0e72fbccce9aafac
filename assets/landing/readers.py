"""What each format makes of its rows: a SELECT that gives `cells`, the relation that `mapping` reads."""

from __future__ import annotations

from collections.abc import Sequence

from assets.landing.mapping import Mapping
from assets.landing.sql import json_path, listed, literal
from assets.landing.suspects import Suspects, suspects

CAREFUL = "tallyhouse_careful"  # a line of JSON -> the same for SQL to read exactly; a function of Python's

_NO_OBJECT = "it is no JSON object"
# Text that can be nothing but a string (no number, true, false, null, object or list) and needs no escape.
_PLAIN_WORDS = r'[^-0-9tfn\[{"\\\x00-\x1f][^"\\\x00-\x1f]*'
_ROW = "raw_file, raw_line, landed_at"


def doubts(mapping: Mapping) -> str:
    """The regular expression that finds the lines of JSON in which something must be looked at again."""
    return _suspects(mapping).any


def _suspects(mapping: Mapping) -> Suspects:
    return suspects(mapping.numbers, (*mapping.texts, *mapping.contexts))


def json_cells(mapping: Mapping, lines: str) -> str:
    """From lines of JSON. Most are beyond doubt; of the others the keys are compared before Python is asked, because
    many logs have the same name in two objects. What DuckDB can't read at all, Python has the last word on: under a
    repeated key the value that is no JSON may be one that does not count."""
    found = _suspects(mapping)
    objects = [literal("$") if not path else json_path(path.split(".")) for path in found.objects]
    is_repeated = (
        f"coalesce(len(list_filter(try(json_keys(line, {listed(objects)})), "
        "lambda keys: len(keys) <> len(list_distinct(keys)))) > 0, false)"
    )
    names = listed(json_path(path.split(".")) for path in mapping.names)
    paths = tuple(dict.fromkeys((*mapping.paths, *mapping.contexts)))
    texts = f"try(json_extract_string(json, {listed(json_path(path.split('.')) for path in paths)}))"
    columns = [f"nullif(v[{number}], '') AS v{number}" for number in range(1, len(mapping.paths) + 1)]
    columns += [
        f"{_context_json(f'v[{paths.index(path) + 1}]', path)} AS c{number}"
        for number, path in enumerate(mapping.contexts, 1)
    ]
    return f"""
        doubted AS (
            SELECT {_ROW}, line, trouble, CASE WHEN trouble IS NULL AND is_doubtful
                THEN regexp_matches(line, {literal(found.odd)}) OR {is_repeated} ELSE false END AS is_suspect
            FROM {lines}
        ), exact AS (
            SELECT {_ROW}, line, trouble, is_suspect,
                CASE WHEN trouble IS NULL THEN CASE WHEN is_suspect THEN {CAREFUL}(line) ELSE line END END AS json
            FROM doubted
        ), read AS (
            SELECT {_ROW}, line, trouble, json, is_suspect, {texts} AS v
            FROM exact
        ), retried AS (
            SELECT * REPLACE (trouble IS NULL AND (is_suspect OR v IS NULL) AS is_suspect,
                CASE WHEN trouble IS NULL AND NOT is_suspect AND v IS NULL THEN {CAREFUL}(line) ELSE json END AS json)
            FROM read
        ), settled AS (
            SELECT {_ROW}, line, trouble, json,
                CASE WHEN is_suspect AND v IS NULL THEN {texts} ELSE v END AS v,
                CASE WHEN is_suspect THEN list_has_any(json_type(json, {names}), ['OBJECT', 'ARRAY']) END AS is_nameless
            FROM retried
        ), cells AS (
            SELECT {_ROW}, line AS text,
                CASE WHEN trouble IS NOT NULL THEN trouble WHEN v IS NULL THEN {literal(_NO_OBJECT)} END AS trouble,
                coalesce(is_nameless, false) AS is_nameless,
                {", ".join(columns)}
            FROM settled
        )"""


def _context_json(text: str, path: str) -> str:
    """The JSON of a value whose text is known: plain words only need quotes, for the rest the line is read again."""
    return (
        f"CASE WHEN regexp_full_match({text}, {literal(_PLAIN_WORDS)}) THEN '\"' || {text} || '\"' "
        f"WHEN {text} IS NOT NULL THEN CAST(json_extract(json, {json_path(path.split('.'))}) AS VARCHAR) END"
    )


def _columns(mapping: Mapping) -> str:
    """The lists `v` and `c` as columns; empty text is absent."""
    return ", ".join(
        [f"nullif(v[{number}], '') AS v{number}" for number in range(1, len(mapping.paths) + 1)]
        + [f"CAST(c[{number}] AS VARCHAR) AS c{number}" for number in range(1, len(mapping.contexts) + 1)]
    )


def csv_cells(mapping: Mapping, lines: str, columns: Sequence[str]) -> str:
    """From CSV lines under one header."""
    texts = [_csv_text(path, columns) for path in mapping.paths]
    contexts = [_csv_json(path, columns) for path in mapping.contexts]
    ragged = (
        f"CASE WHEN trouble IS NOT NULL THEN trouble WHEN len(split) <> {len(columns)} "
        f"THEN 'it has ' || len(split) || ' cells under a header of {len(columns)}' END"
    )
    return f"""{csv_split(lines)}, read AS (
            SELECT {_ROW}, line, {ragged} AS trouble, {listed(texts)} AS v,
                CAST({listed(contexts)} AS VARCHAR[]) AS c
            FROM split
        ), cells AS (
            SELECT {_ROW}, line AS text, trouble, false AS is_nameless, {_columns(mapping)}
            FROM read
        )"""


def csv_split(lines: str) -> str:
    """The CTE `split`: the cells of each record that could be read, as a list."""
    return f"""
        split AS (
            SELECT {_ROW}, line, trouble, CASE WHEN cells IS NOT NULL THEN cells WHEN trouble IS NULL
                THEN string_split(rtrim(line, chr(13) || chr(10)), ',') END AS split
            FROM {lines}
        )"""


def csv_row_json(columns: Sequence[str]) -> str:
    """A record as a JSON object of its cells, over `split`; for rows that are read again later."""
    pairs = (f"{literal(name)}, split[{number}]" for number, name in enumerate(columns, 1))
    return f"CAST(json_object({', '.join(pairs)}) AS VARCHAR)"


def _csv_text(path: str, columns: Sequence[str]) -> str:
    cell, rest = _csv_cell(path, columns)
    return in_text("json_extract_string", cell, rest) if rest else cell


def _csv_json(path: str, columns: Sequence[str]) -> str:
    cell, rest = _csv_cell(path, columns)
    return in_text("json_extract", cell, rest) if rest else f"to_json({cell})"


def _csv_cell(path: str, columns: Sequence[str]) -> tuple[str, list[str]]:
    number, rest = column_of(path, columns)
    return (f"split[{number}]", rest) if number else ("CAST(NULL AS VARCHAR)", [])


def column_of(path: str, columns: Sequence[str]) -> tuple[int, list[str]]:
    """The number, from 1, of the column whose name is the path, or is the longest that begins it, with what is left of
    the path; 0 where there is none."""
    names = path.split(".")
    for length in range(len(names), 0, -1):
        name = ".".join(names[:length])
        if name in columns:
            return columns.index(name) + 1, names[length:]
    return 0, []


def in_text(function: str, text: str, rest: Sequence[str]) -> str:
    """What a path leads to within the JSON that a text holds."""
    return f"try({function}({CAREFUL}({text}), {json_path(rest)}))"


def kept_cells(mapping: Mapping, lines: str) -> str:
    """From rows of CSV or Parquet files kept as JSON objects: a whole name first, then dots as objects or as the JSON
    in a text."""
    texts = [_kept(path, "json_extract_string") for path in mapping.paths]
    contexts = [f"CAST({_kept(path, 'json_extract')} AS VARCHAR)" for path in mapping.contexts]
    return f"""
        exact AS (
            SELECT {_ROW}, text, {CAREFUL}(line) AS json
            FROM {lines}
        ), read AS (
            SELECT {_ROW}, text, CASE WHEN json IS NULL THEN {literal(_NO_OBJECT)} END AS trouble,
                {listed(texts)} AS v, CAST({listed(contexts)} AS VARCHAR[]) AS c
            FROM exact
        ), cells AS (
            SELECT {_ROW}, text, trouble, false AS is_nameless, {_columns(mapping)}
            FROM read
        )"""


def _kept(path: str, function: str) -> str:
    """The longest name that is there begins the path, whatever it holds."""
    names = path.split(".")
    choices = []
    for length in range(len(names), 0, -1):
        whole, rest = ".".join(names[:length]), names[length:]
        value = f"{function}(json, {json_path([whole, *rest])})"
        if rest:
            text = f"json_extract_string(json, {json_path([whole])})"
            value = f"coalesce({value}, {in_text(function, text, rest)})"
        choices.append(f"WHEN json_exists(json, {json_path([whole])}) THEN {value}")
    return f"CASE {' '.join(choices)} END"
