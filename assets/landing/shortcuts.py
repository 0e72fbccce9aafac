"""The short cuts in SQL: plain numbers and timestamps, exactly, without leaving DuckDB.

Each expression is NULL where the short cut does not apply; `reckon` then decides. For RFC 3339 timestamps the
expression is the whole rule, and NULL means bad.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from assets.core.catalogue.models import Expr, Field, Number, Product, Sum, TimeUnit, Weight
from assets.core.numbers import MAX_INTEGER_DIGITS, QUANTITY_PLACES
from assets.landing.reckon import Weights, fields_of
from assets.landing.sql import literal

Column = Callable[[str], str]  # a path's column, as SQL

_YEAR = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DATE = f"{_YEAR}-[0-9]{{2}}-[0-9]{{2}}"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
_OFFSET = "[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]"
# Integer digits, fractional digits and factor of an epoch number that needs no cutting and lies before the year 33658.
_EPOCHS: Mapping[TimeUnit, tuple[int, int, int]] = {"s": (12, 6, 1_000_000), "ms": (15, 3, 1_000), "us": (18, 0, 1)}

# What a short cut's value must still satisfy; `{}` is the value. Said apart from the value, in a SELECT above it,
# because DuckDB computes an expression anew in every branch of a CASE that names it.
INSTANT_BOUND = "{} BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
QUANTITY_BOUND = f"abs({{}}) < 1{'0' * MAX_INTEGER_DIGITS}"


def instant(column: str) -> str:
    """The UTC TIMESTAMP of an RFC 3339 text. DuckDB's own cast knows the calendar and cuts digits past the microsecond,
    but takes the local time and drops the offset, or does without one; so the form is checked first.

    The forms of most logs are read in half the time by DuckDB's other reader. Where a format has a field that one takes
    digits alone, up to as many as the field has; so the places between them say how many there are.
    """
    usual = " ".join(
        f"WHEN {column} LIKE '____-__-__T__:__:__{fraction}Z' AND {column} >= '0' "
        f"THEN try_strptime({column}, '%Y-%m-%dT%H:%M:%S{field}Z')"
        for fraction, field in (("", ""), (".___", ".%f"), (".______", ".%f"))
    )
    local = f"try_cast(upper(left({column}, -6)) AS TIMESTAMP)"
    minutes = f"CAST(substr({column}, -5, 2) AS INTEGER) * 60 + CAST(right({column}, 2) AS INTEGER)"
    sign = f"CASE WHEN {column}[-6] = '-' THEN -1 ELSE 1 END"
    return (
        f"CASE {usual} "
        f"WHEN regexp_full_match({column}, '{_DATE}[T ]{_TIME}Z') THEN try_cast({column} AS TIMESTAMP) "
        f"WHEN regexp_full_match({column}, '{_DATE}[Tt ]{_TIME}[Zz]') THEN try_cast(upper({column}) AS TIMESTAMP) "
        f"WHEN regexp_full_match({column}, '{_DATE}[Tt ]{_TIME}{_OFFSET}') "
        f"THEN {local} - to_minutes({sign} * ({minutes})) END"
    )


def epoch(column: str, unit: TimeUnit) -> str:
    """The UTC TIMESTAMP of an epoch number with no more digits than microseconds have."""
    whole, fraction, factor = _EPOCHS[unit]
    digits = f"-?[0-9]{{1,{whole}}}" + (rf"(?:\.[0-9]{{1,{fraction}}})?" if fraction else "")
    microseconds = f"CAST(CAST({column} AS DECIMAL(38, 6)) * {factor} AS BIGINT)"
    return f"CASE WHEN regexp_full_match({column}, '{digits}') THEN make_timestamp({microseconds}) END"


def cost(column: str) -> str:
    """DECIMAL(38, 15) of up to 18 integer and 15 fractional digits, or of a short mantissa times 10 ** -1 to -9."""
    plain = rf"-?(?:[0-9]{{1,{MAX_INTEGER_DIGITS}}}(?:\.[0-9]{{1,15}})?|[0-9](?:\.[0-9]{{1,6}})?e-[0-9])"
    return f"CASE WHEN regexp_full_match({column}, '{plain}') THEN CAST({column} AS DECIMAL(38, 15)) END"


def quantity(expr: Expr | None, weights: Weights, column: Column) -> str:
    """DECIMAL(38, 9), or the literal NULL where the expression has no short cut.

    The digits that a result may have are shared out among the factors of its longest product, so that no product of
    operands that pass can overflow or need rounding.
    """
    if expr is None:
        return "CAST(1 AS DECIMAL(38, 9))"
    degree = _degree(expr)
    if degree > QUANTITY_PLACES:
        return "CAST(NULL AS DECIMAL(38, 9))"
    whole, places = MAX_INTEGER_DIGITS // degree, QUANTITY_PLACES // degree
    numbers = _numbers(expr, weights)
    if len(numbers) > 1_000 and not isinstance(expr, Weight):  # a sum of thousands of terms could overflow
        return "CAST(NULL AS DECIMAL(38, 9))"
    if any(not _fits(number, whole, places) for number in numbers):
        return "CAST(NULL AS DECIMAL(38, 9))"
    digits = rf"-?[0-9]{{1,{whole}}}(?:\.[0-9]{{1,{places}}})?"
    guards = [f"regexp_full_match({column(path)}, '{digits}')" for path in _number_fields(expr)]
    value = f"CAST({_fast(expr, weights, column, places)} AS DECIMAL(38, 9))"
    return f"CASE WHEN {' AND '.join(guards)} THEN {value} END" if guards else value


def _degree(expr: Expr) -> int:
    match expr:
        case Product(parts):
            return sum(_degree(part) for part in parts)
        case Sum(parts):
            return max(_degree(part) for part in parts)
        case _:
            return 1


def _numbers(expr: Expr, weights: Weights) -> list[Decimal]:
    match expr:
        case Number(value):
            return [value]
        case Weight(table=table):
            return list(weights[table].values())
        case Product(parts) | Sum(parts):
            return [number for part in parts for number in _numbers(part, weights)]
        case _:
            return []


def _number_fields(expr: Expr) -> tuple[str, ...]:
    match expr:
        case Product(parts) | Sum(parts):
            return tuple(dict.fromkeys(path for part in parts for path in _number_fields(part)))
        case Field():
            return fields_of(expr)
        case _:
            return ()


def _fits(number: Decimal, whole: int, places: int) -> bool:
    return abs(number) < 10**whole and number == number.quantize(Decimal(1).scaleb(-places))


def _fast(expr: Expr, weights: Weights, column: Column, places: int) -> str:
    """The expression over DECIMAL(38, places) operands: of that width DuckDB multiplies without narrowing."""
    match expr:
        case Field(path):
            return f"CAST({column(path)} AS DECIMAL(38, {places}))"
        case Number(value):
            return f"CAST('{value:f}' AS DECIMAL(38, {places}))"
        case Weight(path, table):
            listed = weights[table]
            cases = "".join(
                f" WHEN {literal(name)} THEN '{value:f}'" for name, value in listed.items() if name != "default"
            )
            default = f"'{listed['default']:f}'" if "default" in listed else "NULL"
            chosen = f"CASE {column(path)}{cases} ELSE {default} END" if cases else default
            return f"CAST(CASE WHEN {column(path)} IS NOT NULL THEN {chosen} END AS DECIMAL(38, {places}))"
        case Product(parts):
            return "(" + " * ".join(_fast(part, weights, column, places) for part in parts) + ")"
        case Sum(parts):
            return "(" + " + ".join(_fast(part, weights, column, places) for part in parts) + ")"
