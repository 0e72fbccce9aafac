"""Laws of landing: no short cut changes a value, nothing is lost, and how rows are packed says nothing about them."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assets.core.catalogue.models import OccurredAt, Source
from assets.landing import readers
from assets.landing.suspects import Suspects
from tests.corpus.oracle import Usage, usages
from tests.corpus.workbench import MONEY, RICH, WEIGHTS, Bench, bench

CLOCK = replace(MONEY, name="clock", occurred_at=OccurredAt("t", "s"), identity=("id", "p.id"))

# --- JSON lines ----------------------------------------------------------------------------------------------------

digits = st.text("0123456789", min_size=1, max_size=24)
numbers = st.builds(
    lambda sign, whole, fraction, power: sign + (whole.lstrip("0") or "0") + fraction + power,
    st.sampled_from(["", "", "-"]),
    digits | st.sampled_from(["0", "1", "9007199254740993", "999999999999999999", "1000000000000000000"]),
    st.just("") | digits.map(lambda text: "." + text) | st.sampled_from([".0", ".10", ".3", ".000000001"]),
    st.just("") | st.sampled_from(["e0", "e1", "E-2", "e+3", "e-7", "e-15", "e25", "e-30", "e400", "e-400"]),
)
words = st.text(max_size=6) | st.sampled_from(
    ["usage", "create", "export", "other", "1", "1.0", "true", "x", "", " ", "a|b", "é", "😀", "\x00", "\x1f", "'", '"']
)
odd_numbers = st.sampled_from(
    [
        "1_000",
        "0x10",
        "inf",
        "NaN",
        "-Infinity",
        "+5",
        "+0.5",
        " 7 ",
        "\t8\n",
        ".5",
        "5.",
        "1e",
        "--1",
        "１",
        "1e-3",
        "07",
    ]
)
instants = st.builds(
    lambda date, gap, time, fraction, offset: date + gap + time + fraction + offset,
    st.sampled_from(["2026-05-31", "0001-01-01", "9999-12-31", "2026-02-29", "2024-02-29", "2026-13-01", "0000-01-01"]),
    st.sampled_from(["T", "T", "t", " ", "_"]),
    st.sampled_from(["23:59:59", "00:00:00", "24:00:00", "23:59:60", "12:30"]),
    st.sampled_from(["", ".5", ".123456", ".1234569", ".9999999999999", "."]),
    st.sampled_from(["Z", "Z", "z", "+00:00", "-00:00", "+02:00", "-05:30", "+23:59", "-23:59", "+24:00", "+0200", ""]),
)
scalars = st.one_of(
    words.map(json.dumps),
    words.map(lambda text: json.dumps(text, ensure_ascii=False)),
    numbers,
    numbers.map(json.dumps),
    odd_numbers.map(json.dumps),
    instants.map(json.dumps),
    st.sampled_from(["true", "false", "null", "NaN", "-Infinity", "nan", "inf", '"\\ud800"', '"\\ud83d\\ude00"']),
)
spaces = st.sampled_from(["", "", "", " ", "\t", "  "])


def escaped(name: str) -> str:
    return f"\\u{ord(name[0]):04x}{name[1:]}"


keys = st.sampled_from(["id", "t", "acct", "user", "v", "p", "n", "type", "cost", "a", "b", "box", "kind", "other"])


def members(values: st.SearchStrategy[str], least: int = 0) -> st.SearchStrategy[list[tuple[str, str]]]:
    names = keys | keys.map(escaped) if least == 0 else keys
    return st.lists(st.tuples(names, values), min_size=least, max_size=5)


def written(pairs: Iterable[tuple[str, str]], gap: str, comma: str) -> str:
    return "{" + comma.join(f'{gap}"{name}"{gap}:{gap}{value}' for name, value in pairs) + gap + "}"


objects = st.builds(written, members(scalars), spaces, st.just(","))
values = scalars | objects | st.lists(scalars, max_size=2).map(lambda items: "[" + ",".join(items) + "]")
good_inner = st.fixed_dictionaries(
    {"id": words.map(json.dumps), "user": words.map(json.dumps),
     "kind": st.sampled_from(['"create"', '"export"', '"z"']), "a": numbers, "b": numbers, "box": scalars}
).map(lambda found: written(found.items(), "", ","))  # fmt: skip
good_row = st.fixed_dictionaries(
    {"id": words.map(json.dumps), "t": instants.map(json.dumps) | numbers, "acct": words.map(json.dumps),
     "type": st.sampled_from(['"usage"', "7", "1.0", "true"]), "cost": numbers, "v": numbers, "n": scalars,
     "p": good_inner}
).map(lambda found: list(found.items()))  # fmt: skip
rows = st.builds(lambda good, more: good + more, good_row | st.just([]), members(values)).flatmap(st.permutations)
lines = st.one_of(
    st.builds(written, rows, spaces, st.sampled_from([",", ",", ", "])),
    st.builds(lambda text, cut: text[:cut], st.builds(written, rows, spaces, st.just(",")), st.integers(1, 300)),
    st.builds(lambda text: text[:-1] + ",}", st.builds(written, rows, spaces, st.just(","))),
    st.sampled_from(["[1]", "null", "{}", '"{}"', "{} {}", "\ufeff{}", "{}x", "  {}", "7"]),
)


def of_batch(work: Bench, extra: str = "") -> list[tuple[Any, ...]]:
    return work.rows(f"""
        SELECT meter, (key_hi::VARCHAR, key_lo::VARCHAR), occurred_at, account, actor, quantity, cost, context, reason
            {extra}
        FROM landing.batch
    """)


def as_usage(row: tuple[Any, ...]) -> Usage:
    meter, (high, low), occurred_at, account, actor, quantity, cost, context, reason = row[:9]
    key = None if high is None else (int(high) << 128) + int(low)
    same = context and json.dumps(json.loads(context), ensure_ascii=False, separators=(",", ":"))  # \u000F is \u000f
    return Usage(meter, key, occurred_at, account, actor, quantity, cost, same, reason)


def landed(found: list[str], source: Source) -> list[list[Usage]]:
    """The usages of each line, line by line."""
    with bench() as work:
        work.put({"1.ndjson": ("\ufeff" + "\n".join(found)).encode()})
        land = work.land(source)
        assert land.rows == len(found)
        by_line: list[list[Usage]] = [[] for _ in found]
        for row in of_batch(work, ", raw_line"):
            by_line[row[9] - 1].append(as_usage(row))
    assert land.ignored == sum(not line for line in by_line)
    return by_line


def in_order(found: list[Usage]) -> list[Usage]:
    return sorted(found, key=lambda usage: usage.meter or "")


@pytest.mark.parametrize("source", [MONEY, RICH, CLOCK], ids=lambda source: source.name)
@given(found=st.lists(lines, min_size=1, max_size=30))
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@example(found=['{"id":1,"t":"2026-05-01T00:00:00Z","v":0.1000000000000000000001}'])
def test_the_fast_path_reads_what_the_oracle_reads(found: list[str], source: Source) -> None:
    for line, became in zip(found, landed(found, source), strict=True):
        expected = usages(line, source, WEIGHTS)
        assert in_order(became) == in_order(expected), line


@given(found=st.lists(lines, min_size=1, max_size=30))
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_the_careful_path_reads_what_the_fast_path_reads(found: list[str]) -> None:
    fast = landed(found, RICH)
    with patch.object(readers, "suspects", return_value=Suspects("^", "^", ("",))):  # every line is suspect
        careful = landed(found, RICH)
    for line, one, other in zip(found, fast, careful, strict=True):
        assert in_order(one) == in_order(other), line


# --- packing -------------------------------------------------------------------------------------------------------

packings = st.sampled_from(["", ".gz", ".zst"])


def packed(content: bytes, suffix: str) -> bytes:
    if suffix == ".gz":
        half = len(content) // 2
        return gzip.compress(content[:half]) + gzip.compress(content[half:])
    if suffix == ".zst":
        return bytes(pa.compress(content, codec="zstd", asbytes=True))
    return content


@given(
    found=st.lists(lines, min_size=1, max_size=12),
    data=st.data(),
)
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
def test_order_files_and_compression_say_nothing_about_usages(found: list[str], data: st.DataObject) -> None:
    with bench() as work:
        work.put({"1.ndjson": ("\ufeff" + "\n".join(found)).encode()})
        work.land(RICH)
        expected = Counter(map(as_usage, of_batch(work)))
    shuffled = data.draw(st.permutations(found))
    cut = data.draw(st.integers(0, len(found)))
    suffixes = data.draw(st.tuples(packings, packings))
    ending = data.draw(st.sampled_from(["\n", "\r\n", "\n\n", "\n \n"]))
    with bench() as work:
        for number, (part, suffix) in enumerate(zip((shuffled[:cut], shuffled[cut:]), suffixes, strict=True)):
            name = f"{number}/x.ndjson{suffix}"
            work.put({name: packed(("\ufeff" + "".join(line + ending for line in part)).encode(), suffix)})
        land = work.land(RICH)
        assert land.rows == len(found)
        assert Counter(map(as_usage, of_batch(work))) == expected
