"""Golden cases: what goes in, the lines that must come out, and the arithmetic in between as comments.

A case says only what it is about; the rest is always the same workspace: currency USD, close_grace 1h, late_window
35d, no default plan, no bill_from, no cutover, shadow mode; one NDJSON source `ev` (identity id, occurred_at t, account
acct, actor user) whose rows emit one of these meters by their field m, with v as cost or quantity: money (cost), units
(sum), calls (count), peak (max), last (latest), people (unique_count of actor), disk (time_weighted); account a1
(organization, USD, UTC, cus_1); subscription s1 of a1 on plan pro, 1 seat, monthly from 2026-05-01T00:00:00Z; one night
at 2026-06-01T01:00:00Z.

    workspace     keys of workspace.yaml, over the ones above
    plan          pro's only version (from 2020 on);   plans: plans.yaml whole
    meters        further or other meters;  weights, sources likewise;  parity: comparisons
    accounts subscriptions memberships periods baselines credit_grants
                  rows of the CSV files (an account of five fields is in UTC)
    usage         id  time  meter  value  account  [user]  ("-" = absent): text (of ev/a.ndjson) or texts by file name
    raw           files below raw/ as they are (.gz and .zst are packed; .parquet: rows as a list of mappings)
    lands         when a file of raw/ arrives; it is there from the start otherwise
    changes       by number of a night: any of the keys above, standing from just before that night on
    nights        the as_ofs
    expect        invoice_items  night subscription period-start charge reason amount_minor currency [state]
                  credits        grant kind amount_minor balance_before balance_after
                  quarantine     file line reason
                  files          file rows accepted duplicate ignored quarantined
                  (these four: exactly these rows, in any order; of the following only the named rows are looked at)
                  periods        subscription period-start key=value…
                  charges        subscription period-start charge key=value…
                  daily_refresh  subscription period-start window-start key=value…
                  ledger         file line meter key=value…
                  count          table number-of-rows

Values may be fractions (25/6) and are compared as shown money is: to twelve places, half away from zero.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

GOLDEN = Path(__file__).parent

Table = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Script:
    """A workspace in time: the nights, and the files (paths below the workspace) written just before each."""

    nights: tuple[datetime, ...]
    arrivals: tuple[Mapping[str, bytes], ...]

    def before(self, night: int, workspace: Path) -> datetime:
        """Writes what arrives before a night (counted from 1) and gives its as_of."""
        for name, content in self.arrivals[night - 1].items():
            path = workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return self.nights[night - 1]

    def play(self, workspace: Path, run: Callable[[datetime], object]) -> None:
        """Runs every night, with everything that arrives before it."""
        for night in range(1, len(self.nights) + 1):
            run(self.before(night, workspace))


@dataclass(frozen=True)
class Case:
    name: str
    rule: str
    script: Script
    expect: Mapping[str, str]

    def differences(self, tables: Mapping[str, Table]) -> list[str]:
        return compare(self.expect, tables, self.script.nights)


# --- reading cases -------------------------------------------------------------------------------------------------


def load_cases(folder: Path = GOLDEN) -> list[Case]:
    """Every case of every file of the folder."""
    return [case for path in sorted(folder.glob("*.yaml")) for case in read_cases(path)]


def read_cases(path: Path) -> list[Case]:
    # The base loader keeps every scalar as it is written, so that a price reaches the workspace unchanged.
    yaml = YAML(typ="base", pure=True)
    return [_case(entry) for entry in yaml.load_all(path.read_text(encoding="utf-8")) if entry]


def _case(entry: Mapping[str, Any]) -> Case:
    unknown = set(entry) - _KEYS
    if unknown:
        raise ValueError(f"case {entry.get('case')}: unknown keys {sorted(unknown)}")
    nights = tuple(_instant(text) for text in entry.get("nights", ["2026-06-01T01:00:00Z"]))
    arrivals: list[dict[str, bytes]] = [{} for _ in nights]
    standing = dict(entry)
    arrivals[0].update(catalogue_files(standing))
    for night, change in sorted((entry.get("changes") or {}).items(), key=lambda item: int(item[0])):
        standing = {**standing, **change}
        arrivals[int(night) - 1].update(catalogue_files(standing))
    lands = {name: _instant(at) for name, at in (entry.get("lands") or {}).items()}
    for name, content in raw_files(entry).items():
        at = lands.get(name)
        night = 0 if at is None else next(index for index, as_of in enumerate(nights) if at <= as_of)
        arrivals[night]["raw/" + name] = content
    expect = {table: text or "" for table, text in (entry.get("expect") or {}).items()}
    return Case(entry["case"], entry.get("rule", ""), Script(nights, tuple(arrivals)), expect)


_ACCOUNT_FILES = {
    "accounts": "account_id,entity_type,name,currency,timezone,stripe_customer_id",
    "subscriptions": "subscription_id,account_id,plan,seats,interval,anchor_at,starts_at,ends_at",
    "memberships": "organization_id,user_id,joined_at,left_at",
    "periods": "subscription_id,period_start,period_end",
    "baselines": "account_id,period_start,amount",
    "credit_grants": "grant_id,account_id,amount_minor,currency,granted_at,expires_at,priority",
}
_KEYS = {
    "case",
    "rule",
    "workspace",
    "plan",
    "plans",
    "meters",
    "weights",
    "sources",
    "parity",
    "usage",
    "raw",
    "lands",
    "changes",
    "nights",
    "expect",
    *_ACCOUNT_FILES,
}
_DEFAULT_ROWS = {
    "accounts": "a1,organization,A,USD,UTC,cus_1",
    "subscriptions": "s1,a1,pro,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,",
}
_METERS: dict[str, dict[str, str]] = {
    "money": {"aggregate": "cost"},
    "units": {"aggregate": "sum"},
    "calls": {"aggregate": "count"},
    "peak": {"aggregate": "max"},
    "last": {"aggregate": "latest"},
    "people": {"aggregate": "unique_count", "of": "actor"},
    "disk": {"aggregate": "time_weighted"},
}
_VALUE = {"money": {"cost": "v"}, "calls": {}, "people": {}}  # the others: a quantity
_WORKSPACE = {"currency": "USD", "close_grace": "1h", "late_window": "35d"}


def catalogue_files(entry: Mapping[str, Any]) -> dict[str, bytes]:
    """The catalog/ and accounts/ of a case, complete."""
    meters = {**_METERS, **(entry.get("meters") or {})}
    plans = dict(entry.get("plans") or {})
    if "plan" in entry or not plans:
        version = entry.get("plan") or {"charges": [{"meter": "money", "pooled": "true"}]}
        plans["pro"] = {"priority": "10", "versions": [{"from": "2020-01-01T00:00:00Z", **version}]}
    source = {
        "files": "ev/**/*.ndjson*",
        "format": "ndjson",
        "identity": ["id"],
        "occurred_at": "t",
        "account": "acct",
        "actor": "user",
        "emits": [{"meter": meter, **_VALUE.get(meter, {"quantity": "v"}), "when": {"m": meter}} for meter in _METERS],
    }
    documents = {
        "workspace": {**_WORKSPACE, **(entry.get("workspace") or {})},
        "sources": {"sources": {"ev": source, **(entry.get("sources") or {})}},
        "meters": {**({"weights": entry["weights"]} if entry.get("weights") else {}), "meters": meters},
        "plans": {"plans": plans},
        **({"parity": {"comparisons": entry["parity"]}} if entry.get("parity") else {}),
    }
    files = {f"catalog/{name}.yaml": yaml_text(document).encode() for name, document in documents.items()}
    for name, header in _ACCOUNT_FILES.items():
        rows = entry.get(name, _DEFAULT_ROWS.get(name))
        if rows or name in _DEFAULT_ROWS:
            files[f"accounts/{name}.csv"] = "\n".join([header, *_rows(name, rows or ""), ""]).encode()
    return files


def _rows(name: str, text: str) -> list[str]:
    rows = [line.strip() for line in text.splitlines() if line.strip()]
    if name == "accounts":
        fields = [row.split(",") for row in rows]
        rows = [",".join([*row[:4], "UTC", *row[4:]] if len(row) == 5 else row) for row in fields]
    return rows


def raw_files(entry: Mapping[str, Any]) -> dict[str, bytes]:
    """The raw/ of a case: usage written out as rows of the source `ev`, and raw files as they are."""
    usage = entry.get("usage") or {}
    if isinstance(usage, str):
        usage = {"ev/a.ndjson": usage}
    files = {
        name: packed(name, "".join(_event(line) + "\n" for line in text.splitlines() if line.strip()))
        for name, text in usage.items()
    }
    files.update({name: packed(name, content) for name, content in (entry.get("raw") or {}).items()})
    return files


def _event(line: str) -> str:
    event_id, at, meter, value, *who = line.split()
    fields = [("id", json.dumps(event_id)), ("t", json.dumps(at)), ("m", json.dumps(meter))]
    fields += [("v", value)] if value != "-" else []
    fields += [(key, json.dumps(name)) for key, name in zip(("acct", "user"), who, strict=False) if name != "-"]
    return "{" + ", ".join(f'"{key}": {text}' for key, text in fields) + "}"


def packed(name: str, content: Any) -> bytes:
    """The bytes of a raw file: packed as its name says, a list of mappings as Parquet."""
    if name.endswith(".parquet"):
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(content)), out)
        return out.getvalue()
    plain = str(content).encode("utf-8")
    if name.endswith(".gz"):
        return gzip.compress(plain, mtime=0)
    if name.endswith(".zst"):
        return bytes(pa.compress(plain, codec="zstd", asbytes=True))
    return plain


_PLAIN = re.compile(r"[A-Za-z0-9_./*:+-]*[A-Za-z0-9_./*+]|\*+")
_UNSAFE_START = re.compile(r"[-*&!|>%@`:?]")


def yaml_text(value: Any, indent: str = "") -> str:
    """A document as YAML, scalars as they are written, deeper things on one line."""
    if isinstance(value, Mapping) and value and len(indent) < 6:
        text = ""
        for key, part in value.items():
            nested = isinstance(part, Mapping) and part and len(indent) < 4
            text += f"{indent}{key}:" + ("\n" + yaml_text(part, indent + "  ") if nested else f" {_flow(part)}\n")
        return text
    return f"{indent}{_flow(value)}\n"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(part) for part in value) + "]"
    text = "null" if value is None else str(value)
    return text if _PLAIN.fullmatch(text) and not _bad_start(text) else json.dumps(text)


def _bad_start(text: str) -> bool:
    return bool(_UNSAFE_START.match(text)) and not re.fullmatch(r"-[0-9.]+", text)


# --- comparing -----------------------------------------------------------------------------------------------------


def compare(expect: Mapping[str, str], tables: Mapping[str, Table], nights: Iterable[datetime]) -> list[str]:
    """What differs between a case's expectation and the tables of SPEC §8, a sentence each; empty is right.

    The tables are dicts by column name, from the reference or from the published file: amounts may be Fraction or
    Decimal, instants aware (or naive, then UTC).
    """
    found: list[str] = []
    for name, text in expect.items():
        lines = [line.split() for line in text.splitlines() if line.strip()]
        if name == "count":
            counts = {table: sum(1 for _ in tables[table]) for table, _ in lines}
            found += [
                f"{table}: {count} rows expected, {counts[table]} found"
                for table, count in lines
                if counts[table] != int(count)
            ]
            continue
        rows = list(tables[name])
        if name in _WHOLE:
            found += _whole(name, lines, [_WHOLE[name](row, list(nights)) for row in rows])
        else:
            found += _named(name, lines, rows)
    return found


def _item_words(row: Mapping[str, Any], nights: list[datetime]) -> list[str]:
    created = _utc(row["created_as_of"])
    night = nights.index(created) + 1 if created in nights else 0
    return [
        str(night),
        row["subscription_id"],
        _shown(row["period_start"]),
        row["charge"],
        row["reason"],
        str(int(row["amount_minor"])),
        row["currency"].upper(),
        row["state"],
    ]


_WHOLE: dict[str, Callable[[Mapping[str, Any], list[datetime]], list[str]]] = {
    "invoice_items": _item_words,
    "credits": lambda row, nights: [
        row["grant_id"],
        row["kind"],
        *(str(int(row[column])) for column in ("amount_minor", "balance_before", "balance_after")),
    ],
    "quarantine": lambda row, nights: [row["raw_file"], str(row["raw_line"]), row["reason"]],
    "files": lambda row, nights: [
        row["raw_file"],
        *(str(int(row[column] or 0)) for column in ("rows", "accepted", "duplicate", "ignored", "quarantined")),
    ],
}


def _whole(name: str, expected: list[list[str]], actual: list[list[str]]) -> list[str]:
    """The rows of a table are exactly the expected ones; words an expectation leaves off at the end are not asked."""
    if name == "invoice_items":
        expected = [
            [*words[:2], _shown(_instant(words[2])), *words[3:6], words[6].upper(), *words[7:]] for words in expected
        ]
    left = Counter(tuple(words) for words in actual)
    found = []
    for words in sorted(expected, key=len, reverse=True):
        match = next((row for row in left if left[row] and list(row[: len(words)]) == words), None)
        if match is None:
            found.append(f"{name}: expected and not there: {' '.join(words)}")
        else:
            left[match] -= 1
    return found + [f"{name}: there and not expected: {' '.join(row)}" for row in left.elements()]


_KEY_COLUMNS = {
    "periods": ("subscription_id", "period_start"),
    "charges": ("subscription_id", "period_start", "charge"),
    "daily_refresh": ("subscription_id", "period_start", "window_start"),
    "ledger": ("raw_file", "raw_line", "meter"),
}


def _named(name: str, expected: list[list[str]], rows: list[Mapping[str, Any]]) -> list[str]:
    """Each expected row is there once, with the values it names."""
    columns = _KEY_COLUMNS[name]
    found = []
    for words in expected:
        key, values = words[: len(columns)], words[len(columns) :]
        hits = [row for row in rows if all(same(text, row[column]) for text, column in zip(key, columns, strict=True))]
        if len(hits) != 1:
            found.append(f"{name}: {' '.join(key)}: expected one row, found {len(hits)}")
            continue
        for pair in values:
            column, _, text = pair.partition("=")
            if not same(text, hits[0][column]):
                found.append(f"{name}: {' '.join(key)}: {column} expected {text}, found {_shown(hits[0][column])}")
    return found


def same(text: str, value: Any) -> bool:
    """Whether a value is the one written: null, true or false, an instant, a number to twelve places, or text."""
    if value is None:
        return text == "null"
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, datetime):
        return text != "null" and _instant(text) == _utc(value)
    if isinstance(value, int | Fraction | Decimal):
        return text != "null" and to_twelve_places(Fraction(text)) == to_twelve_places(Fraction(value))
    return text == str(value)


def to_twelve_places(value: Fraction) -> Fraction:
    """SPEC §8: money is shown with twelve places, rounded half away from zero."""
    scaled = abs(value) * 10**12
    nearest = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(nearest if value >= 0 else -nearest, 10**12)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return _utc(value).isoformat().replace("+00:00", "Z")
    return str(value)
