"""Instants and durations as text: a timestamp has an offset and becomes UTC, cut to its microsecond."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

# RFC 3339, with the space between date and time that it allows. The ranges are left to datetime, but where
# some Python version is laxer than RFC 3339: hour 24, minutes of an offset.
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_DURATION = re.compile(r"(\d+)([smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

# A longer wait is a typing error, and would not fit a count of microseconds in 64 bits.
LONGEST_DURATION = timedelta(days=36_525)


@lru_cache(maxsize=1 << 17)  # account files repeat their instants: joins and starts fall on the same midnights
def parse_instant(text: str) -> datetime:
    """The UTC instant that an RFC 3339 timestamp names; ValueError for anything else."""
    if _INSTANT.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a timestamp with an offset")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is not within the years 0001 to 9999 in UTC") from None


def format_instant(instant: datetime) -> str:
    """The instant as RFC 3339 in UTC, such as 2026-05-01T00:00:00Z; a fraction only where there is one."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no offset")
    text = instant.astimezone(UTC).replace(tzinfo=None).isoformat()
    if instant.microsecond:
        text = text.rstrip("0")
    return text + "Z"


def parse_duration(text: str) -> timedelta:
    """The duration that an integer and one of s m h d w name, such as 35d; ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a whole number followed by s, m, h, d or w")
    count, unit = match.groups()
    if len(count) > 10 or (seconds := int(count) * _SECONDS[unit]) > LONGEST_DURATION.total_seconds():
        raise ValueError(f"{text!r} is longer than a hundred years")
    return timedelta(seconds=seconds)
