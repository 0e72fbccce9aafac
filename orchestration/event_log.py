"""Dagster's history of events, in Dagster's own SQLite files, which stay open while a run writes to them.

Dagster opens a file anew for each of a night's five hundred events and waits for the disk each time: of a small night
that is a quarter of the work and half of the waiting. Nothing is billed by this history. What stands in it survives a
killed process; of a machine that loses its power the last events may be missing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage  # private: the exact pin of Dagster carries it
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

# The index of all runs, the run at work, and one that somebody looks at.
_KEPT_OPEN = 3


class EventLog(SqliteEventLogStorage):
    """One file for each run and one for all, as Dagster lays them out below its home."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> EventLog:
        return cls(str(Path(config_value["base_dir"]) / "history" / "runs"), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).connect() as con, con.begin():
            yield con

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines:
            # The lock above lets one thread at a time in.
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=StaticPool,
                connect_args={"timeout": 60, "check_same_thread": False},
            )
            event.listen(engine, "connect", lambda con, _: con.execute("PRAGMA synchronous = NORMAL"))
            self._initdb(engine)
            self._engines[shard] = engine
        self._engines.move_to_end(shard)
        while len(self._engines) > _KEPT_OPEN:
            self._engines.popitem(last=False)[1].dispose()
        return self._engines[shard]

    def dispose(self) -> None:
        super().dispose()
        while self._engines:
            self._engines.popitem()[1].dispose()
