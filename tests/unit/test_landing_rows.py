"""Where odd rows end: the corpus of NDJSON lines, CSV records and Parquet rows, against their tables."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.core.catalogue.models import Emit, Field, Number, OccurredAt, Product, Sum, Weight
from assets.core.refusal import Refusal
from tests.corpus import rows
from tests.corpus.oracle import usages
from tests.corpus.workbench import MONEY, RICH, WEIGHTS, at, bench

CSV = replace(MONEY, name="bills", files="**/*.csv*", format="csv", context={"note": "note"})
LAKE = replace(MONEY, name="lake", files="**/*.parquet*", format="parquet", context={"note": "note"})
GOOD = '{"id": "e", "t": "2026-05-02T00:00:00Z", "v": 1}'


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_every_row_of_the_corpus_ends_where_its_table_says(ending: str) -> None:
    with bench() as work:
        work.put({"1.ndjson": ending.join(row for row, _ in rows.ALL)})
        work.land(MONEY)
        ends = work.outcomes()
        texts = dict(work.batch("raw_line, raw_text"))
    for line, (row, end) in enumerate(rows.ALL, 1):
        assert ends["1.ndjson", line] == end, row
        assert texts[line] == (None if end == rows.LANDED else row)


def test_the_oracle_agrees_with_the_tables() -> None:
    for row, end in rows.ALL:
        (usage,) = usages(row, MONEY, WEIGHTS)
        assert (usage.reason or rows.LANDED) == end, row


def test_names_are_kept_to_the_last_byte() -> None:
    name = "'; drop table ledger; --😀\x00\"\\"
    with bench() as work:
        work.put({"1.ndjson": f'{GOOD[:-1]}, "acct": "{name[:-3]}\\u0000\\"\\\\"}}'})
        work.land(MONEY)
        assert work.batch("account") == [(name,)]


def test_invalid_utf_8_holds_its_line_alone() -> None:
    with bench() as work:
        work.put({"1.ndjson": f"{GOOD}\né\n".encode() + b'{"id": "\xff\xfe"}\n' + GOOD.encode()})
        work.land(MONEY)
        assert work.batch("raw_line, reason, raw_text") == [
            (1, None, None),
            (2, "malformed", "é"),
            (3, "malformed", '{"id": "\\xff\\xfe"}'),
            (4, None, None),
        ]


def test_a_line_of_many_blocks_and_blank_lines_keep_their_numbers() -> None:
    long = f'{{"note": "{"x" * 20_000_000}", {GOOD[1:]}'
    with bench() as work:
        work.put({"1.ndjson": "\ufeff\n" + long + "\n \t\r\n" + GOOD + "\n\n" + GOOD + "\r"})
        landed = work.land(MONEY)
        assert landed.rows == 3
        assert work.batch("raw_line") == [(2,), (4,), (6,)]


def test_a_carriage_return_alone_ends_no_line() -> None:
    with bench() as work:
        work.put({"1.ndjson": GOOD + "\r" + GOOD + "\n"})
        work.land(MONEY)
        assert work.outcomes() == {("1.ndjson", 1): "malformed"}


def test_context_is_json_in_the_catalogues_order() -> None:
    row = {
        '"p": {"box": "é\\n"}, "n": 1.10': '{"box":"é\\n","n":"1.10"}',
        '"n": 12, "p": {"box": ""}': '{"n":12}',
        '"n": 1234567890123456789, "p": {"box": null}': '{"n":"1234567890123456789"}',
        '"n": 0.5, "p": {"box": [1.50, null, true]}': '{"box":["1.50",null,true],"n":"0.5"}',
        '"n": "7"': '{"n":"7"}',
        '"n": null': None,
    }
    source = replace(RICH, where={}, identity=("id",), emits=(Emit("money", None, None, {}),))
    with bench() as work:
        work.put({"1.ndjson": "\n".join(f"{{{part}, {GOOD[1:]}" for part in row)})
        work.land(source)
        assert [context for (context,) in work.batch("context")] == list(row.values())


def test_one_bad_usage_holds_the_row_and_what_could_be_read_is_kept() -> None:
    line = (
        '{"type": "usage", "id": 1, "p": {"id": 2, "kind": "export", "a": "x", "b": 1}, '
        '"t": "2026-05-02T00:00:00Z", "cost": 2, "n": 1}'
    )
    with bench() as work:
        work.put({"1.ndjson": line})
        work.land(RICH)
        assert work.batch("meter, quantity, cost, reason, detail") == [
            ("work", None, None, "bad_number", 'p.a is "x", which is not a number'),
            ("money", Decimal(1), Decimal(2), "bad_number", 'p.a is "x", which is not a number'),
            ("tasks", Decimal("2.5"), None, "bad_number", 'p.a is "x", which is not a number'),
        ]


@pytest.mark.parametrize(
    ("expr", "fields", "value"),
    [
        (Product((Field("a"), Field("b"))), '"a": 0.12345678901, "b": 1e2', "12.345678901"),
        (Product((Field("a"), Field("b"))), '"a": 0.0000000001, "b": 10', "0.000000001"),
        (Product((Field("a"), Field("b"))), '"a": 999999999999, "b": 1000000', "999999999999000000"),
        (Product((Field("a"), Field("b"))), '"a": 999999999999, "b": 10000000', "precision"),
        (Product((Field("a"), Field("b"))), '"a": 1e-20, "b": 1', "precision"),
        (Sum((Field("a"), Field("b"))), '"a": 0.00000000005, "b": 0.00000000005', "0.0000000001"),
        (Sum((Field("a"), Field("b"))), '"a": 999999999999999999, "b": 1', "precision"),
        (Sum((Field("a"), Field("b"))), '"a": 1e-30, "b": -1e-30', "0"),
        (Sum((Field("a"), Field("b"))), '"a": 1e-30', "missing_field"),
        (Sum((Field("a"), Field("b"))), '"a": 1e-30, "b": "x"', "bad_number"),
        (Number(Decimal("2.5")), "", "2.5"),
        (Weight("a", "strict"), '"a": "create"', "1"),
        (Weight("a", "strict"), '"a": 1.0', "7"),
        (Weight("a", "strict"), '"a": 1.00', "bad_number"),
        (Weight("a", "strict"), '"a": "other"', "bad_number"),
        (Weight("a", "strict"), '"a": ""', "missing_field"),
        (Weight("a", "kinds"), '"a": "other"', "3"),
        (Product((Number(Decimal(2)),) * 12), "", "4096"),
        (Product((Sum((Field("a"), Number(Decimal(1)))), Weight("b", "kinds"))), '"a": 3, "b": "export"', "10"),
    ],
)
def test_quantities(expr: object, fields: str, value: str) -> None:
    source = replace(MONEY, emits=(Emit("work", expr, None, {}),))  # type: ignore[arg-type]
    if value == "0.0000000001":
        value = "precision"
    with bench() as work:
        work.put({"1.ndjson": f"{{{fields}{', ' if fields else ''}{GOOD[1:]}"})
        work.land(source)
        ((quantity, reason),) = work.batch("quantity, reason")
    assert reason == (value if value[0].isalpha() else None)
    assert reason or quantity == Decimal(value)


@pytest.mark.parametrize(
    ("unit", "written", "instant"),
    [
        ("s", "1777680000", at("2026-05-02")),
        ("s", "1777680000.1234569", at("2026-05-02 00:00:00.123456")),
        ("s", '"1.77768e9"', at("2026-05-02")),
        ("s", "-0.0000019", at("1969-12-31 23:59:59.999999")),
        ("ms", "1777680000001.5", at("2026-05-02 00:00:00.001500")),
        ("us", "1777680000000001.9", at("2026-05-02 00:00:00.000001")),
        ("s", "-62135596800", at("0001-01-01")),
        ("s", "-62135596800.000001", None),
        ("s", "253402300799.999999", at("9999-12-31 23:59:59.999999")),
        ("s", "253402300800", None),
        ("s", '"2026-05-02T00:00:00Z"', None),
        ("us", "1e40", None),
        ("us", "true", None),
    ],
)
def test_epochs(unit: str, written: str, instant: datetime | None) -> None:
    source = replace(MONEY, occurred_at=OccurredAt("at", unit))  # type: ignore[arg-type]
    with bench() as work:
        work.put({"1.ndjson": f'{{"at": {written}, {GOOD[1:]}'})
        work.land(source)
        assert work.batch("occurred_at, reason") == [(instant, None if instant else "bad_timestamp")]


CSV_FILE = '''id,t,v,acct,note,p
1,2026-05-02T00:00:00Z,1.50,a1,plain,

2,2026-05-02T00:00:00Z,2,"a ""1""","two
lines, and a comma",
3,2026-05-02T00:00:00Z,3
4,2026-05-02T00:00:00Z,,a1,,
5,2026-05-02T00:00:00Z,1e-3,a1,5" pipe,"{""k"": 1.10}"
6,2026-05-02T00:00:00Z,6,a1,"closed"badly,
7,2026-05-02T00:00:00Z,7,a1,one,two,three
8,2026-05-02T00:00:00Z,8,a1,"never closed,
9,2026-05-02T00:00:00Z,9,a1,swallowed,
'''


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\r\n"], ids=["", "bom", "blank"])
def test_csv_records(start: str, ending: str) -> None:
    source = replace(CSV, context={"note": "note", "k": "p.k"})
    with bench() as work:
        work.put({"1.csv": (start + CSV_FILE).replace("\n", ending).replace("\r\r", "\r")})
        landed = work.land(source)
        found = work.batch("raw_line, reason, account, quantity, cost, context")
        texts = dict(work.batch("raw_line, raw_text"))
    shift = 1 if start.startswith("\r") else 0
    assert [(line - shift, reason) for line, reason, *_ in found] == [
        (2, None), (4, None), (6, "malformed"), (7, "missing_field"), (8, None), (9, "malformed"), (10, "malformed"),
        (11, "malformed"),
    ]  # fmt: skip
    assert landed.rows == 8
    one = Decimal(1)
    assert found[0][2:] == ("a1", one, Decimal("1.5"), '{"note":"plain"}')
    lines = f"two{ending}lines, and a comma".replace("\r", "\\r").replace("\n", "\\n")
    assert found[1][2:] == ('a "1"', one, Decimal(2), f'{{"note":"{lines}"}}')
    assert found[4][2:] == ("a1", one, Decimal("0.001"), '{"note":"5\\" pipe","k":"1.10"}')
    assert texts[6 + shift] == "3,2026-05-02T00:00:00Z,3"
    assert texts[11 + shift].startswith('8,2026-05-02T00:00:00Z,8,a1,"never closed,')
    assert texts[11 + shift].endswith("9,2026-05-02T00:00:00Z,9,a1,swallowed,")


def test_a_csv_record_may_span_blocks() -> None:
    big = "x\n" * 6_000_000
    with bench() as work:
        work.put({"1.csv": f'id,t,v,note\n1,2026-05-02T00:00:00Z,1,"{big}"\n2,2026-05-02T00:00:00Z,2,\n'})
        work.land(replace(CSV, context={}, account=None, actor=None))
        assert work.batch("raw_line, cost") == [(2, Decimal(1)), (6_000_003, Decimal(2))]


def test_csv_columns_are_found_by_name_in_every_file() -> None:
    source = replace(CSV, identity=("pay.id",), context={})
    with bench() as work:
        work.put({
            "1.csv": "pay.id,t,v\na,2026-05-02T00:00:00Z,1\n",
            "2.csv": "v,pay.id,t,more\n2,b,2026-05-02T00:00:00Z,x\n",
            "3.csv": "v,pay.id,t\n",
            "4.csv": "",
            "5.csv": "\n\n",
            "6.csv": "pay\nb\n",
        })  # fmt: skip
        landed = work.land(source)
        assert work.batch("raw_file, cost, reason") == [
            ("1.csv", Decimal(1), None),
            ("2.csv", Decimal(2), None),
            ("6.csv", None, "missing_field"),
        ]
    assert [file.rows for file in landed.files] == [1, 1, 0, 0, 0, 1]


def test_a_header_that_names_a_column_twice_is_refused() -> None:
    with bench() as work:
        work.put({"a b/1.csv": "id,v,id\n1,2,3\n"})
        with pytest.raises(Refusal, match=r"raw/a b/1\.csv: the header names 'id' twice"):
            work.land(CSV)


def parquet(columns: dict[str, pa.Array]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_parquet_rows() -> None:
    noon = datetime(2026, 5, 2, tzinfo=UTC)
    content = parquet({
        "id": pa.array(["a", None, "c", "d"]),
        "ID": pa.array([1, 2, 3, 4]),  # another column, though DuckDB's own reader would not think so
        "t": pa.array([noon] * 4, pa.timestamp("ns", "Europe/Berlin")),
        "v": pa.array([Decimal("0.1"), Decimal("2"), Decimal("3.5"), None], pa.decimal128(38, 18)),
        "acct": pa.array(["a1"] * 4).dictionary_encode(),
        "user.name": pa.array(["u1"] * 4),
        "note": pa.array([{"x": 0.1, "at": noon, "d": Decimal("1.10")}, None, None, None],
            pa.struct([("x", pa.float64()), ("at", pa.timestamp("us", "UTC")), ("d", pa.decimal128(20, 2))])),
    })  # fmt: skip
    source = replace(LAKE, actor="user.name", context={"note": "note", "d": "note.d", "x": "note.x", "ID": "ID"})
    with bench() as work:
        work.put({"1.parquet": content})
        work.land(source)
        found = work.batch("raw_line, occurred_at, account, actor, cost, context, reason, raw_text")
    day = at("2026-05-02")
    note = '{"x":"0.1","at":"2026-05-02T00:00:00.000000Z","d":"1.10"}'  # as of a line of JSON
    assert found[0] == (
        1, day, "a1", "u1", Decimal("0.1"), f'{{"note":{note},"d":"1.10","x":"0.1","ID":1}}', None, None
    )  # fmt: skip
    assert found[1] == (
        2, day, "a1", "u1", Decimal(2), '{"ID":2}', "missing_field",
        '{"id":null,"ID":2,"t":"2026-05-02T00:00:00.000000Z","v":2.000000000000000000,"acct":"a1","user.name":"u1",'
        '"note":null}',
    )  # fmt: skip
    assert [row[6] for row in found] == [None, "missing_field", None, "missing_field"]


def test_a_naive_parquet_timestamp_has_no_offset() -> None:
    with bench() as work:
        work.put({"1.parquet": parquet({"id": pa.array(["a"]), "t": pa.array([0], pa.timestamp("us"))})})
        work.land(replace(LAKE, emits=(Emit("money", None, None, {}),)))
        assert work.batch("reason, raw_text") == [("bad_timestamp", '{"id":"a","t":"1970-01-01 00:00:00"}')]


def test_parquet_nanoseconds_are_cut() -> None:
    instants = pa.array([1777777777123456789, -1, -1000, None], pa.timestamp("ns", "UTC"))
    with bench() as work:
        work.put(
            {"1.parquet": parquet({"id": pa.array(["a", "b", "c", "d"]), "t": instants, "acct": pa.array(["a1"] * 4)})}
        )
        work.land(replace(LAKE, emits=(Emit("money", None, None, {}),)))
        assert work.batch("occurred_at") == [
            (at("2026-05-03 03:09:37.123456"),),
            (at("1969-12-31 23:59:59.999999"),),
            (at("1969-12-31 23:59:59.999999"),),
            (None,),
        ]


def test_parquet_nanoseconds_tell_identities_apart() -> None:
    """Whole microseconds are the same text in a column of either unit."""
    nano, micro = pa.array([1000, 1001], pa.timestamp("ns", "UTC")), pa.array([1, 2], pa.timestamp("us", "UTC"))
    seen = pa.array(["2026-05-02T00:00:00Z"] * 2)
    with bench() as work:
        for number, instants in enumerate((nano, micro), 1):
            work.put({f"{number}.parquet": parquet({"t": seen, "id": instants, "note": instants})})
        work.land(replace(LAKE, emits=(Emit("money", None, None, {}),)))
        assert len(set(work.batch("key_hi, key_lo"))) == 3
        assert [json.loads(context)["note"] for (context,) in work.batch("context")] == [
            "1970-01-01T00:00:00.000001Z",
            "1970-01-01T00:00:00.000001001Z",
            "1970-01-01T00:00:00.000001Z",
            "1970-01-01T00:00:00.000002Z",
        ]


def test_paths_reach_into_parquet_maps() -> None:
    of_text, of_maps = pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), pa.map_(pa.string(), pa.int64()))
    content = parquet({
        "id": pa.array(["a", "b", "c", "d"]),
        "t": pa.array(["2026-05-02T00:00:00Z"] * 4),
        "p": pa.array([[("user", "u1"), ("it's", "x")], [], None, [("user", "")]], of_text),
        "n": pa.array([[("in", [("v", 7)])]] + [[("in", [])]] * 3, of_maps),
        "odd": pa.array([[(1, "x")]] * 4, pa.map_(pa.int64(), pa.string())),
    })  # fmt: skip
    context = {"it": "p.it's", "odd": "odd.1", "in": "n.in"}
    source = replace(LAKE, actor="p.user", context=context, emits=(Emit("money", None, "n.in.v", {}),))
    with bench() as work:
        work.put({"1.parquet": content})
        work.land(source)
        assert work.batch("actor, cost, context, reason") == [
            ("u1", 7, '{"it":"x","odd":"x","in":{"v":7}}', None),
            (None, None, '{"odd":"x","in":{}}', "missing_field"),
            (None, None, '{"odd":"x","in":{}}', "missing_field"),
            (None, None, '{"odd":"x","in":{}}', "missing_field"),
        ]


def test_a_struct_names_nothing_in_parquet_either() -> None:
    row = {"id": pa.array([{"a": 1}]), "t": pa.array(["2026-05-02T00:00:00Z"]), "v": pa.array([1])}
    with bench() as work:
        work.put({"1.parquet": parquet(row)})
        work.land(LAKE)
        assert work.batch("reason") == [("malformed",)]


@pytest.mark.parametrize("name", ['"id": {"a": 1}', '"id": [1]', '"id": 1, "acct": [1]', '"id": 1, "user": {"a": 1}'])
def test_who_it_is_of_matters_once_a_row_is_wanted(name: str) -> None:
    """A log may hold other events, which name things in their own way."""
    row = f'{{{name}, "t": "2026-05-02T00:00:00Z", "v": 1, "kind": "'
    money, tasks = Emit("money", None, "v", {}), Emit("tasks", None, None, {})
    sources = {
        "where": replace(MONEY, where={"kind": ("use",)}),
        "when": replace(MONEY, emits=(replace(money, when={"kind": ("use",)}),)),
        "several": replace(
            MONEY, emits=(replace(money, when={"kind": ("use",)}), replace(tasks, when={"kind": ("use", "task")}))
        ),
    }
    for source in sources.values():
        with bench() as work:
            work.put({"1.ndjson": f'{row}other"}}\n{row}use"}}\n'})
            landed = work.land(source)
            assert (landed.rows, landed.ignored) == (2, 1)
            assert work.batch("raw_line, emit_no, reason, occurred_at") == [
                (2, 0, "malformed", None),
            ]


def test_a_struct_matters_once_its_row_is_wanted_too() -> None:
    columns = {
        "id": pa.array([{"a": 1}] * 2),
        "t": pa.array(["2026-05-02T00:00:00Z"] * 2),
        "v": pa.array([1] * 2),
        "kind": pa.array(["other", "use"]),
    }
    with bench() as work:
        work.put({"1.parquet": parquet(columns)})
        work.land(replace(LAKE, where={"kind": ("use",)}))
        assert work.outcomes() == {("1.parquet", 2): "malformed"}


def test_parquet_of_types_that_duckdb_has_not() -> None:
    """In columns that are read and in those that are not, however deep."""
    wide = pa.decimal256(40, 5)
    content = parquet({
        "id": pa.array(["a"]),
        "t": pa.array(["2026-05-02T00:00:00Z"]),
        "v": pa.array([Decimal("1.50000")], wide),
        "note": pa.array([{"h": np.float16(0.5), "w": [Decimal("2.25000")]}],
            pa.struct([("h", pa.float16()), ("w", pa.list_(wide))])),
        "unread": pa.array([np.float16(0.5)], pa.float16()),
        "large": pa.array([[Decimal("2.25000")]], pa.large_list(wide)),
        "fixed": pa.array([[Decimal("2.25000")]], pa.list_(wide, 1)),
        "map": pa.array([[("k", Decimal("2.25000"))]], pa.map_(pa.string(), wide)),
        "plain": pa.array([[("k", ["a"])]], pa.map_(pa.string(), pa.large_list(pa.string()))),
    })  # fmt: skip
    with bench() as work:
        work.put({"1.parquet": content})
        work.land(LAKE)
        assert work.batch("cost, context, reason") == [(Decimal("1.5"), '{"note":{"h":"0.5","w":["2.25000"]}}', None)]


def test_the_key_is_the_sha_256_of_what_was_written(tmp_path: Path) -> None:
    with bench(tmp_path) as work:
        work.put({"1.ndjson": GOOD.replace('"e"', "1.10")})
        work.land(MONEY)
        ((high, low),) = work.batch("key_hi::VARCHAR, key_lo::VARCHAR")
    (usage,) = usages(GOOD.replace('"e"', "1.10"), MONEY, WEIGHTS)
    assert usage.key == (int(high) << 128) + int(low)


@pytest.mark.parametrize(
    "name", ["a b", "a-b", "#1", "é😀", "a/b", "a~b", "*", "a*b", 'a"b', "a'b", "a\\b", "[0]", "$", "a|b"]
)
def test_a_field_may_have_any_name(name: str) -> None:
    source = replace(
        MONEY, identity=(name,), context={name: f"{name}.{name}"}, emits=(Emit("m", None, f"x.{name}", {}),)
    )
    key = json.dumps(name)
    inner = f"{{{key}: 1.50}}"
    with bench() as work:
        work.put({
            "1.ndjson": f'{{{key}: "e", "t": "2026-05-02T00:00:00Z", "x": {inner}}}\n'
            f'{{"t": "2026-05-02T00:00:00Z", {key}: {{{key}: "v"}}, {key}: "last", "x": {{{key}: 7, {key}: 8}}}}\n'
        })  # fmt: skip
        work.land(source)
        assert work.batch("cost, reason") == [(Decimal("1.5"), None), (Decimal(8), None)]


def test_a_name_may_be_empty() -> None:
    """In a path it stands as nothing between two dots."""
    source = replace(
        MONEY, identity=(".id",), actor="p..user", context={"it": "p."}, emits=(Emit("m", None, ".v.", {}),)
    )
    with bench() as work:
        work.put({
            "1.ndjson": '{"": {"id": "e", "v": {"": 1.50}}, "t": "2026-05-02T00:00:00Z", "p": {"": {"user": "u"}}}\n'
            '{"": {"id": "f", "v": 2}, "t": "2026-05-02T00:00:00Z"}\n'
        })  # fmt: skip
        work.land(source)
        assert work.batch("actor, cost, context, reason") == [
            ("u", Decimal("1.5"), '{"it":{"user":"u"}}', None),
            (None, None, None, "missing_field"),
        ]


def test_a_column_may_end_in_a_dot() -> None:
    with bench() as work:
        work.put({"1.csv": 'id,t,Nr.,Amt.\ne,2026-05-02T00:00:00Z,n1,1.50\nf,2026-05-02T00:00:00Z,,"{""x"": 1}"\n'})
        work.land(replace(CSV, actor="Nr.", emits=(Emit("m", None, "Amt.", {}),)))
        assert work.batch("actor, cost, reason") == [("n1", Decimal("1.5"), None), (None, None, "bad_number")]
