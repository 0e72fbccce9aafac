"""A company whose nights are all in order: weekdays, growth, noise, a little that is late, comes twice or goes back.

Everything follows from a seed. Each night the day before arrives, a file for each of three sources; whoever wants a
defect changes what arrives before one night.
"""

from __future__ import annotations

import csv
import io
import json
import math
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
Row = dict[str, Any]
Files = dict[str, bytes]

WEEK = (1.0, 1.05, 1.1, 1.05, 0.9, 0.4, 0.35)  # from Monday on
GROWTH = 1.004  # a day
#            name  currency zone                  plan   seats  share
ACCOUNTS = [
    ("acme", "USD", "America/Los_Angeles", "team", 12, 30),
    ("bolt", "USD", "UTC", "team", 8, 22),
    ("cora", "USD", "Europe/Berlin", "pro", 5, 14),
    ("dune", "EUR", "Europe/Berlin", "euro", 6, 12),
    ("echo", "USD", "Asia/Tokyo", "pro", 3, 8),
    ("fuji", "JPY", "Asia/Tokyo", "yen", 4, 8),
    ("gale", "USD", "UTC", "pro", 2, 5),
    ("hive", "USD", "America/New_York", "pro", 2, 4),
    ("iris", "EUR", "UTC", "euro", 1, 3),
    ("jade", "USD", "UTC", "pro", 1, 2),
]
RATE = {"USD": 1, "EUR": 1, "JPY": 150}


def _plan(currency: str, included: int, threshold: int | None) -> dict[str, Any]:
    unit = RATE[currency.upper()]
    return {
        "priority": 10,
        "currency": currency,
        "versions": [
            {
                "from": "2026-01-01T00:00:00Z",
                "included": included * unit,
                "daily_refresh": {"basis": 25 * unit, "rate": "0.01"},
                "threshold": None if threshold is None else threshold * unit,
                "charges": [
                    {"meter": "model_cost", "pooled": True},
                    {"meter": "gb_seconds", "model": "per_unit", "price": str(unit * 5) + "e-6", "pooled": True},
                    {"meter": "tasks", "model": "per_unit", "price": str(unit * 2) + "e-2"},
                ],
            }
        ],
    }


def _source(name: str, **more: Any) -> dict[str, Any]:
    return {"files": f"{name}/*.ndjson", "format": "ndjson", "identity": ["id"], "occurred_at": "at", **more}


CATALOG: dict[str, Any] = {
    "workspace": {"currency": "usd", "default_plan": "free"},
    "meters": {
        "meters": {
            "model_cost": {"aggregate": "cost"},
            "gb_seconds": {"aggregate": "sum", "divide_by": 1024},
            "tasks": {"aggregate": "sum"},
        }
    },
    "sources": {
        "sources": {
            "gateway": _source("gateway", account="org", emits=[{"meter": "model_cost", "cost": "cost"}]),
            "sandbox": _source(
                "sandbox", account="org", emits=[{"meter": "gb_seconds", "quantity": {"product": ["mb", "seconds"]}}]
            ),
            "app": _source("app", actor="user", emits=[{"meter": "tasks", "quantity": "tasks"}]),
        }
    },
    "plans": {
        "plans": {
            "pro": _plan("usd", 10, None),
            "team": _plan("usd", 20, 60),
            "euro": _plan("eur", 10, 40),
            "yen": _plan("jpy", 10, 40),
            "free": {
                "priority": 0,
                "versions": [
                    {
                        "from": "2026-01-01T00:00:00Z",
                        "overage": False,
                        "charges": [{"meter": "model_cost", "pooled": True}],
                    }
                ],
            },
        }
    },
}  # fmt: skip


@dataclass
class Night:
    """What arrives before a night: a defect changes it in place."""

    as_of: datetime
    rows: dict[str, list[Row]]  # by source
    catalog: dict[str, Any]
    accounts: dict[str, list[Row]]
    lost: set[str] = field(default_factory=set)  # sources without a file
    cut: float | None = None  # of the gateway's file only so much arrives

    @property
    def day(self) -> datetime:
        return self.as_of.replace(hour=0) - timedelta(days=1)

    def files(self) -> Files:
        found: Files = {f"catalog/{name}.yaml": json.dumps(content).encode() for name, content in self.catalog.items()}
        found |= {f"accounts/{name}.csv": _csv(rows) for name, rows in self.accounts.items() if rows}
        for source, rows in self.rows.items():
            if source in self.lost:
                continue
            content = "".join(json.dumps(row) + "\n" for row in rows).encode()
            if source == "gateway" and self.cut is not None:
                content = content[: int(len(content) * self.cut)]
            found[f"raw/{source}/{self.day:%Y-%m-%d}.ndjson"] = content
        return found

    def arrive(self, workspace: Path) -> datetime:
        for name, content in self.files().items():
            path = workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return self.as_of


class Company:
    """Its nights, by number from 1; the same for the same seed, whichever are asked for."""

    def __init__(self, seed: int = 1, size: int = 200) -> None:
        self.seed = seed
        self.size = size

    def night(self, number: int) -> Night:
        as_of = FIRST + timedelta(days=number, hours=2)
        return Night(
            as_of=as_of,
            rows={source: self._rows(source, number) for source in ("gateway", "sandbox", "app")},
            catalog=json.loads(json.dumps(CATALOG)),
            accounts=self._accounts(),
        )

    def _rows(self, source: str, number: int) -> list[Row]:
        chance = random.Random(f"{self.seed} {source} {number}")
        day = FIRST + timedelta(days=number - 1)
        expected = self.size * WEEK[day.weekday()] * GROWTH**number * math.exp(chance.gauss(0, 0.08))
        count = max(0, round(chance.gauss(expected, math.sqrt(expected))))
        rows = [self._row(source, f"{source}-{number}-{index}", day, chance) for index in range(count)]
        if chance.random() < 0.2:  # delivered twice
            rows += [dict(row) for row in rows[:2]]
        if source == "gateway" and rows and chance.random() < 0.3:  # taken back
            given = dict(chance.choice(rows))
            rows.append({**given, "id": given["id"] + "-refund", "cost": f"-{given['cost']}"})
        return rows

    def _row(self, source: str, name: str, day: datetime, chance: random.Random) -> Row:
        late = timedelta(days=chance.randint(1, 3)) if chance.random() < 0.01 else timedelta(0)
        at = day - late + timedelta(seconds=chance.triangular(0, 86399, 54000))
        org, currency, *_ = chance.choices(ACCOUNTS, [account[-1] for account in ACCOUNTS])[0]
        row: Row = {"id": name, "at": at.replace(microsecond=0).isoformat()}
        if chance.random() < 0.002:  # nobody knows who
            org = "ghost"
        if source == "gateway":
            cost = chance.lognormvariate(-2.5, 0.8) * RATE[currency]
            return {**row, "org": org, "cost": f"{cost:.6f}"}
        if source == "sandbox":
            return {**row, "org": org, "mb": chance.choice([512, 1024, 2048]), "seconds": chance.randint(60, 900)}
        return {**row, "user": f"{org}-{chance.randint(1, 3)}", "tasks": chance.randint(1, 4)}

    def _accounts(self) -> dict[str, list[Row]]:
        accounts, terms, members = [], [], []
        for index, (name, currency, zone, plan, seats, _) in enumerate(ACCOUNTS):
            accounts.append(_account(name, "organization", currency, zone))
            # Their months begin on all days of it.
            anchor = (FIRST - timedelta(days=40 - 3 * index)).strftime("%Y-%m-%dT00:00:00Z")
            terms.append(
                {"subscription_id": f"sub_{name}", "account_id": name, "plan": plan, "seats": seats,
                 "interval": "month", "anchor_at": anchor, "starts_at": anchor, "ends_at": ""}
            )  # fmt: skip
            for user in (f"{name}-{number}" for number in (1, 2, 3)):
                accounts.append(_account(user, "user", currency, zone))
                members.append(
                    {"organization_id": name, "user_id": user, "joined_at": "2026-01-01T00:00:00Z", "left_at": ""}
                )
        return {"accounts": accounts, "subscriptions": terms, "memberships": members, "credit_grants": []}


def _account(name: str, kind: str, currency: str, zone: str) -> Row:
    return {"account_id": name, "entity_type": kind, "name": name.title(), "currency": currency, "timezone": zone,
            "stripe_customer_id": f"cus_{name}"}  # fmt: skip


def _csv(rows: list[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
