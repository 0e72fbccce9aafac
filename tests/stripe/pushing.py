"""A workspace with a live book and a practice Stripe to push it to, by hand and by processes that kill themselves.

Two customers in two currencies, a month closed by one night: four lines. Ours and Stripe's clock are one, and move
together.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import duckdb
import stripe

from assets import push, warehouse
from assets.books import closed_periods
from assets.core.catalogue.loading import load
from assets.core.refusal import Refusal
from assets.practice import PracticeStripe
from assets.push.pace import Patience
from tests import nights
from tests.forking import FORKING
from tests.golden.case import catalogue_files, raw_files

Moment = Literal["before", "during", "after"]

AS_OF = datetime(2026, 6, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, 2, tzinfo=UTC)
KEY = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
PATIENCE = Patience(unknown=2, busy=2, first=0.001)
FAST = 1000  # requests a second

WORKSPACE: dict[str, Any] = {
    "accounts": "a1,organization,A,USD,UTC,cus_1\na2,organization,B,JPY,UTC,cus_2",
    "subscriptions": "\n".join(f"s{n},a{n},pro,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z," for n in (1, 2)),
    "plan": {"charges": [{"meter": "money", "pooled": "true"}, {"meter": "calls", "model": "per_unit", "price": "2"}]},
    "usage": "\n".join(
        f"m{n} 2026-05-02T00:00:00Z money 12.34 a{n}\nc{n} 2026-05-03T00:00:00Z calls 3 a{n}" for n in (1, 2)
    ),
}


def made(root: Path, entry: Mapping[str, Any] = WORKSPACE, **told: Any) -> Path:
    """The workspace after its night; `told` goes into the settings of Stripe."""
    settings = {"mode": "live", "key": "test", "rate": str(FAST), **told}
    whole = {**entry, "workspace": {"bill_from": "2026-01-01T00:00:00Z", "stripe": settings}}
    files = {**catalogue_files(whole), **{f"raw/{name}": data for name, data in raw_files(whole).items()}}
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    nights.run_night(root, AS_OF)
    return root


def rewritten(root: Path, file: str, old: str, new: str) -> None:
    path = root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@contextmanager
def pointed_at(practice: PracticeStripe, key: str = KEY) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ("STRIPE_API_KEY", "TALLYHOUSE_STRIPE_API_BASE")}
    os.environ.update(STRIPE_API_KEY=key, TALLYHOUSE_STRIPE_API_BASE=practice.url)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def pushed(
    root: Path, now: datetime, is_confirmed: bool = True, as_of: datetime = AS_OF, **told: Any
) -> dict[str, int] | Refusal:
    """One push; what it counts, or what it refuses or leaves waiting."""
    with warehouse.only_run(root, AS_OF, "push"), warehouse.connect(root) as con:
        con.execute("SET threads = 1")
        catalogue = load(root, closed_periods(con), as_of)
        told = {"patience": PATIENCE, **told}
        try:
            return push.push(con, root, catalogue, as_of, lambda: now, is_confirmed=is_confirmed, **told)
        except Refusal as refusal:
            return refusal


def rows(root: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(warehouse.path(root)), read_only=True) as con:
        return con.execute(sql).fetchall()


def states(root: Path) -> Counter[str]:
    return Counter(row["state"] for row in nights.published(root)["invoice_items"])


# --- what must be so in the end ------------------------------------------------------------------------------------


def wrong(root: Path, practice: PracticeStripe, live: bool = False) -> list[str]:
    """What is not as promised once nothing waits any more: each line once, exact sums, nothing finalised unseen."""
    lines = nights.published(root)["invoice_items"]
    found = [f"{row['line_id']} is {row['state']}: {row['state_reason']}" for row in lines if row["state"] != "sent"]
    customers = {"a1": "cus_1", "a2": "cus_2"}
    meant = Counter(
        (row["line_id"], customers[row["account_id"]], row["amount_minor"], row["currency"].lower()) for row in lines
    )
    items = practice.items(live=live)
    there = Counter((it["metadata"]["line_key"], it["customer"], it["amount"], it["currency"]) for it in items)
    found += [f"missing: {it}" for it in (meant - there).elements()] + [
        f"too much: {it}" for it in (there - meant).elements()
    ]
    ids = {row["line_id"]: row["stripe_id"] for row in lines}
    found += [
        f"{it['id']} is not the one in the books" for it in items if ids.get(it["metadata"]["line_key"]) != it["id"]
    ]
    return found + unseen(practice) + unfinished(practice, live)


def unseen(practice: PracticeStripe) -> list[str]:
    """Invoices that were finalised without a look at their items since the last of them was made."""
    wrong = []
    changed: dict[str, int] = {}
    looked: dict[str, int] = {}
    for number, call in enumerate(practice.calls):
        invoice = str(call.params.get("invoice", ""))
        if (call.method, call.path) == ("POST", "/v1/invoiceitems") and call.made and not call.is_replayed:
            changed[invoice] = number
        elif (call.method, call.path, call.status) == ("GET", "/v1/invoiceitems", 200):
            looked[invoice] = number
        match = re.fullmatch(r"/v1/invoices/(\w+)/finalize", call.path)
        if match and looked.get(match[1], -1) < changed.get(match[1], 0):
            wrong.append(f"{match[1]} was finalised unseen")
    return wrong


def unfinished(practice: PracticeStripe, live: bool = False) -> list[str]:
    """Drafts left over, but for those without anything on them."""
    taken = {it["invoice"] for it in practice.items(live=live)}
    return [
        f"{it['id']} is {it['status']}"
        for it in practice.invoices(live=live)
        if it["status"] == "draft" and it["id"] in taken
    ]


def settle(root: Path, practice: PracticeStripe, now: datetime, most: int = 6) -> datetime:
    """Push a day apart until nothing waits; the instant it was so."""
    for _ in range(most):
        practice.clock.set(int(now.timestamp()))
        if not isinstance(pushed(root, now), Refusal) and not states(root).keys() - {"sent"}:
            return now
        now += timedelta(hours=25)
    return now


# --- pushes that die -----------------------------------------------------------------------------------------------

# What the first push of a process would load, and every fork then has.
_SERVICES = stripe.StripeClient(KEY).v1
WARM = (_SERVICES.invoice_items, _SERVICES.invoices, _SERVICES.accounts, stripe.InvoiceItem, stripe.Invoice)


@dataclass(frozen=True)
class Death:
    """Kill -9 before the n-th such call leaves, while it is under way, or once it is answered; or before an act."""

    moment: Moment | None = None
    method: str = "POST"
    path: str = ".*"
    number: int = 1
    act: int | None = None  # a statement to the warehouse, or a file put in place


def dying(root: Path, practice: PracticeStripe, now: datetime, death: Death) -> int:
    """A push in a process of its own, to its death or its end; the number of acts it came to."""
    log = root / "acts.log"
    process = FORKING.Process(target=_die, args=(root, practice.url, now, death, log))
    process.start()
    process.join(120)
    acts = len(log.read_text())
    log.unlink()
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return acts if process.exitcode == 0 else -acts


def _die(root: Path, url: str, now: datetime, death: Death, log: Path) -> None:
    os.environ.update(STRIPE_API_KEY=KEY, TALLYHOUSE_STRIPE_API_BASE=url)
    if death.moment:
        _watch_calls(death)
    with log.open("w") as file:
        _watch_acts(death, file)
        pushed(root, now)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _watch_calls(death: Death) -> None:
    request = stripe.RequestsClient.request
    count = 0

    def counted(self: Any, method: str, url: str, *rest: Any, **options: Any) -> Any:
        nonlocal count
        path = url.partition("?")[0].partition("/v1")[2]
        if method.upper() == death.method and re.fullmatch(death.path, "/v1" + path):
            count += 1
            if count == death.number:
                if death.moment == "before":
                    _kill()
                if death.moment == "during":
                    http.client.HTTPConnection.getresponse = lambda *_, **__: _kill()  # type: ignore[method-assign, assignment]
                found = request(self, method, url, *rest, **options)
                _kill()
                return found
        return request(self, method, url, *rest, **options)

    stripe.RequestsClient.request = counted  # type: ignore[method-assign]


def _watch_acts(death: Death, file: Any) -> None:
    count = 0

    def act() -> None:
        nonlocal count
        if count == death.act:
            _kill()
        count += 1
        file.write(".")
        file.flush()

    def watched(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        act()
        return function(*arguments, **options)

    class Watched:
        def __init__(self, con: Any) -> None:
            self._con = con

        def __getattr__(self, name: str) -> Any:
            found = getattr(self._con, name)
            return partial(watched, found) if name == "execute" else found

    opened = warehouse.connect

    @contextmanager
    def connect(root: Path) -> Iterator[Any]:
        with opened(root) as con:
            yield Watched(con)

    warehouse.connect = connect  # type: ignore[assignment]
    os.replace = partial(watched, os.replace)
    stripe.RequestsClient.request = _also(stripe.RequestsClient.request, act)  # type: ignore[method-assign]


def _also(request: Callable[..., Any], act: Callable[[], None]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        act()
        return request(*arguments, **options)

    return call
