"""Random workspaces for the laws of billing: the same seed, size and features always give the same bytes.

`generate(seed, folder)` writes a workspace and says when its files land; `workspace.script` plays the same thing night
by night into a folder of one's own. Features are what a workspace may hold; take one away to see what breaks without.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from tests.golden.case import Script, catalogue_files, packed
from tests.reference.exact import minor_unit
from tests.reference.periods import Span, derived, month_of, without

#: What a workspace may hold. Without any: one cost meter in the pool, one plan, monthly periods in UTC, USD.
FEATURES = frozenset(
    {
        "included",
        "refresh",
        "seats",
        "plan_changes",
        "price_lists",
        "cut_periods",
        "zones",
        "odd_anchors",
        "years",
        "told_periods",
        "currencies",
        "default_plan",
        "actors",
        "corrections",
        "duplicates",
        "conflicts",
        "quarantine",
        "late",
        "expired",
        "baselines",
        "bill_from",
        "pooled_quantities",
        "multi_emit",
        "formats",
        "metered",
        "time_weighted",
        "threshold",
        "minimum",
        "credits",
        "no_overage",
        "retries",
        "changes",
        "settings",
        "turns",
        "unknown_meters",
        "plan_currencies",
        "reruns",
    }
)
#: The first step of the rating in SQL: pooled cost usage and what comes in front of it.
POOL_ONLY = FEATURES - {
    "metered", "time_weighted", "threshold", "minimum", "credits", "late", "expired", "changes", "settings", "turns"
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How large a workspace is; smaller sizes of one seed are what shrinking has to offer."""

    accounts: int = 6
    events: int = 120
    nights: int = 6
    days: int = 75


@dataclass(frozen=True)
class Workspace:
    path: Path
    nights: tuple[datetime, ...]
    lands: Mapping[str, datetime]  # by path below raw/
    script: Script
    features: frozenset[str]


ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Pacific/Apia",
    "Asia/Tokyo",
)
CURRENCIES = ("USD", "USD", "EUR", "JPY", "KWD", "ISK", "UGX", "HUF")
BASES = ("2026-01-25", "2026-02-20", "2026-09-25", "2026-10-10", "2024-01-28", "2026-06-01")
DAY = timedelta(days=1)
_GRACES = {"0s": timedelta(0), "1h": timedelta(hours=1), "30m": timedelta(minutes=30), "2d": 2 * DAY}
MICROSECOND = timedelta(microseconds=1)


def generate(seed: int, folder: Path, features: frozenset[str] = FEATURES, size: Size | None = None) -> Workspace:
    """Writes a random workspace below `folder` and gives its nights and landings.

    With "changes" the account and catalogue files change between nights: then only `script` tells the whole story,
    and `path` holds the files of the last night.
    """
    unknown = features - FEATURES
    if unknown:
        raise ValueError(f"no such features: {sorted(unknown)}")
    story = _Story(Random(seed), features, size or Size())
    script = story.script()
    lands = {}
    for as_of, files in zip(script.nights, script.arrivals, strict=True):
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            if name.startswith("raw/"):
                lands[name.removeprefix("raw/")] = as_of
    return Workspace(folder, script.nights, lands, script, features)


_Grant = tuple[str, str, int, str, datetime, datetime | None, int]


@dataclass(frozen=True)
class _Account:
    account_id: str
    kind: str
    currency: str
    zone: str


@dataclass(frozen=True)
class _Subscription:
    subscription_id: str
    account: _Account
    interval: str
    anchor: datetime
    segments: tuple[tuple[datetime, str, int], ...]  # from when which plan and how many seats
    ends: datetime | None
    told: Span | None = None

    def spans(self, until: datetime) -> list[Span]:
        far = datetime(9999, 1, 1, tzinfo=UTC)
        life = (self.segments[0][0], self.ends or far)
        told = [self.told] if self.told else []
        return without(derived(self.anchor, self.interval, ZoneInfo(self.account.zone), life, until), told) + told


@dataclass
class _Row:
    """One raw row: its source, its fields as JSON texts, when it arrives."""

    source: str
    fields: dict[str, str]
    arrives: datetime


@dataclass
class _World:
    """What the catalogue and account files say at one time."""

    accounts: list[_Account] = field(default_factory=list)
    subscriptions: list[_Subscription] = field(default_factory=list)
    memberships: list[tuple[str, str, datetime, datetime | None]] = field(default_factory=list)
    baselines: list[tuple[str, datetime, str]] = field(default_factory=list)
    grants: list[_Grant] = field(default_factory=list)
    plans: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    meters: dict[str, Any] = field(default_factory=dict)

    def files(self) -> dict[str, bytes]:
        entry: dict[str, Any] = {
            "workspace": {**self.settings, **({"stripe": {"mode": "live"}} if "stripe" in self.settings else {})},
            "plans": self.plans,
            "meters": self.meters,
            "sources": _SOURCES,
            "weights": {"work": {"small": "1", "large": "2.5", "default": "0.5"}},
            "accounts": "\n".join(
                f"{a.account_id},{a.kind},N,{a.currency},{a.zone},cus_{a.account_id}" for a in self.accounts
            ),
            "subscriptions": "\n".join(line for one in self.subscriptions for line in _terms_lines(one)),
            "memberships": "\n".join(
                f"{org},{user},{_at(since)},{_at(until)}" for org, user, since, until in self.memberships
            ),
            "periods": "\n".join(
                f"{one.subscription_id},{_at(one.told[0])},{_at(one.told[1])}" for one in self.subscriptions if one.told
            ),
            "baselines": "\n".join(f"{account},{_at(start)},{amount}" for account, start, amount in self.baselines),
            "credit_grants": "\n".join(
                f"{grant},{account},{amount},{currency},{_at(since)},{_at(until)},{priority}"
                for grant, account, amount, currency, since, until, priority in self.grants
            ),
        }
        return catalogue_files(entry)


def _terms_lines(one: _Subscription) -> list[str]:
    starts = [since for since, _, _ in one.segments]
    ends = [*starts[1:], one.ends]
    return [
        f"{one.subscription_id},{one.account.account_id},{plan},{seats},{one.interval},{_at(one.anchor)},"
        f"{_at(since)},{_at(until)}"
        for (since, plan, seats), until in zip(one.segments, ends, strict=True)
    ]


def _at(instant: datetime | None) -> str:
    return "" if instant is None else instant.isoformat().replace("+00:00", "Z")


_METERS = ("units", "calls", "peak", "last", "people", "disk", "work")
_SOURCES = {
    "jobs": {
        "files": "jobs/**/*.ndjson*",
        "format": "ndjson",
        "where": {"type": ["job", "task"]},
        "identity": ["id", "part"],
        "occurred_at": {"field": "ts", "unit": "us"},
        "account": "who.account",
        "actor": "who.user",
        "context": {"room": "who.room"},
        "emits": [
            {"meter": "work", "quantity": {"product": ["n", {"weight": "kind", "table": "work"}]}},
            {"meter": "money", "cost": "c", "when": {"paid": "true"}},
            {"meter": "rooms", "when": {"who.account": "*"}},
        ],
    },
    "bills": {
        "files": "bills/*.csv*",
        "format": "csv",
        "identity": ["pay.id"],
        "occurred_at": "at",
        "account": "who",
        "emits": [
            {"meter": "money", "cost": "cost", "when": {"meter": "money"}},
            {"meter": "units", "quantity": "cost", "when": {"meter": "units"}},
        ],
    },
    "lake": {
        "files": "lake/*.parquet",
        "format": "parquet",
        "identity": ["id"],
        "occurred_at": "t",
        "account": "acct",
        "actor": "user",
        "emits": [
            {"meter": "money", "cost": "v", "when": {"m": "money"}},
            {"meter": "units", "quantity": "v", "when": {"m": "units"}},
        ],
    },
}
# The last emit of `jobs` is for every row that names its room.
_SOURCES["jobs"]["emits"][2] = {"meter": "rooms", "when": {"who.has_room": "true"}}  # type: ignore[index]


class _Story:
    """Draws a world, what happens in it, and how it arrives."""

    def __init__(self, rng: Random, features: frozenset[str], size: Size) -> None:
        self.rng = rng
        self.features = features
        self.size = size
        self.base = datetime.fromisoformat(rng.choice(BASES)).replace(tzinfo=UTC)
        self.until = self.base + size.days * DAY
        self.world = _World()

    def has(self, feature: str, chance: float = 1.0) -> bool:
        # The draw comes first, so that a feature taken away leaves the other draws where they are.
        drawn = self.rng.random()
        return feature in self.features and drawn < chance

    def script(self) -> Script:
        self._settings()
        self._meters()
        self._plans()
        self._accounts()
        self._subscriptions()
        self._baselines()
        self._grants()
        nights = self._nights()
        rows = self._rows(nights)
        arrivals: list[dict[str, bytes]] = [{} for _ in nights]
        for index, files in self._worlds(nights).items():
            arrivals[index].update(files)
        for index, files in self._raw(rows, nights).items():
            arrivals[index].update(files)
        return Script(nights, tuple(arrivals))

    # --- what is sold --------------------------------------------------------------------------------------------

    def _settings(self) -> None:
        self.world.settings["close_grace"] = self.rng.choice(list(_GRACES))
        self.world.settings["late_window"] = self._late_window()
        if self.has("bill_from", 0.35):
            self.world.settings["bill_from"] = _at(self._moment(self.base - 20 * DAY, self.base + 35 * DAY))
        self.cutover: datetime | None = None
        if self.has("baselines"):
            self.cutover = self._moment(self.base, self.base + 40 * DAY)
            self.world.settings["ledger_cutover"] = _at(self.cutover)
        if self.has("default_plan", 0.7):
            self.world.settings["default_plan"] = "free"

    def _late_window(self) -> str:
        return self.rng.choice(["0s", "10d", "35d", "35d", "100d"]) if "expired" in self.features else "400d"

    def _meters(self) -> None:
        divisor = self.rng.choice(["1", "1024", "3", "60"])
        self.world.meters = {
            "units": {"aggregate": "sum", "divide_by": divisor},
            "work": {"aggregate": "sum"},
            "calls": {"aggregate": "count", "divide_by": self.rng.choice(["1", "1000", "7"])},
            "disk": {"aggregate": "time_weighted", "divide_by": self.rng.choice(["1", "1024"])},
            "rooms": {"aggregate": "unique_count", "of": "room"},
        }

    def _plans(self) -> None:
        for priority, name in enumerate(("free", "pro", "max", "team")):
            since = ["2020-01-01T00:00:00Z"]
            if self.has("price_lists", 0.4):
                since.append(_at(self._moment(self.base, self.until)))
            self.world.plans[name] = {
                "priority": str(self.rng.choice([priority, 10])),
                "versions": [{"from": at, **self._version(name)} for at in since],
            }
            if self.has("plan_currencies", 0.2) and name != "pro":
                self.world.plans[name]["currency"] = "usd"

    def _version(self, plan: str) -> dict[str, Any]:
        rng = self.rng
        version: dict[str, Any] = {}
        if self.has("included", 0.7):
            version["included"] = rng.choice(["5", "10.00", "0.125", "30", "3.3333"])
        if self.has("refresh", 0.7):
            version["daily_refresh"] = {
                "basis": rng.choice(["25.00", "100", "7"]),
                "rate": rng.choice(["0.01", "0.05"]),
            }
        if self.has("threshold", 0.5):
            version["threshold"] = rng.choice(["1", "5.00", "12.5", "40"])
        if self.has("minimum", 0.4) and plan != "free":
            version["minimum"] = rng.choice(["1", "20", "9.99"])
        if self.has("no_overage", 0.15):
            version["overage"] = "false"
        version["charges"] = self._charges(plan)
        return version

    def _charges(self, plan: str) -> list[dict[str, Any]]:
        charges: list[dict[str, Any]] = []
        metered_money = self.has("metered", 0.25)
        if metered_money:
            charges.append({"meter": "money", **self.rng.choice([{}, self._percentage(), self._model("money")])})
        else:
            charges.append({"meter": "money", "pooled": "true"})
        for meter in ("units", "calls", "work", "peak", "last", "people", "rooms", "disk"):
            pooled = self.has("pooled_quantities", 0.4) and meter in ("units", "calls", "work")
            metered = self.has("time_weighted" if meter == "disk" else "metered", 0.6)
            model = self._model(meter)
            if pooled:
                charges.append({"meter": meter, "model": "per_unit", "price": self._price(), "pooled": "true"})
            elif metered and not (plan == "free" and meter == "disk"):
                charges.append({"meter": meter, **model})
        self.rng.shuffle(charges)
        return charges

    def _price(self) -> str:
        return self.rng.choice(["0.01", "0.5", "0.000016", "1.25", "0.333333", "2"])

    def _model(self, meter: str) -> dict[str, Any]:
        rng = self.rng
        kind = rng.choice(["per_unit", "graduated", "volume", "package", "percentage"])
        if kind == "percentage" and meter not in ("units", "work", "money"):
            kind = "per_unit"
        free = {"free_units": rng.choice(["1", "5", "0.5"])} if rng.random() < 0.4 else {}
        if kind == "percentage":
            return self._percentage()
        if kind == "per_unit":
            return {"model": kind, "price": self._price(), **free}
        if kind == "package":
            return {"model": kind, "size": rng.choice(["1", "10", "0.5"]), "price": self._price(), **free}
        tiers: list[dict[str, str]] = []
        top = 0
        for _ in range(rng.randint(0, 2)):
            top += rng.randint(1, 8)
            tiers.append({"up_to": str(top), "unit": self._price(), **({"flat": "1.5"} if rng.random() < 0.5 else {})})
        tiers.append({"unit": self._price()} if rng.random() < 0.7 else {"flat": "3"})
        return {"model": kind, "tiers": tiers, **free}

    def _percentage(self) -> dict[str, Any]:
        rng = self.rng
        model = {"model": "percentage", "rate": rng.choice(["0.029", "0.5", "0.1"])}
        if rng.random() < 0.5:
            model["fixed"] = rng.choice(["0.30", "0.05"])
        clamp = rng.choice(["none", "free", "min", "max", "both"])
        if clamp == "free":
            model["free_units"] = rng.choice(["2", "10"])
        if clamp in ("min", "both"):
            model["min"] = rng.choice(["0.10", "0.50"])
        if clamp in ("max", "both"):
            model["max"] = rng.choice(["1.00", "4.5"])
        return model

    # --- who buys ------------------------------------------------------------------------------------------------

    def _accounts(self) -> None:
        for number in range(max(1, self.size.accounts)):
            currency, zone, kind = self.rng.choice(CURRENCIES), self.rng.choice(ZONES), self.rng.random()
            self.world.accounts.append(
                _Account(
                    f"{'u' if kind < 0.5 else 'o'}{number}",
                    "user" if kind < 0.5 else "organization",
                    currency if "currencies" in self.features else "USD",
                    zone if "zones" in self.features else "UTC",
                )
            )
        users = [account.account_id for account in self.world.accounts if account.kind == "user"] + ["guest"]
        for organization in self.world.accounts:
            if organization.kind != "organization":
                continue
            for user in users:
                joined = self._moment(self.base - 20 * DAY, self.base + 30 * DAY)
                left = joined + self.rng.randint(1, 40) * DAY if self.rng.random() < 0.5 else None
                if self.has("actors", 0.6):
                    self.world.memberships.append((organization.account_id, user, joined, left))

    def _subscriptions(self) -> None:
        for account in self.world.accounts:
            at = self._moment(self.base - 20 * DAY, self.base + 10 * DAY, whole=self.rng.random() < 0.5)
            for number in range(self.rng.choice([0, 1, 1, 1, 2])):
                one = self._subscription(f"s{number}-{account.account_id}", account, at)
                self.world.subscriptions.append(one)
                if one.ends is None:
                    break
                at = one.ends + self.rng.choice([timedelta(0), 3 * DAY])

    def _subscription(self, name: str, account: _Account, starts: datetime) -> _Subscription:
        rng = self.rng
        interval = "year" if self.has("years", 0.15) else "month"
        anchor = starts
        if self.has("odd_anchors", 0.5):
            month = rng.choice([1, 3, 8, 12])
            anchor = datetime(
                starts.year - 1, month, rng.choice([29, 30, 31]), rng.randint(0, 23), rng.choice([0, 30]), tzinfo=UTC
            )
        elif self.has("zones", 0.5):
            # Midnight of the account's own days, where clock changes meet boundaries.
            local = starts.astimezone(ZoneInfo(account.zone)).replace(
                hour=rng.choice([0, 1, 2]), minute=30, second=0, microsecond=0, fold=0
            )
            anchor = local.astimezone(UTC)
        segments = [(starts, self._plan_name(account), self._seats())]
        for _ in range(rng.randint(0, 3)):
            at = segments[-1][0] + timedelta(seconds=rng.randint(3600, 25 * 86400))
            plan, seats = segments[-1][1:]
            if self.has("plan_changes", 0.6):
                plan = self._plan_name(account)
            if self.has("seats", 0.6):
                seats = self._seats()
            if (plan, seats) != segments[-1][1:]:
                segments.append((at, plan, seats))
        ends = segments[-1][0] + timedelta(seconds=rng.randint(86400, 40 * 86400))
        one = _Subscription(
            name, account, interval, anchor, tuple(segments), ends if self.has("cut_periods", 0.4) else None
        )
        return replace(one, told=self._told(one))

    def _told(self, one: _Subscription) -> Span | None:
        spans = one.spans(self.until)
        start, end = self.rng.choice(spans) if spans else (self.base, self.base + DAY)
        begins = start + timedelta(hours=self.rng.choice([0, 0, 7, 60, -30]))
        stops = end + timedelta(hours=self.rng.choice([-50, 0, 30, 100]))
        if self.rng.random() < 0.7:  # else it may reach beyond the subscription's life
            begins, stops = max(begins, one.segments[0][0]), min(stops, one.ends or self.until)
        return (begins, stops) if self.has("told_periods", 0.25) and begins < stops else None

    def _plan_name(self, account: _Account) -> str:
        names = ["pro", "pro", "max", "team"] if "plan_changes" in self.features else ["pro"]
        name = self.rng.choice(names)
        return name if account.currency == "USD" or "currency" not in self.world.plans[name] else "pro"

    def _seats(self) -> int:
        return self.rng.choice([1, 1, 2, 3, 7]) if "seats" in self.features else 1

    def _baselines(self) -> None:
        for account in self.world.accounts:
            amount = str(Decimal(self.rng.randint(-5_000, 60_000)) / 1000)
            starts = [
                start
                for one in self.world.subscriptions
                if one.account == account
                for start, _ in one.spans(self.until)
                if self.base - 30 * DAY <= start <= self.base + 40 * DAY
            ]
            may_default = account.currency == "USD" or "currency" not in self.world.plans["free"]
            if not starts and "default_plan" in self.world.settings and may_default:
                starts = [month_of(self.base, ZoneInfo(account.zone))[0]]
            if self.has("baselines", 0.6) and starts:
                self.world.baselines.append((account.account_id, self.rng.choice(starts), amount))

    def _grants(self) -> None:
        for account in self.world.accounts:
            for number in range(self.rng.randint(0, 3)):
                grant = self._grant(account, f"g{number}", self._moment(self.base, self.until, whole=True))
                if self.has("credits", 0.7):
                    self.world.grants.append(grant)

    def _grant(self, account: _Account, name: str, since: datetime) -> _Grant:
        per_unit, step = minor_unit(account.currency)
        amount = self.rng.randint(1, 20) * per_unit // step * step or step
        until = since + self.rng.randint(1, 50) * DAY if self.rng.random() < 0.5 else None
        priority = self.rng.randint(0, 2)
        return f"{name}-{account.account_id}", account.account_id, amount, account.currency, since, until, priority

    # --- what happens --------------------------------------------------------------------------------------------

    def _nights(self) -> tuple[datetime, ...]:
        closes = [
            end + _GRACES[self.world.settings["close_grace"]]
            for one in self.world.subscriptions
            for _, end in one.spans(self.until)
            if end < self.until
        ]
        drawn = set()
        for _ in range(max(1, self.size.nights) - 1):
            whole = self.rng.random() < 0.5
            at = self._moment(self.base + DAY, self.until, whole=whole)
            drawn.add(self.rng.choice(closes) if closes and self.rng.random() < 0.5 else at)
        last = self.until + self.rng.choice([5, 25]) * DAY
        nights = [*sorted(at for at in drawn if at < last), last]
        again = self.rng.choice(nights)
        return tuple(sorted([*nights, again] if self.has("reruns", 0.3) else nights))

    def _rows(self, nights: tuple[datetime, ...]) -> list[_Row]:
        self.edges = [
            edge
            for one in self.world.subscriptions
            for span in one.spans(self.until)
            for edge in span
            if edge < self.until
        ]
        rows: list[_Row] = []
        for number in range(self.size.events):
            row = self._row(number)
            rows.append(row)
            again = replace(row, fields={**row.fields, "attempt": "2"}, arrives=self._arrival(row.arrives))
            if self.has("duplicates", 0.1):
                rows.append(again)
            other = replace(again, fields={**again.fields, **self._other(row)})
            if self.has("conflicts", 0.05):
                rows.append(other)
            spoiled = replace(row, fields=self._spoiled(row, number))
            if self.has("quarantine", 0.06):
                rows.append(spoiled)
        return rows

    def _row(self, number: int) -> _Row:
        rng = self.rng
        at = self._moment(self.base, self.until)
        if self.edges and rng.random() < 0.25:
            at = rng.choice(self.edges) + rng.choice([timedelta(0), -MICROSECOND, DAY, -timedelta(hours=1)])
        if rng.random() < 0.2:
            at = at.replace(minute=0, second=0, microsecond=0)  # so that some fall on one instant
        at = min(max(at, self.base - 25 * DAY), self.until)
        if "time_weighted" in self.features or "metered" in self.features:
            meter = rng.choice(["money", "money", "money", *_METERS])
        elif "pooled_quantities" in self.features:
            meter = rng.choice(["money", "money", "units", "calls", "work"])
        else:
            meter = "money"
        who = self._who(at)
        source = rng.choice(["ev", "ev", "bills", "lake"]) if "formats" in self.features else "ev"
        if source in ("bills", "lake") and (
            meter not in ("money", "units") or ("account" not in who and source == "bills")
        ):
            source = "ev"
        value = self._value(meter)
        is_job = self.has("multi_emit", 0.3)
        if is_job or meter == "work":
            return self._job(number, at, who)
        fields = {"id": json.dumps(f"e{number}"), "t": json.dumps(self._written(at)), "m": json.dumps(meter)}
        if meter not in ("calls", "people"):
            fields["v"] = value if rng.random() < 0.8 else json.dumps(value)
        if "account" in who:
            fields["acct"] = json.dumps(who["account"])
        if "user" in who:
            fields["user"] = json.dumps(who["user"])
        return _Row(source, fields, self._arrival(at))

    def _job(self, number: int, at: datetime, who: Mapping[str, str]) -> _Row:
        rng = self.rng
        room = rng.choice(["r1", "r2", "r3"])
        has_room = "metered" in self.features and rng.random() < 0.4
        inner = {**who, **({"room": room, "has_room": "true"} if has_room else {})}
        fields = {
            "id": json.dumps(f"j{number}"),
            "part": str(rng.randint(1, 3)),
            "type": json.dumps(rng.choice(["job", "task"])),
            "ts": str((at - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND),
            "who": json.dumps(inner),
            "n": str(rng.randint(0, 9)),
            "kind": json.dumps(rng.choice(["small", "large", "odd"])),
        }
        cost = self._value("money")
        if self.has("multi_emit", 0.5):
            fields |= {"paid": "true", "c": cost}
        if self.has("quarantine", 0.05):
            fields["type"] = json.dumps("note")
        return _Row("jobs", fields, self._arrival(at))

    def _who(self, at: datetime) -> dict[str, str]:
        rng = self.rng
        account = rng.choice(self.world.accounts)
        users = [one.account_id for one in self.world.accounts if one.kind == "user"] + ["guest"]
        user, named = rng.choice(users), rng.random()
        if "baselines" in self.features and self.cutover is not None and at < self.cutover and named < 0.7:
            own = account.account_id if account.kind == "user" else user
            return {"user": own}  # the log rows of before the cutover come without a payer
        if "actors" not in self.features or named < 0.5:
            return {"account": account.account_id, **({"user": user} if named < 0.3 else {})}
        return {"user": user}

    def _value(self, meter: str) -> str:
        rng = self.rng
        if meter == "money":
            text = rng.choice(["0.005", "1", "4.00", "0.25", f"{Decimal(rng.randint(1, 150_000)) / 10_000}", "1e-2"])
            if self.has("corrections", 0.12):
                text = "-" + text
            return text
        if meter == "disk":
            return str(rng.choice([1, -1]) * rng.randint(1, 4000))
        text = str(Decimal(rng.randint(1, 40_000)) / rng.choice([1, 10, 1000]))
        return "-" + text if self.has("corrections", 0.1) else text

    def _written(self, at: datetime) -> str:
        """The instant in one of the ways a log may write it."""
        way = self.rng.random()
        if way < 0.8 or "zones" not in self.features:
            return _at(at)
        return at.astimezone(ZoneInfo("Asia/Kolkata")).isoformat(sep=" " if way < 0.9 else "T")

    def _other(self, row: _Row) -> dict[str, str]:
        """Fields that give the row other content under the same key."""
        if row.source == "jobs" and self.rng.random() < 0.5:
            # The same identity with more or fewer usages: partly a duplicate, partly new, or at odds in one of them.
            return self.rng.choice([{"paid": "true", "c": "2.5"}, {"paid": "false"}, {"paid": "false", "n": "11"}])
        key = "n" if row.source == "jobs" else "v"
        return {key: str(self.rng.randint(10, 20))} if key in row.fields else {}

    def _spoiled(self, row: _Row, number: int) -> dict[str, str]:
        fields = {**row.fields, "id": json.dumps(f"x{number}")}
        time, value = ("ts", "n") if row.source == "jobs" else ("t", "v")
        wrong = self.rng.choice(["no id", "time", "word", "digits", "nobody", "future"])
        if wrong == "no id":
            fields["id"] = '""' if row.source != "lake" else "null"
        elif wrong == "time":
            fields[time] = '"2026-05-02T00:00:00"'
        elif wrong == "word" and value in fields:
            fields[value] = '"1,5"'
        elif wrong == "digits" and value in fields:
            fields[value] = "1.0000000000000001"
        elif wrong == "nobody" and row.source != "jobs":
            fields["acct"] = '"nobody"'
        elif row.source != "jobs":
            fields["t"] = json.dumps(_at(self.until + self.rng.choice([1, 5000]) * DAY))
        return fields

    def _arrival(self, at: datetime) -> datetime:
        """When a row lands: at once, or late, or very late; or before its time, to be tried again."""
        rng = self.rng
        delay = rng.choice([timedelta(0), timedelta(hours=30), 6 * DAY, 14 * DAY, 30 * DAY, 40 * DAY])
        early = -rng.randint(1, 10) * DAY
        if self.has("retries", 0.05):
            return at + early
        return at + delay if "late" in self.features else at

    # --- how it arrives ------------------------------------------------------------------------------------------

    def _raw(self, rows: list[_Row], nights: tuple[datetime, ...]) -> dict[int, dict[str, bytes]]:
        batches: dict[tuple[int, str, int], list[_Row]] = {}
        for row in rows:
            index = next((index for index, as_of in enumerate(nights) if row.arrives <= as_of), None)
            part = self.rng.randint(0, 1)
            if index is not None and part and nights[index + 1 : index + 2] == nights[index : index + 1]:
                index += 1  # a night done again finds more files
            if index is not None:
                batches.setdefault((index, row.source, part), []).append(row)
        found: dict[int, dict[str, bytes]] = {}
        for (index, source, part), batch in sorted(batches.items()):
            self.rng.shuffle(batch)
            letter = self.rng.choice("abcdefghij")
            name, content = self._file(source, f"{letter}{index:02}-{part}", batch)
            found.setdefault(index, {})["raw/" + name] = content
        return found

    def _file(self, source: str, stem: str, batch: list[_Row]) -> tuple[str, bytes]:
        if source == "bills":
            out = io.StringIO()
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["pay.id", "at", "who", "meter", "cost", "note"])
            for row in batch:
                texts = {key: _loaded(text) for key, text in row.fields.items()}
                writer.writerow(
                    [
                        texts["id"] or "",
                        texts["t"],
                        texts.get("acct", ""),
                        texts["m"],
                        texts["v"],
                        "two\nlines" if "attempt" in texts else "",
                    ]
                )
            return f"bills/{stem}.csv", out.getvalue().encode()
        if source == "lake":
            keys = ("id", "t", "m", "v", "acct", "user")
            records = [{key: _loaded(row.fields[key]) if key in row.fields else None for key in keys} for row in batch]
            # A column of one type throughout, even where all of it is absent.
            records = [
                {key: None if value is None else str(value) for key, value in record.items()} for record in records
            ]
            return f"lake/{stem}.parquet", packed("x.parquet", records)
        lines = ["{" + ", ".join(f'"{key}": {text}' for key, text in row.fields.items()) + "}\n" for row in batch]
        if self.has("quarantine", 0.1):
            lines.insert(self.rng.randint(0, len(lines)), '{"id": "broken\n')
        content = "".join(lines).encode()
        if self.has("formats", 0.3):
            return f"{source}/{stem}.ndjson.gz", gzip.compress(content, mtime=0)
        return f"{source}/deep/{stem}.ndjson", content

    def _worlds(self, nights: tuple[datetime, ...]) -> dict[int, dict[str, bytes]]:
        """The catalogue and account files, and what becomes of them later."""
        world, later = self._beginning(), self.world
        found = {0: world.files()}
        turns = sorted({self.rng.randint(1, max(1, len(nights) - 1)) for _ in range(self.rng.randint(1, 3))})
        for index in turns:
            if index >= len(nights) or nights[index] == nights[index - 1]:
                continue  # a night done again finds the same catalogue
            if self.has("changes", 0.8):
                later = self._grown(later, nights[index - 1], nights[index])
            if self.has("settings", 0.4):
                later = replace(later, settings=self._reset(later.settings))
            if self.has("turns", 0.15):
                later = replace(later, settings=self._turned(later.settings, nights[index]))
            found[index] = later.files()
        return found

    def _beginning(self) -> _World:
        """What the first night knows: an account may be exported later than it is used, a meter listed later."""
        world = self.world
        newcomer = self.rng.choice(world.accounts)
        if self.has("changes", 0.5) and len(world.accounts) > 1:
            world = _without_account(world, newcomer.account_id)
        meter = self.rng.choice(["work", "rooms"])
        return _without_meter(world, meter) if self.has("unknown_meters", 0.4) else world

    def _grown(self, world: _World, last: datetime, as_of: datetime) -> _World:
        """Other terms, prices, members, zones, baselines and grants from this night on."""
        rng = self.rng
        dearer = rng.choice(list(world.plans))
        versions = [
            {"from": version["from"], **self._version(dearer)} if rng.random() < 0.5 else self._dearer(version)
            for version in world.plans[dearer]["versions"]
        ]
        grants = [self._grant(account, f"g{as_of:%m%d}", as_of) for account in world.accounts if rng.random() < 0.2]
        return replace(
            self._moved(world),
            subscriptions=[self._changed(one, last, as_of) for one in world.subscriptions],
            plans={**world.plans, dearer: {**world.plans[dearer], "versions": versions}},
            memberships=[
                (*row[:3], as_of) if rng.random() < 0.1 and row[2] < as_of else row for row in world.memberships
            ],
            baselines=[
                (account, start, amount + "5" if "." in amount and rng.random() < 0.3 else amount)
                for account, start, amount in world.baselines
            ],
            grants=[*world.grants, *(grants if "credits" in self.features else [])],
        )

    def _moved(self, world: _World) -> _World:
        """An account in another zone; not one whose baselines would name no period then."""
        moving, zone = self.rng.choice(world.accounts), self.rng.choice(ZONES)
        fixed = {account for account, _, _ in world.baselines}
        if moving.account_id in fixed or not self.has("zones", 0.3):
            return world
        moved = replace(moving, zone=zone)
        return replace(
            world,
            accounts=[moved if one == moving else one for one in world.accounts],
            subscriptions=[
                replace(one, account=moved) if one.account == moving else one for one in world.subscriptions
            ],
        )

    def _reset(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Some settings drawn anew."""
        changed = dict(settings)
        which = self.rng.choice(["close_grace", "late_window", "bill_from", "ledger_cutover", "default_plan"])
        if which == "close_grace":
            changed[which] = self.rng.choice(list(_GRACES))
        elif which == "late_window":
            changed[which] = self._late_window()
        elif which == "bill_from" and "bill_from" in self.features:
            changed[which] = _at(self._moment(self.base - 20 * DAY, self.base + 35 * DAY))
        elif which == "ledger_cutover" and "ledger_cutover" in changed:
            changed[which] = _at(self._moment(self.base, self.base + 40 * DAY))
        elif which == "default_plan" and "default_plan" in self.features and not self.world.baselines:
            changed[which] = "null" if changed.get(which, "null") != "null" else "free"
        return changed

    def _turned(self, settings: Mapping[str, str], as_of: datetime) -> dict[str, str]:
        """From the shadow book to the live one, or back."""
        turned = {"bill_from": _at(as_of - self.rng.randint(0, 30) * DAY), **settings}
        if turned.pop("stripe", None) is None:
            turned["stripe"] = "live"
        return turned

    def _changed(self, one: _Subscription, last: datetime, as_of: datetime) -> _Subscription:
        """Other seats or another plan from somewhere on in past or future, an end yet to come, a period told."""
        rng = self.rng
        way, at = rng.random(), as_of + timedelta(hours=rng.randint(-400, 300))
        ends, begins = as_of + rng.randint(1, 20) * DAY, last + timedelta(hours=rng.randint(0, 400))
        stops = begins + timedelta(hours=rng.randint(24, 900))
        plan, seats = self._plan_name(one.account), self._seats()
        if way < 0.3 and at > one.segments[-1][0] and (one.ends is None or at < one.ends):
            return replace(one, segments=(*one.segments, (at, plan, seats)))
        if one.account.account_id in {account for account, _, _ in self.world.baselines}:
            return one  # its baseline names the start of a period, which must not move
        last_told = one.told[1] if one.told else one.segments[-1][0]
        if way < 0.5 and one.ends is None and ends > max(one.segments[-1][0], last_told):
            return replace(one, ends=ends)
        if way < 0.65 and one.told is None and "told_periods" in self.features and one.segments[0][0] < stops:
            # It begins after the last night, so that it crosses no period that has closed.
            return replace(one, told=(begins, stops)) if one.ends is None or begins < one.ends else one
        return one

    def _dearer(self, version: dict[str, Any]) -> dict[str, Any]:
        if "included" in version and self.rng.random() < 0.5:
            return {**version, "included": "2.5"}
        return version

    def _moment(self, since: datetime, until: datetime, whole: bool = False) -> datetime:
        """An instant between the two; a whole hour, or any microsecond."""
        span = until - since
        if whole:
            return since + timedelta(hours=self.rng.randint(0, int(span / timedelta(hours=1))))
        return since + timedelta(microseconds=self.rng.randint(0, span // MICROSECOND))


def _loaded(text: str) -> Any:
    return json.loads(text, parse_float=str, parse_int=str)


def _without_account(world: _World, account_id: str) -> _World:
    return replace(
        world,
        accounts=[one for one in world.accounts if one.account_id != account_id],
        subscriptions=[one for one in world.subscriptions if one.account.account_id != account_id],
        memberships=[one for one in world.memberships if one[0] != account_id],
        baselines=[one for one in world.baselines if one[0] != account_id],
        grants=[one for one in world.grants if one[1] != account_id],
    )


def _without_meter(world: _World, meter: str) -> _World:
    plans = {
        name: {
            **plan,
            "versions": [
                {**version, "charges": [charge for charge in version["charges"] if charge["meter"] != meter]}
                for version in plan["versions"]
            ],
        }
        for name, plan in world.plans.items()
    }
    return replace(world, plans=plans, meters={name: it for name, it in world.meters.items() if name != meter})


def shrunk(size: Size) -> Sequence[Size]:
    """The next smaller sizes to try when a seed fails."""
    smaller = [
        replace(size, events=size.events // 2),
        replace(size, accounts=size.accounts - 1),
        replace(size, nights=size.nights - 1),
        replace(size, events=size.events - 1),
    ]
    return [one for one in smaller if one != size and one.events > 0 and one.accounts > 0 and one.nights > 0]
