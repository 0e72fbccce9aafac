"""Files below raw/: which are read, when a run is refused, what a killed run leaves, and rows read again."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from assets.core.catalogue.models import Emit
from assets.core.refusal import Refusal
from assets.landing import clear_batch, clear_links, raw_texts
from assets.landing.land import Reads, read_into
from assets.landing.reckon import Formula
from assets.landing.survey import files_below, pattern
from tests.corpus.workbench import AS_OF, MONEY, Bench, at, bench
from tests.unit.test_landing_rows import CSV, LAKE, parquet

LATER = AS_OF + timedelta(days=1)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as found:
        yield found


def row(name: object, more: str = "") -> str:
    return f'{{"id": "{name}", "t": "2026-05-02T00:00:00Z", "v": 1{more}}}\n'


def post(work: Bench, held: dict[tuple[str, int], str] | None = None) -> None:
    """What the last step of a night does to landing: hold some rows, forget the batch."""
    work.con.execute("CREATE SCHEMA IF NOT EXISTS books")
    work.con.execute("""
        CREATE TABLE IF NOT EXISTS books.quarantine (source VARCHAR, raw_file VARCHAR, raw_line BIGINT,
            reason VARCHAR, detail VARCHAR, quantity DECIMAL(38, 9), cost DECIMAL(38, 15), first_seen TIMESTAMP,
            raw_text VARCHAR, row_json VARCHAR)
    """)
    work.con.execute(
        "CREATE OR REPLACE TEMP TABLE held (source VARCHAR, raw_file VARCHAR, raw_line BIGINT, why VARCHAR)"
    )
    for (raw_file, line), reason in (held or {}).items():
        work.con.execute(
            "INSERT INTO held SELECT DISTINCT source, raw_file, raw_line, $3 FROM landing.batch "
            "WHERE raw_file = $1 AND raw_line = $2",
            [raw_file, line, reason],
        )
    raw_texts(work.con, work.workspace, "held")
    work.con.execute("""
        INSERT INTO books.quarantine
        SELECT source, raw_file, raw_line, why, '', NULL, NULL, NULL, raw_text, row_json
        FROM held JOIN raw_texts USING (source, raw_file, raw_line)
    """)
    clear_batch(work.con)
    clear_links(work.workspace)


# --- which files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("glob", "name", "is_match"),
    [
        ("a/**/*.ndjson*", "a/x.ndjson", True),
        ("a/**/*.ndjson*", "a/b/c/x.ndjson.gz", True),
        ("a/**/*.ndjson*", "ab/x.ndjson", False),
        ("a/*.csv", "a/b/x.csv", False),
        ("a/*.csv", "a/X.CSV", False),
        ("a/**", "a/b/c", True),
        ("**", "a/b", True),
        ("**/x", "x", True),
        ("?[0-9].csv", "a7.csv", True),
        ("?[!0-9].csv", "a7.csv", False),
        ("[[]x].csv", "[x].csv", True),
        ("a.b+(c)", "a.b+(c)", True),
        ("a.b", "axb", False),
        ("*", "new\nline", True),
    ],
)
def test_globs(glob: str, name: str, is_match: bool) -> None:
    assert (pattern(glob).fullmatch(name) is not None) == is_match


def test_names_decide_what_is_left_alone_and_links_are_followed(
    work: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "far.ndjson").write_text(row("far"))
    work.put({
        "a.ndjson": row(1), "_a.ndjson": "", ".a.ndjson": "", "a.ndjson.tmp": "", "a.ndjson.part": "",
        "_dir/b.ndjson": row(2), ".dir/c.ndjson": row(3), "sp ace/é😀 'q\".ndjson": row(4),
    })  # fmt: skip
    raw = work.workspace / "raw"
    (raw / "link").symlink_to(elsewhere)
    (raw / "link.ndjson").symlink_to(elsewhere / "far.ndjson")
    (raw / "loop").symlink_to(raw)
    (raw / "gone.ndjson").symlink_to(elsewhere / "nothing")
    expected = [
        ".dir/c.ndjson", "_dir/b.ndjson", "a.ndjson", "link.ndjson", "link/far.ndjson", "sp ace/é😀 'q\".ndjson",
    ]  # fmt: skip
    assert files_below(raw) == expected
    landed = work.land(MONEY)
    assert [file.raw_file for file in landed.files] == expected
    assert work.rows("SELECT DISTINCT raw_file FROM landing.batch ORDER BY 1") == [(name,) for name in expected]
    assert work.land(MONEY).files == ()


def test_a_file_without_a_source_is_listed_and_warned_of_until_it_has_one(work: Bench) -> None:
    work.put({"stray.txt": row(1)})
    for _ in range(2):
        landed = work.land(MONEY)
        assert landed.files == ()
        assert landed.warnings == (
            "raw/stray.txt: no source of sources.yaml matches this file, so nothing of it was read",
        )
    digest = hashlib.sha256(row(1).encode()).hexdigest()
    assert work.rows("SELECT raw_file, source, rows, sha256 FROM landing.files") == [("stray.txt", None, 0, digest)]
    work.put({"stray.txt": row(2)})  # it has not landed, so it may change
    assert work.land(MONEY).warnings
    stray = replace(MONEY, name="stray", files="*.txt")
    landed = work.land(stray, as_of=LATER)
    assert landed.warnings == ()
    assert work.rows("SELECT source, rows, landed_at FROM landing.files") == [("stray", 1, at("2026-06-02"))]


def test_a_file_is_read_once_for_each_source_and_keeps_its_first_landed_at(work: Bench) -> None:
    work.put({"1.ndjson": row(1)})
    other = replace(MONEY, name="other", emits=(Emit("work", None, None, {}),))
    work.land(MONEY)
    work.land(MONEY, other, as_of=LATER)
    assert work.batch("source, meter, landed_at") == [
        ("ev", "money", at("2026-06-01")),
        ("other", "work", at("2026-06-01")),
    ]


def test_what_landing_writes_of_a_file(work: Bench) -> None:
    content = gzip.compress((row(1) + "\n" + '{"id": 2}\n').encode())
    work.put({"1.ndjson.gz": content})
    landed = work.land(replace(MONEY, where={"id": ("1",)}))
    assert (landed.rows, landed.ignored, landed.usages, landed.bytes) == (2, 1, 1, len(content))
    assert work.rows("SELECT source, rows, ignored, bytes, sha256, landed_at FROM landing.files") == [
        ("ev", 2, 1, len(content), hashlib.sha256(content).hexdigest(), at("2026-06-01"))
    ]


# --- refusals ------------------------------------------------------------------------------------------------------

WHOLE = "".join(row(n) for n in range(5_000)).encode()
GZIPPED = gzip.compress(WHOLE, mtime=0)
ZSTD = bytes(pa.compress(WHOLE, codec="zstd", asbytes=True))
LAKE_FILE = parquet({"id": pa.array(["a"] * 9), "t": pa.array(["2026-05-02T00:00:00Z"] * 9), "v": pa.array([1] * 9)})


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.ndjson.gz", GZIPPED[:-9]),
        ("no-trailer.ndjson.gz", GZIPPED[:-4]),
        ("crc.ndjson.gz", flipped(GZIPPED, len(GZIPPED) - 6)),
        ("middle.ndjson.gz", flipped(GZIPPED, len(GZIPPED) // 2)),
        ("second-member.ndjson.gz", GZIPPED + GZIPPED[:50]),
        ("plain.ndjson.gz", WHOLE),
        ("empty.ndjson.gz", b""),
        ("cut.ndjson.zst", ZSTD[:-9]),
        ("second-frame.ndjson.zst", ZSTD + ZSTD[:20]),
        ("plain.ndjson.zst", WHOLE),
        ("cut.parquet", LAKE_FILE[:-20]),
        ("garbage.parquet", b"PAR1 and no more"),
        ("cut.parquet.gz", gzip.compress(LAKE_FILE, mtime=0)[:-9]),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_refuses_the_run(work: Bench, name: str, content: bytes) -> None:
    work.put({"0.ndjson": row(1), f"it's/{name}": content})
    with pytest.raises(Refusal) as refused:
        work.land(MONEY, LAKE)
    assert f"raw/it's/{name} cannot be read to its end" in str(refused.value)
    assert work.rows("SELECT count(*) FROM landing.batch") == [(0,)]
    assert work.rows("SELECT count(*) FROM landing.files") == [(0,)]
    (work.workspace / "raw" / "it's" / name).unlink()
    assert work.land(MONEY, LAKE).rows == 1


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("two.ndjson.gz", GZIPPED + GZIPPED, 10_000),
        ("two.ndjson.zst", ZSTD + ZSTD, 10_000),
        ("empty.ndjson", b"", 0),
        ("bom.ndjson", b"\xef\xbb\xbf", 0),
        ("empty.ndjson.gz", gzip.compress(b"", mtime=0), 0),
        ("rows.parquet", LAKE_FILE, 9),
        ("rows.parquet.gz", gzip.compress(LAKE_FILE, mtime=0), 9),
        ("none.parquet", parquet({"id": pa.array([], pa.string())}), 0),
    ],
)
def test_packed_joined_and_empty_files(work: Bench, name: str, content: bytes, rows: int) -> None:
    work.put({name: content})
    assert work.land(MONEY, LAKE).rows == rows
    assert list((work.workspace / "warehouse" / "landing").glob(".spool*")) == []


def test_a_landed_file_may_go_away_and_never_change(work: Bench) -> None:
    work.put({"1.ndjson": row(1), "2.ndjson": row(2)})
    work.land(MONEY)
    path = work.workspace / "raw" / "1.ndjson"
    stat = work.rows("SELECT mtime_ns FROM landing.files WHERE raw_file = '1.ndjson'")
    os.utime(path, ns=(1, 1))
    assert work.land(MONEY).files == ()  # touched, but the same bytes
    assert work.rows("SELECT mtime_ns FROM landing.files WHERE raw_file = '1.ndjson'") == [(1,)] != stat
    path.unlink()
    path.write_text(row(7))  # as many bytes
    with pytest.raises(Refusal, match=r"raw/1\.ndjson has landed and its bytes are different now"):
        work.land(MONEY)
    path.unlink()
    assert work.land(MONEY).files == ()
    path.write_text(row(1))
    assert work.land(MONEY).files == ()
    assert work.batch("raw_file") == [("1.ndjson",), ("2.ndjson",)]


def test_all_troubles_with_files_are_told_at_once(work: Bench) -> None:
    work.put({"1.ndjson": row(1), "2.ndjson": row(2)})
    work.land(MONEY)
    work.put({"1.ndjson": row(3), "2.ndjson": row(4)})
    with pytest.raises(Refusal) as refused:
        work.land(MONEY)
    assert len(refused.value.problems) == 2


# --- killed runs, rows read again ----------------------------------------------------------------------------------


def test_a_killed_run_keeps_its_batch_and_the_texts_of_its_files(work: Bench) -> None:
    work.put({"1.ndjson": row(1) + row(2)})
    work.land(MONEY)
    (work.workspace / "raw" / "1.ndjson").unlink()  # the text comes from what was kept
    work.put({"2.ndjson": row(3)})
    work.land(MONEY, as_of=LATER)
    assert work.batch("raw_file, raw_line, landed_at") == [
        ("1.ndjson", 1, at("2026-06-01")),
        ("1.ndjson", 2, at("2026-06-01")),
        ("2.ndjson", 1, at("2026-06-02")),
    ]
    post(work, {("1.ndjson", 2): "no_payer"})
    assert work.rows("SELECT raw_line, raw_text FROM books.quarantine") == [(2, row(2).rstrip())]
    assert not (work.workspace / "warehouse" / "landing").exists()


def test_held_rows_are_read_again_by_todays_mapping(work: Bench) -> None:
    work.put({"1.ndjson": row(1, ', "w": 1.0000000000000000001') + row(2) + row(3, ', "w": 5') + row(4)})
    work.land(MONEY)
    post(work, {("1.ndjson", 1): "no_payer", ("1.ndjson", 3): "unknown_meter", ("1.ndjson", 4): "key_conflict"})
    work.put({"2.ndjson": row(9, ', "w": 9')})
    today = replace(MONEY, emits=(Emit("money", None, "w", {}),), where={"id": ("1", "3", "9")})
    for as_of in (LATER, LATER + timedelta(days=1)):  # the second time over the batch of a killed run
        landed = work.land(today, as_of=as_of)
        assert (landed.read_again, landed.usages) == (2, 3)
        found = work.batch("raw_file, raw_line, landed_at, cost, reason, raw_text")
        assert found[:2] == [
            ("1.ndjson", 1, at("2026-06-01"), None, "precision", row(1, ', "w": 1.0000000000000000001').rstrip()),
            ("1.ndjson", 3, at("2026-06-01"), Decimal(5), None, row(3, ', "w": 5').rstrip()),
        ]
        assert found[2][:3] == ("2.ndjson", 1, at("2026-06-02"))
    work.land(replace(today, where={"id": ("3",)}), as_of=LATER)
    assert work.batch("raw_file, raw_line, emit_no, meter, raw_text IS NULL") == [
        ("1.ndjson", 1, -1, None, False),
        ("1.ndjson", 3, 0, "money", False),
        ("2.ndjson", 1, 0, "money", True),
    ]


def test_rows_of_csv_and_parquet_are_read_again_from_their_fields(work: Bench) -> None:
    struct = pa.struct([("k", pa.decimal128(30, 20))])
    work.put({
        "1.csv": 'p.k,id,t,v,note,q\n0.5,1,2026-05-02T00:00:00Z,1,"two\nlines","{""k"": 1.10}"\n',
        "1.parquet": parquet({"id": pa.array(["a", "b"]), "t": pa.array([datetime(2026, 5, 2, tzinfo=UTC)] * 2),
            "v": pa.array([Decimal("0.100000000000000"), None], pa.decimal128(20, 15)),
            "p": pa.array([{"k": Decimal("1.10")}] * 2, struct)}),
    })  # fmt: skip
    bills = replace(CSV, context={"note": "note", "k": "p.k", "q": "q.k"})
    lake = replace(LAKE, context={"k": "p.k"})
    work.land(bills, lake)
    columns = (
        "source, raw_file, raw_line, meter, key_hi::VARCHAR, occurred_at, account, quantity, cost, context, reason"
    )
    before = work.batch(columns)[:2]
    assert [fields[-2] for fields in before] == [
        '{"note":"two\\nlines","k":"0.5","q":"1.10"}',
        '{"k":"1.10000000000000000000"}',
    ]
    post(work, {("1.csv", 2): "future", ("1.parquet", 1): "future"})
    assert work.land(bills, lake, as_of=LATER).read_again == 2
    assert work.batch(columns) == before
    assert work.batch("raw_text")[0] == ('0.5,1,2026-05-02T00:00:00Z,1,"two\nlines","{""k"": 1.10}"',)


def test_a_parquet_row_reads_the_same_again_whatever_it_holds(work: Bench) -> None:
    """Also beside columns that nobody asks for, and where two columns could be meant by a path."""
    nan, noon, of_text = float("nan"), datetime(2026, 5, 2, tzinfo=UTC), pa.map_(pa.string(), pa.string())
    entry = pa.struct([("at", pa.timestamp("ms", "UTC")), ("m", pa.map_(pa.string(), pa.list_(pa.int8())))])
    paths = ["doc.user", "doc.deep.n", "doc", "raw.k", "p.user", "p.none", "m.k", "m", "more", "ns", "half", "nested"]
    work.put({
        "1.parquet": parquet({
            "id": pa.array(["a", "b"]),
            "t": pa.array([noon] * 2),
            "v": pa.array([1, 2]),
            "acct": pa.array(["a1"] * 2),
            "unread": pa.array([[nan, float("inf")], None], pa.list_(pa.float64())),
            "unread too": pa.array([[("x", nan)], []], pa.map_(pa.string(), pa.float32())),
            "doc": pa.array(['{"user": "u1", "deep": {"n": 1.50}}', "no JSON"]).dictionary_encode(),
            "raw": pa.array([b'{"k": "v"}', b"\xff"]),
            "p.user": pa.array([None, "u2"]),
            "p": pa.array([{"user": "not meant"}] * 2, pa.struct([("user", pa.string())])),
            "m": pa.array([[("k", "first"), ("k", "last")], [("k", None)]], of_text),
            "more": pa.array([[Decimal("1.10"), None], []], pa.large_list(pa.decimal128(20, 2))),
            "ns": pa.array([1001, 1000], pa.timestamp("ns", "UTC")),
            "half": pa.array([[[0.5, nan]], [None]], pa.list_(pa.list_(pa.float64()))),
            "nested": pa.array([[{"at": noon, "m": [("k", [1])]}], [None]], pa.list_(entry)),
        })
    })  # fmt: skip
    lake = replace(LAKE, identity=("id", "ns"), context={path: path for path in paths})
    work.land(lake)
    columns = "raw_line, key_hi::VARCHAR, occurred_at, account, cost, context, reason"
    before = work.batch(columns)
    assert [json.loads(row[-2]) for row in before] == [
        {
            "doc.user": "u1",
            "doc.deep.n": "1.50",
            "doc": '{"user": "u1", "deep": {"n": 1.50}}',
            "raw.k": "v",
            "m.k": "last",
            "m": {"k": "last"},
            "more": ["1.10", None],
            "ns": "1970-01-01T00:00:00.000001001Z",
            "half": [["0.5", "nan"]],
            "nested": [{"at": "2026-05-02T00:00:00.000000Z", "m": {"k": [1]}}],
        },
        {
            "doc": "no JSON",
            "p.user": "u2",
            "m": {"k": None},
            "more": [],
            "ns": "1970-01-01T00:00:00.000001Z",
            "half": [None],
            "nested": [None],
        },
    ]
    post(work, {("1.parquet", 1): "future", ("1.parquet", 2): "future"})
    assert work.land(lake, as_of=LATER).read_again == 2
    assert work.batch(columns) == before
    assert [row[-1] for row in before] == [None, None]


def test_a_statement_that_fails_says_why_and_leaves_nothing(work: Bench) -> None:
    work.put({"1.ndjson": row(1)})

    def fails(con: duckdb.DuckDBPyConnection, reads: list[Reads], spool: Path, formulas: list[Formula]) -> None:
        read_into(con, reads, spool, formulas, lambda _: con.execute("SELECT error('no room')"))

    with pytest.raises(duckdb.InvalidInputException, match="no room"):
        work.land(MONEY, reader=fails)
    assert work.land(MONEY).usages == 1


def test_texts_of_a_file_that_is_gone_are_refused(work: Bench) -> None:
    work.put({"1.ndjson": row(1)})
    work.land(MONEY)
    clear_links(work.workspace)
    (work.workspace / "raw" / "1.ndjson").unlink()
    with pytest.raises(Refusal, match=r"raw/1\.ndjson is needed for the text"):
        post(work, {("1.ndjson", 1): "no_payer"})


def test_landing_gives_the_connection_back_as_it_was(work: Bench) -> None:
    settings = "SELECT current_setting('memory_limit'), current_setting('preserve_insertion_order')"
    work.put({"1.ndjson": row(1)})
    for limit, shown in (("3GiB", "3.0 GiB"), ("300MiB", "300.0 MiB")):
        work.con.execute(f"SET memory_limit = '{limit}'")
        work.land(MONEY)
        assert work.rows(settings) == [(shown, True)]
