"""A month of usage, put straight into the books: what a night that closes it finds, the same for the same arguments.

Twenty thousand accounts by default, their usage skewed by Zipf's law; a tenth of them change seats or plan within the
month, half of them begin their days at another hour than UTC. Twelve meters: money and priced quantities in the pool,
and each way of counting and pricing outside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from assets import warehouse
from assets.verbs import bring_in, take_in

DAYS = 31
CLOSING = datetime(2026, 6, 3, 2, tzinfo=UTC)
_BEGUN = datetime(2026, 5, 1, 5, tzinfo=UTC)
# Every second account in UTC, the others where May begins earlier or later.
_STARTS = ("2026-05-01T00:00:00Z", "2026-04-30T22:00:00Z", "2026-05-01T00:00:00Z", "2026-05-01T04:00:00Z")
_ZONES = ("UTC", "Europe/Berlin", "UTC", "America/New_York")
_CHANGE = "2026-05-16T12:00:00Z"
_PLANS = ("starter", "pro", "scale")


@dataclass(frozen=True, slots=True)
class Meter:
    aggregate: str
    share: int  # of a hundred usages
    amount: str  # SQL over `dice`, a random whole number
    is_cost: bool = False


METERS = {
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

_WORKSPACE = "currency: USD\nclose_grace: 1h\nlate_window: 35d\n"
_SOURCES = (
    "sources:\n  calls: {files: calls/*.ndjson, format: ndjson, identity: [id], occurred_at: ts, account: org, "
    "emits: [{meter: model_cost, cost: cost}]}\n"
)
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


def _plan(number: int, name: str) -> str:
    scale = 4 - number
    return (
        f"  {name}:\n    priority: {number}\n    versions:\n      - from: 2026-01-01T00:00:00Z\n"
        f"        included: {5 * number}.00\n        daily_refresh: {{basis: {5 * number}.00, rate: 0.01}}\n"
        f"        minimum: {2 * number}\n        charges:\n{_CHARGES.format(scale=scale)}"
    )


def _subscriptions(accounts: int) -> Iterator[str]:
    for number in range(accounts):
        start, plan, seats = _STARTS[number % 4], _PLANS[number % 3], 1 + number % 5
        terms = f"sub_{number:05},org_{number:05},{{}},{{}},month,{start},{{}},{{}}"
        if number % 10:
            yield terms.format(plan, seats, start, "")
        else:
            yield terms.format(plan, seats, start, _CHANGE)
            yield terms.format(*((_PLANS[(number + 1) % 3], seats) if number % 20 else (plan, seats + 2)), _CHANGE, "")


def _files(accounts: int) -> Iterator[tuple[str, str]]:
    yield "catalog/workspace.yaml", _WORKSPACE
    yield "catalog/sources.yaml", _SOURCES
    meters = (f"  {name}: {{aggregate: {it.aggregate}}}\n" for name, it in METERS.items())
    yield "catalog/meters.yaml", "meters:\n" + "".join(meters)
    yield "catalog/plans.yaml", "plans:\n" + "".join(_plan(number, name) for number, name in enumerate(_PLANS, 1))
    owners = (f"org_{it:05},organization,Org {it},USD,{_ZONES[it % 4]},cus_{it}" for it in range(accounts))
    header = "account_id,entity_type,name,currency,timezone,stripe_customer_id"
    yield "accounts/accounts.csv", "\n".join([header, *owners, ""])
    header = "subscription_id,account_id,plan,seats,interval,anchor_at,starts_at,ends_at"
    yield "accounts/subscriptions.csv", "\n".join([header, *_subscriptions(accounts), ""])


def make(workspace: Path, rows: int, accounts: int, seed: int = 1) -> None:
    """The workspace just before the night that closes the month: catalogue taken in, the month's usage in the books."""
    for name, text in _files(accounts):
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(text)
    (workspace / "raw").mkdir()
    with warehouse.connect(workspace) as con:
        take_in(con, workspace, _BEGUN)
        for day in range(DAYS):
            con.execute(_usage_of(day, rows * day // DAYS, rows * (day + 1) // DAYS, accounts, seed))
        con.execute("""
            INSERT INTO books.nights SELECT DISTINCT entered_at, NULL::TIMESTAMP, 35 * 86400000000 FROM books.ledger;
            INSERT INTO books.received BY NAME
            SELECT entered_at AS received_at, source, raw_file, occurred_at::DATE AS day, meter, count(*) AS usages,
                   coalesce(sum(quantity), 0) AS quantity, coalesce(sum(cost), 0) AS cost
            FROM books.ledger GROUP BY ALL;
            INSERT INTO landing.files BY NAME
            SELECT raw_file, source, count(*) AS rows, 0 AS ignored, count(*) AS accepted, 0 AS bytes,
                   sha256(raw_file) AS sha256, 'ndjson' AS format, max(landed_at) AS landed_at
            FROM books.ledger GROUP BY ALL""")
        take_in(con, workspace, CLOSING)
        bring_in(con, workspace, CLOSING)


def _usage_of(day: int, first: int, last: int, accounts: int, seed: int) -> str:
    bounds = [sum(it.share for it in list(METERS.values())[: number + 1]) for number in range(len(METERS))]
    meter = " ".join(f"WHEN lot < {bound} THEN '{name}'" for name, bound in zip(METERS, bounds, strict=True))
    quantity = " ".join(f"WHEN '{name}' THEN {it.amount}" for name, it in METERS.items() if not it.is_cost)
    cost = " ".join(f"WHEN '{name}' THEN {it.amount}" for name, it in METERS.items() if it.is_cost)
    starts = ", ".join(f"TIMESTAMP '{start[:-1]}'" for start in _STARTS)
    return f"""
        INSERT INTO books.ledger BY NAME
        WITH drawn AS (
            SELECT i, hash(i, {seed}, 1) % 100 AS lot, (hash(i, {seed}, 2) >> 1)::BIGINT AS dice,
                   floor(pow({accounts}, hash(i, {seed}, 3) / 18446744073709551616))::BIGINT - 1 AS owner,
                   (hash(i, {seed}, 4) % 86400000000)::BIGINT AS time_of_day, hash(i, {seed}, 5) % 60000 AS lateness
            FROM range({first}, {last}) AS usages(i)
        ), placed AS (
            SELECT *, CASE {meter} END AS meter,
                   [{starts}][1 + owner % 4] + to_days({day}) + to_microseconds(time_of_day) AS nominal_at
            FROM drawn
        ), dated AS (
            -- One in two hundred comes up to three days late.
            SELECT *, date_trunc('day', nominal_at) + INTERVAL 26 HOUR AS landed_at,
                   nominal_at - to_days(if(lateness < 300, least(lateness % 4, {day}), 0)::INTEGER) AS occurred_at
            FROM placed
        )
        SELECT md5_number(i::VARCHAR)::UHUGEINT AS key_hi, md5_number('low' || i)::UHUGEINT AS key_lo,
               'calls' AS source, meter, format('org_{{:05}}', owner) AS account_id,
               format('sub_{{:05}}', owner) AS subscription_id, true AS is_account_named,
               format('user_{{:05}}_{{}}', owner, dice % 7) AS actor, occurred_at, landed_at, landed_at AS entered_at,
               CAST(CASE meter {quantity} END AS DECIMAL(38, 9)) AS quantity,
               CAST(CASE meter {cost} END AS DECIMAL(38, 15)) AS cost,
               '{{"model": "m' || dice % 5 || '"}}' AS context, 'calls/{day + 1:02}.ndjson' AS raw_file,
               i - {first} + 1 AS raw_line, 0 AS emit_no
        FROM dated"""
