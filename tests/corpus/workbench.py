"""A small workspace to land files in, and its batch as plain values."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from assets.core.catalogue.models import Emit, Field, OccurredAt, Product, Source, Sum, Weight
from assets.core.catalogue.models import Number as Literal
from assets.landing import Landed, land
from assets.landing.land import Reader

at = datetime.fromisoformat  # an instant of the warehouse: UTC, without saying so

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
WEIGHTS: dict[str, dict[str, Decimal]] = {
    "kinds": {"create": Decimal(1), "export": Decimal("2.5"), "default": Decimal(3)},
    "strict": {"create": Decimal(1), "1.0": Decimal(7)},
}

MONEY = Source(
    name="ev",
    files="**/*.ndjson*",
    format="ndjson",
    where={},
    identity=("id",),
    occurred_at=OccurredAt("t"),
    account="acct",
    actor="user",
    context={},
    emits=(Emit("money", None, "v", {}),),
)
# Everything a mapping can ask for at once.
RICH = Source(
    name="rich",
    files="**/*.ndjson*",
    format="ndjson",
    where={"type": ("usage", "7", "1.0", "true")},
    identity=("id", "p.id"),
    occurred_at=OccurredAt("t"),
    account="acct",
    actor="p.user",
    context={"box": "p.box", "n": "n"},
    emits=(
        Emit("work", Product((Field("p.a"), Sum((Field("p.b"), Literal(Decimal("0.5")))))), None, {}),
        Emit("money", None, "cost", {"p.kind": ("create", "export")}),
        Emit("tasks", Weight("p.kind", "kinds"), None, {"n": ("1", "2", "x")}),
    ),
)


@dataclass
class Bench:
    workspace: Path
    con: duckdb.DuckDBPyConnection
    sources: dict[str, Source] = field(default_factory=dict)

    def put(self, files: Mapping[str, bytes | str]) -> None:
        for name, content in files.items():
            path = self.workspace / "raw" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def land(self, *sources: Source, as_of: datetime = AS_OF, reader: Reader | None = None) -> Landed:
        self.sources = {source.name: source for source in sources}
        return land(self.con, self.workspace, self.sources, WEIGHTS, as_of, reader)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.con.execute(query).fetchall()

    def batch(self, columns: str) -> list[tuple[Any, ...]]:
        return self.rows(f"SELECT {columns} FROM landing.batch ORDER BY source, raw_file, raw_line, emit_no")

    def outcomes(self) -> dict[tuple[str, int], str]:
        """Of each row of the batch: its reason, or 'landed'."""
        return {
            (raw_file, line): reason or "landed" for raw_file, line, reason in self.batch("raw_file, raw_line, reason")
        }


@contextmanager
def bench(workspace: Path | None = None) -> Iterator[Bench]:
    """A workspace with a warehouse on disk, in a directory of its own unless one is given."""
    with tempfile.TemporaryDirectory() as directory:
        root = workspace or Path(directory)
        for name in ("raw", "warehouse"):
            (root / name).mkdir(exist_ok=True)
        with duckdb.connect(str(root / "warehouse" / "tallyhouse.duckdb")) as con:
            yield Bench(root, con)
