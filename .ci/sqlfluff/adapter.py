"""What sqlfluff takes for dbt's adapter: every model is linted as DuckDB reads it."""

from __future__ import annotations

from collections.abc import Callable

from jinja2 import pass_context
from jinja2.runtime import Context


@pass_context
def dispatch(context: Context, name: str) -> Callable[..., str]:
    macro: Callable[..., str] = context.resolve(f"duckdb__{name}")
    return macro
