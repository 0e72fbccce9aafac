"""Usage on its way to Stripe hour by hour, night after night: which events are made, and that they add up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from assets import events, warehouse
from assets.core.catalogue.loading import load
from assets.core.refusal import Refusal
from orchestration.run import night as whole_night
from tests.golden.case import catalogue_files, raw_files
from tests.nights import run_night

FIRST = datetime(2026, 5, 20, 2, 30, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, 1, tzinfo=UTC)
WORKSPACE: dict[str, Any] = {
    "workspace": {"bill_from": "2026-05-20T00:00:00Z", "stripe": {"mode": "live", "push": "meter_events"}},
    "plan": {
        "charges": [
            {"meter": "money", "pooled": "true"},
            {"meter": "units", "model": "per_unit", "price": "0.10"},
            {"meter": "peak", "model": "per_unit", "price": "1"},
        ]
    },
    "meters": {"units": {"aggregate": "sum", "divide_by": "3"}},
}


def write(root: Path, usage: dict[str, str] | None = None, **changes: Any) -> Path:
    files = catalogue_files({**WORKSPACE, **changes})
    files |= {f"raw/{name}": content for name, content in raw_files({"usage": usage or {}}).items()}
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def live(bill_from: str, **stripe: str) -> dict[str, Any]:
    return {"bill_from": bill_from, "stripe": {"mode": "live", "push": "meter_events", **stripe}}


def made(root: Path, as_of: datetime) -> list[tuple[Any, ...]]:
    """Identifier, exact, value and state of a night's events."""
    with warehouse.connect(root) as con:
        return con.execute(
            """SELECT identifier, exact, value, state FROM billing.meter_events WHERE created_as_of = ?
            ORDER BY meter, bucket_start, event_no""",
            [as_of],
        ).fetchall()


def shown(rows: list[tuple[Any, ...]]) -> list[str]:
    return [f"{name} {Decimal(exact).normalize():f} {value} {state}" for name, exact, value, state in rows]


def test_every_hour_moves_the_rounded_total_once(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "ev/1.ndjson": """
                before  2026-05-19T23:59:59Z  units  30    a1
                one     2026-05-20T00:10:00Z  units  1     a1
                two     2026-05-20T00:50:00Z  units  1     a1
                three   2026-05-20T01:20:00Z  units  2     a1
                most    2026-05-20T01:20:00Z  peak   9     a1
                cent    2026-05-20T01:20:00Z  money  0.005 a1
                open    2026-05-20T02:10:00Z  units  300   a1"""
        },
    )
    run_night(root, FIRST, is_published=False, is_checked=True)
    first = shown(made(root, FIRST))
    assert first == [
        "a1:2026-05-20T01:00:00Z:money 0.005 1 pending",
        "a1:2026-05-20T00:00:00Z:units 2 1 pending",  # 2/3
        "a1:2026-05-20T01:00:00Z:units 2 0 nothing",  # 4/3
    ]
    write(
        root,
        {
            "ev/2.ndjson": """
                late    2026-05-20T00:20:00Z  units  0.5   a1
                gone    2026-05-20T01:30:00Z  money  -0.02 a1
                older   2026-05-19T10:00:00Z  units  7     a1"""
        },
    )
    second = FIRST + timedelta(hours=1)
    run_night(root, second, is_published=False, is_checked=True)
    assert shown(made(root, second)) == [
        "a1:2026-05-20T01:00:00Z:money:2 -0.02 -3 pending",  # -0.015 is -2 cents
        "a1:2026-05-20T00:00:00Z:units:2 0.5 1 pending",  # 4.5/3
        "a1:2026-05-20T02:00:00Z:units 300 100 pending",  # 304.5/3 = 101.5: 102 in all
    ]
    run_night(root, second, is_checked=True)  # tried again
    assert shown(made(root, FIRST)) == first
    assert len(made(root, second)) == 3
    with warehouse.connect(root) as con:
        assert con.execute("SELECT sum(value) FROM billing.meter_events WHERE meter = 'units'").fetchall() == [(102,)]


def test_hours_left_out_once_are_never_sent(tmp_path: Path) -> None:
    usage = """
        a  2026-05-19T10:00:00Z  units  3  a1
        b  2026-05-20T01:00:00Z  units  3  a1"""
    root = write(tmp_path, {"ev/1.ndjson": usage})
    run_night(root, FIRST, is_published=False)
    write(root, workspace=live("2026-05-01T00:00:00Z"))
    second = FIRST + timedelta(days=1)
    run_night(root, second, is_published=False, is_checked=True)
    assert made(root, second) == []
    with warehouse.connect(root) as con:
        (said,) = events.remarks(con)
    assert said.startswith("bill_from is 2026-05-01T00:00:00Z, and meter events were made from 2026-05-20T00:00:00Z on")
    write(root, workspace=live("2026-05-20T02:00:00Z"))  # and what was sent is not taken back
    run_night(root, second + timedelta(days=1), is_published=False, is_checked=True)
    assert made(root, second + timedelta(days=1)) == []


def test_what_is_sent_depends_on_the_book(tmp_path: Path) -> None:
    usage = {"ev/1.ndjson": "b  2026-05-20T01:00:00Z  units  3  a1"}
    for name, stripe in {"shadow": {"push": "meter_events"}, "items": {"mode": "live"}}.items():
        root = write(tmp_path / name, usage, workspace={"bill_from": "2026-05-20T00:00:00Z", "stripe": stripe})
        run_night(root, FIRST, is_published=False, is_checked=True)
        assert made(root, FIRST) == []


def test_a_meter_is_not_measured_anew(tmp_path: Path) -> None:
    root = write(tmp_path, {"ev/1.ndjson": "b  2026-05-20T01:00:00Z  units  3  a1"})
    run_night(root, FIRST, is_published=False)
    (root / "warehouse" / "run.lock").touch()
    write(root, meters={"units": {"aggregate": "sum", "divide_by": "1000"}})
    with pytest.raises(Refusal) as refused:
        whole_night(root, FIRST + timedelta(days=1))
    assert str(refused.value) == (
        "catalog/meters.yaml: units: is sum by 1000, and its events at Stripe count sum by 3; put it back, and give"
        " what is counted anew a meter of its own."
    )
    write(root, meters={"units": {"aggregate": "max"}})  # no longer sent, and nothing is taken back
    run_night(root, FIRST + timedelta(days=1), is_published=False, is_checked=True)
    assert made(root, FIRST + timedelta(days=1)) == []


def lines(root: Path) -> dict[str, tuple[str, str | None]]:
    with warehouse.connect(root) as con:
        rows = con.execute("SELECT period_start, charge, amount_minor, state, state_reason FROM books.lines").fetchall()
    return {f"{start:%Y-%m-%d} {charge} {minor}": (state, reason) for start, charge, minor, state, reason in rows}


def test_lines_of_usage_that_stripe_rates_are_never_sent(tmp_path: Path) -> None:
    """April has ended when Stripe begins to rate: what is left of it is on lines, and goes out as such."""
    told: dict[str, Any] = {
        "subscriptions": "s1,a1,pro,1,month,2026-04-01T00:00:00Z,2026-04-01T00:00:00Z,",
        "plan": {"minimum": "9", "threshold": "1", **WORKSPACE["plan"]},
    }
    by_lines = {"bill_from": "2026-04-01T00:00:00Z", "stripe": {"mode": "live"}}
    april = {"ev/1.ndjson": "a  2026-04-20T01:00:00Z  money  3  a1"}
    run_night(write(tmp_path, april, workspace=by_lines, **told), FIRST - timedelta(days=29), is_published=False)
    may = {"ev/2.ndjson": "b  2026-05-20T01:00:00Z  units  3  a1"}
    run_night(write(tmp_path, may, workspace=live("2026-05-01T00:00:00Z"), **told), JUNE, is_checked=True)
    rated = ("shadow", "Stripe rates this usage itself (stripe.push: meter_events)")
    assert lines(tmp_path) == {
        "2026-04-01 overage 300": ("pending", None),
        "2026-04-01 overage -300": ("pending", None),
        "2026-05-01 metered:pro:units 10": rated,
        "2026-05-01 minimum 890": rated,
    }


def test_usage_goes_out_on_one_way_only(tmp_path: Path) -> None:
    """Lines first, then meter events, or the other way round: the second begins where the first has ended."""
    usage = {"ev/1.ndjson": "b  2026-05-20T01:00:00Z  units  3  a1"}
    by_lines = {"bill_from": "2026-05-20T00:00:00Z", "stripe": {"mode": "live"}}
    run_night(write(tmp_path / "lines", usage, workspace=by_lines), JUNE, is_published=False)
    run_night(write(tmp_path / "hours", usage), JUNE, is_published=False)
    for name, other, until in (
        ("lines", live("2026-05-20T00:00:00Z"), "on lines"),
        ("hours", by_lines, "as meter events"),
    ):
        root = write(tmp_path / name, workspace=other)
        with pytest.raises(Refusal) as refused:
            run_night(root, JUNE + timedelta(days=1))
        assert f"has gone out {until}; put it back, or let bill_from be an hour from then on" in str(refused.value)
        run_night(write(root, workspace={**other, "bill_from": "2026-06-02T00:00:00Z"}), JUNE + timedelta(days=2))


def test_meters_that_do_not_add_up_are_warned_of_by_name(tmp_path: Path) -> None:
    assert [it for it in load(write(tmp_path)).warnings if "no plan" not in it] == [
        "catalog/meters.yaml: peak: is max, whose hours do not add up to a period, so no meter events are sent of it; "
        "bill it in another way, or push invoice_items."
    ]


def test_bill_from_within_an_hour_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        load(write(tmp_path, workspace=live("2026-05-20T00:30:00Z")))
    assert [it for it in refused.value.problems if "bill_from" in it] == [
        "catalog/workspace.yaml line 4: bill_from is 2026-05-20T00:30:00Z, within an hour, and meter events are of"
        " whole hours; write a whole hour in UTC."
    ]
