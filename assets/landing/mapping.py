"""From a source of the catalogue to the SQL that turns its rows into usages (SPEC sections 1 and 2).

The statement reads a relation `cells`, whatever the format: raw_file, raw_line, landed_at, text, trouble (why the
row cannot be read, or NULL), is_nameless (what would name it is an object or a list, which matters once it is wanted),
v1… (the text of each field that the mapping reads, empty as NULL) and c1… (the JSON of each context value). A row
becomes one row for each usage that applies, all with the row's first reason; one row with emit_no 0 where it cannot be
read; one row with emit_no -1 where it is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

from assets.core.catalogue.models import Condition, Emit, Field, OccurredAt, Source
from assets.landing import shortcuts
from assets.landing.reckon import (
    BAD_TIMESTAMP,
    MALFORMED,
    MISSING_FIELD,
    Formula,
    Weights,
    fields_of,
    weighed_fields,
)
from assets.landing.sql import listed, literal

NAMELESS = "its identity, account or actor is an object or a list"
RECKON = "tallyhouse_reckon"  # (formula's number, its fields' texts) -> text; a function of Python's


@dataclass(frozen=True, slots=True)
class Mapping:
    """A source as SQL, and the formulas that its short cuts may leave to Python."""

    texts: tuple[str, ...]  # paths that are read as text
    numbers: tuple[str, ...]  # paths that are read as numbers only
    contexts: tuple[str, ...]  # paths of the context
    names: tuple[str, ...]  # paths of identity, account and actor: an object or a list names nothing
    select: str  # from `cells` to the columns of landing.batch, in order
    formulas: tuple[Formula, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        return _paths(self.texts, self.numbers)


@dataclass(frozen=True, slots=True)
class _Amount:
    """A quantity, cost or epoch: its short cut in SQL, and the formula for whatever that leaves over."""

    name: str
    shortcut: str
    formula: Formula | None
    applies: str
    bound: str | None  # what the short cut's value must satisfy besides; `{}` is the value


def mapping(source: Source, weights: Weights, first_formula: int = 0, *, keep_text: bool = False) -> Mapping:
    """`keep_text` keeps the text of every row, for rows that are read again from it."""
    texts, numbers = _texts(source), _numbers(source)
    columns = {path: f"v{number}" for number, path in enumerate(_paths(texts, numbers), 1)}
    amounts, of_emits = _amounts(source, weights, columns)
    left = [amount for amount in amounts if amount.formula is not None]
    formulas = {amount.name: first_formula + number for number, amount in enumerate(left)}
    applies = " OR ".join(f"a{number}" for number in range(len(source.emits)))
    select = f"""
        matched AS (
            SELECT cells.*, trouble IS NULL AND {_matches(source.where, columns)} AS is_wanted
            FROM cells
        ), usages AS (
            SELECT matched.*, {", ".join(_applies(source, columns))}
            FROM matched
        ), tried AS (
            SELECT usages.* REPLACE (
                    CASE WHEN is_nameless AND ({applies}) THEN {literal(NAMELESS)} ELSE trouble END AS trouble),
                ({applies}) AS a,
                {", ".join(f"{_tried(amount)} AS t_{amount.name}" for amount in amounts)}
            FROM usages
        ), shortcuts AS (
            SELECT tried.*, {", ".join(_bounded(amount) for amount in amounts)}
            FROM tried
        ), reckoned AS (
            SELECT shortcuts.*, {", ".join(_reckoned(amount, formulas, columns) for amount in amounts)}
            FROM shortcuts
        ), judged AS (
            SELECT reckoned.*, {_problem(source, amounts, columns)} AS problem
            FROM reckoned
        ), emitted AS (
            SELECT judged.*, {_emit_no(source)} AS emit_no
            FROM judged
        ), named AS (
            SELECT emitted.*, {_per_emit(source.emits, lambda emit, _: literal(emit.meter))} AS meter
            FROM emitted
            WHERE emit_no IS NOT NULL
        ), keyed AS (
            SELECT named.*, {_hash(source, columns)} AS hash,
                {_members(source)} AS members
            FROM named
        )
        SELECT
            {literal(source.name)} AS source, raw_file, raw_line, emit_no, meter,
            {_whole("substr(hash, 1, 32)")} AS key_hi, {_whole("substr(hash, 33)")} AS key_lo,
            {_readable(_value("occurred_at", "TIMESTAMP", formulas))} AS occurred_at,
            {_readable(columns[source.account]) if source.account else "NULL"} AS account,
            {_readable(columns[source.actor]) if source.actor else "NULL"} AS actor,
            {_per_emit(source.emits, lambda _, n: _value(of_emits[n][0], "DECIMAL(38, 9)", formulas))} AS quantity,
            {_per_emit(source.emits, lambda _, n: _cost(of_emits[n][1], formulas))} AS cost,
            {_readable("CASE WHEN emit_no >= 0 AND members <> '' THEN '{' || members || '}' END")} AS context,
            landed_at,
            split_part(problem[3:], '|', 1) AS reason,
            substr(problem, strpos(problem, '|') + 1) AS detail,
            CASE WHEN {"true" if keep_text else "problem IS NOT NULL"}
                THEN rtrim(text, chr(13) || chr(10)) END AS raw_text,
            {_identity_hi(source, columns)} AS identity_hi
        FROM keyed
    """
    return Mapping(
        texts=texts,
        numbers=numbers,
        contexts=tuple(source.context.values()),
        names=_names(source),
        select=select,
        formulas=tuple(amount.formula for amount in left if amount.formula is not None),
    )


def _paths(texts: tuple[str, ...], numbers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*texts, *numbers)))


def _names(source: Source) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for path in (*source.identity, source.account, source.actor) if path))


def _texts(source: Source) -> tuple[str, ...]:
    """What must be read as written: everything but amounts and epochs."""
    from_emits = [path for emit in source.emits for path in emit.when]
    from_emits += [path for emit in source.emits if emit.quantity for path in weighed_fields(emit.quantity)]
    occurred_at = [source.occurred_at.field] if source.occurred_at.unit is None else []
    return tuple(dict.fromkeys((*_names(source), *occurred_at, *source.where, *from_emits)))


def _numbers(source: Source) -> tuple[str, ...]:
    paths = [source.occurred_at.field] if source.occurred_at.unit is not None else []
    for emit in source.emits:
        paths.extend(fields_of(emit.quantity) if emit.quantity is not None else ())
        paths.extend([emit.cost] if emit.cost else [])
    return tuple(dict.fromkeys(paths))


def _matches(condition: Condition, columns: dict[str, str]) -> str:
    tests = [
        f"coalesce({columns[path]} IN ({', '.join(map(literal, values))}), false)" if values else "false"
        for path, values in condition.items()
    ]
    return " AND ".join(tests) or "true"


def _applies(source: Source, columns: dict[str, str]) -> list[str]:
    """`a0`…: whether each emit applies."""
    return [
        f"{f'is_wanted AND {_matches(emit.when, columns)}' if emit.when else 'is_wanted'} AS a{number}"
        for number, emit in enumerate(source.emits)
    ]


def is_one_at_most(source: Source) -> bool:
    """Whether no two emits can apply to the same row: each two want other values of some field."""
    return not any(
        all(set(one.when[path]) & set(other.when[path]) for path in one.when.keys() & other.when.keys())
        for one, other in combinations(source.emits, 2)
    )


def _amounts(
    source: Source, weights: Weights, columns: dict[str, str]
) -> tuple[list[_Amount], list[tuple[str, str | None]]]:
    """Every amount, once however many emits share it; and of each emit the names of its quantity and cost."""
    found: dict[Formula | None, _Amount] = {}

    def named(name: str, number: int, formula: Formula | None, shortcut: str, bound: str | None) -> str:
        before = found.get(formula)
        applies = f"a{number}" if before is None else f"{before.applies} OR a{number}"
        found[formula] = _Amount(before.name if before else name, shortcut, formula, applies, bound)
        return found[formula].name

    of_emits: list[tuple[str, str | None]] = []
    for number, emit in enumerate(source.emits):
        formula = None
        if emit.quantity is not None:
            formula = Formula(fields_of(emit.quantity), emit.quantity, "quantity")
        shortcut = shortcuts.quantity(emit.quantity, weights, columns.__getitem__)
        quantity, cost = named(f"q{number}", number, formula, shortcut, shortcuts.QUANTITY_BOUND), None
        if emit.cost:
            formula = Formula((emit.cost,), Field(emit.cost), "cost")
            cost = named(f"c{number}", number, formula, shortcuts.cost(columns[emit.cost]), None)
        of_emits.append((quantity, cost))
    return [_occurred_at(source.occurred_at, columns), *found.values()], of_emits


def _occurred_at(occurred_at: OccurredAt, columns: dict[str, str]) -> _Amount:
    column, unit = columns[occurred_at.field], occurred_at.unit
    if unit is None:
        return _Amount("occurred_at", shortcuts.instant(column), None, "a", shortcuts.INSTANT_BOUND)
    formula = Formula((occurred_at.field,), Field(occurred_at.field), unit)
    return _Amount("occurred_at", shortcuts.epoch(column, unit), formula, "a", shortcuts.INSTANT_BOUND)


def _tried(amount: _Amount) -> str:
    """The short cut; of a quantity or cost only where it applies, for often each row wants but one of several."""
    is_of_all = amount.formula is None or amount.applies == "a"
    return amount.shortcut if is_of_all else f"CASE WHEN {amount.applies} THEN {amount.shortcut} END"


def _bounded(amount: _Amount) -> str:
    value = f"t_{amount.name}"
    return f"{f'CASE WHEN {amount.bound.format(value)} THEN {value} END' if amount.bound else value} AS s_{amount.name}"


def _reckoned(amount: _Amount, formulas: dict[str, int], columns: dict[str, str]) -> str:
    """`r_…`: what Python makes of an amount that applies and has no short cut; a number's text or a problem's."""
    if amount.formula is None:
        return f"CAST(NULL AS VARCHAR) AS r_{amount.name}"
    values = listed(columns[path] for path in amount.formula.fields)
    call = f"{RECKON}({formulas[amount.name]}, CAST({values} AS VARCHAR[]))"
    return f"CASE WHEN ({amount.applies}) AND s_{amount.name} IS NULL THEN {call} END AS r_{amount.name}"


def _value(name: str, sql_type: str, formulas: dict[str, int]) -> str:
    if name not in formulas:
        return f"s_{name}"
    if sql_type == "TIMESTAMP":
        return f"coalesce(s_{name}, make_timestamp(try_cast(r_{name} AS BIGINT)))"
    return f"coalesce(s_{name}, CASE WHEN NOT contains(r_{name}, '|') THEN CAST(r_{name} AS {sql_type}) END)"


def _cost(name: str | None, formulas: dict[str, int]) -> str:
    return _value(name, "DECIMAL(38, 15)", formulas) if name else "CAST(NULL AS DECIMAL(38, 15))"


def _problem(source: Source, amounts: list[_Amount], columns: dict[str, str]) -> str:
    """The row's first reason with its detail: the least of its problems' texts."""
    identity = [(path, columns[path]) for path in dict.fromkeys(source.identity)]
    problems = [
        f"CASE WHEN {column} IS NULL THEN {literal(f'{MISSING_FIELD}{path} is absent')} END"
        for path, column in identity
    ]
    reckoned = [f"r_{amount.name}" for amount in amounts if amount.formula is not None]
    # Most rows have none, which is quicker to say than each of them is.
    doubts = [f"{column} IS NULL" for _, column in identity] + [f"{it} IS NOT NULL" for it in reckoned]
    if source.occurred_at.unit is None:
        path = source.occurred_at.field
        column = columns[path]
        shown = f"'\"' || {column}[:80] || '\", which is not a timestamp with an offset'"
        problems.append(
            f"CASE WHEN {column} IS NULL THEN {literal(f'{MISSING_FIELD}{path} is absent')} "
            f"WHEN s_occurred_at IS NULL THEN {literal(f'{BAD_TIMESTAMP}{path} is ')} || {shown} END"
        )
        doubts.append("s_occurred_at IS NULL")
    problems.extend(f"CASE WHEN contains({it}, '|') THEN {it} END" for it in reckoned)
    least = f"least({', '.join(problems)})" if len(problems) > 1 else problems[0]
    malformed = f"CASE WHEN trouble IS NOT NULL THEN {literal(MALFORMED)} || trouble "
    return f"{malformed}WHEN a AND ({' OR '.join(doubts)}) THEN {least} END"


def _emit_no(source: Source) -> str:
    if len(source.emits) == 1:
        return "CASE WHEN trouble IS NULL AND NOT a THEN -1 ELSE 0 END"
    if is_one_at_most(source):
        others = " ".join(f"WHEN a{number} THEN {number}" for number in range(1, len(source.emits)))
        return f"CASE WHEN trouble IS NOT NULL OR a0 THEN 0 {others} ELSE -1 END"
    numbers = [f"CASE WHEN trouble IS NULL AND a{number} THEN {number} END" for number in range(1, len(source.emits))]
    first = "CASE WHEN trouble IS NOT NULL OR a0 THEN 0 WHEN NOT a THEN -1 END"
    return f"unnest({listed([first, *numbers])})"


def _per_emit(emits: tuple[Emit, ...], value_of: Callable[[Emit, int], str]) -> str:
    numbers: dict[str, list[str]] = {}
    for number, emit in enumerate(emits):
        numbers.setdefault(value_of(emit, number), []).append(str(number))
    cases = " ".join(f"WHEN emit_no IN ({', '.join(those)}) THEN {value}" for value, those in numbers.items())
    return _readable(f"CASE {cases} END")


def _readable(value: str) -> str:
    return f"CASE WHEN trouble IS NULL THEN {value} END"


def _hash(source: Source, columns: dict[str, str]) -> str:
    """SHA-256 of source, meter and identity values joined by U+001F; NULL where one is missing."""
    parts = ["meter", *(columns[path] for path in source.identity)]
    is_whole = " AND ".join(f"{part} IS NOT NULL" for part in parts)
    joined = ", chr(31), ".join([literal(source.name), *parts])
    return f"CASE WHEN emit_no >= 0 AND {is_whole} THEN sha256(concat({joined})) END"


def _whole(hex_digits: str) -> str:
    """The number of 32 hexadecimal digits. Past its bytes it is read in half the time that a cast of the text takes."""
    return f"CAST(CAST(unhex({hex_digits}) AS UUID) AS UHUGEINT)"


def _identity_hi(source: Source, columns: dict[str, str]) -> str:
    """What the usages of one row have in common where a row may be several: rows of one identity stand in each
    other's way even if they share only some of their meters."""
    if is_one_at_most(source):
        return "CAST(NULL AS UHUGEINT)"
    parts = " || chr(31) || ".join([literal(source.name), *(columns[path] for path in source.identity)])
    return f"CASE WHEN emit_no >= 0 THEN {_whole(f'substr(sha256({parts}), 1, 32)')} END"


def _members(source: Source) -> str:
    """The inside of the context's JSON object, in the catalogue's order: keys that have a value, and as text what a
    reader of JSON might round."""
    members = []
    for number, key in enumerate(source.context, 1):
        value, name = f"c{number}", literal(json.dumps(key, ensure_ascii=False) + ":")
        is_inexact = f"NOT starts_with({value}, '\"') AND regexp_full_match({value}, '-?[0-9]+[.eE].*|[-0-9]{{19,}}')"
        shown = f"CASE WHEN {is_inexact} THEN '\"' || {value} || '\"' ELSE {value} END"
        members.append(f"CASE WHEN {value} NOT IN ('null', '\"\"') THEN {name} || {shown} END")
    if len(members) < 2:
        return members[0] if members else "CAST(NULL AS VARCHAR)"
    return f"concat_ws(',', {', '.join(members)})"
