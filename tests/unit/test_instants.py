"""Timestamps need an offset and become UTC; durations are a whole number and a unit."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from assets.core.instants import format_instant, parse_duration, parse_instant


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z"),
        ("2026-05-01 00:00:00z", "2026-05-01T00:00:00Z"),
        ("2026-05-01t02:00:00+02:00", "2026-05-01T00:00:00Z"),
        ("2026-04-30T18:30:00-05:30", "2026-05-01T00:00:00Z"),
        ("2026-05-01T00:00:00-00:00", "2026-05-01T00:00:00Z"),
        ("2026-05-01T00:00:00.5Z", "2026-05-01T00:00:00.5Z"),
        ("2026-05-01T00:00:00.120000Z", "2026-05-01T00:00:00.12Z"),
        ("2026-05-01T00:00:00.1234569Z", "2026-05-01T00:00:00.123456Z"),  # cut, not rounded
        ("2026-05-01T00:00:00.000000999Z", "2026-05-01T00:00:00Z"),
        ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_reads_rfc_3339(text: str, utc: str) -> None:
    assert format_instant(parse_instant(text)) == utc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-05-01",
        "2026-05-01T00:00:00",
        "2026-05-01T00:00Z",
        "2026-05-01T00:00:00+02",
        "2026-05-01T00:00:00+0200",
        "2026-05-01T00:00:00 Z",
        "2026-05-01T00:00:00,5Z",
        "2026-05-01T00:00:00.Z",
        "2026-05-01T24:00:00Z",
        "2026-05-01T23:60:00Z",
        "2026-05-01T23:59:60Z",
        "2026-05-01T00:00:00+24:00",
        "2026-05-01T00:00:00+01:60",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-W18-5T00:00:00Z",
        "20260501T000000Z",
        "1777593600",
        "٢٠٢٦-05-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-05-01T00:00:00Z\n",
    ],
)
def test_refuses_what_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r"timestamp|within the years|month|year"):
        parse_instant(text)


def test_an_instant_without_offset_is_not_written() -> None:
    with pytest.raises(ValueError, match="no offset"):
        format_instant(datetime(2026, 5, 1))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("1h", timedelta(hours=1)),
        ("35d", timedelta(days=35)),
        ("2w", timedelta(days=14)),
        ("36525d", timedelta(days=36525)),
    ],
)
def test_reads_durations(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "1", "h", "1 h", "1.5h", "-1h", "+1h", "1H", "1y", "1h30m", "36526d", "9" * 30 + "s"]
)
def test_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a whole number|longer than"):
        parse_duration(text)
