"""Others who bill the same files by the same rules, on integers alone, so that their lines are equal to the cent."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import duckdb

from tests.benchmarks.companies import workspace
from tests.benchmarks.peers import clickhouse, polars, postgres

BY_HAND = (Path(__file__).parent / "by_hand.sql").read_text(encoding="utf-8")


def by_hand(files: dict[str, str], result: Path) -> None:
    with duckdb.connect() as con:
        con.execute("SET preserve_insertion_order = false")
        con.execute(f"COPY ({BY_HAND}) TO '{result}' (FORMAT csv, HEADER)", files)


PEERS: dict[str, Callable[[dict[str, str], Path], None]] = {
    "by hand": by_hand,
    "clickhouse": clickhouse.bill,
    "polars": polars.bill,
    "postgres insert": postgres.insert,
    "postgres by subscription": postgres.by_subscription,
    "postgres by one query": postgres.by_one_query,
}


def why_not(name: str) -> str | None:
    """Why a peer is left out on this machine, as a sentence; None if it is not."""
    if name.startswith("postgres"):
        return postgres.why_not()
    if name == "clickhouse" and find_spec("chdb") is None:
        return "ClickHouse is left out: chdb is not installed (make bench does it)."
    return None


def bill(name: str, root: Path, result: Path) -> None:
    PEERS[name](_files(root), result)


def _files(root: Path) -> dict[str, str]:
    place = workspace(root)
    return {
        "raw": str(place / "raw" / "usage" / "*.ndjson.gz"),
        "subscriptions": str(place / "accounts" / "subscriptions.csv"),
        "plans": str(root / "rules" / "plans.csv"),
        "prices": str(root / "rules" / "prices.csv"),
    }


def differences(result: Path, published: Path) -> list[tuple[object, ...]]:
    """Lines that a peer and we do not have alike: subscription, charge, the peer's cents, ours."""
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{published}' AS ours (READ_ONLY)")
        return con.execute(
            """
            SELECT subscription_id, charge, theirs.amount_minor, ours.amount_minor
            FROM read_csv(?, header = true) AS theirs
            FULL JOIN (
                SELECT subscription_id, charge, sum(amount_minor) AS amount_minor
                FROM ours.billing.invoice_items GROUP BY ALL
            ) AS ours USING (subscription_id, charge)
            WHERE theirs.amount_minor IS DISTINCT FROM ours.amount_minor ORDER BY ALL""",
            [str(result)],
        ).fetchall()
