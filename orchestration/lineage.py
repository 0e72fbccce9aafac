"""From which columns each column comes, read from the models' SQL: what Dagster shows as lineage of columns.

A column's own expression counts, and not what a row was joined or filtered by. Columns of tables that no model makes
are named with their table, for one room of Dagster's holds many.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypeAlias

import duckdb
from sqlglot import exp, parse_one
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from orchestration import dbt

Column: TypeAlias = tuple[str, str, str]  # schema, table, column
Columns: TypeAlias = dict[str, list[Column]]


def lineage(manifest: Mapping[str, Any]) -> dict[str, Columns]:
    """Of every model each column with those that it is made of; read once per change of the project."""
    file = dbt.kept("lineage", ".json")
    if not file.exists():
        models = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
        schema = _given()
        for model in models.values():
            schema[model["schema"]][model["name"]] = {name: it["data_type"] for name, it in model["columns"].items()}
        traced = {name: _columns(sql, list(models[name]["columns"]), schema) for name, sql in _selects().items()}
        dbt.keep(file, json.dumps(traced).encode())
    return {
        model: {column: [(s, t, c) for s, t, c in of] for column, of in columns.items()}
        for model, columns in json.loads(file.read_text()).items()
    }


def _selects() -> dict[str, str]:
    return {name: sql.split(" AS ", 1)[1] for name, sql in dbt.compiled_models().items()}


def _given() -> dict[str, dict[str, dict[str, str]]]:
    """The tables that a night makes before any model, by their columns; of what kind they are says nothing here."""
    from assets import books
    from assets.catalogue import TABLES, ZONE_MONTHS
    from assets.gate.tables import ensure_gate
    from assets.landing import ensure_tables
    from assets.push.outbox import ensure_outbox

    found: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    with duckdb.connect() as con:
        for ensure in (books.ensure_books, ensure_outbox, ensure_tables, ensure_gate):
            ensure(con)
        rows = con.execute("SELECT schema_name, table_name, column_name FROM duckdb_columns()").fetchall()
    catalogue = {name: columns for name, (columns, _) in TABLES.items()} | {"zone_months": ZONE_MONTHS}
    rows += [("catalog", table, column) for table, columns in catalogue.items() for column in columns]
    for table in ("charges", "segments"):  # as `books.ensure_closed_prices` copies their shape
        rows += [("books", f"close_{table}", column) for column in ("catalog_id", *catalogue[table])]
    for schema, table, column in rows:
        found[schema][table][column] = "varchar"
    return found


def _columns(sql: str, names: list[str], schema: dict[str, dict[str, dict[str, str]]]) -> Columns:
    told: dict[str, Any] = {"schema": schema, "dialect": "duckdb", "validate_qualify_columns": False, "identify": False}
    scope = build_scope(qualify(parse_one(sql, dialect="duckdb"), **told))
    assert scope is not None, sql
    known: dict[tuple[int, str], set[Column]] = {}
    return {name: sorted(_trace(scope, name, known)) for name in names}


def _trace(scope: Scope, name: str, known: dict[tuple[int, str], set[Column]]) -> set[Column]:
    """The columns of tables that a column of a query comes from, through all that stands between."""
    found = known.get((id(scope), name))
    if found is not None:
        return found
    known[id(scope), name] = found = set()
    query: Any = scope.expression
    if scope.set_operation_scopes:
        names = query.named_selects
        for part in scope.set_operation_scopes:
            if query.args.get("by_name"):
                found |= _trace(part, name, known)
            elif name in names:
                branch: Any = part.expression
                found |= _trace(part, branch.named_selects[names.index(name)], known)
        return found
    sources: dict[str, Any] = {}
    for inner in scope.subquery_scopes:
        sources |= inner.sources
    sources |= scope.sources
    for select in query.selects:
        for column in select.find_all(exp.Column) if select.alias_or_name == name else ():
            source = sources.get(column.table)
            if isinstance(source, exp.Table):
                found.add((source.db, source.name, column.name))
            elif isinstance(source, Scope):
                found |= _trace(source, column.name, known)
    return found
