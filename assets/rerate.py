"""Rate again, by the night's own models: a night that is past, or every period under other prices.

There is no second implementation of a price. The models are given the ledger, the terms and the price lists they are to
see, in a database in memory; the books are only read (`beside` in assets/warehouse.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import duckdb

Models: TypeAlias = Mapping[str, str]  # name -> the statement that makes it, each after those it reads
Row: TypeAlias = dict[str, Any]
# What stands under a name: a view, or with values for its parameters a table.
Relation: TypeAlias = str | tuple[str, Sequence[Any]]

_READS = re.compile(r'"(?:night|billing)"\."(\w+)"')
_SCHEMAS = ("catalog", "landing", "books", "night", "billing")

# Nothing is on its way into the ledger; every period with slices is reckoned, not only those something arrived for.
_NOTHING_NEW = "SELECT * EXCLUDE (entered_at) FROM books.ledger WHERE false"
_ALL_IN_SCOPE = {"int_periods__scope": 'CREATE VIEW night.int_periods__scope AS FROM "night"."int_periods__slices"'}


def lay_out(con: duckdb.DuckDBPyConnection, instead: Mapping[str, Relation], cuts: Relation) -> None:
    """The warehouse's tables under the names that the models read: as they are, or what is to stand `instead`.

    `cuts` are the periods to be reckoned, cut by their terms and with their price lists.
    """
    for schema in _SCHEMAS:
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    tables = con.execute("""
        SELECT schema_name || '.' || table_name FROM duckdb_tables()
        WHERE database_name = 'warehouse' AND schema_name IN ('catalog', 'landing', 'books')""").fetchall()
    relations: dict[str, Relation] = {name: f"FROM warehouse.{name}" for (name,) in tables}
    for name in _standing(con):
        relations.pop(name, None)
    relations |= instead
    # What the books hold added up is of their own terms, and of all their nights.
    relations |= without_rows("books.stretches", "books.added", "books.picks", "books.fates")
    relations |= {"night.int_periods__cuts": cuts, "night.int_ledger__new": _NOTHING_NEW}
    for name, relation in relations.items():
        if isinstance(relation, str):
            con.execute(f"CREATE VIEW {name} AS {relation}")
        else:
            con.execute(f"CREATE TABLE {name} AS {relation[0]}", list(relation[1]))


def without_rows(*names: str) -> dict[str, str]:
    """Tables of the warehouse as the models are to see them: empty."""
    return {name: f"FROM warehouse.{name} WHERE false" for name in names}


def make(con: duckdb.DuckDBPyConnection, models: Models, *wanted: str) -> None:
    """Make the wanted models and all that they read; what stands already under a model's name is taken as it is."""
    given = {name.partition(".")[2] for name in _standing(con)}
    for statement in read_by({**models, **_ALL_IN_SCOPE}, *wanted, given=given):
        con.execute(statement)


def read_by(models: Models, *wanted: str, given: Collection[str] = ()) -> list[str]:
    """The statements that make the wanted models and all that they read but for what is given, in order."""
    needed = set(wanted)
    for name in reversed(list(models)):
        if name in needed:
            needed.update(set(_READS.findall(models[name])).difference(given))
    return [statement for name, statement in models.items() if name in needed]


def _standing(con: duckdb.DuckDBPyConnection) -> list[str]:
    found = con.execute("""
        SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_catalog = 'tallyhouse'""")
    return [name for (name,) in found.fetchall()]


def rows(con: duckdb.DuckDBPyConnection, query: str, values: Iterable[Any] = ()) -> list[Row]:
    """The rows of a query, by the names of their columns."""
    found = con.execute(query, list(values))
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
