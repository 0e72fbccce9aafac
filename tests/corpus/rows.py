"""Odd rows, one to a line of these tables: the row as it arrives, and where it must end.

Every line stands under the source `ev` of the workbench: identity id, occurred_at t, account acct, actor user, and a
cost v of the meter money. `_` stands for the fields that the line is not about.
"""

from __future__ import annotations

LANDED, MALFORMED, MISSING = "landed", "malformed", "missing_field"
BAD_TIME, BAD_NUMBER, PRECISION = "bad_timestamp", "bad_number", "precision"

_ID, _T, _V = '"id": "e"', '"t": "2026-05-02T00:00:00Z"', '"v": 1'
_TIME, _VALUE, _NAME = f"{_ID}, {_V}", f"{_ID}, {_T}", f"{_T}, {_V}"


def _rows(others: str, *cases: tuple[str, str]) -> list[tuple[str, str]]:
    return [(row.replace("_", others, 1), end) for row, end in cases]


# --- what is a JSON object on a line -------------------------------------------------------------------------------
OBJECTS = _rows(
    f"{_ID}, {_T}, {_V}",
    ("{_}", LANDED),
    ("  {_}  ", LANDED),
    ("{_", MALFORMED),  # cut off
    ("{_,}", MALFORMED),  # a trailing comma
    ("{_} {_}", MALFORMED),
    ("[{_}]", MALFORMED),
    ('{_, "note": NaN}', MALFORMED),  # not JSON, wherever it stands
    ('{_, "note": [1, -Infinity]}', MALFORMED),
    ('{_, "note": "NaN, Infinity,}"}', LANDED),
    ('{_, "note": [null, {"a": [null, {}]}]}', LANDED),
    ('{_, "note": "\\ud800"}', MALFORMED),  # half a surrogate pair
    ('{_, "note": "\\ud83d\\ude00"}', LANDED),
    ('{_, "note": "\\ud800", "note": ""}', LANDED),  # which does not count, for another follows under its key
    ('{_, "note": {"a": "\\ud800", "a": 1}}', LANDED),
    ('{_, "note": "a\tb"}', MALFORMED),  # a bare control character
    ('{_, "note": "a\\u0000b"}', LANDED),
    ("{_, 'note': 1}", MALFORMED),
    ('{_, "note": 01}', MALFORMED),
    ("null", MALFORMED),
    ('"{}"', MALFORMED),
    ("7", MALFORMED),
    ("{}", MISSING),
)

# --- fields that make a row ----------------------------------------------------------------------------------------
NAMES = _rows(
    _NAME,
    ("{_}", MISSING),
    ('{_, "id": null}', MISSING),
    ('{_, "id": ""}', MISSING),
    ('{_, "id": " "}', LANDED),
    ('{_, "id": 7}', LANDED),
    ('{_, "id": false}', LANDED),
    ('{_, "id": [7]}', MALFORMED),  # an object or a list names nothing
    ('{_, "id": {"a": 7}}', MALFORMED),
    ('{_, "id": "e", "acct": {"id": 7}}', MALFORMED),
    ('{_, "id": "e", "acct": null, "user": ""}', LANDED),  # the payer is looked for later
    ('{_, "id": "\'; drop table ledger; --", "acct": "\'; drop table ledger; --"}', LANDED),
    ('{_, "id": "e", "acct": "😀 \\" \\\\ \\u0000"}', LANDED),
    ('{_, "id": 1, "id": null}', MISSING),  # the last of a repeated key counts
    ('{_, "id": null, "id": 1}', LANDED),
    ('{_, "id": 1, "\\u0069d": null}', MISSING),
)

# --- numbers: by value, exactly, or not at all ---------------------------------------------------------------------
NUMBERS = _rows(
    _VALUE,
    ("{_}", MISSING),
    ('{_, "v": null}', MISSING),
    ('{_, "v": ""}', MISSING),
    ('{_, "v": 1.500000000000000000000000000000}', LANDED),
    ('{_, "v": 1e-3}', LANDED),
    ('{_, "v": "1e-3"}', LANDED),
    ('{_, "v": " +7 "}', LANDED),
    ('{_, "v": -0}', LANDED),
    ('{_, "v": 0e999999999999}', LANDED),
    ('{_, "v": 0.000000000000001}', LANDED),
    ('{_, "v": 0.0000000000000001}', PRECISION),
    ('{_, "v": 0.1000000000000000000001}', PRECISION),
    ('{_, "v": 1e-400}', PRECISION),
    ('{_, "v": 999999999999999999}', LANDED),
    ('{_, "v": 999999999999999999.999999999999999}', LANDED),
    ('{_, "v": 1000000000000000000}', PRECISION),
    ('{_, "v": 1234567890123456789012345678901234567890}', PRECISION),
    ('{_, "v": "1234567890123456789012345678901234567890"}', PRECISION),
    ('{_, "v": 1e18}', PRECISION),
    ('{_, "v": 1e999999999999}', PRECISION),
    ('{_, "v": "NaN"}', BAD_NUMBER),
    ('{_, "v": "inf"}', BAD_NUMBER),
    ('{_, "v": "1_000"}', BAD_NUMBER),
    ('{_, "v": "1,000"}', BAD_NUMBER),
    ('{_, "v": "0x10"}', BAD_NUMBER),
    ('{_, "v": "1."}', BAD_NUMBER),
    ('{_, "v": ".5"}', BAD_NUMBER),
    ('{_, "v": "1 2"}', BAD_NUMBER),
    ('{_, "v": "１"}', BAD_NUMBER),  # a digit, but not of ASCII
    ('{_, "v": "1\\u0000"}', BAD_NUMBER),
    ('{_, "v": " "}', BAD_NUMBER),
    ('{_, "v": true}', BAD_NUMBER),
    ('{_, "v": [1]}', BAD_NUMBER),
    ('{_, "v": {"v": 1}}', BAD_NUMBER),
    ('{_, "v": 2, "v": "x"}', BAD_NUMBER),
    ('{_, "v": "x", "v": 2}', LANDED),
)

# --- timestamps ----------------------------------------------------------------------------------------------------
TIMES = _rows(
    _TIME,
    ("{_}", MISSING),
    ('{_, "t": ""}', MISSING),
    ('{_, "t": "2026-05-02T00:00:00"}', BAD_TIME),  # no offset
    ('{_, "t": "2026-05-02"}', BAD_TIME),
    ('{_, "t": "2026-05-02T00:00Z"}', BAD_TIME),
    ('{_, "t": "2026-05-02 00:00:00Z"}', LANDED),
    ('{_, "t": "2026-05-02t00:00:00z"}', LANDED),
    ('{_, "t": "2026-05-02T00:00:00+05:30"}', LANDED),
    ('{_, "t": "2026-05-02T00:00:00+0530"}', BAD_TIME),
    ('{_, "t": "2026-05-02T00:00:00+24:00"}', BAD_TIME),
    ('{_, "t": "2026-05-02T00:00:00.123456789Z"}', LANDED),
    ('{_, "t": "2026-05-02T00:00:00.Z"}', BAD_TIME),
    ('{_, "t": "2026-05-02T23:59:60Z"}', BAD_TIME),  # a leap second
    ('{_, "t": "2026-05-02T24:00:00Z"}', BAD_TIME),
    ('{_, "t": "2026-02-29T00:00:00Z"}', BAD_TIME),
    ('{_, "t": "2024-02-29T00:00:00Z"}', LANDED),
    ('{_, "t": "0001-01-01T00:00:00Z"}', LANDED),
    ('{_, "t": "0001-01-01T00:00:00+00:01"}', BAD_TIME),
    ('{_, "t": "0000-12-31T23:59:59-00:01"}', BAD_TIME),
    ('{_, "t": "9999-12-31T23:59:59.999999Z"}', LANDED),
    ('{_, "t": "9999-12-31T23:59:59-00:01"}', BAD_TIME),
    ('{_, "t": "2126-05-02T00:00:00Z"}', LANDED),  # the future is judged later, against as_of
    ('{_, "t": " 2026-05-02T00:00:00Z"}', BAD_TIME),
    ('{_, "t": " 026-05-02T00:00:00Z"}', BAD_TIME),  # a blank where a digit belongs
    ('{_, "t": "-026-05-02T00:00:00Z"}', BAD_TIME),
    ('{_, "t": "2026-05-02T 0:00:00.000Z"}', BAD_TIME),
    ('{_, "t": "2026-05-02T00:00:00.12 456Z"}', BAD_TIME),
    ('{_, "t": "2026-05-02T00:00:00.     Z"}', BAD_TIME),
    ('{_, "t": "2026-05-02T00:00:00.5Z"}', LANDED),
    ('{_, "t": 1777680000}', BAD_TIME),  # an epoch is read only where its unit is told
    ('{_, "t": true}', BAD_TIME),
    ('{_, "t": "now"}', BAD_TIME),
    ('{_, "t": "infinity"}', BAD_TIME),
)

ALL = [*OBJECTS, *NAMES, *NUMBERS, *TIMES]
