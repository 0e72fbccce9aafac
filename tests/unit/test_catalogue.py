"""A right workspace is read exactly, in every way the formats may be written."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from assets.core.catalogue import Catalogue, ClosedPeriod, load
from assets.core.catalogue.models import (
    Charge,
    Emit,
    Field,
    Number,
    OccurredAt,
    Product,
    Settings,
    Sum,
    Tier,
    Weight,
)
from assets.core.catalogue.subscriptions import open_periods
from assets.core.instants import format_instant, parse_instant
from assets.core.refusal import Refusal

FILES = {
    "catalog/workspace.yaml": """\
currency: usd
default_plan: free
stripe: {mode: shadow}
""",
    "catalog/meters.yaml": """\
weights: {compute: {task_create: 1, export: 10, default: 1}}
meters:
  model_cost: {aggregate: cost}
  gb_seconds: {aggregate: sum, divide_by: 1024, unit: GB-s}
  calls: {aggregate: count}
  active_users: {aggregate: unique_count, of: actor}
  storage_gb: {aggregate: time_weighted, divide_by: 1073741824}
""",
    "catalog/sources.yaml": """\
sources:
  ticks:
    files: ticks/**/*.ndjson*
    format: ndjson
    where: {type: usage_tick}
    identity: [id]
    occurred_at: timestamp
    account: org_id
    actor: payload.user_id
    context: {sandbox: payload.sandbox_id}
    emits:
      - {meter: gb_seconds, quantity: {product: [payload.memory_mb, payload.interval_s]}}
      - {meter: model_cost, cost: payload.cost, when: {payload.kind: model}}
      - {meter: calls}
      - {meter: active_users}
      - {meter: storage_gb, quantity: bytes}
""",
    "catalog/plans.yaml": """\
plans:
  free:
    priority: 1
    versions: [{from: 2020-01-01T00:00:00Z, charges: [{meter: model_cost, pooled: true}]}]
  pro:
    priority: 10
    currency: usd
    versions:
      - from: 2026-01-01T00:00:00Z
        included: 30.00
        daily_refresh: {basis: 25.00, rate: 0.01}
        threshold: 100.00
        charges:
          - {meter: model_cost, pooled: true}
          - {meter: gb_seconds, model: per_unit, price: 0.000016, pooled: true}
          - {meter: calls, model: per_unit, price: 1, pooled: false}
          - {meter: active_users, model: graduated, tiers: [{up_to: 10, unit: 0}, {unit: 2.50, flat: 5}]}
          - {meter: storage_gb, model: package, size: 10, price: 1.00, free_units: 5}
""",
    "accounts/accounts.csv": """\
account_id,entity_type,name,currency,timezone,stripe_customer_id
o1,organization,Acme,USD,Europe/Berlin,cus_1
u1,user,Uma,,,
e1,organization,Europa,eur,UTC,cus_2
""",
    "accounts/subscriptions.csv": """\
subscription_id,account_id,plan,seats,interval,anchor_at,starts_at,ends_at
s1,o1,pro,3,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,2026-05-10T00:00:00Z
s1,o1,free,1,month,2026-05-01T00:00:00Z,2026-05-10T00:00:00Z,
""",
    "accounts/memberships.csv": """\
organization_id,user_id,joined_at,left_at
o1,u1,2026-05-01T00:00:00Z,2026-06-01T00:00:00Z
o1,somebody,2026-05-01T00:00:00Z,
""",
    "accounts/periods.csv": """\
subscription_id,period_start,period_end
s1,2026-06-01T00:00:00Z,2026-06-15T00:00:00Z
""",
    "accounts/baselines.csv": """\
account_id,period_start,amount
o1,2026-05-01T00:00:00Z,32.50
u1,2026-05-01T00:00:00Z,1
""",
    "accounts/credit_grants.csv": """\
grant_id,account_id,amount_minor,currency,granted_at,expires_at,priority
g1,o1,500,usd,2026-05-01T00:00:00Z,2026-08-01T00:00:00Z,1
""",
}


def workspace_with(root: Path, *edits: tuple[str, str, str]) -> Path:
    """The workspace of FILES below `root`, after edits (file, old text, new text); no old text replaces the file."""
    files = dict(FILES)
    for file, old, new in edits:
        assert old in files.get(file, ""), f"{old!r} does not stand in {file}"
        files[file] = files[file].replace(old, new, 1) if old else new
    for file, text in files.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return root


def problems_of(root: Path, closed: tuple[ClosedPeriod, ...] = ()) -> list[str]:
    """The sentences that loading is refused with; none when it is not."""
    try:
        load(root, closed)
    except Refusal as refusal:
        return list(refusal.problems)
    return []


def loaded(root: Path, *edits: tuple[str, str, str]) -> Catalogue:
    return load(workspace_with(root, *edits))


def at(text: str) -> datetime:
    return parse_instant(text)


def test_reads_every_part(tmp_path: Path) -> None:
    catalogue = loaded(tmp_path)
    assert catalogue.settings == Settings(default_plan="free")
    assert catalogue.meters["gb_seconds"].divide_by == 1024
    assert catalogue.weights == {"compute": {"task_create": Decimal(1), "export": Decimal(10), "default": Decimal(1)}}
    source = catalogue.sources["ticks"]
    assert (source.where, source.identity, source.context) == (
        {"type": ("usage_tick",)},
        ("id",),
        {"sandbox": "payload.sandbox_id"},
    )
    assert source.emits[:2] == (
        Emit("gb_seconds", Product((Field("payload.memory_mb"), Field("payload.interval_s"))), None, {}),
        Emit("model_cost", None, "payload.cost", {"payload.kind": ("model",)}),
    )
    pro = catalogue.plans["pro"]
    assert (pro.priority, pro.currency, len(pro.versions)) == (10, "USD", 1)
    assert (pro.versions[0].threshold, pro.versions[0].is_overage) == (Decimal(100), True)
    assert pro.versions[0].charges[3] == Charge(
        "active_users",
        model="graduated",
        tiers=(Tier(Decimal(10), Decimal(0), Decimal(0)), Tier(None, Decimal("2.50"), Decimal(5))),
    )
    assert [(a.account_id, a.currency, a.timezone, a.stripe_customer_id) for a in catalogue.accounts] == [
        ("o1", "USD", "Europe/Berlin", "cus_1"),
        ("u1", "USD", "UTC", None),
        ("e1", "EUR", "UTC", "cus_2"),
    ]
    assert [(t.line, t.plan, t.seats) for t in catalogue.terms] == [(2, "pro", 3), (3, "free", 1)]
    assert catalogue.credit_grants[0].currency == "USD"
    assert catalogue.warnings == []


def test_numbers_are_the_digits_that_stand_there(tmp_path: Path) -> None:
    edit = ("catalog/plans.yaml", "price: 0.000016", "price: 0.100000000000001")
    assert loaded(tmp_path, edit).plans["pro"].versions[0].charges[1].price == Decimal("0.100000000000001")


@pytest.mark.parametrize(
    ("written", "value"),
    [("1e3", 1000), ('"30.00"', 30), ("+5", 5), ("7.", 7), ("010", 10), ("999999999999999999", 10**18 - 1)],
)
def test_ways_to_write_a_number(tmp_path: Path, written: str, value: int) -> None:
    edit = ("catalog/plans.yaml", "included: 30.00", f"included: {written}")
    assert loaded(tmp_path, edit).plans["pro"].versions[0].included == value


def test_quantities_nest(tmp_path: Path) -> None:
    written = "{sum: [a.b, 0.5, {product: [c, {weight: kind, table: compute}]}]}"
    edit = ("catalog/sources.yaml", "{product: [payload.memory_mb, payload.interval_s]}", written)
    assert loaded(tmp_path, edit).sources["ticks"].emits[0].quantity == Sum(
        (Field("a.b"), Number(Decimal("0.5")), Product((Field("c"), Weight("kind", "compute"))))
    )


def test_conditions_compare_the_text_that_stands_there(tmp_path: Path) -> None:
    edit = ("catalog/sources.yaml", "where: {type: usage_tick}", "where: {a: [1.50, true, 'x'], b: no}")
    assert loaded(tmp_path, edit).sources["ticks"].where == {"a": ("1.50", "true", "x"), "b": ("no",)}


def test_epochs_name_their_unit(tmp_path: Path) -> None:
    edit = ("catalog/sources.yaml", "occurred_at: timestamp", "occurred_at: {field: ts, unit: ms}")
    assert loaded(tmp_path, edit).sources["ticks"].occurred_at == OccurredAt("ts", "ms")


def test_one_meter_may_be_emitted_by_alternatives(tmp_path: Path) -> None:
    both = "{meter: calls, when: {kind: a}}\n      - {meter: calls, quantity: 2, when: {kind: [b, c]}}"
    assert len(loaded(tmp_path, ("catalog/sources.yaml", "{meter: calls}", both)).sources["ticks"].emits) == 6


def test_versions_stand_in_any_order(tmp_path: Path) -> None:
    two = "[{from: 2026-06-01T00:00:00Z, included: 2}, {from: 2020-01-01T00:00:00Z, included: 1}]"
    old = "[{from: 2020-01-01T00:00:00Z, charges: [{meter: model_cost, pooled: true}]}]"
    versions = loaded(tmp_path, ("catalog/plans.yaml", old, two)).plans["free"].versions
    assert [version.included for version in versions] == [1, 2]


def test_settings_have_defaults_and_an_empty_file_is_all_of_them(tmp_path: Path) -> None:
    empty = ("catalog/workspace.yaml", "", "# nothing\n"), ("accounts/baselines.csv", "u1,2026-05-01T00:00:00Z,1\n", "")
    assert loaded(tmp_path, *empty).settings == Settings(
        currency="USD",
        close_grace=timedelta(hours=1),
        late_window=timedelta(days=35),
        default_plan=None,
        stripe_mode="shadow",
        stripe_push="invoice_items",
        stripe_collect="pending",
    )


def test_optional_files_may_be_missing(tmp_path: Path) -> None:
    root = workspace_with(tmp_path)
    for file in ("memberships", "periods", "baselines", "credit_grants"):
        (root / f"accounts/{file}.csv").unlink()
    catalogue = load(root)
    assert (catalogue.memberships, catalogue.told_periods, catalogue.baselines, catalogue.credit_grants) == (
        [],
        [],
        [],
        [],
    )


def test_csv_in_another_dress(tmp_path: Path) -> None:
    """A byte-order mark, CRLF, another order of columns, quotes over lines, blank lines, a column of someone's own."""
    text = (
        "\ufefftimezone,note,account_id,name,entity_type,stripe_customer_id,currency\r\n"
        'UTC,x,o1,"Acme, the ""one""\r\nand only",organization,cus_1,USD\r\n'
        "\r\n"
        ",,u1,,user,,\r\n"
        ",,e1,,user,,\r\n"
    )
    catalogue = loaded(tmp_path, ("accounts/accounts.csv", "", text))
    assert [(a.line, a.account_id, a.name) for a in catalogue.accounts] == [
        (2, "o1", 'Acme, the "one"\r\nand only'),
        (5, "u1", ""),
        (6, "e1", ""),
    ]
    assert catalogue.warnings == [
        "accounts/accounts.csv line 1: has a column 'note', which is not read; leave it, or take it out."
    ]


@pytest.mark.parametrize("account_id", ["'; drop table ledger; --", "🦊", "a b", "ключ", "0", "null", "default:x"])
def test_ids_are_any_text(tmp_path: Path, account_id: str) -> None:
    edit = ("accounts/accounts.csv", "e1,", f"{account_id},")
    assert loaded(tmp_path, edit).accounts[2].account_id == account_id


WARNINGS = [
    (
        ("catalog/meters.yaml", "  calls:", "  calls_2: {aggregate: count}\n  calls:"),
        "catalog/meters.yaml: meters.calls_2 is charged by no plan;"
        " its usage is kept and owes nothing until a plan charges it.",
    ),
    (
        ("catalog/sources.yaml", "{meter: calls}", "{meter: cals}"),
        "catalog/sources.yaml line 14: sources.ticks.emits[2].meter is 'cals', which meters.yaml does not list;"
        " did you mean 'calls'?",
    ),
    (
        ("catalog/sources.yaml", "    actor: payload.user_id\n", ""),
        "catalog/sources.yaml line 2: sources.ticks has no `actor`, which active_users counts; name the field.",
    ),
    (
        ("catalog/workspace.yaml", "default_plan: free", "default_plan: free\nledger_cutover: 2026-05-01T00:00:00Z"),
        "accounts/baselines.csv line 2: names a period that begins at 2026-05-01T00:00:00Z, not before the cutover;"
        " check that its usage is not in the raw files too.",
    ),
    (
        ("catalog/plans.yaml", "priority: 1\n", "priority: 1\n    currency: usd\n"),
        "catalog/workspace.yaml: default_plan is 'free', which is for USD, and account 'e1' has another currency;"
        " its usage outside a subscription is held as no_payer.",
    ),
]


@pytest.mark.parametrize(("edit", "sentence"), WARNINGS)
def test_warns_without_refusing(tmp_path: Path, edit: tuple[str, str, str], sentence: str) -> None:
    assert sentence in loaded(tmp_path, edit).warnings


def test_open_periods_are_those_of_the_files_less_the_closed_ones(tmp_path: Path) -> None:
    root = workspace_with(tmp_path)
    closed = ClosedPeriod("s1", at("2026-05-01T00:00:00Z"), at("2026-06-01T00:00:00Z"))
    periods = open_periods(load(root, [closed]), at("2026-07-01T00:00:00Z"))
    assert [(format_instant(p.period_start), format_instant(p.period_end)) for p in periods] == [
        ("2026-06-01T00:00:00Z", "2026-06-15T00:00:00Z"),
        ("2026-06-15T00:00:00Z", "2026-07-01T00:00:00Z"),
        ("2026-07-01T00:00:00Z", "2026-08-01T00:00:00Z"),
    ]


def test_a_closed_period_needs_no_price_list_any_more(tmp_path: Path) -> None:
    root = workspace_with(
        tmp_path, ("catalog/plans.yaml", "from: 2020-01-01T00:00:00Z", "from: 2026-06-01T00:00:00Z"),
        ("accounts/baselines.csv", "u1,2026-05-01T00:00:00Z,1\n", ""),
    )  # fmt: skip
    closed = ClosedPeriod("s1", at("2026-05-01T00:00:00Z"), at("2026-06-01T00:00:00Z"))
    assert len(problems_of(root)) == 1
    assert problems_of(root, (closed,)) == []


def test_the_core_is_light_and_pure() -> None:
    code = "import sys, assets.core.catalogue; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"pandas", "numpy", "dagster", "pyarrow", "duckdb", "polars", "dbt", "pydantic"}
    assert heavy.isdisjoint(run.stdout.split())


def test_as_of_only_warns(tmp_path: Path) -> None:
    catalogue = load(workspace_with(tmp_path), as_of=datetime(2026, 4, 1, tzinfo=UTC))
    assert len(catalogue.warnings) == 2
    assert "after this run" in catalogue.warnings[0]
