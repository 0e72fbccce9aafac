"""Who buys and what is sold in the benchmarks: two companies of as many accounts and meters as are asked for.

`metered` sells what any billing query can express, so that others can bill it too: money and priced quantities in a
pool with a daily refresh, an included amount and overage, and beside the pool prices per unit and by steps. Every
account has one plan for the whole calendar month, in UTC. `every_rule` uses each way of counting and pricing there is;
a tenth of its accounts change seats or plan within the month, half begin their days at another hour than UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

_MICRO = Decimal("0.000001")
_PLANS = ("starter", "pro", "scale")
_CHANGE = "2026-05-16T12:00:00Z"


def workspace(root: Path) -> Path:
    """Beside it in `root` are the rules as tables, for those who bill by a query."""
    return root / "workspace"


@dataclass(frozen=True, slots=True)
class Meter:
    aggregate: str
    share: int  # of all usages, against the other meters' shares
    amount: str  # SQL over `dice`, a random whole number
    is_cost: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """Millionths of a dollar for a unit, up to `bound` units; beyond it others, and `flat` once it is passed."""

    unit: int
    bound: int | None = None
    beyond: int = 0
    flat: int = 0
    is_pooled: bool = False

    def charge(self, meter: str, is_cost: bool) -> str:
        if self.is_pooled:
            price = "" if is_cost else f"model: per_unit, price: {_money(self.unit)}, "
            return f"{{meter: {meter}, {price}pooled: true}}"
        if self.bound is None:
            return f"{{meter: {meter}, model: per_unit, price: {_money(self.unit)}}}"
        first = f"{{up_to: {self.bound}, unit: {_money(self.unit)}}}"
        beyond = f"{{unit: {_money(self.beyond)}, flat: {_money(self.flat)}}}"
        return f"{{meter: {meter}, model: graduated, tiers: [{first}, {beyond}]}}"


@dataclass(frozen=True, slots=True)
class Plan:
    name: str
    included: int  # cents per seat
    basis: int  # cents per seat, of which one in a hundred is refreshed every day
    minimum: int
    charges: str
    prices: Mapping[str, Price]


@dataclass(frozen=True, slots=True)
class Company:
    meters: Mapping[str, Meter]
    plans: tuple[Plan, ...]
    accounts: int
    starts: tuple[str, ...]  # of every account's month, in turn
    zones: tuple[str, ...]
    has_changes: bool
    settings: str = ""
    grace: str = "1h"

    def write(self, root: Path) -> None:
        """Catalogue and account files of a workspace."""
        for name, text in self._files():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "raw").mkdir(exist_ok=True)

    def _files(self) -> Iterator[tuple[str, str]]:
        yield "catalog/workspace.yaml", f"currency: USD\nclose_grace: {self.grace}\nlate_window: 35d\n{self.settings}"
        yield "catalog/sources.yaml", self._source()
        meters = (f"  {name}: {{aggregate: {it.aggregate}}}\n" for name, it in self.meters.items())
        yield "catalog/meters.yaml", "meters:\n" + "".join(meters)
        plans = (_written(priority, it) for priority, it in enumerate(self.plans, 1))
        yield "catalog/plans.yaml", "plans:\n" + "".join(plans)
        owners = (
            f"org_{it:05},organization,Org {it},USD,{self.zones[it % len(self.zones)]},cus_{it}"
            for it in range(self.accounts)
        )
        header = "account_id,entity_type,name,currency,timezone,stripe_customer_id"
        yield "accounts/accounts.csv", "\n".join([header, *owners, ""])
        header = "subscription_id,account_id,plan,seats,interval,anchor_at,starts_at,ends_at"
        yield "accounts/subscriptions.csv", "\n".join([header, *self._subscriptions(), ""])

    def _source(self) -> str:
        emits = "".join(
            f"      - {{meter: {name}, {'cost' if it.is_cost else 'quantity'}: value, when: {{meter: {name}}}}}\n"
            for name, it in self.meters.items()
        )
        return (
            "sources:\n  usage:\n    files: usage/*.ndjson.gz\n    format: ndjson\n    where: {type: usage}\n"
            "    identity: [id]\n    occurred_at: ts\n    account: org\n    actor: payload.user\n"
            f"    context: {{model: payload.model}}\n    emits:\n{emits}"
        )

    def _subscriptions(self) -> Iterator[str]:
        for number in range(self.accounts):
            start, plan, seats = self.starts[number % len(self.starts)], _PLANS[number % 3], 1 + number % 5
            terms = f"sub_{number:05},org_{number:05},{{}},{{}},month,{start},{{}},{{}}"
            if number % 10 or not self.has_changes:
                yield terms.format(plan, seats, start, "")
            else:
                yield terms.format(plan, seats, start, _CHANGE)
                later = (_PLANS[(number + 1) % 3], seats) if number % 20 else (plan, seats + 2)
                yield terms.format(*later, _CHANGE, "")


def _money(millionths: int) -> str:
    return f"{millionths * _MICRO:f}"


def _written(priority: int, plan: Plan) -> str:
    return (
        f"  {plan.name}:\n    priority: {priority}\n    versions:\n      - from: 2026-01-01T00:00:00Z\n"
        f"        included: {_money(plan.included * 10_000)}\n"
        f"        daily_refresh: {{basis: {_money(plan.basis * 10_000)}, rate: 0.01}}\n"
        f"        minimum: {plan.minimum}\n        charges:\n{plan.charges}"
    )


# Twelve meters; more of them repeat these. Prices are those of the dearest plan's third.
_METERED: dict[str, tuple[Meter, Price]] = {
    "model_cost": (Meter("cost", 30, "dice % 10000 / 1e6", is_cost=True), Price(1_000_000, is_pooled=True)),
    "gb_seconds": (Meter("sum", 20, "dice % 400000000 / 1e6"), Price(4, is_pooled=True)),
    "tokens_in": (Meter("sum", 10, "dice % 8000"), Price(1, is_pooled=True)),
    "requests": (Meter("sum", 8, "1"), Price(400, is_pooled=True)),
    "messages": (Meter("sum", 8, "1 + dice % 5"), Price(300, bound=500, beyond=100)),
    "tokens_out": (Meter("sum", 5, "dice % 2000"), Price(2, is_pooled=True)),
    "builds": (Meter("sum", 4, "dice % 90000000 / 1e6"), Price(80, bound=1_000, beyond=40, flat=1_000_000)),
    "tool_cost": (Meter("cost", 4, "dice % 5000 / 1e6", is_cost=True), Price(1_000_000, is_pooled=True)),
    "storage_writes": (Meter("sum", 4, "dice % 300"), Price(0, bound=2_000, beyond=7)),
    "egress_gb": (Meter("sum", 3, "dice % 2000000 / 1e6"), Price(2_000, is_pooled=True)),
    "exports": (Meter("sum", 2, "dice % 5"), Price(900)),
    "alerts": (Meter("sum", 2, "1"), Price(1_100)),
}


def metered(accounts: int = 20_000, meters: int = 12, settings: str = "") -> Company:
    kinds = list(_METERED.items())
    sold = {
        name if round_no == 0 else f"{name}_{round_no}": pair
        for round_no, (name, pair) in ((number // len(kinds), kinds[number % len(kinds)]) for number in range(meters))
    }
    plans = []
    for number, name in enumerate(_PLANS, 1):
        prices = {meter: _scaled(price, 4 - number, it.is_cost) for meter, (it, price) in sold.items()}
        lines = (price.charge(meter, sold[meter][0].is_cost) for meter, price in prices.items())
        charges = "".join(f"          - {line}\n" for line in lines)
        plans.append(Plan(name, 10 * number, 50 * number, 0, charges, prices))
    start = "2026-05-01T00:00:00Z"
    chosen = {meter: it for meter, (it, _) in sold.items()}
    return Company(chosen, tuple(plans), accounts, (start,), ("UTC",), has_changes=False, settings=settings)


def _scaled(price: Price, by: int, is_cost: bool) -> Price:
    """A dearer plan's prices; money costs what it costs."""
    if is_cost:
        return price
    return Price(price.unit * by, price.bound, price.beyond * by, price.flat * by, price.is_pooled)


_EVERY_RULE = {
    "model_cost": Meter("cost", 30, "dice % 10000000 / 1e9", is_cost=True),
    "gb_seconds": Meter("sum, divide_by: 1024", 20, "dice % 40000000 / 1e3"),
    "tokens": Meter("sum, divide_by: 1000000", 10, "dice % 8000"),
    "calls": Meter("count", 12, "1"),
    "messages": Meter("sum", 8, "1 + dice % 5"),
    "exports": Meter("sum", 3, "dice % 5000000 / 1e6"),
    "payouts": Meter("cost", 3, "dice % 9000000 / 1e5 - 5", is_cost=True),
    "card_fees": Meter("sum", 2, "dice % 30000 / 1e2"),
    "storage_gb": Meter("time_weighted, divide_by: 1073741824", 2, "dice % 8000000000 - 3000000000"),
    "active_users": Meter("unique_count, of: actor", 5, "1"),
    "peak_jobs": Meter("max", 3, "dice % 400"),
    "disk_quota": Meter("latest", 2, "dice % 5000"),
}
_CHARGES = """\
          - {{meter: model_cost, pooled: true}}
          - {{meter: gb_seconds, model: per_unit, price: 0.0000{scale}6, pooled: true}}
          - {{meter: tokens, model: per_unit, price: 2.{scale}0, pooled: true}}
          - {{meter: calls, model: graduated, tiers: [{{up_to: 999, unit: 0.0{scale}}}, {{unit: 0.002, flat: 1}}]}}
          - {{meter: messages, model: volume, tiers: [{{up_to: 500, unit: 0.0{scale}}}, {{unit: 0.005}}]}}
          - {{meter: exports, model: package, size: 10, price: 1.{scale}0, free_units: 5}}
          - {{meter: payouts, model: percentage, rate: 0.00{scale}, fixed: 0.01}}
          - {{meter: card_fees, model: percentage, rate: 0.029, fixed: 0.30, min: 0.50, max: {scale}.00}}
          - {{meter: storage_gb, model: per_unit, price: 0.{scale}}}
          - {{meter: active_users, model: graduated, tiers: [{{up_to: 3}}, {{unit: {scale}.50, flat: 5}}]}}
          - {{meter: peak_jobs, model: per_unit, price: 0.{scale}}}
          - {{meter: disk_quota, model: per_unit, price: 0.00{scale}, free_units: 100}}
"""


def every_rule(accounts: int = 20_000) -> Company:
    plans = tuple(
        Plan(name, 500 * number, 500 * number, 2 * number, _CHARGES.format(scale=4 - number), {})
        for number, name in enumerate(_PLANS, 1)
    )
    # Every second account in UTC, the others where May begins earlier or later.
    starts = ("2026-05-01T00:00:00Z", "2026-04-30T22:00:00Z", "2026-05-01T00:00:00Z", "2026-05-01T04:00:00Z")
    zones = ("UTC", "Europe/Berlin", "UTC", "America/New_York")
    # With all of May in the books a night may still pass before it closes.
    return Company(_EVERY_RULE, plans, accounts, starts, zones, has_changes=True, grace="36h")
