"""What a monitor reads is OpenMetrics, says what the tables say, and loses or gains nothing when a run dies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from assets import metrics, shown, warehouse
from assets.night import Night
from orchestration.jobs import measure_all_the_same
from tests import nights
from tests.demo import played_in_shadow
from tests.pipeline import dying
from tests.pipeline.places import case, copied

pytestmark = pytest.mark.xdist_group("demo")  # its nights are played once

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], Decimal]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played_in_shadow(tmp_path_factory)


def read(workspace: Path) -> tuple[Samples, set[str]]:
    """Every sample with its exact value, and which of them are counters, through Prometheus' own parser."""
    text = (workspace / "warehouse" / "metrics.prom").read_text()
    written = {
        line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in text.splitlines() if not line.startswith("#")
    }
    samples: dict[tuple[str, frozenset[tuple[str, str]]], Decimal] = {}
    counters = set()
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            exact = Decimal(written[sample.name + (f"{{{labels}}}" if labels else "")])
            assert float(exact) == sample.value
            samples[sample.name, frozenset(sample.labels.items())] = exact
        if family.type == "counter":
            counters.add(f"{family.name}_total")
    return samples, counters


def value(samples: Samples, name: str, **labels: str) -> Decimal:
    return samples[f"tallyhouse_{name}", frozenset(labels.items())]


def test_metrics_say_what_the_tables_say(demo: Path) -> None:
    samples, counters = read(demo)
    tables = nights.published(demo)
    files = [it for it in tables["files"] if it["source"] == "agent_platform"]
    for end in ("accepted", "duplicate", "ignored"):
        assert value(samples, "rows_total", source="agent_platform", end=end) == sum(it[end] for it in files)
    held = [it for it in tables["quarantine"] if it["reason"] == "unknown_meter"]
    assert value(samples, "quarantine_rows", source="api_events", reason="unknown_meter") == len(held) == 2
    # Open periods by hand: Acme 128.305831194370 and Birch 1, nothing of it billed; and 0.2073 € of Cobalt's July.
    assert value(samples, "unbilled", currency="USD") == Decimal("129.30583119437")
    assert value(samples, "unbilled", currency="EUR") == Decimal("0.207292239188")
    for currency in ("USD", "EUR", "JPY"):
        lines = [it for it in tables["invoice_items"] if it["currency"] == currency]
        minor = value(samples, "lines_amount_minor", state="shadow", currency=currency)
        assert minor == sum(it["amount_minor"] for it in lines)
    assert value(samples, "lines", state="shadow") == len(tables["invoice_items"])
    closed = sum(it["state"] == "closed" for it in tables["periods"])
    assert value(samples, "periods_closed_total", book="shadow") == closed
    assert value(samples, "nights_total") == 7
    night = datetime(2026, 7, 1, 1, tzinfo=UTC).timestamp()
    newest = max(it["occurred_at"] for it in tables["ledger"] if it["source"] == "sandbox")
    assert value(samples, "night_posted_timestamp_seconds") == value(samples, "night_begun_timestamp_seconds") == night
    assert value(samples, "lag_seconds", source="sandbox") == Decimal(str(night)) - Decimal(str(newest.timestamp()))
    yesterday = [it for it in tables["ledger"] if it["source"] == "sandbox" and f"{it['occurred_at']:%m-%d}" == "06-30"]
    assert value(samples, "last_closed_day_usages", source="sandbox") == len(yesterday) > 0
    assert {"tallyhouse_rows_total", "tallyhouse_usages_total", "tallyhouse_lines_created_total"} <= counters


def test_dagster_plots_money_in_whole_numbers(demo: Path) -> None:
    with warehouse.reading(demo) as con:
        # The lines of July 1, credits with them, and what open periods have not been billed: 0.2073 €, 129.3058 $.
        assert shown.billed(con) == {"billed_minor_eur": 40_000, "billed_minor_jpy": 1_808, "billed_minor_usd": 5_746}
        assert shown.unbilled(con) == {"unbilled_minor_eur": 21, "unbilled_minor_jpy": 0, "unbilled_minor_usd": 12_931}


def test_a_day_without_a_log_is_seen(demo: Path, tmp_path: Path) -> None:
    with warehouse.connect(copied(demo, tmp_path / "demo")) as con:
        assert not shown.found(con, shown.ABSENT)
        con.execute("DELETE FROM books.ledger WHERE source = 'sandbox' AND occurred_at >= '2026-06-30'")
        assert shown.found(con, shown.ABSENT) == shown.Found(
            1,
            "| source | newest_usage | absent_day |\n| --- | --- | --- |\n"
            f"| sandbox | {shown.one(con, _NEWEST):%Y-%m-%d %H:%M} UTC | 2026-06-30 |",
        )


_NEWEST = "SELECT max(occurred_at) FROM books.ledger WHERE source = 'sandbox'"


def test_a_strange_name_is_quoted(demo: Path) -> None:
    assert metrics._labels({"source": 'a "b"\\\n'}) == '{source="a \\"b\\"\\\\\\n"}'


@pytest.fixture(scope="module")
def eve(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, datetime]:
    """Before the second night of a case; its metrics are those of the first."""
    workspace, script = tmp_path_factory.mktemp("metrics") / "workspace", case().script
    nights.run_night(workspace, script.before(1, workspace))
    return workspace, script.before(2, workspace)


def test_a_night_that_dies_counts_nothing_twice(eve: tuple[Path, datetime], tmp_path: Path) -> None:
    workspace, as_of = eve
    before, counters = read(workspace)
    undisturbed = copied(workspace, tmp_path / "undisturbed")
    acts = dying.night(undisturbed, as_of)
    after, _ = read(undisturbed)
    commit = acts.index("execute COMMIT", acts.index("execute BEGIN"))
    last = max(number for number, act in enumerate(acts) if act.startswith("replace") and "metrics.prom" in act)
    for number in (commit, last):
        killed = copied(workspace, tmp_path / str(number))
        dying.night(killed, as_of, dies_before=number)
        assert read(killed)[0] == before, "a half-written file was seen"
        with warehouse.connect(killed) as con:  # what the hook writes after a night that failed
            metrics.write(con, killed)
        stopped, _ = read(killed)
        dying.night(killed, as_of)
        again, _ = read(killed)
        assert again == after
        for (name, labels), count in before.items():
            if name in counters:
                assert count <= stopped[name, labels] <= again[name, labels], name
        assert not list((killed / "warehouse").glob(".metrics*"))


def test_a_night_that_fails_is_measured(eve: tuple[Path, datetime], tmp_path: Path) -> None:
    """By Dagster's hook, after a step that failed before the books: a night has begun, and is not posted."""
    workspace, as_of = copied(eve[0], tmp_path / "workspace"), eve[1]

    @dg.op(required_resource_keys={"night"})
    def lands_and_fails(context) -> None:
        from assets import verbs

        night: Night = context.resources.night
        with night.connect() as con:
            verbs.take_in(con, night.root, night.clock)
            verbs.bring_in(con, night.root, night.clock)
        raise dg.Failure("a check failed", allow_retries=False)

    @dg.job(
        hooks={measure_all_the_same}, resource_defs={"night": Night(workspace=str(workspace), as_of=as_of.isoformat())}
    )
    def stopped() -> None:
        lands_and_fails()

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    outcome = stopped.execute_in_process(raise_on_error=False, run_config=quiet)
    assert ["a check failed" in str(it.event_specific_data) for it in outcome.all_events if it.is_step_failure] == [
        True
    ]
    samples, _ = read(workspace)
    assert value(samples, "night_begun_timestamp_seconds") == int(as_of.timestamp())
    assert value(samples, "night_posted_timestamp_seconds") < int(as_of.timestamp())
    assert value(samples, "batch_usages") > 0
