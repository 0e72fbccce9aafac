"""Laws of whole nights: how rows are packed, cut and repeated says nothing about what is owed, and no row is lost."""

from __future__ import annotations

import csv
import gzip
import io
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets import warehouse
from tests.golden.case import Script
from tests.nights import Tables, play, published, run_night
from tests.property.generate import FEATURES, Size, generate
from tests.property.seeds import seeds

pytestmark = pytest.mark.xdist_group("billing_laws")  # its workspaces are made once

SMALL = Size(accounts=4, events=60, nights=2, days=60)
WHERE = {"raw_file", "raw_line"}
MONEY = ("daily_refresh", "periods", "charges", "invoice_items", "credits")


@dataclass(frozen=True)
class Played:
    seed: int
    script: Script
    workspace: Path
    tables: Tables


@pytest.fixture(scope="module", params=seeds([6]), ids=lambda seed: f"seed-{seed}")
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("original")
    script = generate(request.param, folder / "generated", size=SMALL).script
    tables = play(script, folder / "workspace")
    assert tables["ledger"]
    assert tables["quarantine"]
    return Played(request.param, script, folder / "workspace", tables)


def rows(table: Iterable[Mapping[str, Any]], without: Iterable[str] = ()) -> Counter[tuple[tuple[str, str], ...]]:
    """A table as what it says, in no order."""
    left = set(without)
    return Counter(tuple((name, repr(value)) for name, value in row.items() if name not in left) for row in table)


def assert_same(found: Tables, expected: Tables, tables: Iterable[str], without: Iterable[str] = ()) -> None:
    for table in tables:
        ours, theirs = rows(found[table], without), rows(expected[table], without)
        assert ours == theirs, (
            f"{table}: {list((ours - theirs).elements())[:3]} for {list((theirs - ours).elements())[:3]}"
        )


# --- how rows are packed -------------------------------------------------------------------------------------------

Files = dict[str, bytes]
Rows = list[Any]


def opened(name: str, content: bytes) -> Rows:
    if name.endswith(".parquet"):
        return pq.read_table(io.BytesIO(content)).to_pylist()  # type: ignore[no-any-return]
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
    if ".csv" in name:
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return text.splitlines(keepends=True)


def closed(name: str, records: Rows, codec: str = "zstd") -> bytes:
    out = io.BytesIO()
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(records), out, compression=codec, row_group_size=3)
        return out.getvalue()
    if ".csv" in name:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
        content = text.getvalue().encode()
    else:
        content = "".join(records).encode()
    if name.endswith(".gz"):
        return gzip.compress(content[:99], mtime=0) + gzip.compress(content[99:], mtime=0)
    return bytes(pa.compress(content, codec="zstd", asbytes=True)) if name.endswith(".zst") else content


def shuffled(name: str, content: bytes, rng: random.Random) -> Files:
    records = opened(name, content)
    rng.shuffle(records)
    return {name: closed(name, records)}


def split(name: str, content: bytes, rng: random.Random) -> Files:
    records = opened(name, content)
    cuts = sorted(rng.randint(0, len(records)) for _ in range(2))
    folder, _, stem = name.rpartition("/")
    parts = (records[: cuts[0]], records[cuts[0] : cuts[1]], records[cuts[1] :])
    return {f"{folder}/{rng.choice('az')}{n}-{stem}": closed(stem, part) for n, part in enumerate(parts) if part}


def repacked(name: str, content: bytes, rng: random.Random) -> Files:
    if name.endswith(".parquet"):
        return {name: closed(name, opened(name, content), rng.choice(["gzip", "none", "snappy"]))}
    fresh = name.removesuffix(".gz") + rng.choice(["", ".gz", ".zst"])
    return {fresh: closed(fresh, opened(name, content))}


@pytest.mark.parametrize("other", [shuffled, split, repacked])
def test_packing_says_nothing(
    original: Played, other: Callable[[str, bytes, random.Random], Files], tmp_path: Path
) -> None:
    rng = random.Random(original.seed)
    arrivals = []
    for files in original.script.arrivals:
        raw = [(name, content) for name, content in files.items() if name.startswith("raw/")]
        rng.shuffle(raw)
        changed = {name: content for name, content in files.items() if not name.startswith("raw/")}
        for name, content in raw:
            changed |= other(name, content, rng)
        arrivals.append(changed)
    tables = play(replace(original.script, arrivals=tuple(arrivals)), tmp_path)
    assert_same(tables, original.tables, ["ledger", *MONEY], WHERE)
    assert_same(tables, original.tables, ["quarantine"], {*WHERE, "detail"})  # the detail may name file and line


def test_files_written_in_another_order_are_the_same_files(original: Played, tmp_path: Path) -> None:
    arrivals = tuple(dict(reversed(list(files.items()))) for files in original.script.arrivals)
    tables = play(replace(original.script, arrivals=arrivals), tmp_path)
    assert_same(tables, original.tables, original.tables)


# --- what comes again ----------------------------------------------------------------------------------------------


def test_a_night_done_again_changes_nothing(original: Played, tmp_path: Path) -> None:
    workspace = shutil.copytree(original.workspace, tmp_path / "workspace")
    run_night(workspace, original.script.nights[-1])
    assert_same(published(workspace), original.tables, original.tables)


def test_files_that_come_again_are_duplicates(original: Played, tmp_path: Path) -> None:
    undisturbed = shutil.copytree(original.workspace, tmp_path / "undisturbed")
    replayed = shutil.copytree(original.workspace, tmp_path / "replayed")
    for raw in sorted(path for path in (replayed / "raw").rglob("*") if path.is_file()):
        shutil.copyfile(raw, raw.with_name(f"again-{raw.name}"))
    later = original.script.nights[-1] + timedelta(hours=1)
    run_night(undisturbed, later)
    run_night(replayed, later)
    tables, expected = published(replayed), published(undisturbed)
    assert_same(tables, expected, ["ledger", *MONEY])
    again = [row for row in tables["files"] if "/again-" in row["raw_file"]]
    assert again
    # What was accepted is a duplicate now, unless the files have changed so that nobody would pay for it any more; what
    # was ignored or held is so once more.
    for row in again:
        first = next(one for one in expected["files"] if one["raw_file"] == row["raw_file"].replace("again-", ""))
        held = [it["reason"] for it in tables["quarantine"] if it["raw_file"] == row["raw_file"]]
        unpaid = len(held) - first["quarantined"]
        assert (row["accepted"], row["ignored"], row["quarantined"]) == (0, first["ignored"], len(held))
        assert row["duplicate"] + unpaid == first["accepted"] + first["duplicate"]
        assert 0 <= unpaid <= sum(reason in ("unknown_account", "no_payer") for reason in held)


# --- how many nights -----------------------------------------------------------------------------------------------

# Which night it is decides on a conflict's winner, on credit and on expiry, and under which files a period closes.
OF_THE_NIGHT = {"conflicts", "credits", "expired", "changes", "settings", "turns", "unknown_meters"}


@pytest.mark.parametrize("seed", seeds([5]))
def test_one_night_or_many_bill_the_same(seed: int, tmp_path: Path) -> None:
    script = generate(seed, tmp_path / "generated", FEATURES - OF_THE_NIGHT, replace(SMALL, nights=4)).script
    assert len(script.nights) > 2
    together: dict[str, bytes] = {}
    for files in script.arrivals:
        together |= files
    many = play(script, tmp_path / "many")
    one = play(Script(script.nights[-1:], (together,)), tmp_path / "one")
    assert_same(
        one, many, ["ledger"], {"landed_at", "entered_at", *WHERE}
    )  # of duplicates the first stands: of a night, or of all
    assert totals(one) == totals(many)
    assert len(many["invoice_items"]) >= len(one["invoice_items"]) > 0


def totals(tables: Tables) -> dict[tuple[str, datetime, str], int]:
    """What the lines of each closed period's charges add up to; and that this is its rounded total."""
    closed_ones = {
        (row["subscription_id"], row["period_start"]) for row in tables["periods"] if row["state"] == "closed"
    }
    found: Counter[tuple[str, datetime, str]] = Counter()
    for line in tables["invoice_items"]:
        if (line["subscription_id"], line["period_start"]) in closed_ones:
            found[line["subscription_id"], line["period_start"], line["charge"]] += line["amount_minor"]
    for row in tables["charges"]:
        assert found[row["subscription_id"], row["period_start"], row["charge"]] == row["billed_minor"] or (
            (row["subscription_id"], row["period_start"]) not in closed_ones
        )
    return {key: amount for key, amount in found.items() if amount}


# --- conservation --------------------------------------------------------------------------------------------------


def test_every_row_ends_once(original: Played) -> None:
    with warehouse.connect(original.workspace) as con:
        whole_rows = con.execute("""
            SELECT source, raw_file, count(DISTINCT raw_line) FROM books.duplicates WHERE is_whole_row GROUP BY ALL
        """).fetchall()
    duplicates = {(source, raw_file): count for source, raw_file, count in whole_rows}
    accepted = {(row["source"], row["raw_file"], row["raw_line"]) for row in original.tables["ledger"]}
    held = {(row["source"], row["raw_file"], row["raw_line"]) for row in original.tables["quarantine"]}
    assert not accepted & held
    assert len(held) == len(original.tables["quarantine"])
    for row in original.tables["files"]:
        key = row["source"], row["raw_file"]
        content = (original.workspace / "raw" / row["raw_file"]).read_bytes()
        assert row["rows"] == len(opened(row["raw_file"], content))
        assert row["rows"] == row["accepted"] + row["duplicate"] + row["ignored"] + row["quarantined"]
        assert row["accepted"] == sum(one[:2] == key for one in accepted)
        assert row["quarantined"] == sum(one[:2] == key for one in held)
        assert row["duplicate"] == duplicates.get(key, 0)
    assert sum(row["duplicate"] for row in original.tables["files"]) > 0
