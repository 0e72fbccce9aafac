"""Landing on Spark is landing: the same rows, files and refusals as in one process, for every format and packing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from assets.core.refusal import Refusal
from assets.landing import Landed
from assets.landing.land import Reader
from assets.spark.landing import reader
from tests.corpus import rows as corpus
from tests.corpus.workbench import MONEY, RICH, Bench, bench
from tests.property.test_landing_laws import packed
from tests.unit.test_landing_rows import CSV, CSV_FILE, LAKE, parquet

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.xdist_group("spark")  # where the one JVM is

SOURCES = (MONEY, RICH, CSV, LAKE)


def files(seed: int) -> dict[str, bytes]:
    """The corpus and as many good rows again, dealt to files of every format and packing."""
    chance = random.Random(seed)
    lines = [line for line, _ in corpus.ALL]
    lines += [
        f'{{"id": "{number}", "type": "usage", "t": "2026-05-0{number % 9 + 1}T00:00:00.{number}Z", "v": {number}.10, '
        f'"acct": "a{number % 7}", "n": {number % 3}, "cost": 0.{number}, '
        f'"p": {{"id": 1, "a": {number}, "b": 2.5, "kind": "create", "box": "b"}}}}'
        for number in range(len(lines))
    ]
    chance.shuffle(lines)
    found: dict[str, bytes] = {}
    for number in range(6):
        suffix = ("", ".gz", ".zst")[number % 3]
        text = "\n".join(lines[number::6]).encode() + b'\n\xff\xfe{"id": 1}\n\n'
        found[f"{number}/rows.ndjson{suffix}"] = packed(text, suffix)
    for number, columns in enumerate(("id,t,v,acct,note", "v,id,t,note,user", "id,t,v,acct,note")):
        cells = (["e,2026-05-02T00:00:00Z,1,a1,x"] * 3) if number != 1 else ["1.5,e,2026-05-02T00:00:00Z,x,u"]
        found[f"csv/{number}.csv"] = "\n".join([columns, *cells]).encode()
    found["csv/corpus.csv.gz"] = packed(CSV_FILE.encode(), ".gz")
    for number in range(2):
        values = [f"0.{number}00000000000000000001"[: 5 + number]] * 20
        table = {
            "id": pa.array(map(str, range(20))),
            "t": pa.array(["2026-05-02T00:00:00Z"] * 20),
            "v": pa.array(values),
        }
        found[f"lake/{number}.parquet"] = parquet(table | ({"note": pa.array(["n"] * 20)} if number else {}))
    return found


def landed(at: Path, found: dict[str, bytes], by: Reader | None) -> tuple[Landed, list[Any], list[Any]]:
    at.mkdir()
    with bench(at) as work:
        work.put(found)
        land = work.land(*SOURCES, reader=by)
        return land, work.rows("FROM landing.batch ORDER BY ALL"), _files(work)


def _files(work: Bench) -> list[Any]:
    return work.rows("SELECT * EXCLUDE (mtime_ns, ctime_ns) FROM landing.files ORDER BY ALL")


@pytest.mark.parametrize("seed", [1, 2])
def test_tasks_read_what_one_process_reads(spark: SparkSession, tmp_path: Path, seed: int) -> None:
    found = files(seed)
    here = landed(tmp_path / "here", found, None)
    there = landed(tmp_path / "there", found, reader(spark))
    assert {row[0] for row in here[1]} == {source.name for source in SOURCES}
    assert there == here


def test_a_broken_file_is_refused_in_the_same_words(spark: SparkSession, tmp_path: Path) -> None:
    found = files(1)
    found["1/rows.ndjson.gz"] = found["1/rows.ndjson.gz"][:-40]
    with pytest.raises(Refusal) as here:
        landed(tmp_path / "here", found, None)
    with pytest.raises(Refusal) as there:
        landed(tmp_path / "there", found, reader(spark))
    assert there.value.problems == here.value.problems
    with bench(tmp_path / "there") as work:  # and nothing of it stays
        assert work.rows("SELECT count(*) FROM landing.batch") == [(0,)]
        assert not list((tmp_path / "there" / "warehouse" / "landing").glob(".spool-*"))


def test_a_lost_task_is_noticed(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assets.landing.land import Unbalanced
    from assets.spark import landing

    complete = landing._complete

    def lose_one(reads: Any, answers: Any) -> None:
        complete(reads, answers)
        spools = list((tmp_path / "lost" / "warehouse" / "landing").glob(".spool-*/batch-*/*.parquet"))
        min(spools).unlink()

    monkeypatch.setattr(landing, "_complete", lose_one)
    with pytest.raises(Unbalanced):
        landed(tmp_path / "lost", files(1), reader(spark))
