"""The checks as suites of Great Expectations, pushed down into DuckDB: nothing but counts and a few rows leaves it.

Great Expectations opens the warehouse itself, read-only and without a way to any other file, so a check written by a
user can change nothing. It is imported once a process, by the night that needs it: that costs seconds.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

from assets import warehouse
from assets.core.catalogue.models import Check
from assets.core.catalogue.read_checks import finding
from assets.gate.findings import Finding, Outcome

_TONIGHT = "gate"  # the schema of tables that name none
_BESIDE = "lines"  # a query of one's own stands beside tonight's lines


@dataclass(frozen=True, slots=True)
class _Answer:
    outcome: Outcome
    detail: str | None = None
    query: str | None = None


def run(workspace: Path, checks: Sequence[Check], nights: int, as_of: datetime, docs: Path) -> list[Finding]:
    """Run the checks, `nights` nights being known, and write Data Docs; the warehouse must not be open meanwhile."""
    answers = {check.name: answer for check in checks if (answer := _without_looking(check, nights))}
    asked = [check for check in checks if check.name not in answers]
    with _quiet(), _opened(workspace, docs) as (context, source):
        for (suite, table), group in groupby(sorted(asked, key=_place), _place):
            answers |= _ask(context, source, f"{suite}-{table}", table, list(group), as_of)
        context.build_data_docs()
    return [_finding(check, answers[check.name]) for check in checks]


def _without_looking(check: Check, nights: int) -> _Answer | None:
    if check.off_because is not None:
        return _Answer("off")
    if nights < check.after_nights:
        return _Answer("waiting", f"begins after {check.after_nights} nights; there are {nights} so far")
    return None


def _place(check: Check) -> tuple[str, str]:
    return check.suite, check.table or _BESIDE


def _finding(check: Check, answer: _Answer) -> Finding:
    return Finding(
        check=check.name,
        suite=check.suite,
        kind=check.kind,
        severity=check.severity,
        outcome=answer.outcome,
        about=check.about,
        detail=answer.detail,
        because=check.off_because,
        query=answer.query,
        shows=check.shows,
        money=check.money,
        currency=check.currency,
    )


def _ask(context: Any, source: Any, name: str, table: str, checks: list[Check], as_of: datetime) -> dict[str, _Answer]:
    """One suite on one table."""
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    schema, _, plain = table.rpartition(".")
    try:
        asset = source.add_table_asset(name, table_name=plain, schema_name=schema or _TONIGHT)
        batch = asset.add_batch_definition_whole_table("tonight")
    except Exception as error:
        return {check.name: _Answer("raised", f"can't look at {table}: {_reason(str(error))}") for check in checks}
    answers: dict[str, _Answer] = {}
    suite = gx.ExpectationSuite(name)
    for check in checks:
        try:
            suite.add_expectation(_expectation(check))
        except Exception as error:
            answers[check.name] = _Answer("raised", f"is no expectation: {_reason(str(error))}")
    definition = gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(suite))
    done = context.validation_definitions.add(definition).run(
        result_format={
            "result_format": "SUMMARY",
            "return_unexpected_index_query": True,
            "unexpected_index_column_names": _columns(source, schema or _TONIGHT, plain),
        },
        run_id=RunIdentifier(run_name="night", run_time=as_of),
    )
    for result in done.results:
        check = next(one for one in checks if one.name == result.expectation_config.meta["check"])
        answers[check.name] = _answer(check, result)
    return answers


def _expectation(check: Check) -> Any:
    expectations: Any = importlib.import_module("great_expectations.expectations")
    told: dict[str, Any] = {
        "description": check.about,
        "meta": {"check": check.name},
        "severity": "critical" if check.severity == "block" else "warning",
    }
    if check.expect is not None:
        kind = "".join(word.capitalize() for word in check.expect.split("_"))
        return getattr(expectations, kind)(**dict(check.arguments), **told)
    return expectations.UnexpectedRowsExpectation(unexpected_rows_query=_query(check, "{batch}"), **told)


def _query(check: Check, table: str) -> str:
    """Of the rows that must not be there; what a template would take for a parameter is written twice."""
    text = check.sql if check.sql is not None else finding(check)
    if table == "{batch}":
        text = text.replace("{", "{{").replace("}", "}}")
    return f"SELECT * FROM (\n{text}\n) AS found" if check.sql is not None else f"SELECT * FROM {table} WHERE {text}"


def _answer(check: Check, result: Any) -> _Answer:
    raised = [one for one in _exceptions(result.exception_info) if one.get("raised_exception")]
    if raised:
        return _Answer("raised", f"could not be run: {_reason(str(raised[0].get('exception_message')))}")
    if result.success:
        return _Answer("passed")
    if check.expect is None:
        return _Answer("failed", query=_query(check, f"{_TONIGHT}.{check.table}"))
    query = result.result.get("unexpected_index_query")
    detail = None if query else f"observed {result.result.get('observed_value')}"
    return _Answer("failed", detail, query and query.strip().rstrip(";"))


def _exceptions(info: dict[str, Any]) -> list[dict[str, Any]]:
    """One, or one for each metric."""
    return [info] if "raised_exception" in info else [one for one in info.values() if isinstance(one, dict)]


def _reason(message: str) -> str:
    """The sentence of the database, without what each library wraps around it."""
    _, _, inner = message.partition("(_duckdb.")
    line = next((line for line in (inner.partition(") ")[2] or message).splitlines() if line.strip()), message)
    return line.strip()[:300]


def _columns(source: Any, schema: str, table: str) -> list[str]:
    import sqlalchemy as sa

    with source.get_engine().connect() as con:
        rows = con.execute(
            sa.text("SELECT column_name FROM duckdb_columns() WHERE schema_name = :schema AND table_name = :table"),
            {"schema": schema, "table": table},
        )
        return [name for (name,) in rows.fetchall()]


@contextlib.contextmanager
def _opened(workspace: Path, docs: Path) -> Iterator[tuple[Any, Any]]:
    """A context of its own with the warehouse as its one source, and Data Docs below `docs`."""
    import great_expectations as gx
    import sqlalchemy as sa
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(),
            data_docs_sites={"gate": site},
            progress_bars=ProgressBarsConfig(globally=False),
        ),
    )
    listeners = (("connect", _settle), ("after_cursor_execute", _keep_rows))
    for event, listener in listeners:
        sa.event.listen(sa.Engine, event, listener)
    source = None
    try:
        add: Any = context.data_sources.add_sql  # its types know none of what it hands on to SQLAlchemy
        source = add(
            name="warehouse",
            # Where a `$` would stand for a setting of theirs.
            connection_string=f"duckdb:///{warehouse.path(workspace)}".replace("$", r"\$"),
            create_temp_table=False,
            kwargs={"connect_args": {"read_only": True, "config": warehouse.settings(workspace)}},
        )
        yield context, source
    finally:
        if source is not None:  # it holds two engines, and an open one keeps everybody else from writing
            source.get_execution_engine().engine.dispose()
            source.get_engine().dispose()
            context.data_sources.delete("warehouse")
        for event, listener in listeners:
            sa.event.remove(sa.Engine, event, listener)


def _settle(connection: Any, _: Any) -> None:
    """Of a connection to DuckDB: UTC, and no way to another file."""
    if type(connection).__module__.startswith("duckdb_engine"):
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_external_access = false")


def _keep_rows(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
    """Great Expectations reads rows after it has given the connection back, when DuckDB has dropped them."""
    from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy

    if conn.dialect.name == "duckdb" and cursor.description:
        context.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(cursor, cursor.description, cursor.fetchall())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """It prints what is meant for a notebook, logs what it also returns, and warns of its own libraries."""
    with warnings.catch_warnings(), _without_spark(), _later("scipy.stats", "altair"):
        warnings.simplefilter("ignore")
        importlib.import_module("great_expectations")  # which sets its own level
    log = logging.getLogger("great_expectations")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


@contextlib.contextmanager
def _without_spark() -> Iterator[None]:
    """Where Spark is installed it would be imported, for seconds and for nothing."""
    if "pyspark" in sys.modules:
        yield
        return
    sys.modules["pyspark"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["pyspark"]


class _Later(ModuleType):
    """Stands for a module until something of it is wanted."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def _later(*names: str) -> Iterator[None]:
    """What one expectation of all reckons or draws with takes longer to import than the rest: only where it is used."""
    standing = [_Later(name) for name in names if name not in sys.modules]
    sys.modules.update((it.__name__, it) for it in standing)
    try:
        yield
    finally:
        for it in standing:
            if sys.modules.get(it.__name__) is it:
                del sys.modules[it.__name__]
