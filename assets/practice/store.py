"""What Stripe keeps: the objects of both modes and the answers saved under idempotency keys, in memory and in a file.

The file is a journal: a line for each request that changed something, holding all that it changed, so that a request is
kept whole or not at all. A process killed while it writes leaves at most a torn last line, which the next one cuts off.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from assets.core.refusal import Refusal

Json: TypeAlias = "dict[str, Any]"
INDEXED = ("customer", "invoice", "identifier", "_stream")
_NEVER = float("inf")
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Saved:
    """The first answer given under an idempotency key."""

    endpoint: str
    fingerprint: str
    at: int
    status: int
    body: str
    request_id: str


@dataclass(slots=True)
class Change:
    """What one request does to the store; nothing is done before it is committed."""

    puts: list[tuple[bool, Json]]
    # A deleted customer leaves a mark; drafts and pending items that are deleted are gone.
    drops: list[tuple[bool, str, str]]

    def put(self, is_live: bool, row: Json) -> Json:
        self.puts.append((is_live, row))
        return row

    def drop(self, is_live: bool, kind: str, id: str) -> None:
        self.drops.append((is_live, kind, id))


class Store:
    """Whoever reads or changes it holds `lock`."""

    def __init__(self, path: Path | None = None) -> None:
        self.lock = threading.RLock()
        self.rows: dict[tuple[bool, str], dict[str, Json]] = {}
        self.saved: dict[tuple[bool, str], Saved] = {}
        self.later: list[Json] = []  # requests that answered 500 and happen after all
        self.sequence = 0
        self.next_due: float = _NEVER  # when the clock makes something happen; reckoned anew when it has
        self._index: dict[tuple[bool, str, str, str], set[str]] = {}
        self._order: dict[str, int] = {}
        self._file = _Journal(path) if path else None
        for entry in self._file.entries if self._file else ():
            self._apply(entry)

    def new_id(self, prefix: str, length: int = 24) -> str:
        """Ids are numbered and then scrambled: the same calls give the same ids."""
        self.sequence += 1
        number = int.from_bytes(hashlib.sha256(f"{prefix}{self.sequence}".encode()).digest())
        letters = []
        for _ in range(length):
            number, rest = divmod(number, 62)
            letters.append(_LETTERS[rest])
        return f"{prefix}_{''.join(letters)}"

    def get(self, is_live: bool, kind: str, id: str) -> Json | None:
        return self.rows.get((is_live, kind), {}).get(id)

    def all(self, is_live: bool, kind: str, **where: str) -> list[Json]:
        """Oldest first. `where` may name one of the indexed fields."""
        rows = self.rows.get((is_live, kind), {})
        for field, value in where.items():
            ids = self._index.get((is_live, kind, field, value), set())
            return [rows[id] for id in sorted(ids, key=self._order.__getitem__)]
        return list(rows.values())

    def count(self, is_live: bool, kind: str, field: str, value: str) -> int:
        return len(self._index.get((is_live, kind, field, value), ()))

    def commit(
        self, change: Change | None = None, *, key: tuple[bool, str, Saved] | None = None, later: Json | None = None
    ) -> None:
        """All of it, or, to whoever kills us here, nothing."""
        entry: Json = {"sequence": self.sequence}
        if change:
            entry |= {"puts": change.puts, "drops": change.drops}
        if key:
            entry["key"] = [key[0], key[1], asdict(key[2])]
        if later:
            entry["later"] = later
        self._write(entry)

    def done_later(self, done: Json, change: Change) -> None:
        self._write({"sequence": self.sequence, "puts": change.puts, "drops": change.drops, "happened": done["number"]})

    def due_drafts(self, now: int) -> list[tuple[bool, str]]:
        """The drafts that finalise themselves by now."""
        return [
            (is_live, id)
            for is_live in (False, True)
            for id, row in self.rows.get((is_live, "invoice"), {}).items()
            if _due(row) <= now
        ]

    def reckon_due(self) -> None:
        invoices = [row for is_live in (False, True) for row in self.rows.get((is_live, "invoice"), {}).values()]
        self.next_due = min([_NEVER, *map(_due, invoices), *(it["due"] for it in self.later)])

    def close(self) -> None:
        """What happens afterwards is not kept."""
        if self._file:
            self._file.close()
            self._file = None

    def _write(self, entry: Json) -> None:
        if self._file:
            self._file.append(entry)
        self._apply(entry)

    def _apply(self, entry: Json) -> None:
        self.sequence = max(self.sequence, entry["sequence"])
        for is_live, row in entry.get("puts", ()):
            self._put(is_live, row)
        for is_live, kind, id in entry.get("drops", ()):
            self._unindex(is_live, self.rows[is_live, kind].pop(id))
        if "key" in entry:
            is_live, name, saved = entry["key"]
            self.saved[is_live, name] = Saved(**saved)
        if "later" in entry:
            self.later.append(entry["later"])
            self.next_due = min(self.next_due, entry["later"]["due"])
        if "happened" in entry:
            self.later = [it for it in self.later if it["number"] != entry["happened"]]

    def _put(self, is_live: bool, row: Json) -> None:
        kind, id = row["object"], row["id"]
        rows = self.rows.setdefault((is_live, kind), {})
        if id in rows:
            self._unindex(is_live, rows[id])
        rows[id] = row
        self._order.setdefault(id, len(self._order))
        if kind == "invoice":
            self.next_due = min(self.next_due, _due(row))
        for field in INDEXED:
            if row.get(field):
                self._index.setdefault((is_live, kind, field, row[field]), set()).add(id)

    def _unindex(self, is_live: bool, row: Json) -> None:
        for field in INDEXED:
            if row.get(field):
                self._index[is_live, row["object"], field, row[field]].discard(row["id"])


def _due(invoice: Json) -> float:
    """When it finalises itself."""
    at: int | None = invoice["automatically_finalizes_at"] if invoice["status"] == "draft" else None
    return _NEVER if at is None else at


class _Journal:
    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("a+b", buffering=0)
        except OSError as error:
            raise Refusal(f"{path}: can't be kept there: {error.strerror}; name another file.") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise Refusal(f"{path}: another practice Stripe keeps its state there; stop it, or name another.") from None
        self.entries: Iterable[Json] = self._read(path)

    def _read(self, path: Path) -> list[Json]:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._file.truncate(whole)
        try:
            return [json.loads(line) for line in content[:whole].splitlines()]
        except ValueError:
            self._file.close()
            raise Refusal(f"{path}: is not the state of a practice Stripe; name another file.") from None

    def append(self, entry: Json) -> None:
        line = memoryview(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        before = os.fstat(self._file.fileno()).st_size
        try:
            while line:
                line = line[os.write(self._file.fileno(), line) :]
        except OSError:
            self._file.truncate(before)
            raise

    def close(self) -> None:
        self._file.close()
