"""The practice Stripe as an object: what a test holds in its hand."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from assets.core.refusal import Refusal
from assets.practice.answers import public
from assets.practice.api import Api
from assets.practice.ask import Settings
from assets.practice.calls import Call
from assets.practice.clock import Clock
from assets.practice.control import Control
from assets.practice.customers import new_customer
from assets.practice.faults import Faults
from assets.practice.server import Server
from assets.practice.store import Change, Json, Store


class PracticeStripe:
    """See the package's docstring."""

    def __init__(self, *, port: int = 0, state: Path | None = None, now: int | None = None, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self.clock = Clock(now)
        self.faults = Faults()
        self._port = port
        self._path = state
        self._store: Store | None = None
        self._api: Api | None = None
        self._server: Server | None = None

    def start(self) -> PracticeStripe:
        if self._server:
            return self
        self._store = Store(self._path)
        self._api = Api(self._store, self.clock, self.settings, self.faults)
        try:
            self._server = Server(self._api, Control(self), self._port)
        except OSError as error:
            self._store.close()
            raise Refusal(f"port {self._port} of this machine: {error.strerror}; name another port.") from None
        return self

    def stop(self) -> None:
        if self._server:
            self._server.stop()
            self._server = None
            self.store.close()

    def wait(self) -> None:
        """Until the process is interrupted, which a command is by SIGTERM too."""
        with suppress(KeyboardInterrupt):
            self.api.stopping.wait()

    def __enter__(self) -> PracticeStripe:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def store(self) -> Store:
        if self._store is None:
            raise RuntimeError("start the practice Stripe first")
        return self._store

    @property
    def api(self) -> Api:
        if self._api is None:
            raise RuntimeError("start the practice Stripe first")
        return self._api

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("start the practice Stripe first")
        return self._server.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[Call]:
        """Every call so far, in order of arrival."""
        with self.store.lock:
            return list(self.api.calls)

    def state(self) -> dict[str, dict[str, list[Json]]]:
        """All that there is, by mode (test, live) and kind (customer, invoiceitem, …), oldest first."""
        self.api.catch_up()
        with self.store.lock:
            return {
                mode: {
                    kind: [public(row) for row in rows.values()]
                    for (is_live, kind), rows in self.store.rows.items()
                    if is_live == (mode == "live") and rows
                }
                for mode in ("test", "live")
            }

    def items(self, customer: str | None = None, *, live: bool = False) -> list[Json]:
        """The invoice items there are, pending and invoiced, oldest first."""
        return self._all("invoiceitem", customer, live)

    def invoices(self, customer: str | None = None, *, live: bool = False) -> list[Json]:
        return self._all("invoice", customer, live)

    def _all(self, kind: str, customer: str | None, live: bool) -> list[Json]:
        rows = self.state()["live" if live else "test"].get(kind, [])
        return [row for row in rows if customer in (None, row["customer"])]

    def add_customer(self, id: str, name: str | None = None, *, live: bool = False, deleted: bool = False) -> Json:
        """A customer with an id of one's own choice, which the API does not offer. One that is there already stays."""
        with self.store.lock:
            if there := self.store.get(live, "customer", id):
                return there
            row = new_customer(id, self.clock.now(), live, {"name": name})
            if deleted:
                row = {"id": id, "object": "customer", "deleted": True}
            self.store.commit(Change([(live, row)], []))
            return row
